"""Firearms recovered in Mexico: which dealers they come from, and where they turn up.

What is submitted for tracing grows because more agencies may submit, not because more firearms
cross: the federal prosecutor alone until August 2021, then six states with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np

from features.arrays import Floats, Ints
from features.reference import files
from features.simulation.country.dealers import P01, P02, Dealers

# Share of Mexican traces to a purchaser by source state, 2022-23 (C8); the rest share 23.5%.
SOURCES: Final = {"TX": 0.43, "AZ": 0.22, "CA": 0.09, "NM": 0.025}
TO_PURCHASER: Final = 0.36
SHORT_SHARE: Final = 0.34  # at three years or less: a median of about 5.4 years
# The states of the published corridors, then the others.
_CORRIDOR_STATES: Final = [
    "MX-TAM", "MX-CHH", "MX-NLE", "MX-COA", "MX-SON", "MX-SIN", "MX-BCN", "MX-JAL", "MX-GUA",
    "MX-MIC", "MX-ZAC", "MX-GRO",
]  # fmt: skip
# Rows: TX, AZ, CA, NM, elsewhere. Columns: the states of the corridors.
_CORRIDORS: Final = np.array(
    [
        [0.27, 0.19, 0.13, 0.06, 0.02, 0.02, 0.01, 0.08, 0.09, 0.06, 0.05, 0.02],
        [0.01, 0.06, 0.01, 0.01, 0.52, 0.16, 0.04, 0.07, 0.04, 0.04, 0.02, 0.02],
        [0.01, 0.02, 0.01, 0.01, 0.06, 0.10, 0.52, 0.10, 0.05, 0.07, 0.03, 0.02],
        [0.02, 0.58, 0.02, 0.02, 0.10, 0.06, 0.02, 0.06, 0.04, 0.03, 0.03, 0.02],
        [0.08, 0.10, 0.07, 0.04, 0.10, 0.08, 0.08, 0.14, 0.12, 0.11, 0.05, 0.03],
    ]
)
# Share of the recoveries of no known dealer in the states outside the corridors.
_BEYOND: Final = 0.25
NOBODY: Final = 5  # row of the firearms of no known dealer
FEDERAL_ONLY_UNTIL: Final = date(2021, 8, 1)
ALL_FROM: Final = date(2025, 9, 27)
# GAO-21-322: six states by August 2021; which ones is not published, so these are assumed.
JOINED_FIRST: Final = ("MX-CHH", "MX-SON", "MX-BCN", "MX-GUA", "MX-JAL", "MX-NLE")
# With six states the requests of 2022 are 1.5 times those of 2017 (published): a federal share of
# about this size gives that without more recoveries.
FEDERAL_SHARE: Final = 0.54
RAMP_MONTHS: Final = 12  # from the first request of a prosecutor to those of all its offices


def weights(dealers: Dealers, volume: Floats) -> Floats:
    """How much each dealer is drawn on, summing to one over the country.

    Distance is not enough: the hubs lie up to 400 km inland. State totals are held to `SOURCES`.
    """
    known = dealers.known
    # Chains sell fewer of the rifles in demand; independents many more (D31).
    taste = np.where(dealers.chain >= 0, 0.35, 1.0) * np.where(
        np.isin(dealers.kind, (P01, P02)), 1.0, 0.6
    )
    raw = volume * known.pull[dealers.place] * taste
    raw = raw * np.exp(0.85 * dealers.diversion + 0.5 * dealers.custom)
    group = source_group(dealers)
    total = np.bincount(group, weights=raw, minlength=5)
    target = source_shares()
    share = np.divide(target, total, out=np.zeros(5), where=total > 0)
    return np.asarray(raw * share[group] / max(target[total > 0].sum(), 1e-9), dtype=np.float64)


def source_group(dealers: Dealers) -> Ints:
    """Row of `corridors` of each dealer: its state if at the border, else the fifth."""
    states = dealers.known.states
    codes = np.full(len(states), 4)
    for row, state in enumerate(SOURCES):
        codes[states == state] = row
    return np.asarray(codes[dealers.known.state[dealers.place]], dtype=np.int64)


def recovery_states(rng: np.random.Generator, group: Ints, submitted: Floats) -> Ints:
    """Draw the Mexican state of each recovery that was submitted, a code into `STATES`.

    Parameters
    ----------
    group : ndarray of int, shape (n,)
        Row of the corridors, or `NOBODY`.
    submitted : ndarray, shape (n_states,)
        Share of the recoveries of each state that is submitted, times how its level moved.
    """
    odds = corridors() * submitted
    reach = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    reach[:, -1] = 1.0
    flat = (reach + np.arange(len(reach))[:, None]).ravel()
    at = np.searchsorted(flat, group + rng.random(len(group)), side="right")
    n = len(states())
    return np.asarray(np.minimum(at - group * n, n - 1), dtype=np.int64)


@lru_cache(maxsize=1)
def _homicides() -> tuple[list[str], Floats, Floats]:
    """States in order, and for each its homicides with firearms: in all, and by month (12, sum)."""
    table = files.read_table("mexico_homicides")
    wide = table.pivot_table(
        index="state_code", columns="month", values="firearm_homicide_victims", aggfunc="sum"
    )
    order = [*_CORRIDOR_STATES, *(s for s in sorted(wide.index) if s not in _CORRIDOR_STATES)]
    by_month = wide.reindex(order).to_numpy(np.float64)
    year = np.apply_along_axis(lambda row: np.convolve(row, np.ones(12), "valid"), 1, by_month)
    return order, by_month.sum(axis=1), year


def states() -> list[str]:
    """Return the 32 Mexican states, those of the published corridors first."""
    return _homicides()[0]


@lru_cache(maxsize=1)
def corridors() -> Floats:
    """Where firearms turn up, shares of the 32 states; rows as `source_group`, then `NOBODY`."""
    _, total, _ = _homicides()
    n = len(_CORRIDOR_STATES)
    beyond = np.where(np.arange(len(total)) < n, 0.0, total)
    beyond = beyond / beyond.sum()
    known = np.zeros((len(_CORRIDORS), len(total)))
    known[:, :n] = _CORRIDORS / _CORRIDORS.sum(axis=1, keepdims=True)
    nobody = (1 - _BEYOND) * known[-1] + _BEYOND * beyond
    return np.vstack([0.98 * known + 0.02 * beyond, nobody])


def source_shares() -> Floats:
    """Share of the traces that name a dealer by row of the corridors, shape (5,)."""
    return np.array([*SOURCES.values(), 1 - sum(SOURCES.values())])


def recoveries(submitted: Floats, when: date, shares: tuple[Floats, Floats]) -> Floats:
    """Return the recoveries of each state that give so many submitted ones by row of corridors."""
    odds = corridors() * level(when)
    reached = (odds * (shares[0] + shares[1])).sum(axis=1)
    return np.asarray((submitted / reached) @ odds, dtype=np.float64)


def level(when: date) -> Floats:
    """How each state's homicides with firearms stood in the year around a month, mean 1."""
    _, _, year = _homicides()
    first = files.read_table("mexico_homicides")["month"].min()
    at = (when.year - first.year) * 12 + when.month - first.month - 6
    column = year[:, int(np.clip(at, 0, year.shape[1] - 1))]
    return np.asarray(column / year.mean(axis=1), dtype=np.float64)


@dataclass(frozen=True)
class Submitters:
    """Who submits what share of the recoveries of each state.

    Full submission of a state is its federal share and its own prosecutor's together.

    Parameters
    ----------
    federal : ndarray, shape (n_states,)
        Share that the federal prosecutor submits.
    own : ndarray, shape (n_states,)
        Share that the state's prosecutor submits once all its offices do.
    """

    federal: Floats
    own: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Submitters:
        """Draw how much each prosecutor submits."""
        n = len(states())
        federal = np.clip(rng.normal(FEDERAL_SHARE, 0.08, n), 0.3, 0.8)
        return cls(federal, (1 - federal) * rng.uniform(0.92, 1.0, n))

    def shares(self, when: date) -> tuple[Floats, Floats]:
        """Share of the federal prosecutor and of the state's own, by state, in a month."""
        months = np.array([_months_since(joined_on(s), when) for s in states()])
        return self.federal, self.own * np.clip((months + 1) / RAMP_MONTHS, 0.0, 1.0)


def joined_on(state: str) -> date:
    """Day from which a state's own prosecutor submits."""
    return FEDERAL_ONLY_UNTIL if state in JOINED_FIRST else ALL_FROM


def _months_since(start: date, when: date) -> int:
    return (when.year - start.year) * 12 + when.month - start.month


def requesters() -> list[str]:
    """Names of the Mexican agencies: the federal prosecutor, then each state's."""
    return ["FGR", *(f"FGE-{state[3:]}" for state in states())]


def submitters(rng: np.random.Generator, state: Ints, shares: tuple[Floats, Floats]) -> Ints:
    """Draw who submitted each recovery, a code into `requesters`."""
    federal, own = shares
    is_own = rng.random(len(state)) < (own / (federal + own))[state]
    return np.where(is_own, 1 + state, 0).astype(np.int64)
