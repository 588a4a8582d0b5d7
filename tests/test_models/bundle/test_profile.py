import numpy as np
import pandas as pd
import pytest

from models.bundle.profile import Profile
from models.errors import InputError


@pytest.fixture(scope="module", name="X")
def training_rows(draw):
    return draw(3000, 1)[0]


def test_dealers_like_the_training_rows_have_supports_spread_evenly(X, draw):
    support = Profile.of(X).support(draw(3000, 2)[0])
    np.testing.assert_allclose(np.quantile(support, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.05)


def test_dealers_of_whom_many_are_alike_have_the_support_that_they_share():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.random(4000) < 0.2, "b": rng.random(4000) < 0.25}).astype(float)
    for rows in (X, X.iloc[:40]):  # of many rows and of few
        support = pd.Series(Profile.of(X).support(rows), index=rows.index)
        rarer = X.groupby(["a", "b"]).size().sort_values() / len(X)
        at_least_as_odd = rarer.cumsum()
        found = support.groupby([rows["a"], rows["b"]]).agg(["min", "max"])
        for kind, (low, high) in found.iterrows():
            assert low == high == pytest.approx(at_least_as_odd[kind], abs=0.011), kind


def test_a_dealer_without_history_has_no_support(X):
    nothing = X.iloc[:5].astype(object).assign(**dict.fromkeys(X.columns, None))
    assert (Profile.of(X).support(nothing) < 0.01).all()


def test_values_beyond_the_training_range_lower_support(X):
    beyond = X.iloc[:200].assign(**{f"count_{j}": 1e6 for j in range(8)})
    profile = Profile.of(X)
    assert profile.support(beyond).max() < profile.support(X.iloc[:200]).mean() / 10


def test_round_trip(X):
    profile = Profile.of(X, {"compliance": np.arange(100.0)})
    again = Profile.from_state(profile.state())
    np.testing.assert_array_equal(again.support(X), profile.support(X))
    np.testing.assert_array_equal(again.scores["compliance"], profile.scores["compliance"])


def test_percentile_is_the_share_at_or_below(X):
    found = Profile.of(X).percentile("share", np.array([-1.0, 2.0, np.nan]))
    assert found[0] == 0
    assert found[1] == 100
    assert np.isnan(found[2])


def test_percentile_of_an_unknown_signal(X):
    with pytest.raises(InputError, match="did you mean 'share'"):
        Profile.of(X).percentile("shares", np.zeros(1))


def test_constant_and_empty_columns_are_profiled():
    X = pd.DataFrame({"empty": [np.nan] * 10, "constant": [1.0] * 10})
    support = Profile.of(X).support(X)
    assert np.isfinite(support).all()


def test_a_signal_repeated_makes_nobody_more_unusual():
    rng = np.random.default_rng(8)
    own = pd.DataFrame(rng.poisson(1.0, (4000, 6)), columns=[f"own_{j}" for j in range(6)])
    copies = pd.DataFrame({f"copy_{k}": own["own_0"] for k in range(30)})
    together = pd.concat([own, copies], axis=1)
    rows = own.sample(500, random_state=1).index
    alone = Profile.of(own).support(own.loc[rows])
    repeated = Profile.of(together).support(together.loc[rows])
    np.testing.assert_allclose(repeated, alone, atol=0.05)
    weights = dict(zip(together.columns, Profile.of(together).weights, strict=True))
    said = sum(weight for name, weight in weights.items() if name not in own.columns[1:])
    assert said == pytest.approx(1.0, abs=0.05), "thirty-one times the same is one"
    assert [weights[name] for name in own.columns[1:]] == pytest.approx([1.0] * 5, abs=0.05)


def test_a_profile_of_an_earlier_version_weighs_its_signals_alike(X):
    state = Profile.of(X).state()
    del state["weights"]
    before = Profile.from_state(state)
    assert before.weights is None
    assert before.support(X.iloc[:20]).shape == (20,)


def test_a_kind_never_inspected_has_no_support_among_many_of_it():
    """A fifth of all dealers, none of them inspected: by all listed ones they were like any."""
    rng = np.random.default_rng(0)
    is_kind = np.arange(4000) % 5 == 0
    columns = {f"signal_{j}": rng.normal(size=4000) + 3.0 * is_kind for j in range(8)}
    X = pd.DataFrame(columns)
    learned = np.flatnonzero(~is_kind & (rng.random(4000) < 0.2))
    listed, told = Profile.of(X), Profile.of(X, learned=learned)
    again = Profile.from_state(told.state())
    assert np.median(listed.support(X[is_kind])) > 0.2
    for profile in (told, again):
        assert (profile.support(X[is_kind]) < 0.005).mean() > 0.9
        assert (profile.support(X[~is_kind]) < 0.005).mean() < 0.02
        assert profile.support_of(X.to_numpy()[:3]) == pytest.approx(profile.support(X)[:3])
    # Drift and percentiles go on telling of everybody.
    assert told.n_rows == 4000
    for one, other in zip(told.signals, listed.signals, strict=True):
        np.testing.assert_array_equal(one.shares, other.shares)
        np.testing.assert_array_equal(one.quantiles, other.quantiles)
