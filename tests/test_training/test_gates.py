"""Each gate lets the good through and says by how much the bad fails."""

import numpy as np
import pandas as pd
import pytest

from training.errors import GateRefusedError
from training.evaluation import gates
from training.evaluation.evaluation import list_membership, list_overlap


def rows(strength: float, *, n: int = 4000, seed: int = 0, **columns: float) -> pd.DataFrame:
    """Held-out rows whose score says `strength` about the label; rules by name and strength."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(float)

    def scored(s: float) -> np.ndarray:
        margin = s * (y - 0.1) + rng.normal(size=n) - 2.2
        return 1 / (1 + np.exp(-margin))

    frame = pd.DataFrame(
        {
            "dealer": [f"1-54-{i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2024-01-01"),
            "y": y,
            "weight": 1.0,
            "cluster": np.arange(n) // 4,
            "score": scored(strength),
            "group_state": np.where(np.arange(n) % 2, "VA", "NC"),
        }
    )
    return frame.assign(**{name: scored(s) for name, s in columns.items()})


def test_chance_is_refused_and_signal_is_not():
    assert gates.better_than_chance("h", rows(1.0)).is_passed
    refused = gates.better_than_chance("h", rows(0.0))
    assert not refused.is_passed
    assert refused.shortfall > 0
    assert "REFUSED better_than_chance (h)" in str(refused)


def test_a_model_that_a_simple_rule_beats_is_refused_and_the_rule_named():
    verdict = gates.not_worse_than_rules("h", rows(0.2, rule_trace_count=2.0), capacity=0.1)
    assert not verdict.is_passed
    assert "trace count" in verdict.measured
    assert gates.not_worse_than_rules("h", rows(1.0, rule_random=0.0), capacity=0.1).is_passed


def test_calibration_is_judged_against_the_rate():
    rng = np.random.default_rng(0)
    frame = rows(1.0)
    p = rng.uniform(0.02, 0.2, len(frame))
    frame["y"], frame["score"] = (rng.random(len(frame)) < p).astype(float), p
    assert gates.calibrated("h", frame, limit=0.25).is_passed
    refused = gates.calibrated("h", frame.assign(score=p * 2), limit=0.25)
    assert not refused.is_passed
    assert refused.shortfall > 0.4


def test_a_calibration_error_that_chance_explains_is_no_fault():
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.05, 300)
    y = (rng.random(300) < p).astype(float)
    frame = pd.DataFrame({"y": y, "score": p, "weight": 1.0})
    verdict = gates.calibrated("h", frame, limit=0.25)
    assert verdict.is_passed
    assert gates.chance_calibration_error(y, p, np.ones(300)) / y.mean() > 0.25
    assert not gates.calibrated("h", frame.assign(score=p + 0.3), limit=0.25).is_passed


def test_a_loss_against_the_champion_is_refused_but_not_noise():
    good, bad = rows(2.0, seed=1), rows(0.3, seed=1)
    refused = gates.no_loss_at_capacity("h", bad, good, capacity=0.1, limit=0.01)
    assert not refused.is_passed
    assert refused.shortfall > 0.1
    assert gates.no_loss_at_capacity("h", good, bad, capacity=0.1, limit=0.01).is_passed
    assert gates.no_loss_at_capacity("h", good, good, capacity=0.1, limit=0.01).is_passed


def test_a_champion_judged_on_other_rows_is_not_compared():
    other = rows(1.0).assign(dealer=[f"2-54-{i:05d}" for i in range(4000)])
    verdict = gates.no_loss_at_capacity("h", rows(0.1), other, capacity=0.1, limit=0.01)
    assert verdict.is_passed
    assert "no champion" in verdict.measured


def test_a_group_that_loses_recall_is_named():
    champion = rows(2.0, seed=2)
    new = champion.copy()
    is_va = new["group_state"] == "VA"
    new.loc[is_va, "score"] = new.loc[is_va, "score"].to_numpy()[::-1]
    refused = gates.fair_enough("h", new, champion, capacity=0.1, limit=0.1)
    assert not refused.is_passed
    assert "state VA" in refused.measured
    assert gates.fair_enough("h", champion, champion, capacity=0.1, limit=0.1).is_passed


def test_refusals_are_told_together():
    passed, refused = (
        gates.better_than_chance("a", rows(2.0)),
        gates.better_than_chance("b", rows(0.0)),
    )
    gates.require_passed([passed], what="Candidate 000001")
    with pytest.raises(GateRefusedError, match="1 of 2 gates refused") as raised:
        gates.require_passed([passed, refused], what="Candidate 000001")
    assert raised.value.exit_code == 5
    assert "short by" in str(raised.value)


def test_list_membership_adds_up_to_the_capacity_with_ties():
    listed = list_membership(np.array([3.0, 2.0, 2.0, 2.0, 1.0]), 0.4)
    assert listed.tolist() == pytest.approx([1.0, 1 / 3, 1 / 3, 1 / 3, 0.0])


def test_unrelated_lists_overlap_by_chance():
    rng = np.random.default_rng(0)
    overlap = list_overlap(rng.random(20_000), rng.random(20_000), share=0.1)
    assert overlap == pytest.approx(0.1, abs=0.02)


def test_where_dealers_were_chosen_the_level_is_judged_on_those_drawn_at_random():
    rng = np.random.default_rng(1)
    frame = rows(1.0)
    p = rng.uniform(0.02, 0.2, len(frame))
    is_random = rng.random(len(frame)) < 0.4
    # Those who chose knew more than the score: their finds are twice as many.
    y = rng.random(len(frame)) < np.where(is_random, p, 2 * p)
    frame["y"], frame["score"] = y.astype(float), p
    assert not gates.calibrated("h", frame, limit=0.25).is_passed
    level = frame.assign(level_weight=is_random.astype(float))
    assert gates.calibrated("h", level, limit=0.25).is_passed
    assert not gates.calibrated("h", level.assign(score=2 * p), limit=0.25).is_passed
