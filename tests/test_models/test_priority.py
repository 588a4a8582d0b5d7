"""Counts set against those of dealers who sell alike: who sells little is not sunk for it."""

import json

import numpy as np
import pandas as pd
import pytest

from models.policy import Policy
from models.priority import EXPOSURE, Peers, exposure_term, exposure_weights

N = 6000


@pytest.fixture(scope="module")
def country() -> pd.DataFrame:
    """Findings that do not go with size, traced firearms that grow with it."""
    rng = np.random.default_rng(4)
    sales = np.where(rng.random(N) < 0.2, 0, np.exp(rng.normal(3, 2, N))).round()
    return pd.DataFrame(
        {
            EXPOSURE: sales,
            "compliance": rng.normal(-2, 0.4, N),
            "diversion": np.log(0.002 + 0.01 * sales) + rng.normal(0, 0.4, N),
        }
    )


def share_of_small(country: pd.DataFrame, per_sale: float) -> float:
    """Return the share of the first tenth that the smaller two thirds of the dealers hold."""
    sales = country[EXPOSURE]
    peers = Peers.of(sales, {"diversion": country["diversion"].to_numpy()})
    term = exposure_term(sales, {"diversion": 0.25 * per_sale}, peers)
    priority = country["compliance"] + 0.25 * country["diversion"] + term
    listed = priority.rank(ascending=False) <= 0.1 * N
    is_small = sales.rank(method="first") <= 2 / 3 * N
    return float(is_small[listed].mean())


def test_set_against_their_like_the_small_get_their_places(country):
    by_count, half, by_rate = (share_of_small(country, share) for share in (0.0, 0.5, 1.0))
    assert by_count < 0.2
    assert by_count < half < by_rate
    assert by_rate == pytest.approx(2 / 3, abs=0.06)


def test_no_size_is_lifted_or_sunk_by_rate(country):
    sales = country[EXPOSURE]
    peers = Peers.of(sales, {"diversion": country["diversion"].to_numpy()})
    left = country["diversion"] + exposure_term(sales, {"diversion": 1.0}, peers)
    by_size = left.groupby(pd.qcut(sales.rank(method="first"), 10, labels=False)).mean()
    assert float(by_size.max() - by_size.min()) < 0.4  # of a spread of some seven log units
    before = country["diversion"].groupby(pd.qcut(sales.rank(method="first"), 10, labels=False))
    assert float(before.mean().max() - before.mean().min()) > 5


def test_it_goes_on_beyond_the_sales_it_was_fitted_on(country):
    sales = country[EXPOSURE]
    peers = Peers.of(sales, {"diversion": country["diversion"].to_numpy()})
    far = pd.Series([sales.max() * 10, sales.max() * 100])
    near, further = peers.of_head("diversion", far)
    assert further - near == pytest.approx(np.log(10), abs=0.3)


def test_unknown_sales_have_a_mean_of_their_own_once_they_are_many(country):
    rng = np.random.default_rng(0)
    is_unknown = rng.random(N) < 0.1
    sales = country[EXPOSURE].mask(is_unknown)
    margin = country["diversion"].to_numpy()
    peers = Peers.of(sales, {"diversion": margin})
    assert peers.unknown["diversion"] == pytest.approx(margin[is_unknown].mean())
    few = country[EXPOSURE].copy()
    few.iloc[0] = np.nan
    assert Peers.of(few, {"diversion": margin}).unknown["diversion"] == pytest.approx(
        margin[country[EXPOSURE] == 0].mean(), abs=0.3
    )


@pytest.mark.parametrize("sales", [[np.nan, np.nan, np.nan], [5.0, 5.0, 5.0], [-1.0, 0.0, np.nan]])
def test_sales_that_say_nothing_take_nothing_off(sales):
    values = pd.Series(sales)
    peers = Peers.of(values, {"diversion": np.array([-3.0, -1.0, 1.0])})
    term = exposure_term(values, {"diversion": 1.0}, peers)
    assert np.isfinite(term).all()
    assert term.mean() == pytest.approx(0.0, abs=1e-9)
    if len(values.unique()) == 1:
        assert term == pytest.approx(np.zeros(3), abs=1e-9)


def test_it_keeps_its_values_through_a_file(country):
    peers = Peers.of(country[EXPOSURE], {"diversion": country["diversion"].to_numpy()})
    again = Peers.from_state(json.loads(json.dumps(peers.state())))
    np.testing.assert_array_equal(
        again.of_head("diversion", country[EXPOSURE]),
        peers.of_head("diversion", country[EXPOSURE]),
    )


def test_only_heads_with_a_weight_by_sales_are_set_against_them():
    policy = Policy.read()
    weights = policy.weights_of(("compliance", "diversion", "mexico", "severity"))
    found = exposure_weights(policy, weights, [EXPOSURE])
    assert set(found) == {"diversion", "mexico"}
    assert exposure_weights(policy, weights, ["traces_n_3y"]) == {}
