"""Firearms recovered in Mexico: which dealers they come from, and where they turn up.

What is submitted for tracing grows because more agencies may submit, not because more firearms
cross: the federal prosecutor alone until August 2021, then six states with it.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from features.simulation.dealers import P01, P02, Dealers

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Share of Mexican traces to a purchaser by source state, 2022-23 (C8); the rest share 23.5%.
SOURCES: Final = {"TX": 0.43, "AZ": 0.22, "CA": 0.09, "NM": 0.025}
TO_PURCHASER: Final = 0.36
SHORT_SHARE: Final = 0.34  # at three years or less: a median of about 5.4 years
STATES: Final = [
    "MX-TAM",
    "MX-CHH",
    "MX-NLE",
    "MX-COA",
    "MX-SON",
    "MX-SIN",
    "MX-BCN",
    "MX-JAL",
    "MX-GUA",
    "MX-MIC",
    "MX-ZAC",
    "MX-GRO",
]
# Rows: TX, AZ, CA, NM, elsewhere. Columns: STATES.
CORRIDORS: Final = np.array(
    [
        [0.27, 0.19, 0.13, 0.06, 0.02, 0.02, 0.01, 0.08, 0.09, 0.06, 0.05, 0.02],
        [0.01, 0.06, 0.01, 0.01, 0.52, 0.16, 0.04, 0.07, 0.04, 0.04, 0.02, 0.02],
        [0.01, 0.02, 0.01, 0.01, 0.06, 0.10, 0.52, 0.10, 0.05, 0.07, 0.03, 0.02],
        [0.02, 0.58, 0.02, 0.02, 0.10, 0.06, 0.02, 0.06, 0.04, 0.03, 0.03, 0.02],
        [0.08, 0.10, 0.07, 0.04, 0.10, 0.08, 0.08, 0.14, 0.12, 0.11, 0.05, 0.03],
    ]
)
FEDERAL_ONLY_UNTIL: Final = date(2021, 8, 1)
SUBMITTERS: Final = ["FGR", "FGE-CHH", "FGE-SON", "FGE-BCN", "FGE-GUA", "FGE-JAL", "FGE-NLE"]


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
    target = np.array([*SOURCES.values(), 1 - sum(SOURCES.values())])
    share = np.divide(target, total, out=np.zeros(5), where=total > 0)
    return np.asarray(raw * share[group] / max(target[total > 0].sum(), 1e-9), dtype=np.float64)


def source_group(dealers: Dealers) -> Ints:
    """Row of `CORRIDORS` of each dealer: its state if at the border, else the last."""
    states = dealers.known.states
    codes = np.full(len(states), 4)
    for row, state in enumerate(SOURCES):
        codes[states == state] = row
    return np.asarray(codes[dealers.known.state[dealers.place]], dtype=np.int64)


def recovery_states(rng: np.random.Generator, group: Ints) -> Ints:
    """Draw the Mexican state of each recovery, a code into `STATES`."""
    reach = np.cumsum(CORRIDORS / CORRIDORS.sum(axis=1, keepdims=True), axis=1)
    reach[:, -1] = 1.0
    flat = (reach + np.arange(len(reach))[:, None]).ravel()
    at = np.searchsorted(flat, group + rng.random(len(group)), side="right")
    return np.asarray(np.minimum(at - group * len(STATES), len(STATES) - 1), dtype=np.int64)


def submitters(rng: np.random.Generator, n: int, when: date) -> Ints:
    """Draw who submits, a code into `SUBMITTERS`."""
    if when < FEDERAL_ONLY_UNTIL:
        return np.zeros(n, np.int64)
    share = np.array([0.65, 0.07, 0.07, 0.07, 0.06, 0.04, 0.04])
    return rng.choice(len(share), n, p=share).astype(np.int64)
