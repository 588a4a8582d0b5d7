"""A gap between groups is shown with the right reason."""

import numpy as np
import pandas as pd

from training.studies.fairness import by_group


def rows(rate: dict[str, float], score: dict[str, float], n: int = 6000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    state = rng.choice(sorted(rate), n)
    p = pd.Series(state).map(rate).to_numpy()
    return pd.DataFrame(
        {
            "y": (rng.random(n) < p).astype(float),
            "weight": 1.0,
            "cluster": np.arange(n),
            "score": pd.Series(state).map(score).to_numpy() * rng.uniform(0.5, 1.5, n),
            "group_state": state,
        }
    )


def reasons(frame: pd.DataFrame) -> dict[str, str]:
    return {g["group"]: g["reason"] for g in by_group(frame, 0.1)["state"]}


def test_equal_groups_have_no_gap():
    even = {"NC": 0.1, "VA": 0.1}
    assert reasons(rows(even, even)) == {"NC": "none", "VA": "none"}


def test_a_higher_rate_is_a_base_rate_gap():
    unequal = {"NC": 0.05, "VA": 0.2}
    assert reasons(rows(unequal, unequal))["VA"] == "base rate"


def test_scores_off_the_rate_are_the_models_doing():
    found = by_group(rows({"NC": 0.1, "VA": 0.1}, {"NC": 0.1, "VA": 0.2}), 0.1)["state"]
    (va,) = [g for g in found if g["group"] == "VA"]
    assert va["reason"] == "model"
    assert va["bias"]["low"] > 0.5
    assert va["list_share"] > va["dealer_share"]


def test_a_tiny_group_is_not_judged():
    frame = rows({"NC": 0.1, "VA": 0.1}, {"NC": 0.1, "VA": 0.1})
    frame.loc[:4, "group_state"] = "GU"
    assert reasons(frame)["GU"] == "too few"
