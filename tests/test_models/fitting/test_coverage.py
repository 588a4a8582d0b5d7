"""Served intervals hold the true probability at their level, over repeated fits and by group.

Twenty fits on worlds whose probabilities are known. Coverage of one fit varies by five points, so
the mean of twenty is known to about one; what is allowed is two points and three standard errors.
"""

import numpy as np
import pandas as pd
import pytest

from models import RiskClassifier
from tests.benchmarks.inputs.inspections import known_probabilities

N_FITS = 20
N_ROWS = 1_000
COVERAGES = (0.5, 0.8, 0.9)


@pytest.fixture(scope="module")
def held() -> pd.DataFrame:
    """Whether each interval held the truth, by fit, coverage and kind of premises."""
    found = []
    for seed in range(N_FITS):
        X, y, _ = known_probabilities(N_ROWS, seed=seed)
        model = RiskClassifier(n_repeats=1).fit(X, y)
        new, _, p = known_probabilities(2_000, seed=1_000 + seed)
        for coverage in COVERAGES:
            lower, upper = model.predict_interval(new, coverage).T
            is_held = (lower <= p) & (p <= upper)
            found.append(
                pd.DataFrame({"fit": seed, "coverage": coverage, "is_held": is_held})
                .assign(kind=new["kind"], region=new["region"])
            )  # fmt: skip
    return pd.concat(found)


def allowed(by_fit: pd.Series) -> float:
    """Two points, and three standard errors of the mean over the fits."""
    return 0.02 + 3.0 * float(by_fit.std(ddof=1)) / np.sqrt(len(by_fit))


@pytest.mark.parametrize("coverage", COVERAGES)
def test_the_truth_is_held_as_often_as_stated(held, coverage):
    by_fit = held[held["coverage"] == coverage].groupby("fit")["is_held"].mean()
    assert by_fit.mean() == pytest.approx(coverage, abs=allowed(by_fit))


@pytest.mark.parametrize("group", ["kind", "region"])
def test_the_truth_is_held_in_every_group(held, group):
    at_90 = held[held["coverage"] == 0.9]
    for _, rows in at_90.groupby(group):
        by_fit = rows.groupby("fit")["is_held"].mean()
        assert by_fit.mean() == pytest.approx(0.9, abs=allowed(by_fit))
