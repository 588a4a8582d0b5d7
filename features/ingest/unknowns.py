"""What of the good rows of a file stands for nothing, told where it is loaded."""

from __future__ import annotations

from typing import Any, Final

from features.ingest.checks import POINT, CheckQuery
from features.reference.files import DATA
from features.reference.geography.state_codes import COUNTRY_OF_STATE
from features.warehouse.batches import scan

_MAX_SHOWN: Final = 5  # codes in a note


def unknown_values(con: Any, query: CheckQuery) -> list[str]:
    """Tell of values that stand for nothing: stored as unknown, not as what they say."""
    if not query.unknowns:
        return []
    counts = ", ".join(
        f"count(*) FILTER (unknown & {1 << n} > 0)" for n in range(len(query.unknowns))
    )
    at = {name: f"unknown & {1 << n} > 0" for n, name in enumerate(query.unknowns)}
    points = " OR ".join(at[name] for name in POINT if name in at) or "false"
    *counted, n_points = con.execute(
        f"SELECT {counts}, count(*) FILTER ({points}) FROM good WHERE unknown > 0"
    ).fetchone()
    found = {name: n for name, n in zip(query.unknowns, counted, strict=True) if n}
    zips = {name: n for name, n in found.items() if name.endswith("_zip")}
    notes = [
        f"values of {name} that can be no ZIP code, taken as unknown: {n:,}"
        for name, n in zips.items()
    ]
    states = {name: n for name, n in found.items() if name in COUNTRY_OF_STATE}
    notes += [
        f"values of {name} that are states of another country than {COUNTRY_OF_STATE[name]} "
        f"says, taken as unknown: {n:,}"
        for name, n in states.items()
    ]
    if n_points:
        notes.append(
            "points that cannot be where the row is (0/0, without its minus, swapped, one number "
            f"of two), taken as unknown: {n_points:,}"
        )
    if "dealer" in found:
        notes.append(f"words for no dealer, taken as unknown: {found['dealer']:,}")
    told_otherwise = (*zips, *states, *POINT, "dealer")
    dates = {name: n for name, n in found.items() if name not in told_otherwise}
    if dates:
        told = ", ".join(f"{n:,} in {name}" for name, n in dates.items())
        notes.append(
            f"dates that say that there is none, such as 1900-01-01, taken as unknown: {told}"
        )
    return notes


def unknown_counties(con: Any) -> list[str]:
    """Tell of county codes that no county has; a dealer there has no signals of its county."""
    known = scan([str(DATA / "counties.parquet")])
    unknown = con.execute(
        "SELECT county_fips, n FROM (SELECT county_fips, count(*) AS n FROM good GROUP BY 1) "
        f"ANTI JOIN {known} USING (county_fips) ORDER BY county_fips"
    ).fetchall()
    if not unknown:
        return []
    n_rows = sum(n for _, n in unknown)
    some = ", ".join(code for code, _ in unknown[:_MAX_SHOWN])
    some += ", ..." if len(unknown) > _MAX_SHOWN else ""
    return [
        f"rows in a county that does not exist ({some}): {n_rows:,}, stored as listed and "
        "without signals of the county"
    ]
