"""Invented inspection tables: skewed counts, missing values, categories, few positives."""

import numpy as np
import pandas as pd
import pytest

from models import Bundle, Policy, RateRegressor, RiskClassifier
from models.bundle.profile import Profile


def table(n: int, seed: int = 0, n_columns: int = 8) -> pd.DataFrame:
    """Counts with long tails, a share with gaps, a category and a flag."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {f"count_{j}": rng.negative_binomial(0.7, 0.05, n).astype(float) for j in range(n_columns)}
    )
    frame["share"] = np.where(rng.random(n) < 0.3, np.nan, rng.beta(2, 5, n))
    frame["kind"] = rng.choice(["pawn", "dealer", "maker"], n, p=[0.2, 0.7, 0.1])
    frame["is_home"] = rng.random(n) < 0.4
    return frame


def true_margin(frame: pd.DataFrame) -> np.ndarray:
    """Smooth, with one interaction."""
    return (
        -4.0
        + 0.6 * np.log1p(frame["count_0"])
        + 0.4 * np.log1p(frame["count_1"]) * frame["is_home"]
        + 2.0 * frame["share"].fillna(0.2)
        + 0.8 * (frame["kind"] == "pawn")
    ).to_numpy()


def labeled(n: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """A table, its labels, and the probabilities they were drawn from."""
    frame = table(n, seed)
    p = 1.0 / (1.0 + np.exp(-true_margin(frame)))
    return frame, (np.random.default_rng(seed + 1).random(n) < p).astype(int), p


@pytest.fixture(scope="session")
def draw():
    return labeled


@pytest.fixture(scope="session")
def classifier() -> RiskClassifier:
    X, y, _ = labeled(1500)
    return RiskClassifier(monotone={"count_0": 1}, n_repeats=1, max_rounds=60).fit(X, y)


@pytest.fixture(scope="session")
def regressor() -> RateRegressor:
    X = table(1500).drop(columns="kind")
    y = np.random.default_rng(3).poisson(np.exp(0.5 * np.log1p(X["count_0"]) - 2.0))
    return RateRegressor(n_repeats=1, max_rounds=60).fit(X, y)


@pytest.fixture(scope="session")
def bundle(classifier: RiskClassifier, regressor: RateRegressor) -> Bundle:
    X = table(1500)
    heads = {"compliance": classifier, "diversion": regressor}
    return Bundle(
        heads,
        Policy.read(),
        [{"name": name, "family": "test", "reason": "{value}"} for name in X.columns],
        Profile.of(X),
        "# test\n\nA score is not evidence.\n",
        {
            "name": "test",
            "as_of": "2024-01-01",
            "restriction": "public",
            "data_fingerprint": "0" * 64,
            "git_commit": "unknown",
        },
    )
