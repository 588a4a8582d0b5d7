"""Which deliveries of an inbox are read through which mapping, told by their names.

A TOML file of its own says it, kept apart from the inbox, because a mapping may query and whoever
fills an inbox must not choose what is read::

    [deliveries]
    "traces_*.csv" = "traces.toml"
    "dealers*.xlsx" = "dealers.toml"

Paths are taken from where the file is. Of several patterns that fit a name the first counts; case
does not.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from features.errors import SourceError
from features.sources.agency.mapping import read_mapping

EXAMPLE = '[deliveries]\n"traces_*.csv" = "traces.toml"'


def mappings_of(deliveries: Iterable[Path], settings: Path, inbox: Path) -> dict[Path, Path]:
    """Return the mapping of each delivery that has one.

    Parameters
    ----------
    deliveries : iterable of Path
        What stands in the inbox.
    settings : Path
        The file of patterns.
    inbox : Path
        The folder that others fill.

    Raises
    ------
    SourceError
        When the file or a mapping that it names cannot be read, or lies in the inbox.
    """
    patterns = _patterns(settings)
    for file in (settings, *patterns.values()):
        if file.resolve().is_relative_to(inbox.resolve()):
            raise SourceError(
                f"{file} lies in the inbox, which others fill.",
                fix="keep it in a folder that they cannot write",
            )
    for file in dict.fromkeys(patterns.values()):
        database = read_mapping(file).database
        if database is not None and database.url_env:
            raise SourceError(
                f"{file} asks a server, so that no delivery can be read through it.",
                fix=f"load it by itself: `ffl-risk ingest --mapping {file.name}`",
            )
    chosen = {
        path: next((m for p, m in patterns.items() if _fits(path.name, p)), None)
        for path in deliveries
    }
    return {path: mapping for path, mapping in chosen.items() if mapping is not None}


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())


def _patterns(settings: Path) -> dict[str, Path]:
    try:
        raw = tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{settings}, which FFL_RISK_INBOX_MAPPINGS names, cannot be read.",
            found=str(error),
            expected="a TOML file",
            fix=f"write it as in\n{EXAMPLE}",
        ) from error
    table = raw.get("deliveries")
    if (
        set(raw) != {"deliveries"}
        or not isinstance(table, dict)
        or not all(isinstance(value, str) for value in table.values())
    ):
        raise SourceError(
            f"{settings} names no mappings of deliveries.",
            found=", ".join(raw) or "nothing",
            expected="one table `deliveries` of names, which may hold * and ?, to mapping files",
            fix=f"write it as in\n{EXAMPLE}",
        )
    return {pattern: settings.parent / file for pattern, file in table.items()}
