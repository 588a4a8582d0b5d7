"""The gate of calibration: level, slope and bins; what few findings tell, and chosen rows."""

import numpy as np
import pandas as pd
import pytest

from tests.test_training.evaluation.test_gates import rows
from training.evaluation.calibration_gate import LEVEL_KNOWN, calibrated


def served(n: int = 1500, seed: int = 0) -> pd.DataFrame:
    """Held-out rows whose probabilities are true."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.3, n)
    return pd.DataFrame(
        {
            "y": (rng.random(n) < p).astype(float),
            "score": p,
            "weight": 1.0,
            "cluster": np.arange(n),
        }
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_probabilities_that_are_true_pass_and_those_of_another_level_never_do(seed):
    frame = served(seed=seed)
    assert calibrated("h", frame, limit=0.35).is_passed
    for factor in (0.5, 2.0, 3.0):
        off = frame.assign(score=frame["score"] * factor)
        verdict = calibrated("h", off, limit=0.35)
        assert verdict.outcome == "refused", factor
        assert verdict.shortfall > 0.3


def test_half_twice_and_three_times_are_refused_where_findings_are_few():
    frame = served(n=400, seed=4)
    assert calibrated("h", frame, limit=0.35).outcome == "passed"
    for factor in (0.5, 2.0, 3.0):
        off = frame.assign(score=frame["score"] * factor)
        assert calibrated("h", off, limit=0.35).outcome == "refused", factor


def test_so_few_findings_that_half_and_twice_look_alike_cannot_be_said():
    verdict = calibrated("h", served(n=30, seed=1), limit=5.0)
    assert verdict.outcome == "unsaid"


@pytest.mark.slow
def test_what_is_true_is_refused_no_more_often_than_chance_allows():
    """Few findings: resampled intervals are too narrow and refused one true model in twelve."""
    verdicts = [calibrated("h", served(n=60, seed=s), limit=5.0) for s in range(60)]
    assert sum(v.outcome == "refused" for v in verdicts) <= 3


def test_one_of_three_heads_is_refused_no_more_often_than_a_single_one():
    """Twenty findings of 83 drawn visits, served at .166: refused, and right by the truth."""
    y = np.r_[np.ones(20), np.zeros(63)]
    frame = pd.DataFrame({"y": y, "score": 0.15, "weight": 1.0, "cluster": np.arange(83)})
    assert calibrated("h", frame, limit=5.0).outcome == "refused"
    verdict = calibrated("h", frame, limit=5.0, n_heads=3)
    assert verdict.outcome == "unsaid"
    assert "by chance" in verdict.measured
    half = calibrated("h", frame.assign(score=0.12), limit=5.0, n_heads=3)
    assert half.outcome == "refused"


def test_a_slope_that_is_wrong_is_refused_at_the_right_level():
    rng = np.random.default_rng(0)
    margin = rng.normal(-2, 1, 3000)
    y = (rng.random(3000) < 1 / (1 + np.exp(-margin))).astype(float)
    steep = 1 / (1 + np.exp(-(-2.0 + 4.0 * (margin + 2.0))))
    steep *= y.mean() / steep.mean()
    frame = pd.DataFrame({"y": y, "score": steep, "weight": 1.0, "cluster": np.arange(3000)})
    verdict = calibrated("h", frame, limit=10.0)
    assert verdict.outcome == "refused"
    assert "slope 0." in verdict.measured


def test_what_the_level_rests_on_is_not_denied_where_it_found_too_little():
    """Some visits of known probability with few findings are not none."""
    frame = served(n=3000, seed=0).assign(**{LEVEL_KNOWN: False})
    verdict = calibrated("h", frame, limit=5.0)
    assert verdict.outcome == "unsaid"
    assert "too few findings at visits of known probability to tell the level" in verdict.measured


def test_a_slope_that_is_not_told_from_zero_cannot_be_said():
    """Served at the right level, in an order that the findings neither show nor deny."""
    rng = np.random.default_rng(3)
    p = 1 / (1 + np.exp(-rng.normal(-1.5, 0.2, 500)))
    y = (rng.random(500) < p.mean()).astype(float)
    frame = pd.DataFrame({"y": y, "score": p, "weight": 1.0, "cluster": np.arange(500)})
    verdict = calibrated("h", frame, limit=0.35)
    assert verdict.outcome == "unsaid"
    assert "slope" in verdict.measured


def test_the_slope_is_judged_on_all_rows_where_few_tell_the_level():
    rng = np.random.default_rng(2)
    margin = rng.normal(-1.5, 0.8, 3000)
    p = 1 / (1 + np.exp(-margin))
    y = (rng.random(3000) < p).astype(float)
    is_drawn = rng.random(3000) < 0.05
    frame = pd.DataFrame({"y": y, "score": p, "weight": 1.0, "cluster": np.arange(3000)})
    frame = frame.assign(level_weight=is_drawn.astype(float))
    drawn = frame[is_drawn]
    assert calibrated("h", frame, limit=0.35).is_passed
    both = [str(calibrated("h", f, limit=0.35).measured) for f in (frame, drawn)]
    low, high = (float(text.split("slope ")[1].split("(")[1].split(" ")[0]) for text in both)
    assert low > high  # a narrower interval than by the drawn alone


def test_a_level_that_only_chosen_rows_tell_cannot_be_said():
    frame = served().assign(is_level_known=False)
    verdict = calibrated("h", frame, limit=0.35)
    assert verdict.outcome == "unsaid"
    assert "known probability" in verdict.measured


@pytest.mark.parametrize("times", [0.4, 1.0, 2.0])
def test_a_level_that_only_chosen_rows_tell_is_not_refused_for_being_off(times):
    """Whoever chose knew more: what they found says nothing of the level, and bins say the rest."""
    frame = served().assign(is_level_known=False)
    frame["score"] *= times
    assert calibrated("h", frame, limit=0.35).outcome == "unsaid"
    frame["is_level_known"] = True
    verdict = calibrated("h", frame, limit=0.35)
    assert verdict.outcome == ("passed" if times == 1 else "refused")


def test_where_dealers_were_chosen_the_level_is_judged_on_those_drawn_at_random():
    rng = np.random.default_rng(1)
    frame = rows(1.0)
    p = rng.uniform(0.02, 0.2, len(frame))
    is_random = rng.random(len(frame)) < 0.4
    # Those who chose knew more than the score: their finds are twice as many.
    y = rng.random(len(frame)) < np.where(is_random, p, 2 * p)
    frame["y"], frame["score"] = y.astype(float), p
    assert calibrated("h", frame, limit=0.25).outcome == "refused"
    level = frame.assign(level_weight=is_random.astype(float))
    assert calibrated("h", level, limit=0.25).is_passed
    assert calibrated("h", level.assign(score=2 * p), limit=0.25).outcome == "refused"
