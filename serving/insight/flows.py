"""Flows and completeness for a caller: what names a dealer stays within the caller's own scope."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from features.errors import InvalidValueError
from features.insight.completeness import Completeness, completeness
from features.insight.flows.breadth import (
    BroadAreas,
    Cell,
    broad_areas,
    broad_cells,
    dealer_cells,
    dealer_counts,
)
from features.insight.flows.follow import Flow, Link, follow
from features.insight.flows.subject import Subject, subject_of
from features.insight.sharing.rules import rules_on
from features.warehouse import Warehouse
from serving import clock
from serving.access.audit.writer import subjects
from serving.errors import UnknownDealerError, UnknownSubjectError
from serving.insight.cached import kept, warehouse_of
from serving.scores.visible_dealers import Scope


def subject_for(text: str, scope: Scope) -> Subject:
    """Return what a caller asks to follow.

    Raises
    ------
    UnknownSubjectError
        When it is nothing that can be followed.
    UnknownDealerError
        When it is a dealer that the caller does not see.
    """
    try:
        subject = subject_of(text)
    except InvalidValueError as error:
        raise UnknownSubjectError(
            "There is nothing of that name to follow.", expected=error.expected
        ) from error
    if subject.kind == "dealer" and scope.row(subject.code) is None:
        raise UnknownDealerError(
            "There is no such dealer within your area.", expected="a dealer key R-DD-SSSSS"
        )
    return subject


def flow_for(subject: Subject, scope: Scope, home: Path, *, years: int) -> Flow:
    """Follow a subject for a caller.

    A dealer on hold is in no count at all; one outside the caller's area is counted, and in no hub,
    cluster or pattern. Counts of counties and states outside it are told where they rest on enough
    dealers.

    Raises
    ------
    UnknownSubjectError
        When it is an area outside the caller's that rests on too few.
    """
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    told = _told_areas(scope, warehouse, years)
    if told is not None and (
        (subject.kind == "county" and subject.code not in told.areas.counties)
        or (subject.kind == "state" and subject.code not in told.areas.states)
    ):
        raise UnknownSubjectError(
            f"{subject.label} lies outside your area and rests on too few dealers to be told.",
            fix="ask for a larger area",
        )
    flow = kept(
        warehouse,
        ("flow", subject.kind, subject.code, as_of, years, scope.hidden),
        lambda: follow(warehouse, subject, as_of, years=years, without=scope.hidden),
    )

    def is_seen(dealer: str) -> bool:
        return scope.row(dealer) is not None

    if told is not None:
        flow = _within(flow, told)
    return replace(
        flow,
        dealers=tuple(hub for hub in flow.dealers if is_seen(hub.dealer)),
        fast_dealers=tuple(hub for hub in flow.fast_dealers if is_seen(hub.dealer)),
        clusters=tuple(c for c in flow.clusters if all(map(is_seen, c.dealers))),
        patterns=tuple(p for p in flow.patterns if is_seen(p.first) and is_seen(p.second)),
    )


@dataclass(frozen=True)
class _Told:
    """What a caller may be told of areas that are not its own.

    Parameters
    ----------
    areas : BroadAreas
    cells : frozenset of (area, market)
        From which area to which market or port.
    to_mexico : frozenset of str
        Counties whose count to Mexico may be told.
    own : frozenset of str
        Counties and states where nobody else sells.
    sums : dict of (state, market) to (int, int)
        Firearms, and those with a short time-to-crime.
    """

    areas: BroadAreas
    cells: frozenset[Cell]
    to_mexico: frozenset[str]
    own: frozenset[str]
    sums: dict[Cell, tuple[int, int]]


def _told_areas(scope: Scope, warehouse: Warehouse, years: int) -> _Told | None:
    """Return what a caller may have of areas, None where that is everything."""
    if bool((scope.own == scope.view.is_visible).all()):
        return None
    snapshot = scope.view.snapshot
    about = (snapshot.as_of, years, scope.hidden)
    counts = kept(
        warehouse,
        ("dealer counts", *about),
        lambda: dealer_counts(warehouse, snapshot.as_of, years=years, without=scope.hidden),
    )
    cells = kept(
        warehouse,
        ("dealer cells", *about),
        lambda: dealer_cells(warehouse, snapshot.as_of, years=years, without=scope.hidden),
    )

    def is_own(dealer: str) -> bool | None:
        row = snapshot.row_of.get(dealer)
        return None if row is None else bool(scope.own[row])

    rules = rules_on(clock.today())
    told = broad_cells(cells, is_own, rules, by="state")
    told |= broad_cells(cells, is_own, rules, by="county")
    mexican = cells[cells["is_mexico"]].assign(market="mexico")
    abroad = {county for county, _ in broad_cells(mexican, is_own, rules, by="county")}
    others = cells[~cells["dealer"].map(is_own).eq(True)]
    areas = {*cells["county"], *cells["state"]} - {*others["county"], *others["state"]}
    sums = cells.groupby(["state", "market"])[["n", "n_short"]].sum()
    pairs = zip(sums.index, sums.to_numpy().tolist(), strict=True)
    return _Told(
        broad_areas(counts, is_own, rules),
        told,
        frozenset(abroad),
        frozenset(areas),
        {(str(state), str(market)): (n, n_short) for (state, market), (n, n_short) in pairs},
    )


def _within(flow: Flow, told: _Told) -> Flow:
    """Return a flow without what it says of areas, and of their cells, that may not be told."""
    areas = told.areas

    def is_told(source: str, market: str) -> bool:
        is_county = source.isdigit()
        if not is_county and len(source) != 2:
            return True  # a port, or a source not known
        if source not in (areas.counties if is_county else areas.states):
            return False
        return source in told.own or (source, market) in told.cells

    # How completely a source is traced follows from what is traced of it in its own state.
    at_home = told.own | {
        one.source
        for one in flow.corridors
        if one.course == "intrastate" and is_told(one.source, one.market)
    }
    subject = flow.subject
    is_of_dealer = subject.kind == "dealer"
    is_whole = subject.kind not in {"county", "state"} or subject.code in told.own
    if not is_whole:
        flow = replace(flow, by_band={}, by_class={}, by_destination={})
    return replace(
        flow,
        links=tuple(
            one
            for one in (*flow.links, *(() if is_whole else _of_state(flow, told)))
            if is_of_dealer or is_told(one.source, one.target)
        ),
        corridors=tuple(
            one if one.source in at_home else one.without_tracing()
            for one in flow.corridors
            if is_told(one.source, one.market)
        ),
        counties=tuple(
            hub
            for hub in flow.counties
            if hub.county in areas.counties and hub.county in told.to_mexico | told.own
        ),
        communities=tuple(
            one for one in flow.communities if areas.counties.issuperset(one.counties)
        ),
    )


def _of_state(flow: Flow, told: _Told) -> list[Link]:
    """Return the links of a state as a whole, where those of its counties are not all told."""
    if flow.subject.kind != "state":
        return []
    code = flow.subject.code
    found = {one.target: one for one in flow.links if (code, one.target) in told.sums}
    return [
        replace(
            one, source=code, status="partial", n=told.sums[code, target][0],
            low=told.sums[code, target][0], n_short=told.sums[code, target][1], record_ids=(),
        )
        for target, one in found.items()
    ]  # fmt: skip


def told_of(flow: Flow) -> str:
    """Return what an audit record says that a flow showed: what was followed, and whom it names."""
    return f"flow {flow.subject.code} {subjects(flow.named - {flow.subject.code})}".strip()


def completeness_for(scope: Scope, home: Path) -> Completeness:
    """Measure Mexican submission as of the scored table's day."""
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    return kept(warehouse, ("completeness", as_of), lambda: completeness(warehouse, as_of))
