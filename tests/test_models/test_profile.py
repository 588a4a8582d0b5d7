import numpy as np
import pandas as pd
import pytest

from models.errors import InputError
from models.profile import Profile


@pytest.fixture(scope="module", name="X")
def training_rows(draw):
    return draw(3000, 1)[0]


def test_dealers_like_the_training_rows_have_supports_spread_evenly(X, draw):
    support = Profile.of(X).support(draw(3000, 2)[0])
    np.testing.assert_allclose(np.quantile(support, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.05)


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
