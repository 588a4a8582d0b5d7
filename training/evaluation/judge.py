"""Judge a candidate: every gate, on its heads and on the order it would publish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from features.domain.asof import is_known
from features.domain.number_words import counted
from features.errors import FflRiskError
from training.errors import NotTrainedError
from training.evaluation import calibration_gate, gates
from training.evaluation.candidate import Candidate
from training.evaluation.head_evaluation import Overlap, overlap_by_lot
from training.evaluation.metrics import Interval
from training.evaluation.promotion_verdict import PASSED, REFUSED, UNSAID, Verdict, told
from training.evaluation.within import gains_within
from training.recipe import Gates

# So many findings that the champion has not learned from are enough to compare by.
MIN_UNSEEN: Final = 50
_ORDER: Final = "order"


def judge(
    candidate: Candidate,
    champion: Candidate | None,
    limits: Gates,
    *,
    is_first: bool = True,
    without_compliance: bool = False,
) -> list[Verdict]:
    """Run every gate on a candidate, beside the champion if there is one.

    Parameters
    ----------
    champion : Candidate, optional
        What the champion came from, if it is still on disk.
    is_first : bool
        Whether there is no champion in force at all.
    without_compliance : bool
        Let a bundle pass that lacks a compliance head its recipe asks for.
    """
    capacity = float(candidate.evaluation["capacity"])
    verdicts = [schema_holds(candidate)]
    if verdicts[0].is_passed:
        verdicts.append(explanation_adds_up(candidate))
    verdicts += has_compliance(candidate, is_waived=without_compliance)
    for head in candidate.heads:
        rows = candidate.held_out(head)
        verdicts += [
            gates.better_than_chance(
                head, rows, auc=Interval(**candidate.evaluation["heads"][head]["model"]["auc"])
            ),
            gates.not_worse_than_rules(head, rows, capacity=capacity),
            calibration_gate.calibrated(
                head, rows, limit=limits.max_calibration_error, n_heads=len(candidate.heads)
            ),
        ]
    verdicts += _order_gates(candidate, capacity)
    verdicts += _beside_champion(candidate, champion, limits, is_first=is_first)
    return verdicts


def _order_gates(candidate: Candidate, capacity: float) -> list[Verdict]:
    """Judge the published order by itself, where it was judged on inspections."""
    rows = candidate.order()
    if rows is None:
        return []
    entry: Mapping[str, Any] = candidate.evaluation["order"]
    limit = float(candidate.evaluation.get("max_dependence", 0.15))
    dependence = entry["strictness_dependence"]
    # The order of one part is no rule that the whole could be refused for.
    simple = rows.drop(columns=[c for c in rows.columns if c.endswith("_alone")])
    return [
        gates.better_than_chance(_ORDER, rows, auc=Interval(**entry["model"]["auc"])),
        gates.not_worse_than_rules(_ORDER, simple, capacity=capacity),
        gains_within(rows, "investigator", capacity=capacity),
        gates.free_of_strictness(
            None if dependence is None else Interval(**dependence),
            limit=limit,
            n_visiting=_n_offices(candidate),
            n_placed=rows["home"].nunique() if "home" in rows else 0,
        ),
    ]


def _n_offices(candidate: Candidate) -> int:
    """Return how many offices' strictness was estimated; none without a compliance head."""
    told = candidate.evaluation["heads"].get("compliance", {}).get("strictness") or {}
    return len(told.get("effects", {}).get("office", {}).get("groups", ()))


def _beside_champion(
    candidate: Candidate, champion: Candidate | None, limits: Gates, *, is_first: bool
) -> list[Verdict]:
    """Judge the champion anew on the candidate's rows, and compare the lists."""
    capacity = float(candidate.evaluation["capacity"])
    if champion is None:
        shown = PASSED if is_first else UNSAID
        why = "no champion in force" if is_first else "the champion's candidate is gone"
        own, against = candidate.own_overlap()
        return [
            Verdict("champion", _ORDER, shown, why, "a champion that is not better"),
            Verdict("fairness", _ORDER, shown, why, "no group that loses"),
            gates.stable(own, against, limit=limits.min_list_overlap),
        ]
    try:
        rows, how = champion_rows(candidate, champion)
        overlap = latest_overlap(candidate, champion, capacity)
    except FflRiskError as error:
        return [
            Verdict(gate, _ORDER, UNSAID, f"the champion cannot be judged: {error.what}", wanted)
            for gate, wanted in (
                ("champion", "a champion that is not better"),
                ("fairness", "no group that loses"),
                ("stability", f"at least {limits.min_list_overlap:.0%}"),
            )
        ]
    return [
        gates.no_loss_at_capacity(
            rows, capacity=capacity, margin=limits.max_capacity_loss, how=how
        ),
        gates.fair_enough(rows, capacity=capacity, limit=limits.max_fairness_regression),
        gates.stable(overlap, "the champion's", limit=limits.min_list_overlap, is_first=False),
    ]


def champion_rows(candidate: Candidate, champion: Candidate) -> tuple[pd.DataFrame, str]:
    """Return judged rows of the candidate with the champion's order on them, and how it was judged.

    Both stand on the same footing in every row. On rows that the champion has not learned from the
    candidate's order is that of models which stood before them, too. On the others both are judged
    as shipped, on labels that both have learned from. The two kinds are not put into one order:
    the first are judged where they hold findings enough, or more than the others.
    """
    rows, X = candidate.order(), candidate.judged_signals()
    if rows is None:
        rows = candidate.held_out(candidate.heads[0])
    if X is None:
        raise NotTrainedError(
            f"Candidate {candidate.number} kept no signals of its judged rows.",
            fix="train again with this version",
        )
    scored = champion.bundle().score(X)["priority"].to_numpy(dtype=np.float64)
    rows = rows.assign(champion=scored)
    trained = str(champion.evaluation["trained_on"])
    how = "both as shipped, having learned from them"
    is_seen = np.ones(len(rows), dtype=np.bool_)
    if "known_on" in rows:
        is_seen = is_known(rows["known_on"], pd.Timestamp(trained)).to_numpy()
        is_found = (rows["y"] > 0).to_numpy()
        n_unseen, n_seen = int((is_found & ~is_seen).sum()), int((is_found & is_seen).sum())
        if n_unseen >= min(MIN_UNSEEN, n_seen + 1):
            return rows[~is_seen].reset_index(drop=True), "neither having learned from them"
        if not is_seen.all():
            how += f" ({counted(n_unseen, 'finding')} newer than the champion left out)"
    elif trained < str(candidate.evaluation["trained_on"]):
        how = f"both as shipped, the champion having learned from what was known before {trained}"
    shipped = candidate.bundle().score(X)["priority"].to_numpy(dtype=np.float64)
    return rows.assign(score=shipped)[is_seen].reset_index(drop=True), how


def latest_overlap(candidate: Candidate, champion: Candidate, capacity: float) -> Overlap | None:
    """Share of the candidate's newest list that is on the champion's; None without signals."""
    X = candidate.latest_signals()
    if X is None:
        return None
    one, other = (c.bundle().score(X)["priority"].to_numpy() for c in (candidate, champion))
    return overlap_by_lot(one, other, share=capacity)


def has_compliance(candidate: Candidate, *, is_waived: bool) -> list[Verdict]:
    """Ask that a recipe's compliance head be in the bundle."""
    asked = [
        name
        for name, entry in candidate.evaluation["heads"].items()
        if entry.get("label") == "compliance"
    ]
    missing = [name for name in asked if name not in candidate.heads]
    if not asked:
        return []
    if not missing:
        return [Verdict("compliance_head", "", PASSED, "it is in the bundle", "its head")]
    found = f"{', '.join(missing)} was refused; the list would rest on {', '.join(candidate.heads)}"
    if is_waived:
        wanted = "its head or a waiver"
        return [Verdict("compliance_head", "", PASSED, f"{found}; waived", wanted, is_waived=True)]
    return [
        Verdict("compliance_head", "", REFUSED, found, "its head, or --without-compliance", 1.0)
    ]


def explanation_adds_up(candidate: Candidate) -> Verdict:
    """Ask that contributions add up to the score on every sampled row, for heads and priority."""
    try:
        candidate.bundle().explain(candidate.sample())
    except FflRiskError as error:
        return Verdict("explanation", "", REFUSED, error.what, "contributions that add up", 1.0)
    return Verdict(
        "explanation", "", PASSED, "contributions add up on every sampled row", "additivity"
    )


def schema_holds(candidate: Candidate) -> Verdict:
    """Ask that every hash is right and every signal still means what it meant."""
    from features.signals.registry import all_signals

    now = {signal.name: signal for signal in all_signals()}
    try:
        bundle = candidate.bundle()
    except FflRiskError as error:
        return Verdict("schema", "", REFUSED, error.what, "a bundle that loads", 1.0)
    names = [str(entry["name"]) for entry in bundle.signals]
    gone = [name for name in names if name not in now]
    changed = [
        str(entry["name"])
        for entry in bundle.signals
        if entry["name"] in now and entry.get("definition") != now[entry["name"]].definition
    ]
    found = f"{len(names)} signals, {len(gone)} unknown, {len(changed)} defined otherwise"
    if gone or changed:
        found += f" ({', '.join((gone + changed)[:3])})"
    wanted = "every signal in the registry, defined as it was"
    is_same = not gone and not changed
    return Verdict("schema", "", told(is_same), found, wanted, len(gone) + len(changed))
