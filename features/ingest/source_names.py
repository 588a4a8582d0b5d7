"""Which sources of a warehouse a name means: one, or all of an archive, a folder or a range."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final

from features.domain.agency_day import day_of
from features.errors import SourceError

_MAX_LISTED: Final = 20
_RANGE: Final = re.compile(r"(\d+)-(\d+)")
_INSIDE: Final = re.compile(r"[!\[]")  # what stands between a container and the name in it

Entries = Sequence[dict[str, Any]]


def find_sources(entries: Entries, name: str) -> Entries:
    """Return the entries of the manifest that `name` means and that are not withdrawn yet.

    Parameters
    ----------
    entries : sequence of dict
        The sources of the manifest.
    name : str
        The number of a source, the name of its file, the beginning of its SHA-256, the archive,
        workbook or folder that was loaded, or a range of numbers such as ``3-80``.

    Raises
    ------
    SourceError
        When nothing is called so, or more than one load.
    """
    held = [entry for entry in entries if "withdrawn" not in entry]
    ways = (
        [e for e in held if str(e["id"]) == name],
        [e for e in held if name in (e["file"], Path(e["file"]).name)],
        [e for e in held if _is_inside(e, name)],
        [e for e in held if len(name) >= 8 and e["sha256"].startswith(name)],
        _in_range(held, name),
    )
    for n, found in enumerate(ways):
        if found:
            is_set = n in (2, 4)  # an archive or a range is meant whole
            if len(found) == 1 or (is_set and (n == 4 or _is_of_one_load(found))):
                return found
            raise _unclear(held, found, name)
    raise _unclear(held, [], name)


def _is_inside(entry: dict[str, Any], name: str) -> bool:
    """Whether a source came out of the archive, workbook or folder called `name`."""
    container = _INSIDE.split(entry["file"], maxsplit=1)[0]
    if container != entry["file"] and name in (container, PurePosixPath(container).name):
        return True
    given = entry.get("given")
    if not given or not name:
        return False
    parts = PurePath(name).parts
    is_end = bool(parts) and PurePath(given).parts[-len(parts) :] == parts
    return is_end or os.path.abspath(name) == given  # noqa: PTH100 - "..", without following links


def _is_of_one_load(found: Entries) -> bool:
    """Whether sources came together; those of an older manifest tell by their names."""
    names = [entry["file"] for entry in found]
    return len({entry.get("load") for entry in found}) == 1 and len(set(names)) == len(names)


def _in_range(held: Entries, name: str) -> Entries:
    asked = _RANGE.fullmatch(name)
    if not asked:
        return []
    first, last = map(int, asked.groups())
    return [entry for entry in held if first <= entry["id"] <= last]


def _unclear(held: Entries, found: Entries, name: str) -> SourceError:
    """Return the error of a name that means no source or more than one load."""
    is_one = len(found) == 0
    return SourceError(
        f"{len(found) or 'No'} source{' is' if is_one else 's are'} called {name!r}.",
        found=_listed(found or held) or "no source that is not withdrawn",
        fix="name one by its number, or several by their range, such as 3-80, or by the archive "
        "or folder that was loaded; `ffl-risk sources` lists all",
    )


def _listed(entries: Entries) -> str:
    """Return sources in a line: those of one archive or folder together, the latest loads last."""
    groups: dict[tuple[object, str], list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault((entry.get("load"), _container(entry)), []).append(entry)
    lines = [_told(container, group) for (_, container), group in groups.items()]
    left = len(lines) - _MAX_LISTED
    more = [f"and {left:,} before these"] if left > 0 else []
    return "; ".join([*more, *lines[-_MAX_LISTED:]])


def _container(entry: dict[str, Any]) -> str:
    """Return what a source came out of, or its own name."""
    given = PurePath(entry["given"]).name if entry.get("given") else ""
    return given or _INSIDE.split(entry["file"], maxsplit=1)[0]


def _told(container: str, group: Entries) -> str:
    day = day_of(group[0]["ingested_at"])
    if len(group) == 1:
        return f"{group[0]['id']}: {group[0]['file']} of {day}"
    span = f"{group[0]['id']}-{group[-1]['id']}"
    return f"{span}: {container}, {len(group):,} files of {day}"
