"""Every stated interval holds its own value, and the truth as often as it says."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.evaluation import efficacy
from training.evaluation.gates import recall_differences
from training.evaluation.head_evaluation import GROUP, RULE, measure
from training.evaluation.metrics import Interval, weighted_share
from training.heads.compliance.inspection_hours import VALUES, per_hour
from training.recipe import Evaluation
from training.studies.fairness import by_group

SETTINGS = Evaluation(n_resamples=60)


def judged(seed: int, *, n: int, base: float, days: int = 3) -> pd.DataFrame:
    """Held-out rows of some dealers seen often, with ties, weights and several days."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=n).round(1)
    p = 1 / (1 + np.exp(-(base + risk)))
    y = (rng.random(n) < p).astype(float)
    y[:2] = (0.0, 1.0)
    return pd.DataFrame(
        {
            "dealer": rng.integers(0, max(2, n // 2), n).astype(str),
            "as_of": pd.Timestamp("2020-01-01") + pd.to_timedelta(366 * (np.arange(n) % days), "D"),
            "y": y,
            "score": p,
            "weight": np.exp(rng.normal(0, 0.7, n)),
            f"{RULE}luck": rng.integers(0, 3, n).astype(float),
            f"{GROUP}state": rng.choice(["TX", "AZ", "NM"], n),
        }
    ).assign(cluster=lambda f: f["dealer"])


def intervals_in(said: Any, at: str = "") -> Iterator[tuple[str, dict[str, float]]]:
    """Walk everything that has a value between two bounds."""
    if isinstance(said, Interval):
        said = said.as_dict()
    if isinstance(said, dict) and {"value", "low", "high"} <= set(said):
        yield at, said
    elif isinstance(said, dict):
        for name, each in said.items():
            yield from intervals_in(each, f"{at}.{name}")
    elif isinstance(said, list | tuple):
        for each in said:
            yield from intervals_in(each, at)


def everything_said(rows: pd.DataFrame) -> dict[str, Any]:
    y, weight, score = (rows[c].to_numpy(float) for c in ("y", "weight", "score"))
    codes = np.unique(rows["cluster"], return_inverse=True)[1]
    hours = pd.DataFrame(dict.fromkeys(VALUES, y)).assign(hours=10 + 5 * score)
    auc = efficacy.auc(score, y, weight, within=rows["as_of"])
    lift = efficacy.lift(score, y, weight, share=0.1, within=rows["as_of"])
    return {
        "measure": measure(rows, SETTINGS, seed=1),
        "hours": per_hour(rows, hours, capacity=0.1, n_resamples=80, seed=1),
        "fairness": by_group(rows, capacity=0.1),
        "difference": recall_differences(rows, [f"{RULE}luck"], capacity=0.1),
        "share": weighted_share(y, weight, rows["cluster"]),
        "auc": auc.share_interval(codes),
        "lift": lift.ratio_interval(codes),
    }


@pytest.mark.parametrize(("n", "base"), [(30, -2.0), (150, -3.0), (300, -1.0)])
def test_no_value_lies_outside_its_interval(n, base):
    n_seen = 0
    for seed in range(2):
        for at, said in intervals_in(everything_said(judged(seed, n=n, base=base))):
            assert said["low"] - 1e-9 <= said["value"] <= said["high"] + 1e-9, (at, said)
            n_seen += 1
    assert n_seen > 40


def test_what_is_at_its_end_by_few_findings_has_an_interval():
    """An AUC of one by ten findings was 1.000 (1.000 to 1.000), a lift of none 0.000 to 0.000."""
    y, score, codes = np.repeat([1.0, 0.0], [10, 90]), np.arange(100.0), np.arange(100)
    best = efficacy.auc(-score, y, np.ones(100)).share_interval(codes)
    worst = efficacy.auc(score, y, np.ones(100)).share_interval(codes)
    none = efficacy.lift(score, y, np.ones(100), share=0.1).ratio_interval(codes)
    assert (best.low, best.high) == (pytest.approx(0.025**0.1), 1.0)
    assert (worst.low, worst.high) == (0.0, pytest.approx(1 - 0.025**0.1))
    assert (none.low, none.high) == (0.0, pytest.approx(10 * (1 - 0.025**0.1)))
    one = efficacy.auc(-score, np.eye(1, 100)[0], np.ones(100)).share_interval(codes)
    assert one.low == pytest.approx(0.025)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = judged(0, n=200_000, base=-2.0, days=1)
    p, order = truth["score"].to_numpy(), -np.sort(-truth["score"].to_numpy())
    recall = order[: len(p) // 10].sum() / p.sum()
    auc = efficacy.auc(p, truth["y"].to_numpy(), np.ones(len(p))).value
    held = {"recall": 0, "auc": 0}
    for seed in range(30):
        model = measure(judged(seed + 1, n=250, base=-2.0), SETTINGS, seed=1)["model"]
        for name, true in (("recall", recall), ("auc", auc)):
            held[name] += model[name]["low"] <= true <= model[name]["high"]
    assert min(held.values()) >= 26
