"""Strictness is found, shrunk, and taken out of labels; gains are stated three ways."""

import numpy as np
import pandas as pd
import pytest

from training.labels.leniency import fit_strictness, label_weights, three_gains


def test_strictness_is_recovered_and_small_groups_are_shrunk():
    rng = np.random.default_rng(0)
    true = {"763": 1.6, "766": 1.0, "760": 0.5, "tiny": 5.0}
    groups = pd.Series(rng.choice(["763", "766", "760"], 9000).tolist() + ["tiny"] * 4)
    p = np.full(len(groups), 0.1)
    y = (rng.random(len(groups)) < p * groups.map(true).to_numpy()).astype(float)
    found = fit_strictness(groups, y, p, column="division").ratio
    assert found["763"] == pytest.approx(1.55, abs=0.2)
    assert found["760"] == pytest.approx(0.5, abs=0.12)
    assert 0.6 < found["tiny"] < 2.5


def test_equally_strict_groups_are_left_alone():
    rng = np.random.default_rng(1)
    groups = pd.Series(rng.integers(0, 40, 6000).astype(str))
    y = (rng.random(6000) < 0.1).astype(float)
    found = fit_strictness(groups, y, np.full(6000, 0.1), column="investigator").ratio
    assert found.between(0.8, 1.25).all()


def test_weights_equalize_divisions_of_equal_dealers():
    rng = np.random.default_rng(2)
    groups = pd.Series(np.where(np.arange(8000) % 2, "strict", "mild"))
    p = np.where(groups == "strict", 0.2, 0.1)
    y = (rng.random(8000) < p).astype(float)
    found = fit_strictness(groups, y, np.full(8000, 0.15), column="division")
    weight = label_weights(y, found.of(groups))
    assert weight[y > 0].mean() == pytest.approx(1.0)
    severe = pd.Series(y * weight).groupby(groups).sum()
    assert severe["strict"] / severe["mild"] == pytest.approx(1.0, abs=0.1)


def test_an_unseen_group_is_average():
    found = fit_strictness(
        pd.Series(["a", "b"] * 50), np.tile([1.0, 0.0], 50), np.full(100, 0.5), column="division"
    )
    assert found.of(pd.Series(["never seen"])).tolist() == [1.0]


def test_a_gain_that_is_only_who_was_sent_vanishes_within_investigators():
    rng = np.random.default_rng(3)
    investigator = rng.integers(0, 10, 5000)
    p = np.linspace(0.02, 0.4, 10)[investigator]
    frame = pd.DataFrame(
        {
            "y": (rng.random(5000) < p).astype(float),
            "weight": 1.0,
            "score": p + rng.normal(0, 1e-6, 5000),  # knows who looks, nothing of the dealer
            "investigator": investigator,
        }
    )
    gains = three_gains(frame, share=0.1, within=[("within_investigator", "investigator")])
    assert gains["total"] > 1.6
    assert gains["within_investigator"] == pytest.approx(1.0, abs=0.15)
