"""A backup in an object store: put together on disk, kept there, fetched to be restored.

The manifest goes last and is the first thing that a restore asks for: what was broken off before it
is no backup. Every file is compared with its digest when it is restored, wherever it was.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from features.object_store import fetch, is_vacant, put
from serving.errors import InvalidRequestError
from serving.keeping.backup import back_up
from serving.keeping.files import MANIFEST, Kept
from serving.keeping.restore import restore
from serving.settings import Settings


def back_up_to(settings: Settings, address: str, passphrase: str) -> Kept:
    """Back the state up under an address of an object store.

    Raises
    ------
    InvalidRequestError
        When something is there already; and as `back_up` does.
    ObjectStoreError
        When the store refuses.
    """
    if not is_vacant(address):
        raise InvalidRequestError(
            f"Something is kept at {address} already.",
            fix="name a prefix that nothing is under; each backup has one",
        )
    with tempfile.TemporaryDirectory(prefix="ffl-risk-backup-") as place:
        folder = Path(place) / "whole"
        done = back_up(settings, folder, passphrase)
        put(folder, address, last=MANIFEST)
    return replace(done, folder=Path(address))


def restore_from(settings: Settings, address: str, passphrase: str) -> Kept:
    """Restore what `back_up_to` kept.

    Raises
    ------
    ObjectStoreError
        When it cannot be read; and as `restore` does.
    """
    with tempfile.TemporaryDirectory(prefix="ffl-risk-restore-") as place:
        return restore(settings, fetch(address, Path(place)), passphrase)
