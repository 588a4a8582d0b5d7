"""What of the good rows of a file stands for nothing, told where it is loaded."""

from __future__ import annotations

from typing import Any, Final

from features.ingest.checking.checks import POINT, CheckQuery
from features.reference.files import DATA
from features.reference.geography.state_codes import COUNTRY_OF_STATE
from features.sources.publishers.listing import STATE_FIPS
from features.sql import literal
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


def unknown_ports(con: Any) -> list[str]:
    """Tell of codes of ports that are none of four digits; they are told as they stand."""
    return _told(
        con.execute(
            "SELECT port_code, count(*) FROM good WHERE NOT regexp_full_match(port_code, "
            "'[0-9]{4}') GROUP BY 1 ORDER BY 1"
        ).fetchall(),
        "whose port_code is not the four digits of a port",
        "stored as it stands and no port that is known",
    )


def foreign_counties(con: Any) -> list[str]:
    """Tell of counties that lie in another state than the premises."""
    states = ", ".join(f"({literal(state)}, {literal(fips)})" for state, fips in STATE_FIPS.items())
    return _told(
        con.execute(
            "SELECT premises_state || ' ' || county_fips AS place, count(*) FROM good JOIN "
            f"(VALUES {states}) AS states(state, fips) ON premises_state = state "
            f"SEMI JOIN {scan([str(DATA / 'counties.parquet')])} USING (county_fips) "
            "WHERE left(county_fips, 2) <> fips GROUP BY 1 ORDER BY 1"
        ).fetchall(),
        "whose county lies in another state than premises_state says",
        "both stored as listed: signals of the state go by the one, of the county by the other",
    )


def _told(found: list[tuple[str, int]], what: str, so: str) -> list[str]:
    if not found:
        return []
    some = ", ".join(code for code, _ in found[:_MAX_SHOWN])
    some += ", ..." if len(found) > _MAX_SHOWN else ""
    return [f"rows {what} ({some}): {sum(n for _, n in found):,}, {so}"]


def unknown_counties(con: Any) -> list[str]:
    """Tell of county codes that no county has; a dealer there has no signals of its county."""
    known = scan([str(DATA / "counties.parquet")])
    unknown = con.execute(
        "SELECT county_fips, n FROM (SELECT county_fips, count(*) AS n FROM good GROUP BY 1) "
        f"ANTI JOIN {known} USING (county_fips) ORDER BY county_fips"
    ).fetchall()
    return _told(
        unknown,
        "in a county that does not exist",
        "stored as listed and without signals of the county",
    )
