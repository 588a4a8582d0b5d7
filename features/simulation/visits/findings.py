"""What an inspection would find: burden, outcome, citations, and the chance of a severe finding.

Burden is a sum of weak causes that no table holds: lack of care first, volume at both ends,
youth, diversion past a threshold, and their interactions. An inspection adds luck, the strictness
of who looks and the year's. The outcome is where the sum falls between thresholds that give the
published mix; citations follow the same sum.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from scipy.special import betainc

from features.arrays import Floats
from features.openjson import Json
from features.simulation.country.dealers import P02, Dealers
from features.simulation.country.world import World

LUCK: Final = 0.75
THRESHOLDS: Final = {"report": 0.78, "warning_letter": 1.78, "warning_conference": 2.75}
TIER_1: Final = 3.1  # the sum at which nearly half have a tier-1 citation
MISSING_SHAPE: Final = 0.3
REGIME: Final = 4.0  # how much likelier revocation was from June 2021 to April 2025
_LOG_MEANS: Final = np.linspace(-9, 9, 721)
_P_MISSING: Final = betainc(
    5.0, MISSING_SHAPE, np.exp(_LOG_MEANS) / (np.exp(_LOG_MEANS) + MISSING_SHAPE)
)
REVOKED: Final = 0.17  # of inspections with a tier-1 citation, before


@dataclass(frozen=True)
class Chances:
    """Chances of a compliance inspection opened this month, each of shape (n,)."""

    severe: Floats
    any: Floats


@lru_cache(maxsize=1)
def citation_table() -> Json:
    """Return the citations that the generator uses, with their published frequency."""
    path = Path(__file__).parent / "citations.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def burden(world: World, month: int) -> Floats:
    """Return the systematic part of what an inspection would find, shape (n,)."""
    dealers: Dealers = world.dealers
    care, diversion = dealers.care, dealers.diversion
    size = np.clip((np.log1p(world.recent_volume) - 3.5) / 2.2, -1.6, 2.2)
    is_new = (month - dealers.owner_since) < 24
    value = -0.80 * care - 0.10 * care * size + 0.04 * size + 0.07 * (size**2 - 1)
    value = value + 0.20 * is_new + 0.22 * is_new * (size > 0.3)
    value = value + 0.10 * diversion + 0.30 * ((diversion > 1.0) & (size > 0))
    value = value + 0.25 * ((care < -0.9) & (size > 0.2)) + 0.12 * (dealers.kind == P02)
    return np.asarray(value - 0.06, dtype=np.float64)


def p_tier_1(total: Floats) -> Floats:
    """Chance of a citation of tier 1, given burden, luck and strictness together."""
    return np.asarray(0.85 / (1 + np.exp(-2.1 * (total - TIER_1))), np.float64)


def mean_missing(total: Floats, volume: Floats) -> Floats:
    """Return the firearms expected unaccounted for after reconciliation."""
    size = (np.minimum(volume, 20_000) + 5) ** 0.25
    return np.asarray(0.06 * size * np.exp(1.15 * np.clip(total, -3, 4.5)), np.float64)


def p_missing_5(mean: Floats) -> Floats:
    """Chance of five or more firearms missing, negative binomial of shape `MISSING_SHAPE`."""
    return np.asarray(np.interp(np.log(mean), _LOG_MEANS, _P_MISSING), np.float64)


def p_leaves(world: World) -> Floats:
    """Chance that an inspection ends in surrender: small and home businesses, mostly."""
    dealers = world.dealers
    small = np.exp(-world.recent_volume / 40.0)
    value = 0.070 + 0.165 * small + 0.03 * dealers.is_home - 0.02 * np.clip(dealers.care, -2, 2)
    return np.asarray(np.clip(value, 0.01, 0.5), np.float64)


OTHER: Final = 0.019


def chances(world: World, value: Floats, strictness: float = 0.0) -> Chances:
    """Return the chances under an investigator of average strictness, luck averaged out."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    severe, found = np.zeros(len(value)), np.zeros(len(value))
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        total = value + strictness + LUCK * node
        calm = (
            (total < THRESHOLDS["warning_conference"])
            * (1 - p_tier_1(total))
            * (1 - p_missing_5(mean_missing(total, world.recent_volume)))
        )
        severe += weight * (1 - calm)
        found += weight * (total >= THRESHOLDS["report"])
    stays = 1 - p_leaves(world) - OTHER
    return Chances(severe * stays, found * stays)
