"""What an order finds with who looked held fixed: refused, passed, and what nobody can say."""

import re

import numpy as np
import pandas as pd
import pytest

from training.evaluation.promotion_verdict import Verdict
from training.evaluation.within import gains_within
from training.labels.gains import three_gains

WITHIN = [("within_investigator", "investigator")]


def visits(n_found: int, seed: int, *, strength: float = 1.0, each: int = 40) -> pd.DataFrame:
    """400 visits by an order of AUC .76 (at strength 1); each investigator makes so many."""
    rng = np.random.default_rng(seed)
    y = np.zeros(400)
    y[rng.permutation(400)[:n_found]] = 1.0
    who = (np.arange(400) // each).astype(str)
    score = strength * y + rng.normal(size=400)
    return pd.DataFrame(
        {"y": y, "score": score, "weight": 1.0, "cluster": np.arange(400), "investigator": who}
    )


def few_each(seed: int, *, strength: float, base: float = -1.0, each: int = 4) -> pd.DataFrame:
    """720 visits in three years, so many of each investigator a year."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=720)
    y = (rng.random(720) < 1 / (1 + np.exp(-(base + strength * score)))).astype(float)
    return pd.DataFrame(
        {
            "y": y,
            "score": score,
            "weight": np.exp(rng.normal(0, 0.5, 720)),
            "cluster": np.arange(720),
            "investigator": (np.arange(720) // (3 * each)).astype(str),
            "as_of": np.arange(720) // each % 3,
        }
    )


def interval_of(verdict: Verdict) -> tuple[float, float, float]:
    """Value, low and high, as a verdict says them."""
    return tuple(float(x) for x in re.findall(r"\d+\.\d+", verdict.measured)[:3])


def test_the_gain_stands_within_its_own_interval():
    """Of four visits a resample has the same twice: the value was above its interval 4 in 5 times.

    The interval held the true gain, 1.80, in 53 of 100; of few findings that stand by chance 85.
    """
    held, inside = [], []
    for truth, made in ((1.8, {"strength": 1.5}), (1.0, {"strength": 0, "base": -3, "each": 15})):
        for seed in range(20):
            verdict = gains_within(few_each(seed, **made), "investigator", capacity=0.1)
            value, low, high = interval_of(verdict)
            held.append(low <= truth <= high)
            inside.append(low < value < high)
    assert all(inside)
    assert sum(held) >= 35


def test_what_is_gained_is_what_the_table_of_gains_says():
    rows = few_each(3, strength=1.0)
    (value, *_) = interval_of(gains_within(rows, "investigator", capacity=0.1))
    gains = three_gains(rows, share=0.1, within=WITHIN)
    assert value == pytest.approx(gains["within_investigator"], abs=6e-4)


def test_a_gain_that_is_only_who_was_sent_is_refused():
    rng = np.random.default_rng(3)
    who = rng.integers(0, 10, 5000)
    p = np.linspace(0.02, 0.4, 10)[who]
    frame = pd.DataFrame(
        {
            "y": (rng.random(5000) < p).astype(float),
            "weight": 1.0,
            "cluster": np.arange(5000),
            "score": p + rng.normal(0, 1e-6, 5000),
            "investigator": who.astype(str),
        }
    )
    assert not gains_within(frame, "investigator", capacity=0.1).is_passed
    knows = frame.assign(score=frame["y"] + rng.normal(0, 0.5, 5000))
    assert gains_within(knows, "investigator", capacity=0.1).is_passed
    nobody = gains_within(frame.assign(investigator=""), "investigator", capacity=0.1)
    assert nobody.outcome == "unsaid"


@pytest.mark.parametrize("n_found", [1, 2, 3])
def test_a_good_order_is_not_refused_within_investigators_on_next_to_no_findings(n_found):
    """Of an order of AUC .76 one finding refused 84 in 200, two 38 and three 21."""
    told = [
        gains_within(visits(n_found, s), "investigator", capacity=0.1).outcome for s in range(15)
    ]
    assert "refused" not in told
    assert told.count("passed") <= 3


def test_few_findings_that_leave_no_doubt_within_investigators_are_told():
    clear = visits(12, 0, strength=4.0)
    assert gains_within(clear, "investigator", capacity=0.1).is_passed
    against = clear.assign(score=-clear["score"])
    verdict = gains_within(against, "investigator", capacity=0.1)
    assert (verdict.outcome, "exact test" in verdict.measured) == ("refused", True)


def test_one_visit_each_tells_nothing_within_investigators():
    """The gain is 1.000 (1.000 to 1.000) whatever the order: it was refused for that."""
    rows = visits(60, 0, each=1)
    assert gains_within(rows, "investigator", capacity=0.1).outcome == "unsaid"
    gains = three_gains(rows, share=0.1, within=WITHIN)
    assert gains["total"] > 1.5
    assert gains["within_investigator"] is None


@pytest.mark.parametrize("nobody", ["", "unknown", None])
def test_visits_of_nobody_on_record_have_no_gain_within_anybody(nobody):
    """They were one group, so that the gain within it was the whole gain."""
    rows = visits(60, 0).assign(investigator=nobody)
    assert three_gains(rows, share=0.1, within=WITHIN)["within_investigator"] is None
    assert gains_within(rows, "investigator", capacity=0.1).outcome == "unsaid"
    some = visits(60, 0).assign(investigator=lambda f: f["investigator"].where(f.index < 200))
    alone = some[some.index < 200]
    found, wanted = (three_gains(f, share=0.1, within=WITHIN) for f in (some, alone))
    assert found["within_investigator"] == pytest.approx(wanted["within_investigator"])
