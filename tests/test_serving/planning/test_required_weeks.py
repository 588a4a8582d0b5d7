"""Required visits that fill the weeks: what is proven beside them, and what they leave."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from serving.planning import PlanRequest, make_plan
from serving.planning.candidates import read_candidates
from serving.planning.solving import selection, tour_program
from serving.planning.solving.draw import draw
from serving.planning.solving.parts_beside import ways_to_cut
from serving.planning.solving.prices import Prices
from serving.planning.solving.required_weeks import required_weeks
from serving.planning.solving.weekly_routes import places
from tests.benchmarks.inputs.office import STARTS_ON

OFFICE = PlanRequest(39.0, -96.0, STARTS_ON, weeks=2, n_investigators=2, random_share=0.0)
SHORT_WEEKS = ((5, 4), (3, 5))


def far_office(seed: int) -> pd.DataFrame:
    """Two recalls that fill most of a week each, one in parts, and others near and far."""
    rng = np.random.default_rng(seed)
    hours = [*rng.uniform(8, 20, 2), rng.uniform(26, 50), *rng.uniform(8, 20, 3), 45.0]
    way = np.array([*rng.uniform(1.5, 3.5, 2), rng.uniform(2, 4), *rng.uniform(0.2, 3, 3), 0.3])
    turn = rng.uniform(0, 2 * np.pi, 7)
    return pd.DataFrame(
        {
            "dealer": [f"5-48-{i:05d}" for i in range(7)],
            "latitude": 39.0 + way * np.cos(turn),
            "longitude": -96.0 + 1.3 * way * np.sin(turn),
            "expected_yield": rng.uniform(0.05, 0.9, 7),
            "hours": hours,
            "eligible_on": pd.Timestamp(STARTS_ON)
            + pd.to_timedelta(rng.choice([0, 0, 7], 7), unit="D"),
            "is_recall_due": np.arange(7) < 3,
            "unseen_days": rng.choice([100.0, 3000.0], 7),
        }
    )


def best_by_hand(candidates, problem, request) -> float:
    """Try every week of every visit and of every part, in every way to cut; all orders by road."""
    n = len(candidates)
    ways = places(candidates, request, members=np.arange(n))
    slots = [
        (week, request.hours_in(week, person))
        for week in range(request.weeks)
        for person in range(request.n_investigators)
    ]

    @cache
    def least(members: frozenset[int]) -> float:
        orders = itertools.permutations(members)
        return min(ways.tour_km(list(order)) for order in orders) / 70.0 if members else 0.0

    cut = np.flatnonzero(problem.n_parts > 1)
    whole = np.flatnonzero(problem.n_parts == 1)
    cuts = ways_to_cut(problem, candidates, request, n_lengths=len({hours for _, hours in slots}))

    def placed(at: int) -> list[dict[int, float]]:
        """Return what a visit in parts may put into which weeks."""
        i = int(cut[at])
        out: list[dict[int, float]] = [] if problem.is_required[i] else [{}]
        for n_parts, first, last in cuts:
            hours = [float(first[at])] * (int(n_parts[at]) - 1) + [float(last[at])]
            out.extend(
                dict(zip(order, hours, strict=True))
                for order in itertools.permutations(range(len(slots)), len(hours))
                if all(slots[s][0] >= candidates.first_week[i] for s in order)
            )
        return [dict(items) for items in {tuple(sorted(one.items())) for one in out}]

    best = -np.inf
    for parts in itertools.product(*(placed(at) for at in range(len(cut)))):
        if len(set().union(*parts)) < sum(map(len, parts)):
            continue  # no two parts share a week
        weeks = [
            (frozenset(int(cut[at]) for at, one in enumerate(parts) if s in one),
             sum(one.get(s, 0.0) for one in parts))
            for s in range(len(slots))
        ]  # fmt: skip
        if any(least(own) + on_site > slots[s][1] for s, (own, on_site) in enumerate(weeks)):
            continue
        level = {tuple(weeks): 0.0}
        for i in map(int, whole):
            more: dict[tuple, float] = {} if problem.is_required[i] else dict(level)
            for state, gain in level.items():
                for s, (own, on_site) in enumerate(state):
                    both, hours = own | {i}, on_site + float(candidates.hours[i])
                    lawful = slots[s][0] >= candidates.first_week[i]
                    if lawful and least(both) + hours <= slots[s][1]:
                        after = (*state[:s], (both, hours), *state[s + 1 :])
                        more[after] = max(more.get(after, 0.0), gain + float(problem.gain[i]))
            level = more
        own = sum(float(problem.gain[cut[at]]) for at, one in enumerate(parts) if one)
        for state, gain in level.items():
            visited = {i for members, _ in state for i in members}
            if problem.is_overdue[list(visited)].sum() >= problem.n_overdue_wanted:
                best = max(best, gain + own)
    return best


@pytest.mark.parametrize("changes", [{}, {"n_workdays": SHORT_WEEKS}, {"coverage_years": 4}])
def test_no_plan_of_all_yields_more_than_is_proven_at_any_prices(changes):
    request = replace(OFFICE, coverage_share=0.6, **changes)
    rng, n_possible, tighter = np.random.default_rng(0), 0, 0
    for seed in range(6):
        candidates = read_candidates(far_office(seed), request)
        is_drawn, _ = draw(candidates, request)
        problem = selection.build(candidates, request, is_drawn=is_drawn)
        best = best_by_hand(candidates, problem, request)
        weeks = tour_program.whole_weeks(problem, candidates, request)
        if not np.isfinite(best) or weeks is None:
            continue
        n_possible += 1
        none = replace(weeks.prices, visit=np.zeros_like(weeks.prices.visit))
        drawn = Prices(
            rng.uniform(0, 0.3, len(none.visit)), none.week, float(rng.uniform(0, 0.3)), none.longer
        )
        for prices in (weeks.prices, none, drawn):
            said = required_weeks(problem, candidates, request, prices)
            assert said is not None
            assert best <= said.bound + 1e-9
            tighter += said.bound < weeks.bound - 1e-6
    assert n_possible >= 3
    assert tighter


def test_a_required_visit_is_cut_so_that_others_find_room():
    """Cut alike it left seven hours in each of two weeks, and nobody else found a place there."""
    frame = pd.DataFrame(
        {
            "dealer": ["5-48-00001", "5-48-00002"],
            "latitude": 39.0 + 4.62,
            "longitude": -96.0,
            "expected_yield": [0.01, 0.5],
            "hours": [24.0, 10.0],
            "eligible_on": pd.Timestamp(STARTS_ON),
            "is_recall_due": [True, False],
            "unseen_days": 900.0,
        }
    )
    plan = make_plan(frame, replace(OFFICE, n_investigators=1))
    assert not plan.shortfalls
    assert set(plan.dealers) == set(frame["dealer"])
    assert sorted(round(v.hours) for v in plan.visits if v.dealer == "5-48-00001") == [5, 19]
    assert plan.gap == pytest.approx(0.0, abs=1e-6)
