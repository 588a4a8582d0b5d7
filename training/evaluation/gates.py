"""Promotion gates: each says what it measured, what it wanted, and whether that is enough.

Head gates judge one head on its held-out rows; a head that is shown to be no better than chance, or
worse than a simple rule, never enters a bundle. Order gates judge the published priority. What the
data are too few to tell cannot be said, and is no pass (`training.evaluation.promotion_verdict`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.domain.number_words import counted
from training.evaluation import few_findings as few
from training.evaluation.head_evaluation import (
    GROUP,
    RULE,
    Overlap,
    membership,
    overlap_of,
    ranking,
)
from training.evaluation.metrics import (
    LEVEL,
    Interval,
    bootstrap,
)
from training.evaluation.promotion_verdict import (
    N_RESAMPLES,
    PASSED,
    REFUSED,
    UNSAID,
    Outcome,
    Verdict,
    not_below,
    told,
)

# An AUC shown to be below this is no gain worth a visit.
NO_GAIN: Final = 0.55
# Recall within which two orders are even.
EVEN: Final = 0.01
# Findings below which a group's recall is luck.
MIN_COMPARED: Final = 20
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
