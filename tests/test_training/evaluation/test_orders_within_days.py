"""Lists are made of the dealers of a day: the level of a year is no order of its dealers."""

import numpy as np
import pandas as pd
import pytest

from training.evaluation import calibration_gate, efficacy, gates
from training.evaluation.few_findings import ranks_beyond_chance
from training.evaluation.head_evaluation import list_membership, measure
from training.evaluation.metrics import Ranking
from training.evaluation.within import gains_within
from training.labels.gains import three_gains
from training.recipe import Evaluation

RATES = {"2022-01-01": 0.03, "2023-01-01": 0.08, "2024-01-01": 0.20}


def years(strength: float, *, n: int = 700, seed: int = 0, level: float = 1.0) -> pd.DataFrame:
    """Three judged years of rising rates; scores say `strength` within them, and their level."""
    rng = np.random.default_rng(seed)
    parts = []
    for day, rate in RATES.items():
        y = (rng.random(n) < rate).astype(float)
        margin = level * np.log(rate) + strength * y + rng.normal(0, 0.5, n)
        parts.append(
            pd.DataFrame(
                {
                    "as_of": pd.Timestamp(day),
                    "y": y,
                    "score": 1 / (1 + np.exp(-margin)),
                    "rule_points": rng.normal(size=n),
                    "investigator": rng.integers(0, 8, n).astype(str),
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True).assign(weight=1.0)
    return rows.assign(cluster=np.arange(len(rows)), dealer=np.arange(len(rows)).astype(str))


@pytest.mark.parametrize("seed", range(4))
def test_a_random_order_at_the_level_of_its_year_is_never_passed(seed):
    """AUC .67 by the years alone: passed in 40 of 40, and better than any rule."""
    rows = years(0.0, seed=seed)
    assert not gates.better_than_chance("h", rows).is_passed
    assert not gates.better_than_chance("h", rows.iloc[::30]).is_passed
    assert not gains_within(rows, "investigator", capacity=0.1).is_passed
    gain = gates.recall_differences(rows, ["rule_points"], capacity=0.1)["rule_points"]
    assert gain.low < 0
    gains = three_gains(rows, share=0.1, within=[("within", "investigator")])
    assert max(gains.values()) < 1.5
    figures = measure(rows, Evaluation(n_resamples=50), seed=0)["model"]
    assert figures["auc"]["value"] == pytest.approx(0.5, abs=0.06)
    assert figures["lift"] < 1.5
    score, y, weight = (rows[name].to_numpy() for name in ("score", "y", "weight"))
    found = efficacy.auc(score, y, weight, within=rows["as_of"])
    assert found.value == pytest.approx(figures["auc"]["value"])
    assert efficacy.auc(score, y, weight).value > 0.6


def test_a_good_order_passes_whatever_the_levels_of_its_years():
    for level in (-1.0, 0.0, 1.0):
        rows = years(1.0, level=level)
        assert gates.better_than_chance("h", rows).is_passed
        assert gates.not_worse_than_rules("h", rows, capacity=0.1).is_passed
        assert gains_within(rows, "investigator", capacity=0.1).is_passed


def test_the_same_orders_within_years_lose_nothing_against_each_other():
    """One bundle's levels against three models': the same order lost .09 of recall."""
    rows = years(1.0)
    margin = np.log(rows["score"]) - 0.8 * (rows["as_of"].dt.year - 2022)
    rows = rows.assign(champion=margin)
    found = gates.no_loss_at_capacity(rows, capacity=0.1, margin=0.03, how="")
    assert found.is_passed
    assert "+0.000 recall" in found.measured
    assert gates.fair_enough(rows.assign(group_g="a"), capacity=0.1, limit=0.1).is_passed


def test_the_slope_is_that_within_years():
    """True within each year, at the level of the year before: no order of years bends it."""
    rng = np.random.default_rng(0)
    rows = years(0.0, level=0.0, n=1500)
    margin = rng.normal(-2.0, 0.8, len(rows))
    shift = -1.5 * (rows["as_of"].dt.year - 2023)
    rows["y"] = (rng.random(len(rows)) < 1 / (1 + np.exp(-margin - shift))).astype(float)
    rows["score"] = 1 / (1 + np.exp(-margin + shift))
    slope = calibration_gate._slope(rows)
    assert slope.low < 1 < slope.high
    assert slope.low > 0.5


@pytest.mark.parametrize(("strength", "is_told"), [(3.0, True), (0.0, False)])
def test_few_findings_of_several_years_are_told_by_their_order_within_each(strength, is_told):
    rows = years(strength, n=60, seed=2)
    found = rows.index[rows["y"] > 0][::2][:15]
    rows["y"] = rows.index.isin(found).astype(float)
    assert ranks_beyond_chance(rows, is_higher=True) == is_told


def test_every_list_has_its_own_capacity_by_weight():
    rng = np.random.default_rng(1)
    within, score = np.repeat([0, 1], [40, 160]), rng.integers(0, 9, 200).astype(float)
    y, weight = rng.random(200), rng.random(200) * (rng.random(200) < 0.8)
    order = Ranking(score, within)
    parts = [np.flatnonzero(within == one) for one in (0, 1)]
    for share in (0.03, 0.1, 0.5, 1.0):
        each = [Ranking(score[i]).captured(y[i], share=share, weight=weight[i]) for i in parts]
        assert order.captured(y, share=share, weight=weight) == pytest.approx(sum(each))
        on = list_membership(score, share, within=within, weight=weight)
        assert on @ (weight * y) == pytest.approx(sum(each))
        for i in parts:
            assert on[i] @ weight[i] == pytest.approx(share * weight[i].sum())
        low, high = order.captured_range(y, share=share, weight=weight)
        assert low - 1e-9 <= sum(each) <= high + 1e-9


def test_the_first_tenth_of_the_drawn_is_a_tenth_of_the_drawn():
    """Of 900 chosen rows of high score and 100 drawn ones of low score it held none of these."""
    rng = np.random.default_rng(0)
    score, y = np.r_[rng.random(900) + 1, rng.random(100)], rng.random(1000) < 0.3
    drawn = np.r_[np.zeros(900), np.ones(100)]
    found = efficacy.lift(score, y.astype(float), drawn, share=0.1)
    best = np.argsort(-score[900:])[:10] + 900
    assert found.value == pytest.approx(y[best].mean() / y[900:].mean())
