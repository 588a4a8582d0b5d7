"""A search keeps to its budget, goes on where it stopped, and never sees what judges it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models import RiskClassifier
from training.errors import NotTrainedError, SplitOverlapError
from training.heads.fit import Design, estimator
from training.labels.splits import require_disjoint
from training.pages.page import render
from training.recipe import load_recipe
from training.studies.pages.search import search_page
from training.studies.search import search

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def make_problem():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    y = (rng.random(600) < 1 / (1 + np.exp(2 - 1.5 * X["a"]))).astype(float)
    head = load_recipe("public_records").head("severity")
    return head, Design(X, ()), y, np.arange(600) // 2, {"sample_weight": np.ones(600)}


@pytest.fixture(scope="module")
def problem():
    return make_problem()


def test_an_interrupted_search_goes_on(problem, tmp_path):
    store = tmp_path / "search.db"

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(*problem, store=store, budget_s=60, step=interrupt)
    first = search(*problem, store=store, budget_s=60, max_trials=2)
    again = search(*problem, store=store, budget_s=60, max_trials=3)
    assert (first["n_trials"], again["n_trials"]) == (2, 3)
    assert again["trials"][:2] == first["trials"]
    # The interrupted trial was that of the head as it is; it is judged all the same.
    assert [bool(t["parameters"]) for t in again["trials"]] == [False, True, True]
    assert again["default_loss"] == first["trials"][0]["loss"]
    assert again["loss"] <= again["default_loss"]


SEARCH = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_search import make_problem
from training.studies.search import search
print("ready", flush=True)
done = lambda: print("trial", flush=True)
search(*make_problem(), store=Path(sys.argv[1]), budget_s=60, step=done)
"""


def test_a_killed_search_goes_on(problem, tmp_path):
    store = tmp_path / "search.db"
    code = SEARCH.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, str(store)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    assert process.stdout.readline() == "trial\n"
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    found = search(*problem, store=store, budget_s=60, max_trials=3)
    assert found["n_trials"] >= 3
    assert [t["number"] for t in found["trials"]].count(0) == 1
    assert all(t["loss"] is not None for t in found["trials"] if not t["is_given_up"])


def test_no_trial_is_begun_after_the_budget(problem, tmp_path):
    found = search(*problem, store=tmp_path / "search.db", budget_s=0.01)
    assert found["n_trials"] == 1
    assert found["parameters"] == {}
    start = time.monotonic()
    longer = search(*problem, store=tmp_path / "search.db", budget_s=1.0)
    assert 1 < longer["n_trials"] < 50
    assert time.monotonic() - start < 20


def test_a_search_without_a_trial_says_so(problem, tmp_path):
    with pytest.raises(NotTrainedError, match="goes on where it stopped"):
        search(*problem, store=tmp_path / "search.db", budget_s=60, max_trials=0)


def test_a_dealer_that_teaches_never_judges():
    with pytest.raises(
        SplitOverlapError, match="On both sides of a split stand dealers: 1 of them"
    ):
        require_disjoint(["a", "b"], ["b", "c"], what="dealers")


def test_the_page_says_whether_the_defaults_are_good_enough(problem, tmp_path):
    found = search(*problem, store=tmp_path / "search.db", budget_s=60, max_trials=2)
    about = {"recipe": "r", "head": "compliance", "trained_on": "2023-01-01", "n_labels": 600}
    same = {**about, **found, "loss": found["default_loss"], "parameters": {"num_leaves": 3}}
    assert "keep it" in render("page.html", title="", page=search_page(same))
    assert "keep it" in render("page.html", title="", page=search_page({**same, "parameters": {}}))
    better = {**same, "loss": 0.5 * found["default_loss"]}
    text = render("page.html", title="", page=search_page(better))
    assert "as the recipe has it" in text
    assert "Review, then write them into a recipe" in text
    assert "<svg" in text


def test_a_trial_is_fitted_with_what_the_head_is_fitted_with(problem, tmp_path, monkeypatch):
    """Trials had no offset and no graded findings, and the defaults were others than the head's."""
    head, made, _, groups, given = problem
    strict = np.where(np.arange(600) % 4 < 2, 1.5, -1.5)
    hit = (np.random.default_rng(1).random(600) < 1 / (1 + np.exp(-strict))).astype(float)
    treatment = {**given, "offset": strict, "graded": hit / 2}
    kept: list[tuple[dict, dict]] = []
    fit = RiskClassifier.fit

    def seen(self, X, y, **more):
        kept.append((self.get_params(), more))
        return fit(self, X, y, **more)

    monkeypatch.setattr(RiskClassifier, "fit", seen)
    rows = (head, made, hit, groups)
    found = search(*rows, treatment, store=tmp_path / "a.db", budget_s=60, max_trials=1)
    params, more = kept[0]
    assert set(more) == {"sample_weight", "offset", "graded", "groups"}
    as_recipe = estimator(head, made.monotone, seed=0).get_params()
    assert {k: v for k, v in params.items() if as_recipe[k] != v} == {}
    blind = search(*rows, given, store=tmp_path / "b.db", budget_s=60, max_trials=1)
    # What who looked accounts for is known of held-out rows, too.
    assert found["loss"] < blind["loss"] - 0.05
