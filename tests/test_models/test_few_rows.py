"""A row alone is scored without a table, and has the bits that it has among many."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models import Bundle, RateRegressor, RiskClassifier
from models.bundle.profile import Profile
from models.columns.encoding import Column, encode
from models.columns.from_numbers import FEW_ROWS, FromNumbers
from models.errors import InputError
from models.order.set_against_alike import EXPOSURE, Peers

NAMES = ("3", "0.1", "pawn", "1e5", "True")  # of what only the first two are numbers' names
COLUMNS = (
    Column("a", "number", fill=2.5),
    Column("b", "number"),
    Column("a", "category", NAMES, (1.0, 2.0, 3.0, 4.0, 5.0), 0.5, -1.0, "level"),
    Column("b", "category", ("7", "-2.5"), (1.0, 2.0)),
)


@pytest.fixture(scope="module")
def counting(draw, bundle) -> Bundle:
    """A bundle whose signals are all numbers, set against sales."""
    X = draw(700, 3)[0].drop(columns=["kind", "is_home"]).rename(columns={"count_0": EXPOSURE})
    X["share"] = X["share"].astype(np.float32)
    rng = np.random.default_rng(5)
    hit = (X["count_1"] + 10 * rng.random(len(X)) > 12).astype(int)
    heads = {
        "compliance": RiskClassifier(n_repeats=1, max_rounds=20).fit(X, hit),
        "diversion": RateRegressor(n_repeats=1, max_rounds=20).fit(X, rng.poisson(0.3 + hit)),
    }
    margins = {name: head.predict_margin(X) for name, head in heads.items()}
    peers = Peers.of(X[[EXPOSURE]], margins)
    signals = [{"name": n, "family": "test", "reason": "{value}"} for n in X.columns]
    profile = Profile.of(X, margins, peers=peers)
    return replace(bundle, heads=heads, signals=signals, profile=profile)


@pytest.fixture(scope="module")
def rows(draw) -> pd.DataFrame:
    X = draw(FEW_ROWS + 40, 8)[0].drop(columns=["kind", "is_home"])
    X.iloc[3, 2] = np.nan
    return X.rename(columns={"count_0": EXPOSURE})


def test_one_row_few_rows_and_many_are_scored_to_the_same_bits(counting, rows):
    whole = counting.score(rows)
    alone = pd.concat([counting.score(rows.iloc[[i]]) for i in range(len(rows))])
    few = pd.concat([counting.score(rows.iloc[i : i + 9]) for i in range(0, len(rows), 9)])
    pd.testing.assert_frame_equal(alone, whole, check_exact=True)
    pd.testing.assert_frame_equal(few, whole, check_exact=True)
    numbers = pd.DataFrame(counting.score_numbers(rows.to_numpy(np.float64)[:5]))
    pd.testing.assert_frame_equal(numbers, whole.iloc[:5], check_exact=True)


def test_a_row_alone_is_explained_to_the_bits_it_has_in_a_table(counting, rows):
    scores, whole = counting.score_and_explain(rows, method="table")
    pd.testing.assert_frame_equal(scores, counting.score(rows), check_exact=True)
    for i in (0, 3, len(rows) - 1):
        _, alone = counting.score_and_explain(rows.iloc[[i]], method="table")
        for name, found in alone.items():
            np.testing.assert_array_equal(found.values[0], whole[name].values[i])


def test_a_bundle_with_a_category_scores_a_row_alone_as_among_many(bundle, draw):
    rows = draw(FEW_ROWS + 10, 9)[0]
    alone = pd.concat([bundle.score(rows.iloc[[i]]) for i in range(12)])
    pd.testing.assert_frame_equal(alone, bundle.score(rows).iloc[:12], check_exact=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_numbers_are_encoded_as_a_table_of_them_is(dtype):
    a = np.array([3.0, 0.1, 100_000.0, 1.0, -0.0, np.nan, 7.0])
    b = np.array([7.0, -2.5, np.nan, 0.0, 7.0, 1.0, -2.5])
    if dtype == "int64":
        a, b = np.nan_to_num(a), np.nan_to_num(b)
    X = pd.DataFrame({"b": b.astype(dtype), "a": a.astype(dtype)})
    way = FromNumbers.of(COLUMNS, ("b", "a"))
    assert way is not None
    found = way.encode(X.to_numpy(np.float64))
    np.testing.assert_array_equal(found, encode(X, COLUMNS))


def test_what_is_no_number_needs_a_table():
    assert FromNumbers.of((Column("a", "pair", partner="b"),), ("a", "b")) is None
    assert FromNumbers.of((Column("a", "date"),), ("a",)) is None
    assert FromNumbers.of(COLUMNS, ("a",)) is None


def test_an_infinite_value_of_a_row_alone_is_refused_by_its_name(counting, rows):
    row = rows.iloc[[0]].assign(count_3=np.inf)
    with pytest.raises(InputError, match="column 'count_3'"):
        counting.score(row)
