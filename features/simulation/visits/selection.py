"""Who was inspected: office by office, within capacity and the once-in-twelve-months rule.

Each policy is a mixture of reasons. What the field sees is noisy: recent traces, tips, earlier
penalties, denials, years since the last visit, and hearsay of what is really the matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.arrays import Flags, Floats, Ints
from features.simulation.country import national
from features.simulation.country.dealers import P02
from features.simulation.country.world import World

REASONS: Final = ["risk", "random", "recall", "complaint", "application", "other", "unknown"]
RISK, RANDOM, RECALL, COMPLAINT, APPLICATION, OTHER, UNKNOWN = range(7)
# Shares of risk, random, complaint and convenience ("other") after recalls took theirs.
MIXTURES: Final = {
    "historic": (0.66, 0.10, 0.09, 0.15),
    "random_only": (0.0, 1.0, 0.0, 0.0),
    "trace_chasing": (0.93, 0.03, 0.04, 0.0),
    "volume_chasing": (0.93, 0.03, 0.04, 0.0),
    "border_surge": (0.90, 0.05, 0.05, 0.0),
}
RECALLS: Final = 0.25  # at the most; few are due
_MONTHS: Final = np.array([0.9, 1.0, 1.1, 1.0, 1.0, 1.05, 0.95, 1.05, 1.25, 0.9, 0.95, 0.85])


@dataclass
class Memory:
    """What the field remembers of each dealer; arrays of shape (n,).

    `last_opened` and `last_closed` are days since 1970 of the last visit that counts for the
    twelve months, `worst` the ladder step of the last outcome, `recall_due` a month.
    """

    last_opened: Ints
    worst: Ints
    recall_due: Ints
    tips: Floats


def capacity(world: World, month: int, active: Flags) -> Ints:
    """Return the visits each office can pay in a month, shape (offices,)."""
    when = world.options.month(month)
    year = national.fiscal_year(when)
    total = national.figure("inspections", year) * world.scale / 12 * _MONTHS[when.month - 1]
    if year == 2020:  # the epidemic closed the doors from March on
        total *= 1.75 if when.month in (10, 11, 12, 1, 2) else 0.47
    office = world.dealers.known.office[world.dealers.place[active]]
    weight = np.bincount(office, minlength=len(world.office_weight)) * world.office_weight
    whole = total * weight / max(weight.sum(), 1e-9)
    rng = world.options.generator(7, month)
    return np.asarray(np.floor(whole + rng.random(len(whole))), dtype=np.int64)


def choose(
    world: World, memory: Memory, month: int, eligible: Flags, hearsay: Floats
) -> tuple[Ints, Ints]:
    """Return the dealers chosen in a month and the reason of each, a code into `REASONS`."""
    rng = world.options.generator(8, month)
    office = world.dealers.known.office[world.dealers.place]
    left = capacity(world, month, world.dealers.is_active(month))
    policy = world.options.policy
    shares = MIXTURES[policy]
    scores = _scores(world, memory, month, hearsay, rng)
    chosen, reasons = [], []
    free = eligible.copy()
    if policy != "random_only":
        due = free & (memory.recall_due <= month)
        took = _top(
            np.where(due, rng.random(len(free)), -np.inf), office, _part(rng, left, RECALLS)
        )
        chosen.append(took)
        reasons.append(np.full(len(took), RECALL))
        free[took] = False
        left = left - np.bincount(office[took], minlength=len(left))
    parts = _split(rng, left, shares)
    for reason, score, quota in zip((RANDOM, COMPLAINT, OTHER, RISK), scores, parts, strict=True):
        took = _top(np.where(free, score, -np.inf), office, quota)
        chosen.append(took)
        reasons.append(np.full(len(took), reason))
        free[took] = False
    return np.concatenate(chosen), np.concatenate(reasons)


def _part(rng: np.random.Generator, left: Ints, share: float) -> Ints:
    return np.minimum(np.floor(left * share + rng.random(len(left))).astype(np.int64), left)


def _split(rng: np.random.Generator, left: Ints, shares: tuple[float, ...]) -> list[Ints]:
    """Split each office's visits at random: random, complaint, convenience, risk."""
    risk, random, complaint, other = shares
    counts = rng.multinomial(left, [random, complaint, other, risk])
    return [counts[:, k] for k in range(4)]


def _top(score: Floats, office: Ints, quota: Ints) -> Ints:
    """Return the best of each office, as many as its quota; -inf is never taken."""
    rows = np.flatnonzero(score > -np.inf)
    order = rows[np.lexsort((-score[rows], office[rows]))]
    own = office[order]
    rank = np.arange(len(order)) - np.searchsorted(own, own)
    return order[rank < quota[own]]


def _scores(
    world: World, memory: Memory, month: int, hearsay: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the scores of the random, complaint, convenience and risk reasons."""
    dealers = world.dealers
    n = len(dealers)
    even = rng.random(n)
    complaint = np.where(memory.tips > 0.05, memory.tips + even, -np.inf)
    # Convenience: visits that share a trip, county by county.
    county_turn = rng.random(len(dealers.known.weight) // 40 + 1)
    other = county_turn[dealers.place // 40] + 0.05 * even
    traces = world.seen_short[:, max(0, month - 12) : month].sum(axis=1, dtype=np.int64)
    noise = rng.normal(0, 1, n)
    policy = world.options.policy
    if policy == "trace_chasing":
        risk = np.log1p(traces) + 0.25 * noise
    elif policy == "volume_chasing":
        risk = np.log1p(world.recent_volume) + 0.4 * noise
    elif policy == "border_surge":
        risk = -np.log1p(dealers.known.km[dealers.place] / 30) * 2.0 + noise
    else:
        waited = np.clip((world.first_day(month) - memory.last_opened) / 365.25, 0, 12)
        risk = 0.30 * np.log1p(traces) + 0.12 * waited + 0.35 * memory.worst
        risk = risk + 0.10 * np.log1p(world.recent_volume) + 0.30 * hearsay
        risk = risk + 0.25 * (dealers.kind == P02) + 0.4 * (memory.tips > 0.05) + 1.1 * noise
    return even, complaint, other, np.asarray(risk, dtype=np.float64)
