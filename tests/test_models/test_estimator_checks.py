"""scikit-learn's own checks, with the defaults; none is excused."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from models import RateRegressor, RiskClassifier


@pytest.mark.slow
@parametrize_with_checks([RiskClassifier(), RateRegressor()])
def test_scikit_learn_check(estimator, check):
    check(estimator)
