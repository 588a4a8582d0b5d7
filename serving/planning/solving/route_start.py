"""Where the router begins: sets of visits that go well together, each put into a week."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyvrp import ProblemData, Route, Solution

    from serving.planning.solving.weekly_routes import Part, Slot

_MOST_ORDERED: Final = 5  # visits that are tried in every order


def begin_with(
    data: ProblemData,
    slots: Sequence[Slot],
    *,
    parts: Sequence[Part],
    sets: Sequence[tuple[int, ...]],
) -> Solution:
    """Return the solution in which each set has a week of its own, as far as weeks go round.

    Parts have their weeks already and come first; then the sets that the law allows latest, which
    have the fewest weeks to go to. What finds none is left to the router.
    """
    from pyvrp import Solution  # slow to import

    free = [len(slot.investigators) for slot in slots]
    by_candidate: dict[int, list[int]] = {}
    for at, part in enumerate(parts):
        by_candidate.setdefault(part.stop.candidate, []).append(at)
    in_parts = {i for i, own in by_candidate.items() if len(own) > 1}
    groups = []
    for members in sets:
        known = [i for i in members if by_candidate.get(i)]
        if known:
            groups.append([by_candidate[i].pop() for i in known])
    begun = {i for members in sets for i in members} & in_parts
    groups += [[at] for i in sorted(begun) for at in by_candidate[i]]
    first = {at: part.first_week for at, part in enumerate(parts)}
    # Those with a part first, of which some have another visit with them.
    groups.sort(
        key=lambda g: (all(parts[at].stop.n_parts == 1 for at in g), -max(first[at] for at in g), g)
    )
    routes = []
    while groups:
        group = groups.pop(0)
        has_part = any(parts[at].stop.n_parts > 1 for at in group)
        earliest = max(first[at] for at in group)
        order = sorted((s for s, slot in enumerate(slots) if free[s] and slot.week >= earliest),
                       key=lambda s: (slots[s].hours, slots[s].week))  # fmt: skip
        for slot in order if has_part else _one_of_each_length(slots, order):
            route = _shortest(data, group, slot=slot)
            if route is not None:
                free[slot] -= 1
                routes.append(route)
                break
        else:
            alone = [at for at in group if parts[at].stop.n_parts > 1]
            if len(group) > 1 and alone:
                groups.insert(0, alone)
    return Solution(data, routes)


def _one_of_each_length(slots: Sequence[Slot], order: list[int]) -> list[int]:
    """Return the slots to try: what fits into one fits into every other of its length."""
    return list({slots[at].hours: at for at in reversed(order)}.values())[::-1]


def _shortest(data: ProblemData, group: list[int], *, slot: int) -> Route | None:
    from pyvrp import Route

    ways = itertools.permutations(group) if len(group) <= _MOST_ORDERED else [tuple(group)]
    routes = [Route(data, list(way), slot) for way in ways if way[0] <= way[-1]]
    fit = [route for route in routes if route.is_feasible()]
    return min(fit, key=lambda route: route.distance(), default=None)
