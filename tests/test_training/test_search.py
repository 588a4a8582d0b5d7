"""A search keeps to its budget, goes on where it stopped, and never sees what judges it."""

import numpy as np
import pandas as pd
import pytest

from training.errors import NotTrainedError
from training.fit import Design
from training.recipe import load_recipe
from training.search import search


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    y = (rng.random(600) < 1 / (1 + np.exp(2 - 1.5 * X["a"]))).astype(float)
    head = load_recipe("public_records").head("severity")
    return head, Design(X, ()), y, np.ones(600), np.arange(600) // 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_interrupted_search_goes_on(problem, tmp_path):
    store = tmp_path / "search.db"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(*problem, store=store, budget_s=60, step=interrupt)
    first = search(*problem, store=store, budget_s=60, max_trials=2)
    again = search(*problem, store=store, budget_s=60, max_trials=3)
    assert (first["n_trials"], again["n_trials"]) == (2, 3)
    assert again["loss"] <= again["default_loss"]
    assert set(again["parameters"]) == {"num_leaves", "learning_rate", "max_rounds"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_search_without_a_trial_says_so(problem, tmp_path):
    with pytest.raises(NotTrainedError, match="goes on where it stopped"):
        search(*problem, store=tmp_path / "search.db", budget_s=60, max_trials=0)
