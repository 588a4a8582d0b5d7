"""Counts set against those of dealers who sell alike: who sells little is not sunk for it."""

import json

import numpy as np
import pandas as pd
import pytest

from models.order.restraint import Restraint, priorities
from models.order.set_against_alike import (
    EXPOSURE,
    Peers,
    exposure_term,
    exposure_weights,
    taken_off,
)
from models.policy import Policy

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
    peers = Peers.of(sales.to_frame(EXPOSURE), {"diversion": country["diversion"].to_numpy()})
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
    peers = Peers.of(sales.to_frame(EXPOSURE), {"diversion": country["diversion"].to_numpy()})
    left = country["diversion"] + exposure_term(sales, {"diversion": 1.0}, peers)
    by_size = left.groupby(pd.qcut(sales.rank(method="first"), 10, labels=False)).mean()
    assert float(by_size.max() - by_size.min()) < 0.4  # of a spread of some seven log units
    before = country["diversion"].groupby(pd.qcut(sales.rank(method="first"), 10, labels=False))
    assert float(before.mean().max() - before.mean().min()) > 5


def test_it_goes_on_beyond_the_sales_it_was_fitted_on(country):
    sales = country[EXPOSURE]
    peers = Peers.of(sales.to_frame(EXPOSURE), {"diversion": country["diversion"].to_numpy()})
    far = pd.Series([sales.max() * 10, sales.max() * 100])
    near, further = peers.of_head("diversion", far)
    assert further - near == pytest.approx(np.log(10), abs=0.3)


def test_unknown_sales_have_a_mean_of_their_own_once_they_are_many(country):
    rng = np.random.default_rng(0)
    is_unknown = rng.random(N) < 0.1
    sales = country[EXPOSURE].mask(is_unknown)
    margin = country["diversion"].to_numpy()
    peers = Peers.of(sales.to_frame(EXPOSURE), {"diversion": margin})
    assert peers.unknown["diversion"] == pytest.approx(margin[is_unknown].mean())
    few = country[EXPOSURE].copy()
    few.iloc[0] = np.nan
    assert Peers.of(few.to_frame(EXPOSURE), {"diversion": margin}).unknown[
        "diversion"
    ] == pytest.approx(margin[country[EXPOSURE] == 0].mean(), abs=0.3)


@pytest.mark.parametrize("sales", [[np.nan, np.nan, np.nan], [5.0, 5.0, 5.0], [-1.0, 0.0, np.nan]])
def test_sales_that_say_nothing_take_nothing_off(sales):
    values = pd.Series(sales)
    peers = Peers.of(values.to_frame(EXPOSURE), {"diversion": np.array([-3.0, -1.0, 1.0])})
    term = exposure_term(values, {"diversion": 1.0}, peers)
    assert np.isfinite(term).all()
    assert term.mean() == pytest.approx(0.0, abs=1e-9)
    if len(values.unique()) == 1:
        assert term == pytest.approx(np.zeros(3), abs=1e-9)


def test_it_keeps_its_values_through_a_file(country):
    peers = Peers.of(country[[EXPOSURE]], {"diversion": country["diversion"].to_numpy()})
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


@pytest.fixture(scope="module")
def border() -> pd.DataFrame:
    """Recoveries that fall with the distance from the border, and dealers that differ beside it."""
    rng = np.random.default_rng(6)
    km = rng.choice([10.0, 80.0, 400.0, 1500.0], N)
    own = rng.normal(0, 0.5, N)
    sales = np.exp(rng.normal(3, 1, N) + 0.5 * (km < 100))
    return pd.DataFrame(
        {
            EXPOSURE: sales,
            "border_km": km,
            "is_demand_state": (km < 100) * 1.0,
            "own": own,
            "mexico": np.log(sales) - 0.8 * np.log(km) + own,
        }
    )


def test_what_the_place_tells_is_taken_off_and_what_the_dealer_tells_is_left(border):
    beside = border[[EXPOSURE, "border_km", "is_demand_state"]]
    peers = Peers.of(beside, {"mexico": border["mexico"].to_numpy()})
    terms = peers.places.terms("mexico", border)
    left = border["mexico"] - terms.sum(axis=1)
    by_place = left.groupby(border["border_km"]).mean()
    # Sales go with the place and are not the place's: half a log unit stays with them, and what is
    # no straight line over the ranks.
    assert float(by_place.max() - by_place.min()) < 1.2
    before = border["mexico"].groupby(border["border_km"]).mean()
    assert float(before.max() - before.min()) > 3.5
    taken = terms.sum(axis=1)
    assert abs(np.corrcoef(taken, border["own"])[0, 1]) < 0.03
    assert taken.mean() == pytest.approx(0.0, abs=1e-9)
    again = Peers.from_state(json.loads(json.dumps(peers.state())))
    np.testing.assert_array_equal(again.places.terms("mexico", border), terms)


def test_a_place_beyond_those_fitted_on_or_unknown_moves_no_further(border):
    beside = border[[EXPOSURE, "border_km"]]
    places = Peers.of(beside, {"mexico": border["mexico"].to_numpy()}).places
    asked = pd.DataFrame({"border_km": [1500.0, 9e9, np.nan, 10.0, -5.0]})
    far, further, unknown, near, nearer = places.terms("mexico", asked)[:, 0]
    assert (far, near) == (further, nearer)
    assert unknown == 0.0
    assert far < 0 < near


def test_few_dealers_and_signals_that_say_the_same_are_not_fitted_by_chance():
    rng = np.random.default_rng(1)
    km = rng.random(200)
    beside = pd.DataFrame({f"place_{j}": km + 1e-6 * rng.random(200) for j in range(8)})
    beside["empty"] = np.nan
    places = Peers.of(beside, {"mexico": rng.normal(0, 1, 200)}).places
    taken = places.terms("mexico", beside).sum(axis=1)
    assert taken.std() < 0.25
    assert np.abs(places.slopes["mexico"]).max() < 0.5


def test_findings_that_offices_made_before_lift_no_place():
    """A strict office leaves longer records, and the chance of a finding goes by them."""
    rng = np.random.default_rng(8)
    place, strict = rng.integers(0, 12, N), rng.normal(0, 0.5, 12)
    margin = -2.0 + 0.4 * strict[place] + rng.normal(0, 0.4, N)
    # Facts of places that no finding made, some nine of which stand for the office in a country.
    beside = pd.DataFrame(rng.normal(size=(12, 9))[place]).add_prefix("area_")
    left = priorities(Policy.read(), {"compliance": margin}, beside, Restraint())
    level = pd.Series(strict[place])
    before, after = (np.corrcoef(level, score)[0, 1] for score in (margin, left))
    assert before > 0.3
    assert abs(after) < before / 2


def test_without_sales_places_count_and_without_either_nothing_does(border):
    margins = {"mexico": border["mexico"].to_numpy()}
    policy = Policy.read()
    for columns in (["border_km"], [], [EXPOSURE]):
        beside = border[columns]
        found = taken_off(policy, {"mexico": 0.1}, beside, Peers.of(beside, margins))
        assert list(found) == columns
    assert taken_off(policy, {"mexico": 0.1}, border, None) == {}
