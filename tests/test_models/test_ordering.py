import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.ordering import order, percentile, rank, take

scores = st.lists(st.integers(-3, 3), min_size=1, max_size=30).map(lambda v: np.array(v, float))


@given(scores, st.integers(0, 35))
def test_a_list_is_as_long_as_its_capacity_on_average(values, capacity):
    assert take(values, capacity).chance.sum() == pytest.approx(min(capacity, len(values)))


@given(scores, st.integers(1, 35))
def test_the_chance_to_be_listed_never_falls_with_the_score(values, capacity):
    by_score = np.argsort(values)
    assert (np.diff(take(values, capacity).chance[by_score]) >= 0).all()


@given(scores)
def test_ranks_of_ties_enclose_their_middle(values):
    best, middle, worst = (rank(values, ties=t) for t in ("best", "middle", "worst"))
    assert (best <= middle).all()
    assert (middle <= worst).all()
    np.testing.assert_allclose(middle, (best + worst) / 2)


@given(scores)
def test_percentiles_follow_ranks(values):
    p = percentile(values)
    assert p.min() >= 0
    assert p.max() <= 100
    np.testing.assert_array_equal(np.argsort(p, kind="stable"), np.argsort(values, kind="stable"))


def test_ties_are_not_broken_by_the_alphabet():
    keys = np.array([f"1-{i:02d}-{i:05d}" for i in range(200)])
    found = order(np.zeros(200), keys)
    assert sorted(found) == list(range(200))
    assert abs(np.corrcoef(found, np.arange(200))[0, 1]) < 0.2
    shuffled = np.random.default_rng(0).permutation(200)
    np.testing.assert_array_equal(keys[found], keys[shuffled][order(np.zeros(200), keys[shuffled])])


def test_higher_scores_come_first_whatever_the_key():
    assert order(np.array([1.0, 3.0, 2.0]), np.array(["z", "b", "a"])).tolist() == [1, 2, 0]


@pytest.mark.parametrize("function", [rank, percentile, lambda s: take(s, 1)])
def test_a_missing_score_has_no_rank(function):
    with pytest.raises(InputError, match="missing score"):
        function(np.array([1.0, np.nan]))
