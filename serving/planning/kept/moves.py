"""Changes by hand: read, replayed over the visits of a plan, and judged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from serving.planning.change import Changed, Placed, arrange
from serving.planning.for_caller import Made
from serving.planning.kept.in_names import dealers_in
from serving.planning.request import PlanError

_OUT: Final = "out"


def moved(made: Made, moves: Sequence[str]) -> Changed | None:
    """Return the itinerary with changes by hand, None when there is none.

    Parameters
    ----------
    moves : sequence of str
        ``DEALER~WEEK.INVESTIGATOR`` or ``DEALER~out``.

    Raises
    ------
    PlanError
        When a move cannot be read, or names what is not in the plan.
    """
    if not moves:
        return None
    places = [Placed(v.dealer, v.week, v.investigator, v.hours) for v in made.plan.visits]
    for move in moves:
        places = after(places, move, weeks=made.request.weeks, can_return=made.plan.dealers)
    named = dealers_in(made.plan.shortfalls)
    return arrange(made.table, made.request, placed=places, left_out=named)


def after(
    places: list[Placed], move: str, *, weeks: int, can_return: Collection[str]
) -> list[Placed]:
    """Return where visits are after a move; the parts of one stay as far apart as they were.

    Parameters
    ----------
    places : list of Placed
        In visiting order.
    move : str
        ``DEALER~WEEK.INVESTIGATOR`` or ``DEALER~out``.
    weeks : int
        Of the plan.
    can_return : collection of str
        Dealers that are placed again where they were left out.

    Raises
    ------
    PlanError
        When the move cannot be read, names what is not in the plan, or ends after it.
    """
    dealer, _, where = move.partition("~")
    parts = sorted((p for p in places if p.dealer == dealer), key=lambda p: p.week)
    if not parts and dealer in can_return and where != _OUT:
        parts = [Placed(dealer, 1, 1)]
    if not parts:
        raise PlanError("A visit to move is not in the plan.", found=dealer)
    if where == _OUT:
        return [place for place in places if place.dealer != dealer]
    week, _, investigator = where.partition(".")
    if not (week.isdecimal() and investigator.isdecimal()):
        raise PlanError("A move cannot be read.", expected="DEALER~WEEK.INVESTIGATOR")
    first, later = parts[0], int(week) - parts[0].week
    last = parts[-1].week + later
    if last > weeks >= int(week):
        raise PlanError(
            f"Moved to week {week}, the visit to {dealer} would end in week {last}, after the plan:"
            f" it is made in {len(parts)} parts.",
            fix=f"choose a week up to {weeks - (last - int(week))}, or plan more weeks",
        )
    to = int(investigator)
    person = {first.investigator: to, to: first.investigator}
    placed = [
        replace(
            part,
            week=part.week + later,
            investigator=person.get(part.investigator, part.investigator),
            is_moved=True,
        )
        for part in parts
    ]
    return [*(place for place in places if place.dealer != dealer), *placed]
