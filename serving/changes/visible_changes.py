"""The changes that one caller may see, in their order."""

from __future__ import annotations

from typing import Final

from serving.access.accounts import Principal
from serving.contract.records.field import ChangeRecord
from serving.lists.summaries import readable_among
from serving.runtime import Runtime
from serving.store import journal

KINDS: Final = ("outcome", "event", "decision", "list")


def page_of(
    runtime: Runtime, principal: Principal, *, since: int, limit: int
) -> tuple[list[ChangeRecord], int]:
    """Return what a caller may see of the changes after a number, and what to ask for next.

    Whoever sees the whole country would know by a number that moves without a change that there is
    something held: it then stays at the last change that is shown. Of others' areas it tells only
    that there are some.
    """
    at, shown = since, list[ChangeRecord]()
    while not shown:
        shown, seen_to = visible(runtime, principal, since=at, limit=limit)
        if seen_to == at or not principal.is_national:
            break
        at = seen_to
    if not principal.is_national:
        return shown, seen_to
    return shown, shown[-1]["seq"] if shown else since


def visible(
    runtime: Runtime, principal: Principal, *, since: int, limit: int
) -> tuple[list[ChangeRecord], int]:
    """Return what a caller may see of the changes after a number, and how far was looked.

    A list is named to whoever may read it: its owner, everybody of the office that the schedule
    issued it for, a scheduler and a supervisor whose area holds it.
    """
    scope = runtime.scope(principal)
    found = journal.since(runtime.store, since, at_most=limit)
    listed = [one.ref for one in found if one.kind == "list"]
    readable = readable_among(runtime, principal, listed)
    out: list[ChangeRecord] = []
    for one in found:
        # A dealer outside the area, or held from the caller, is not there; nor what is only its.
        dealers = [dealer for dealer in one.dealers if scope.row(dealer) is not None]
        is_shown = one.kind in KINDS and (one.kind != "list" or one.ref in readable)
        # How many rows of a table came would count those of dealers that are not shown.
        ref = one.ref.split(":")[0] if one.kind == "event" else one.ref
        if dealers and is_shown:
            out.append(
                {"seq": one.seq, "at": one.at, "kind": one.kind, "ref": ref, "dealers": dealers}
            )
    return out, found[-1].seq if found else since
