import numpy as np
import pytest

from models.errors import InputError
from models.order.ties import order, turns_among_ties


def by_key(scores, keys):
    return order(scores, turns_among_ties(keys))


def test_ties_are_not_broken_by_the_alphabet():
    keys = np.array([f"1-{i:02d}-{i:05d}" for i in range(200)])
    found = by_key(np.zeros(200), keys)
    assert sorted(found) == list(range(200))
    assert abs(np.corrcoef(found, np.arange(200))[0, 1]) < 0.2
    shuffled = np.random.default_rng(0).permutation(200)
    np.testing.assert_array_equal(
        keys[found], keys[shuffled][by_key(np.zeros(200), keys[shuffled])]
    )


def test_higher_scores_come_first_whatever_the_key():
    assert by_key(np.array([1.0, 3.0, 2.0]), np.array(["z", "b", "a"])).tolist() == [1, 2, 0]


def test_a_missing_score_has_no_rank():
    with pytest.raises(InputError, match="missing score"):
        by_key(np.array([1.0, np.nan]), np.array(["a", "b"]))
