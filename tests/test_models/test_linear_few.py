"""One row is scored as a table of many is: the same bits by either way."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from models import RiskClassifier
from models.linear import _FEW_ROWS, fit_basis


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ranks_of_few_rows_are_those_of_many_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    n = 4 * _FEW_ROWS
    Z = np.column_stack(
        [
            rng.normal(size=n) * 10.0 ** rng.integers(-6, 7),
            rng.poisson(0.7, n),
            rng.choice([0.0, 1.0, 7.5], n),
            np.where(rng.random(n) < 0.3, np.nan, rng.exponential(size=n)),
        ]
    )
    basis = fit_basis(Z, np.ones(n), [False] * 4)
    new = np.vstack([Z[: n // 2], rng.normal(size=(n // 2, 4)) * 1e7, np.full((1, 4), np.nan)])
    whole = basis.transform(new)
    parts = [basis.transform(new[i : i + 5]) for i in range(0, len(new), 5)]
    np.testing.assert_array_equal(np.vstack(parts), whole)


def test_a_table_with_the_fitted_columns_is_read_as_it_is():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "b": rng.poisson(2, 300)})
    model = RiskClassifier(n_jobs=1).fit(X, rng.random(300) < 0.3 + 0.2 * (X["a"] > 0))
    one = np.concatenate([model.predict_margin(X.iloc[[i]]) for i in range(20)])
    np.testing.assert_array_equal(one, model.predict_margin(X)[:20])
    np.testing.assert_array_equal(
        model.predict_margin(X[["b", "a"]][["a", "b"]]), model.predict_margin(X)
    )
