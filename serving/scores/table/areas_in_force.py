"""Which areas have dealers in the table in force, told without loading it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from features.domain.office_names import name_key
from features.errors import did_you_mean
from serving.access.named_areas import read_areas


def without_dealers(home: Path, areas: Iterable[str]) -> dict[str, str]:
    """Return the areas to which no dealer of the table in force belongs, each with what may help.

    Parameters
    ----------
    home : Path
        Where tables are; without one in force nothing can be said of any area.
    areas : iterable of str
        ``office:NAME`` or ``division:NAME``; others are of every dealer.
    """
    named = [a for a in read_areas(areas) if a.startswith(("office:", "division:"))]
    if not named or not (home / "scored.json").is_file():
        return {}
    from pyarrow.parquet import read_table

    from serving.scores.table.loaded_table import current

    path = home / "scored" / current(home, "scored") / "scored.parquet"
    out = {}
    for area in named:
        kind, _, name = area.partition(":")
        held = {str(one) for one in read_table(path, columns=[kind])[kind].to_pylist() if one}
        if name_key(name) not in map(name_key, held):
            out[area] = did_you_mean(name, sorted(held), end=".")
    return out
