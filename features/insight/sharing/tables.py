"""The tables of a release: corridors, classes, counties and ports of one quarter, bound by sums.

A quarter counts firearms whose trace first became known in it, in the version that stood at its
end. Nothing is counted in two quarters, and a quarter is never revised, so that the difference of
two releases is about other firearms and tells of none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd

from features.domain.asof import day_sql, in_force_sql, known_sql
from features.engine.embedded import EmbeddedEngine
from features.insight.sharing.bound_cells import TOTAL, System, counted
from features.insight.sharing.rules import Rules, quarter_end, quarter_start
from features.reference.destinations import destination_names, destination_sql
from features.reference.geography import places
from features.reference.weapons import class_names, class_sql, seized_class_sql

REST: Final = "other Mexican states"
OTHER_PORTS: Final = "other ports"
OTHER_STATES: Final = "other states"
_SEIZED: Final = ("semiautomatic_rifle", "other_rifle", "handgun", "shotgun", "receiver", "other")


@dataclass(frozen=True)
class Groups:
    """What stands alone in a year's tables: set by its first quarter, and kept all year."""

    markets: tuple[str, ...]
    counties: tuple[str, ...]
    ports: tuple[str, ...]


def traces_of(engine: EmbeddedEngine, quarter: str) -> pd.DataFrame:
    """Count the firearms of a quarter by dealer, place, market, destination and class."""
    start, end = day_sql(quarter_start(quarter)), day_sql(quarter_end(quarter))
    place = (
        "SELECT dealer, arg_max(county_fips, listed_on) AS county, "
        f"arg_max(premises_state, listed_on) AS state FROM licenses WHERE {in_force_sql(end)} "
        "GROUP BY dealer"
    )
    found: pd.DataFrame = engine.query(
        f"""
        WITH place AS ({place}),
             own AS (SELECT * FROM traces WHERE known_on >= {start} AND {in_force_sql(end)}
                     AND dealer IS NOT NULL),
             older AS (SELECT DISTINCT trace_id FROM traces WHERE {known_sql(start)})
        SELECT t.dealer, p.state, p.county,
               CASE WHEN recovery_country = 'MX' THEN coalesce(recovery_state, '') ELSE '' END
                   AS market,
               {destination_sql()} AS destination, {class_sql()} AS class, count(*)::BIGINT AS n
        FROM own t ANTI JOIN older USING (trace_id) JOIN place p ON p.dealer = t.dealer
        GROUP BY ALL ORDER BY ALL
        """
    ).to_pandas()
    return found


def seizures_of(engine: EmbeddedEngine, quarter: str) -> pd.DataFrame:
    """Count the seizures of a quarter by port and class; each stands for itself."""
    names = ["dealer", "port", "class", "n"]
    if not engine.has("seizures"):
        return pd.DataFrame({name: pd.Series(dtype=object) for name in names})
    start, end = day_sql(quarter_start(quarter)), day_sql(quarter_end(quarter))
    found: pd.DataFrame = engine.query(
        f"""
        WITH older AS (SELECT DISTINCT seizure_id FROM seizures WHERE {known_sql(start)})
        SELECT coalesce(dealer, seizure_id) AS dealer, port_code AS port,
               {seized_class_sql()} AS class, count(*)::BIGINT AS n
        FROM seizures s ANTI JOIN older USING (seizure_id)
        WHERE s.known_on >= {start} AND {in_force_sql(end, row="s")} AND port_code IS NOT NULL
        GROUP BY ALL ORDER BY ALL
        """
    ).to_pandas()
    return found


def groups_of(traces: pd.DataFrame, seized: pd.DataFrame, rules: Rules) -> Groups:
    """Return what is large enough in a year's first quarter to stand alone."""

    def large(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
        if frame.empty:
            return ()
        n = frame.groupby(column)["n"].sum()
        return tuple(sorted(str(name) for name in n.index[n >= rules.min_group] if name))

    southern = traces[traces["destination"] == "mexico"]
    return Groups(large(southern, "market"), large(traces, "county"), large(seized, "port"))


def system_of(traces: pd.DataFrame, seized: pd.DataFrame, groups: Groups) -> System:
    """Build the cells of a quarter and the sums over them.

    The cells are the same in every quarter of a year, whatever occurred in it: a row that stood
    where there is something to count alone would tell none from some, as no hidden cell does.
    """
    system = System()
    states = sorted(_fips())
    is_mexico = traces["destination"] == "mexico"
    market = traces["market"].where(traces["market"].isin(groups.markets), REST)
    rows = traces.assign(
        column=market.where(is_mexico, traces["destination"]),
        way=is_mexico.map({True: "mexico", False: "other"}),
        part=_parts(traces, groups),
    )
    others = [name for name in destination_names() if name != "mexico"]
    southern = [*groups.markets, REST]
    _corridors(system, rows, states, (southern, others))
    _classes(system, rows, (southern, others))
    _outbound(system, rows, states, southern)
    _counties(system, rows, states, southern, groups)
    _ports(system, seized, groups)
    return system


def _fips() -> dict[str, str]:
    """Every state and territory, with the code that its counties begin with."""
    known = places.states()
    return dict(zip(map(str, known["state"]), map(str, known["state_fips"]), strict=True))


def _named(groups: Groups, state: str) -> list[str]:
    """Return the counties of a state that stand alone."""
    first = _fips()[state]
    return [county for county in groups.counties if county.startswith(first)]


def _parts(traces: pd.DataFrame, groups: Groups) -> pd.Series:
    """Return the county of each row where it stands alone in its state, else the rest of that."""
    state, county = traces["state"].astype(str), traces["county"].astype(str)
    is_named = county.isin(groups.counties) & (county.str[:2] == state.map(_fips()))
    return county.where(is_named, "rest of " + state)


def _corridors(
    system: System, rows: pd.DataFrame, states: list[str], columns: tuple[list[str], list[str]]
) -> None:
    names = [*columns[0], *columns[1]]
    for by, own in (
        (("state", "column"), (states, names)),
        (("state", None), (states, [TOTAL])),
        ((None, "column"), ([TOTAL], names)),
        ((None, None), ([TOTAL], [TOTAL])),
    ):
        system.add(counted(rows, "corridors", by, own))
    for state in states:
        system.bind(("corridors", state, TOTAL), [("corridors", state, c) for c in names])
    for column in names:
        system.bind(("corridors", TOTAL, column), [("corridors", s, column) for s in states])
    system.bind(("corridors", TOTAL, TOTAL), [("corridors", s, TOTAL) for s in states])
    system.bind(("corridors", TOTAL, TOTAL), [("corridors", TOTAL, c) for c in names])


def _classes(system: System, rows: pd.DataFrame, columns: tuple[list[str], list[str]]) -> None:
    ends, kinds = list(destination_names()), list(class_names())
    for by, own in (
        (("destination", "class"), (ends, kinds)),
        (("destination", None), (ends, [TOTAL])),
        ((None, "class"), ([TOTAL], kinds)),
    ):
        system.add(counted(rows, "classes", by, own))
    for place in ends:
        system.bind(("classes", place, TOTAL), [("classes", place, k) for k in kinds])
        of = columns[0] if place == "mexico" else [place]
        system.bind(("classes", place, TOTAL), [("corridors", TOTAL, c) for c in of])
    for kind in kinds:
        system.bind(("classes", TOTAL, kind), [("classes", p, kind) for p in ends])
    system.bind(("corridors", TOTAL, TOTAL), [("classes", TOTAL, k) for k in kinds])


def _outbound(system: System, rows: pd.DataFrame, states: list[str], southern: list[str]) -> None:
    """Count corridors to each Mexican state by class: border states apart, the others together."""
    border = list(places.MEXICO_BORDER_STATES)
    kinds = list(class_names())
    south = rows[rows["destination"] == "mexico"]
    source = south["state"].where(south["state"].isin(border), OTHER_STATES).astype(str)
    south = south.assign(
        lane=source + " to " + south["column"], any="any state to " + south["column"]
    )
    for market in southern:
        lanes = [f"{source} to {market}" for source in (*border, OTHER_STATES)]
        whole, rest = f"any state to {market}", lanes[-1]
        system.add(counted(south, "outbound", ("lane", "class"), (lanes, kinds)))
        system.add(counted(south, "outbound", ("lane", None), ([rest], [TOTAL])))
        system.add(counted(south, "outbound", ("any", "class"), ([whole], kinds)))
        for state, lane in zip(border, lanes, strict=False):
            parts = [("outbound", lane, kind) for kind in kinds]
            system.bind(("corridors", state, market), parts)
        others = [("corridors", s, market) for s in states if s not in border]
        system.bind(("outbound", rest, TOTAL), others)
        system.bind(("outbound", rest, TOTAL), [("outbound", rest, kind) for kind in kinds])
        system.bind(("corridors", TOTAL, market), [("outbound", whole, kind) for kind in kinds])
        for kind in kinds:
            system.bind(("outbound", whole, kind), [("outbound", lane, kind) for lane in lanes])
    for kind in kinds:
        parts = [("outbound", f"any state to {market}", kind) for market in southern]
        system.bind(("classes", "mexico", kind), parts)


def _counties(
    system: System, rows: pd.DataFrame, states: list[str], southern: list[str], groups: Groups
) -> None:
    for state in states:
        own = rows[rows["state"] == state]
        parts = [*_named(groups, state), f"rest of {state}"]
        ways = ["mexico", "other"]
        system.add(counted(own, "counties", ("part", "way"), (parts, ways)))
        whole = f"all of {state}"
        named = own.assign(whole=whole)
        system.add(counted(named, "counties", ("whole", "way"), ([whole], ways)))
        for way in ways:
            system.bind(("counties", whole, way), [("counties", p, way) for p in parts])
        system.bind(("counties", whole, "mexico"), [("corridors", state, c) for c in southern])
        system.bind(("corridors", state, TOTAL), [("counties", whole, way) for way in ways])


def _ports(system: System, seized: pd.DataFrame, groups: Groups) -> None:
    ports, kinds = [*groups.ports, OTHER_PORTS], list(_SEIZED)
    rows = seized.assign(gate=seized["port"].where(seized["port"].isin(groups.ports), OTHER_PORTS))
    for by, own in (
        (("gate", "class"), (ports, kinds)),
        (("gate", None), (ports, [TOTAL])),
        ((None, "class"), ([TOTAL], kinds)),
        ((None, None), ([TOTAL], [TOTAL])),
    ):
        system.add(counted(rows, "ports", by, own))
    for port in ports:
        system.bind(("ports", port, TOTAL), [("ports", port, k) for k in kinds])
    for kind in kinds:
        system.bind(("ports", TOTAL, kind), [("ports", p, kind) for p in ports])
    system.bind(("ports", TOTAL, TOTAL), [("ports", p, TOTAL) for p in ports])
