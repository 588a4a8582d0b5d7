"""The gate of calibration: what is served agrees with what is found, in level, slope and bins.

The level is judged by the rows that may tell it (`training.evaluation.head_evaluation`), the slope
by all; what the data are too few to tell cannot be said, and is no pass.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from features.arrays import Floats
from training.evaluation import few_findings as few
from training.evaluation.head_evaluation import level_weight, lists_of
from training.evaluation.metrics import (
    LEVEL,
    Interval,
    bootstrap,
    calibration_errors,
    reliability,
    weighted_share,
)
from training.evaluation.promotion_verdict import N_RESAMPLES, PASSED, REFUSED, UNSAID, Verdict

_AT_ONCE: Final = 20  # drawn outcomes of all rows that are held together
# Served over observed: beyond this, with an interval that excludes one, the level is wrong.
LEVEL_TOLERANCE: Final = 1.25
# An interval that holds half or twice the truth tells nothing of the level.
LEVEL_UNTOLD: Final = 2.0
SLOPES: Final = (0.5, 2.0)
# From here on resampling gives a level's interval its width. The exact one takes a whole cluster
# for one row, which is too wide where clusters are counties.
MANY_FINDINGS: Final = 50
# Whether the rows of `level_weight` were drawn with a known probability.
LEVEL_KNOWN: Final = "is_level_known"
_STEPS: Final = 6


def calibrated(head: str, rows: pd.DataFrame, *, limit: float, n_heads: int = 1) -> Verdict:
    """Ask that what is served agree with what is found: in level, in slope, and bin by bin.

    The level is served over observed, with its interval, by the rows that may tell it. One that is
    off by more than `LEVEL_TOLERANCE`, and not by chance, is refused; an interval that holds both
    one and half or twice cannot say. One of several heads is off by chance more often than a single
    one, and a refusal of one holds the whole bundle back: it takes an interval for all of them at
    once (Bonferroni), and what only the head's own excludes cannot be said.

    Among chosen rows alone the level cannot be said either, far off or not: those who chose knew
    more, and a right level looks too low. Bins are then compared at the level of these rows.

    The slope is that of findings on the served log-odds among all judged rows. It is refused where
    its whole interval lies outside `SLOPES`, and cannot be said where it does, or where the
    interval holds zero: then the data do not tell that more is found where more is served.

    Parameters
    ----------
    limit : float
        Largest calibration error beyond chance, as a share of the rate.
    n_heads : int
        Heads of the bundle that are judged.
    """
    seen = rows[level_weight(rows) > 0]
    y, weight = seen["y"].to_numpy(dtype=np.float64), level_weight(seen)
    score = seen["score"].to_numpy(dtype=np.float64)
    clusters = seen["cluster"].to_numpy()
    level = _level(y, score, weight, clusters)
    slope = _slope(rows)
    rate = float(np.average(y, weights=weight))
    is_known = LEVEL_KNOWN not in rows or bool(rows[LEVEL_KNOWN].all())
    seems_off = is_known and _seems_off(level)
    is_off = seems_off and _is_shown(y, score, weight, clusters, n_heads)
    if not is_known:
        score = np.minimum(score / max(level.value, 1e-12), 1.0)
    error = reliability(y, score, weight=weight).ece / rate
    by_chance = chance_calibration_error(y, score, weight) / rate
    beyond = max(0.0, error - by_chance)
    is_bent = slope is not None and (slope.high < SLOPES[0] or slope.low > SLOPES[1])
    is_bent &= not few.are_few(rows["y"].to_numpy(dtype=np.float64))
    is_vague = level.low < 1 / LEVEL_UNTOLD or level.high > LEVEL_UNTOLD
    is_untold = slope is not None and not (
        slope.low > 0.0 and SLOPES[0] <= slope.value <= SLOPES[1]
    )
    shown = (
        REFUSED
        if is_off or is_bent or beyond > limit
        else UNSAID
        if is_vague or is_untold or seems_off or not is_known
        else PASSED
    )
    bent = "" if slope is None else f", slope {slope}"
    drawn = (
        "" if is_known else "; too few findings at visits of known probability to tell the level"
    )
    if seems_off and not is_off:
        drawn = "; by chance a right level may be so far off"
    return Verdict(
        "calibration",
        head,
        shown,
        f"served over observed {level}{bent}, calibration error {error:.1%} of the rate "
        f"{rate:.4f} (chance alone gives {by_chance:.1%}){drawn}",
        f"a level of one, told from half and twice, a slope from {SLOPES[0]:g} to {SLOPES[1]:g}, "
        f"told from zero, an error at most {limit:.0%} beyond chance",
        max(0.0, beyond - limit, abs(np.log(level.value)) if is_off else 0.0),
    )


def _level(
    y: Floats, score: Floats, weight: Floats, clusters: npt.ArrayLike, *, sure: float = LEVEL
) -> Interval:
    """Return served over observed."""
    (level,) = bootstrap(
        lambda w: np.array([float(w * weight @ score) / max(float(w * weight @ y), 1e-12)]),
        clusters,
        n_resamples=N_RESAMPLES,
        level=sure,
    )
    return level


def _seems_off(level: Interval) -> bool:
    """Tell whether a level lies beyond what is tolerated, by its own interval."""
    is_tolerated = 1 / LEVEL_TOLERANCE <= level.value <= LEVEL_TOLERANCE
    return not is_tolerated and level.excludes(1.0)


def _is_shown(
    y: Floats, score: Floats, weight: Floats, clusters: npt.ArrayLike, n_heads: int
) -> bool:
    """Tell whether a level that seems off is shown to be; of few findings by an exact interval."""
    sure = 1.0 - (1.0 - LEVEL) / n_heads
    if np.count_nonzero(y) >= MANY_FINDINGS or not np.isin(y, (0.0, 1.0)).all():
        return _level(y, score, weight, clusters, sure=sure).excludes(1.0)
    found = weighted_share(y, weight, clusters, level=sure)
    return found.excludes(float(np.average(score, weights=weight)))


def _slope(rows: pd.DataFrame) -> Interval | None:
    """Slope of findings on the served log-odds, each day at its own level; None for counts."""
    y = rows["y"].to_numpy(dtype=np.float64)
    score = rows["score"].to_numpy(dtype=np.float64)
    if not (np.isin(y, (0.0, 1.0)).all() and (score < 1).all()):
        return None
    weight = rows["weight"].to_numpy(dtype=np.float64)
    margin = logit(np.clip(score, 1e-9, 1 - 1e-9))
    day = np.unique(lists_of(rows), return_inverse=True)[1]
    design = np.column_stack([*(day == d for d in range(day.max() + 1)), margin])
    n = design.shape[1]

    def statistic(drawn: Floats) -> Floats:
        w, theta = drawn * weight, np.append(np.zeros(n - 1), 1.0)
        for _ in range(_STEPS):
            p = expit(design @ theta)
            information = (design * (w * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(n)
            theta = theta + np.clip(np.linalg.solve(information, design.T @ (w * (y - p))), -1, 1)
        return theta[-1:]

    (found,) = bootstrap(statistic, rows["cluster"], n_resamples=N_RESAMPLES)
    return found


def chance_calibration_error(y: Floats, score: Floats, weight: Floats) -> float:
    """Return the 95th percentile of the calibration error were the predictions true."""
    rng = np.random.default_rng(0)
    is_binary = bool(np.isin(y, (0.0, 1.0)).all())
    chance, rate = np.clip(score, 0.0, 1.0), np.maximum(score, 0.0)
    errors = list[Floats]()
    for _ in range(0, N_RESAMPLES, _AT_ONCE):
        shape = (_AT_ONCE, len(score))
        drawn = rng.random(shape) < chance if is_binary else rng.poisson(rate, shape)
        errors.append(calibration_errors(drawn.astype(np.float64), score, weight))
    return float(np.quantile(np.concatenate(errors), 0.95))
