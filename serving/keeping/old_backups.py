"""Backups beside a new one: the newest are kept, older ones are removed.

A folder is a backup when it holds a manifest and the sealed key; nothing else is touched, whatever
its name. One is first renamed out of sight, so that what a removal leaves half done is never taken
for a backup; the next run removes it.
"""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Final

from features.home import sync_folder
from serving.errors import DiskError
from serving.keeping.files import MANIFEST, SEALED_KEY

_LEAVING: Final = ".removed-"


def remove_old(newest: Path, keep: int) -> list[str]:
    """Remove all but the `keep` newest backups of the folder that `newest` lies in.

    Parameters
    ----------
    newest : Path
        A backup that is whole; it counts toward `keep` and always stays.
    keep : int
        1 or more.

    Returns
    -------
    list of str
        Names of those that went, oldest first.

    Raises
    ------
    DiskError
        When one cannot be removed; the new backup stands.
    """
    newest = newest.absolute()
    others = [one for one in newest.parent.iterdir() if one != newest]
    dated = sorted(
        ((made, one.name, one) for one in others if (made := _made_at(one)) is not None),
        reverse=True,
    )
    gone = [one for _, _, one in dated[keep - 1 :]][::-1]
    try:
        for one in gone:
            one.rename(one.with_name(f"{_LEAVING}{one.name}"))
        sync_folder(newest.parent)
        for left in newest.parent.glob(f"{_LEAVING}*"):
            shutil.rmtree(left)
    except OSError as error:
        raise DiskError(
            f"{newest} is whole, but an older backup beside it could not be removed.",
            found=error.strerror or type(error).__name__,
            fix="give this account the right to remove it, or remove it by hand",
        ) from error
    return [one.name for one in gone]


def _made_at(folder: Path) -> datetime | None:
    """Return when a backup was made; None for whatever is not one."""
    is_ours = (folder / SEALED_KEY).is_file() and (folder / MANIFEST).is_file()
    if folder.name.startswith(".") or folder.is_symlink() or not is_ours:
        return None
    try:
        made = datetime.fromisoformat(json.loads((folder / MANIFEST).read_bytes())["made_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return made if made.tzinfo else None
