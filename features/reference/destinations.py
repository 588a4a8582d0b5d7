"""Groups of countries in which firearms turn up: one table for signals, labels, files and pages."""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import Final

from features.errors import InvalidValueError, did_you_mean
from features.reference.files import DATA, read_toml
from features.sql import literal

ELSEWHERE: Final = "elsewhere"
# The columns of the data contract that hold a code of `countries`.
COUNTRY_COLUMNS: Final = ("recovery_country", "country")
# Latin America other than Mexico, as the signal of that name counts it.
LATIN_AMERICA: Final = (
    "guatemala", "honduras", "el_salvador", "other_latin_america", "caribbean",
)  # fmt: skip


@lru_cache(maxsize=1)
def destinations() -> dict[str, tuple[str, ...]]:
    """Countries of each destination, in the order of the table; ``elsewhere`` is the rest."""
    entries = read_toml("destinations.toml")["destination"]
    return {name: tuple(entry["countries"].split()) for name, entry in entries.items()}


@lru_cache(maxsize=1)
def countries() -> dict[str, str]:
    """Name of each country by its ISO 3166-1 alpha-2 code, with what stands in older records."""
    with (DATA / "countries.csv").open(encoding="utf-8", newline="") as rows:
        return {row["country"]: row["name"] for row in csv.DictReader(rows)}


def destination_names() -> tuple[str, ...]:
    """Codes of the destinations, ``elsewhere`` last."""
    return (*destinations(), ELSEWHERE)


@lru_cache(maxsize=16)
def destination_label(name: str) -> str:
    """Words of a destination; an unknown code stays as it is."""
    entry = read_toml("destinations.toml")["destination"].get(name)
    return str(entry["label"]) if entry else name


def countries_of(name: str) -> tuple[str, ...]:
    """Countries of a destination, or the country itself when an ISO code is given.

    Raises
    ------
    InvalidValueError
        When it is neither.

    Examples
    --------
    >>> countries_of("honduras"), countries_of("MX")
    (('HN',), ('MX',))
    """
    known = destinations()
    if name in known:
        return known[name]
    if name in countries():
        return (name,)
    raise InvalidValueError(
        f"{name!r} is no destination{did_you_mean(name, known, end='.')}",
        expected=f"{', '.join(known)}, or a country code such as MX",
    )


def destination_sql(column: str = "recovery_country") -> str:
    """Return SQL for the destination of a country column."""
    steps = " ".join(
        f"WHEN {column} IN ({', '.join(map(literal, countries))}) THEN {literal(name)}"
        for name, countries in destinations().items()
    )
    return f"(CASE {steps} ELSE {literal(ELSEWHERE)} END)"


def place_sql() -> str:
    """Return SQL for the place of a recovery: a state of either country, else its country.

    A code of two letters is a state or territory of the United States: ``country CA`` is Canada and
    ``CA`` is California. Without the word, Colombia would count as Colorado.
    """
    own = ", ".join(literal(code) for code in countries_of("domestic") if code != "US")
    return (
        "CASE WHEN recovery_country IN ('US', 'MX') THEN coalesce(recovery_state, "
        f"recovery_country) WHEN recovery_country IN ({own}) THEN recovery_country "
        "ELSE 'country ' || recovery_country END"
    )


def is_in_sql(*names: str, column: str = "recovery_country") -> str:
    """Return the SQL condition that a country belongs to one of some destinations."""
    codes = [code for name in names for code in countries_of(name)]
    return f"{column} IN ({', '.join(map(literal, codes))})"
