"""Flows and completeness for a caller: what names a dealer stays within the caller's own scope."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from features.errors import InvalidValueError
from features.insight.completeness import Completeness, completeness
from features.insight.flows.follow import Flow, follow
from features.insight.flows.subject import Subject, subject_of
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
    cluster or pattern.
    """
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    flow = kept(
        warehouse,
        ("flow", subject.kind, subject.code, as_of, years, scope.hidden),
        lambda: follow(warehouse, subject, as_of, years=years, without=scope.hidden),
    )

    def is_seen(dealer: str) -> bool:
        return scope.row(dealer) is not None

    return replace(
        flow,
        dealers=tuple(hub for hub in flow.dealers if is_seen(hub.dealer)),
        fast_dealers=tuple(hub for hub in flow.fast_dealers if is_seen(hub.dealer)),
        clusters=tuple(c for c in flow.clusters if all(map(is_seen, c.dealers))),
        patterns=tuple(p for p in flow.patterns if is_seen(p.first) and is_seen(p.second)),
    )


def completeness_for(scope: Scope, home: Path) -> Completeness:
    """Measure Mexican submission as of the scored table's day."""
    warehouse = warehouse_of(home)
    as_of = scope.view.snapshot.as_of
    return kept(warehouse, ("completeness", as_of), lambda: completeness(warehouse, as_of))
