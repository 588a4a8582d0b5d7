"""Promotion gates: each says what it measured, what it wanted, and whether that is enough.

Head gates judge one head on its held-out rows; a head that is shown to be no better than chance, or
worse than a simple rule, never enters a bundle. Order gates judge the published priority. What the
data are too few to tell cannot be said, and is no pass (`training.evaluation.promotion_verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from features.arrays import Floats
from features.domain.number_words import counted
from training.evaluation import few_findings as few
from training.evaluation.head_evaluation import (
    GROUP,
    RULE,
    Overlap,
    level_weight,
    lists_of,
    membership,
    overlap_of,
    ranking,
)
from training.evaluation.metrics import (
    LEVEL,
    Interval,
    bootstrap,
    calibration_errors,
    reliability,
    weighted_share,
)
from training.evaluation.promotion_verdict import (
    PASSED,
    REFUSED,
    UNSAID,
    Outcome,
    Verdict,
    not_below,
    told,
)

N_RESAMPLES = 300
_AT_ONCE: Final = 20  # drawn outcomes of all rows that are held together
# An AUC shown to be below this is no gain worth a visit.
NO_GAIN: Final = 0.55
# Served over observed: beyond this, with an interval that excludes one, the level is wrong.
LEVEL_TOLERANCE: Final = 1.25
# An interval that holds half or twice the truth tells nothing of the level.
LEVEL_UNTOLD: Final = 2.0
SLOPES: Final = (0.5, 2.0)
# From here on resampling gives a level's interval its width. The exact one takes a whole cluster
# for one row, which is too wide where clusters are counties.
MANY_FINDINGS: Final = 50
# Recall within which two orders are even.
EVEN: Final = 0.01
# Whether the rows of `level_weight` were drawn with a known probability.
LEVEL_KNOWN: Final = "is_level_known"
# Findings below which a group's recall is luck.
MIN_COMPARED: Final = 20
_STEPS: Final = 6
_ONE_WAY: Final = 0.90  # of both ends together, so that a loss is told with 95%


def better_than_chance(head: str, rows: pd.DataFrame, *, auc: Interval | None = None) -> Verdict:
    """Ask that the interval of the AUC lie wholly above one half.

    Parameters
    ----------
    auc : Interval, optional
        As the evaluation states it; resampled here when it is not given.
    """
    if auc is None:
        auc = _auc(rows)
    shown = PASSED if auc.low > 0.5 else REFUSED if auc.high < NO_GAIN else UNSAID
    y = rows["y"].to_numpy(dtype=np.float64)
    if few.are_few(y) and not few.ranks_beyond_chance(rows, is_higher=shown == PASSED):
        shown = UNSAID
    return Verdict(
        "better_than_chance",
        head,
        shown,
        f"AUC {auc}{few.note(y)}",
        f"an interval above 0.500 (refused when below {NO_GAIN})",
        max(0.0, 0.5 - auc.low),
    )


def _auc(rows: pd.DataFrame) -> Interval:
    y = (rows["y"].to_numpy() > 0).astype(np.float64)
    order, weight = ranking(rows, "score"), rows["weight"].to_numpy()
    (auc,) = bootstrap(
        lambda w: order.auc(y, weight=w * weight), rows["cluster"], n_resamples=N_RESAMPLES
    )
    return auc


def not_worse_than_rules(head: str, rows: pd.DataFrame, *, capacity: float) -> Verdict:
    """Ask that no simple rule find more at capacity (paired bootstrap).

    One of many rules is ahead by chance more often than a single one would be, so the interval by
    which a rule is shown to be better holds for all rules at once (Bonferroni).
    """
    wanted = f"a difference of {-EVEN:g} or more"
    rules = [c for c in rows.columns if c.startswith(RULE)]
    if not rules:
        return Verdict("not_worse_than_rules", head, PASSED, "no rule to compare", wanted)
    level = 1.0 - (1.0 - LEVEL) / len(rules)
    differences = recall_differences(rows, rules, capacity=capacity, level=level)
    y = rows["y"].to_numpy(dtype=np.float64)
    at_once = f", for {len(rules)} rules at once" if len(rules) > 1 else ""
    better = [name for name in rules if differences[name].high < 0]
    if few.are_few(y):
        better = [
            name
            for name in better
            if few.catches_more(rows, name, "score", capacity=capacity, level=level)
        ]
    # A rule that is shown to be better is not hidden by one that only looks better still.
    best = min(better or rules, key=lambda name: differences[name].value)
    found = differences[best]
    is_even = found.value >= -EVEN and _catches_any(rows, best, capacity=capacity)
    shown: Outcome = REFUSED if better else PASSED if is_even else UNSAID
    which = "a rule that is better" if better else "the best rule"
    return Verdict(
        "not_worse_than_rules",
        head,
        shown,
        f"{found.value:+.3f} recall at {capacity:.0%} against {which}, "
        f"{best.removeprefix(RULE).replace('_', ' ')} "
        f"({found.low:+.3f} to {found.high:+.3f}{at_once})"
        f"{few.note(y)}",
        wanted,
        max(0.0, -found.high) if better else max(0.0, -found.value),
    )


def _catches_any(rows: pd.DataFrame, other: str, *, capacity: float) -> bool:
    """Whether either list holds a finding; of two that hold none nothing tells the better."""
    y = rows["y"].to_numpy(dtype=np.float64)
    return any(membership(rows, name, capacity) @ y > 0 for name in ("score", other))


def recall_differences(
    rows: pd.DataFrame, others: Sequence[str], *, capacity: float, level: float = LEVEL
) -> dict[str, Interval]:
    """Paired difference in recall at capacity, model less other.

    Its bounds are those of resampling and of what paired findings allow, whichever lie further out.
    """
    y, weight = rows["y"].to_numpy(dtype=np.float64), rows["weight"].to_numpy()
    model = ranking(rows, "score")
    rankings = [ranking(rows, name) for name in others]

    def statistic(w: Floats) -> Floats:
        w = w * weight
        total = y @ w
        own = model.captured(y, share=capacity, weight=w)
        found = np.array([r.captured(y, share=capacity, weight=w) for r in rankings])
        # A resample without a finding tells of none that either would find.
        return np.asarray((own - found) / max(float(total), 1e-12), dtype=np.float64)

    intervals = bootstrap(statistic, rows["cluster"], n_resamples=N_RESAMPLES, level=level)
    out = {}
    for name, drawn in zip(others, intervals, strict=True):
        exact = few.difference_of_lists(rows, "score", name, capacity=capacity, level=level)
        low, high = min(drawn.low, exact.low), max(drawn.high, exact.high)
        out[name] = Interval(drawn.value, low, high, level)
    return out


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


def free_of_strictness(
    dependence: Interval | None, *, limit: float, n_visiting: int = 0, n_placed: int = 0
) -> Verdict:
    """Ask that the order not go with the strictness of the dealer's office, at the same risk.

    Parameters
    ----------
    dependence : Interval, optional
        None where there is nothing to compare; what reaches beyond twice the limit is no pass.
    limit : float
    n_visiting : int
        Offices that visits name.
    n_placed : int
        Offices to which dealers are known to belong.
    """
    wanted = f"a correlation of at most {limit:.2f} either way, told from {2 * limit:.2f}"
    if dependence is None:
        shown, why = PASSED, "fewer than two offices to compare"
        if n_visiting >= 2:
            why = "offices are found to be equally strict"
        if n_placed < 2 <= n_visiting:
            shown = UNSAID
            why = f"{n_visiting} offices visit, and no county or state says whose dealers are whose"
        return Verdict("strictness", "order", shown, why, wanted)
    size, low, high = abs(dependence.value), dependence.low, dependence.high
    past = max(size - limit, -low - 2 * limit, high - 2 * limit)
    shown = REFUSED if size > limit and dependence.excludes(0.0) else UNSAID
    return Verdict(
        "strictness",
        "order",
        shown if past > 0 else PASSED,
        f"correlation with the strictness of the office {dependence}",
        wanted,
        max(0.0, past),
    )


def stable(
    overlap: Overlap | None, against: str, *, limit: float, is_first: bool = True
) -> Verdict:
    """Ask that the list not jump from the one in force.

    Parameters
    ----------
    overlap : Overlap, optional
        Share of the list that is on the other; None when there is no other. Where dealers tie, the
        lot decides which of them are listed, and the gate can say nothing that no lot would undo.
    against : str
        What it was compared with, in words.
    is_first : bool
        Whether no list is in force: then there is none to jump from.
    """
    wanted = f"at least {limit:.0%}"
    if overlap is None:
        shown: Outcome = PASSED if is_first else UNSAID
        why = "only one list to look at" if is_first else f"not compared with {against}"
        return Verdict("stability", "order", shown, why, wanted)
    if overlap.least < limit <= overlap.most:
        why = (
            "so many dealers have one score that the lot decides who is listed: "
            f"{overlap.least:.0%} to {overlap.most:.0%} of the list is on {against}"
        )
        return Verdict("stability", "order", UNSAID, why, wanted, max(0.0, limit - overlap.value))
    return Verdict(
        "stability",
        "order",
        told(overlap.value >= limit),
        f"{overlap.value:.0%} of the list is on {against}",
        wanted,
        max(0.0, limit - overlap.value),
    )


def no_loss_at_capacity(rows: pd.DataFrame, *, capacity: float, margin: float, how: str) -> Verdict:
    """Ask that the order be shown to find no less than the champion's, within a margin.

    Parameters
    ----------
    rows : DataFrame
        Judged rows with the champion's order in ``champion``.
    how : str
        How the two were judged, in words.
    """
    found = recall_differences(rows, ["champion"], capacity=capacity)["champion"]
    shown, y = not_below(found, margin=margin), rows["y"].to_numpy(dtype=np.float64)
    if overlap_of(rows, "score", "champion", share=capacity) >= 1.0:
        shown = PASSED
    elif few.are_few(y):
        is_worse = shown == REFUSED and few.catches_more(
            rows, "champion", "score", capacity=capacity
        )
        shown = REFUSED if is_worse else UNSAID
    return Verdict(
        "champion",
        "order",
        shown,
        f"{found.value:+.3f} recall at {capacity:.0%} against the champion ({found.low:+.3f} to "
        f"{found.high:+.3f}) on {len(rows)} rows, {int((rows['y'] > 0).sum())} findings, {how}"
        f"{few.note(y)}",
        f"shown to lose no more than {margin:.3f}",
        max(0.0, -found.value - margin),
    )


def fair_enough(rows: pd.DataFrame, *, capacity: float, limit: float) -> Verdict:
    """Ask that no group lose more than the limit, each told from twice as much.

    One of many groups seems to lose by chance more often than a single one, so it is refused only
    by an interval for all at once (Bonferroni). Groups of fewer than `MIN_COMPARED` findings have
    no recall to lose; without others it cannot be said, unless both lists are the same.
    """
    wanted = f"no group losing more than {limit:.2f} recall, each told from {2 * limit:.2f}"
    if overlap_of(rows, "score", "champion", share=capacity) >= 1.0:
        why = "both lists hold the same dealers"
        return Verdict("fairness", "order", PASSED, why, wanted)
    compared, n_few = dict[str, pd.DataFrame](), 0
    on = {name: membership(rows, name, capacity) for name in ("score", "champion")}
    for column in (c for c in rows.columns if c.startswith(GROUP)):
        for value, index in rows.groupby(column, observed=True).indices.items():
            if int((rows["y"].to_numpy()[index] > 0).sum()) < MIN_COMPARED:
                n_few += 1
                continue
            own = {name: listed[index] for name, listed in on.items()}
            compared[f"{column.removeprefix(GROUP)} {value}"] = rows.iloc[index].assign(**own)
    if not compared:
        why = f"no group has {MIN_COMPARED} findings to compare by; no loss can be told"
        return Verdict("fairness", "order", UNSAID, why, wanted)
    losses = {name: few.difference_on_lists(own, "champion", "score", level=_ONE_WAY)
              for name, own in compared.items()}  # fmt: skip
    sure = 1.0 - (1.0 - _ONE_WAY) / len(compared)
    shown = {
        name: few.difference_on_lists(own, "champion", "score", level=sure)
        for name, own in compared.items()
    }
    lost = [name for name, loss in shown.items() if loss.low > limit]
    past = {n: max(one.value - limit, one.high - 2 * limit) for n, one in losses.items()}
    worst = max(lost or losses, key=past.__getitem__)
    few_of_them = f"; {n_few} of fewer findings not compared" if n_few else ""
    return Verdict(
        "fairness",
        "order",
        REFUSED if lost else UNSAID if past[worst] > 0 else PASSED,
        f"{worst} loses {losses[worst]} recall, the most that "
        f"{'is shown' if lost else 'may be'} among {counted(len(compared), 'group')} of "
        f"{MIN_COMPARED} findings or more{few_of_them}",
        wanted,
        max(0.0, past[worst]),
    )
