"""The published order: what it goes with, and what offices of their own capacity find by it."""

import numpy as np
import pandas as pd
import pytest

from training.heads.published_order import at_offices, readings, strictness_dependence


def dealers(*, leak: float, n: int = 6000, n_offices: int = 30, seed: int = 0) -> pd.DataFrame:
    """Dealers whose order leaks `leak` of the strictness of their office."""
    rng = np.random.default_rng(seed)
    home = rng.integers(0, n_offices, n)
    strict = rng.normal(0, 0.6, n_offices)[home]
    risk = rng.normal(-2, 0.7, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-risk))).astype(float)
    return pd.DataFrame(
        {
            "dealer": [f"1-54-{i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2024-01-01"),
            "home": home.astype(str),
            "strictness": strict,
            "risk_beyond": risk,
            "score": risk + leak * strict + rng.normal(0, 0.2, n),
            "rule_random": 0.0,
            "y": y,
            "weight": 1.0,
        }
    )


def test_an_order_free_of_strictness_is_told_from_one_that_leaks_it():
    clean = strictness_dependence(dealers(leak=0.0))
    leaking = strictness_dependence(dealers(leak=1.0))
    assert abs(clean.value) < 0.1
    assert leaking.value > 0.4
    assert leaking.excludes(0.0)


def test_one_office_has_no_dependence():
    assert strictness_dependence(dealers(leak=1.0, n_offices=1)) is None


def test_offices_fill_their_own_lists():
    frame = dealers(leak=0.0)
    found = at_offices(frame, share=0.1)
    assert found["random"] == pytest.approx(0.1, abs=0.01)
    assert found["published"] > 0.15
    perfect = at_offices(frame.assign(score=frame["y"]), share=0.1)
    assert found["published"] < perfect["published"] <= 1.0


def test_read_as_risk_a_strict_office_has_more_of_the_list():
    rows = pd.DataFrame(readings(dealers(leak=0.0), share=0.1)).sort_values("level")
    mild, strict = rows.head(8), rows.tail(8)
    assert strict["risk"].mean() > 2 * mild["risk"].mean()
    assert strict["strictness"].mean() < 1.5 * mild["strictness"].mean()
    assert (rows["dealers"] * rows["risk"]).sum() == pytest.approx(600)
