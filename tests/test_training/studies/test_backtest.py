"""A backtest judges each date once, keeps to its budget, and counts hours and stability rightly."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.ingest import ingest
from features.signals.registry import all_signals
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.table import FeatureTable
from features.warehouse import Warehouse
from ffl_risk import app
from training.errors import RecipeError
from training.evaluation import stability
from training.heads.compliance import compliance
from training.heads.compliance import inspection_hours as hours
from training.heads.compliance.judging import Origin, judge
from training.heads.country_history import CountryHistory
from training.heads.fit import design
from training.labels import dated_labels as labels
from training.labels.splits import rolling
from training.pages.page import render
from training.progress import Steps
from training.recipe import RECIPES, Recipe, load_recipe
from training.studies import backtest as backtests
from training.studies.backtest import against_truth, backtest, nearer_the_truth
from training.studies.pages.backtest import backtest_page


def judged(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judged rows in order of a score, and what each visit took and found."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(
        {
            "y": (rng.random(n) < 0.2).astype(float),
            "weight": rng.uniform(0.5, 2.0, n),
            "cluster": np.arange(n) // 2,
            "score": rng.random(n),
            "rule_longest": rng.random(n),
        }
    )
    found = pd.DataFrame({"hours": rng.uniform(5, 60, n), "severe": rows["y"]})
    for name in list(hours.VALUES)[1:]:
        found[name] = rng.poisson(1.0, n).astype(float)
    return rows, found


def test_yield_per_hour_is_what_was_found_over_what_was_spent():
    rows, found = judged()
    told = hours.per_hour(rows, found, capacity=0.25, n_resamples=60, seed=0)
    order = rows["score"].to_numpy().argsort()[::-1]
    left, got, spent = 0.25 * rows["weight"].sum(), dict.fromkeys(hours.VALUES, 0.0), 0.0
    for row in order:  # one visit after the other, until the weight of the list is used up
        taken = min(rows["weight"][row], left)
        spent += taken * found["hours"][row]
        for name in got:
            got[name] += taken * found[name][row]
        left -= taken
        if left <= 0:
            break
    for name, value in got.items():
        assert told["figures"]["score"][name]["value"] == pytest.approx(1000 * value / spent)
    visits = 0.25 * rows["weight"].sum()
    per_visit = told["per_visit"]["score"]
    assert per_visit["severe"]["value"] == pytest.approx(got["severe"] / visits)
    assert per_visit["hours"]["value"] == pytest.approx(spent / visits)
    everything = told["curves"]["score"][-1]
    all_severe = 1000 * (rows["weight"] @ found["severe"]) / (rows["weight"] @ found["hours"])
    assert everything == pytest.approx(all_severe)


def test_a_finding_averts_the_days_until_it_would_have_been_made_anyway():
    waits = hours.wait_days(np.array([0.1, 0.25, 1.0, 1e-9]), horizon_months=6)

    assert waits.tolist() == pytest.approx([9 * 182.625, 3 * 182.625, 0.0, hours.MAX_WAIT_DAYS])


def test_only_severe_findings_avert_hazard(make_warehouse):
    made = [
        {"inspection_id": f"V{i}", "dealer": f"1-54-{i:05d}", "opened_on": "2022-03-01",
         "closed_on": "2022-04-01", "hours": 10.0}
        for i in range(2)
    ]  # fmt: skip
    rows = pd.DataFrame(
        {"dealer": [v["dealer"] for v in made], "as_of": pd.Timestamp("2022-01-01"), "y": [1.0, 0]}
    ).assign(wait_days=730.0)

    found = hours.visits(make_warehouse(inspections=made), rows, horizon_months=12)

    assert found["hazard_days"].tolist() == [730.0, 0.0]


def test_a_final_count_that_nobody_made_accounts_for_nothing(make_warehouse):
    """30 firearms missing at first and not counted again were 30 accounted for."""
    counts = [("30", None), ("30", "10"), (None, None), ("0", None)]
    made = [
        {"inspection_id": f"V{i}", "dealer": f"1-54-{i:05d}", "opened_on": "2022-03-01",
         "closed_on": "2022-04-01", "hours": 10.0, "firearms_unaccounted_initial": first,
         "firearms_unaccounted_final": last}
        for i, (first, last) in enumerate(counts)
    ]  # fmt: skip
    rows = pd.DataFrame(
        {"dealer": [v["dealer"] for v in made], "as_of": pd.Timestamp("2022-01-01"), "y": 0.0}
    ).assign(wait_days=730.0, score=[4.0, 3.0, 2.0, 1.0], weight=1.0, cluster=range(4))

    found = hours.visits(make_warehouse(inspections=made), rows, horizon_months=12)

    np.testing.assert_equal(found["firearms_accounted_for"].to_numpy(), [np.nan, 20.0, 0.0, 0.0])
    told = hours.per_hour(rows, found, capacity=1.0, n_resamples=20, seed=0)
    figures = told["figures"]["score"]
    assert figures["firearms_accounted_for"]["value"] == pytest.approx(1000 * 20 / 30)


def test_visits_without_hours_are_left_out_and_counted():
    rows, found = judged()
    found.loc[:9, "hours"] = np.nan
    found.loc[10:14, "hours"] = 0.0
    told = hours.per_hour(rows, found, capacity=0.1, n_resamples=50, seed=0)
    assert (told["n"], told["n_without_hours"]) == (385, 15)
    none = hours.per_hour(rows, found.assign(hours=np.nan), capacity=0.1, n_resamples=50, seed=0)
    assert none["n"] == 0
    assert none["figures"] == {}


def test_slow_visits_make_a_list_worth_less_per_hour_but_not_per_visit():
    rows, found = judged()
    first = rows["score"] > rows["score"].quantile(0.9)
    slow = found.assign(hours=np.where(first, 10 * found["hours"], found["hours"]))
    one, other = (
        hours.per_hour(rows, f, capacity=0.1, n_resamples=50, seed=0) for f in (found, slow)
    )
    assert one["per_visit"]["score"]["severe"] == other["per_visit"]["score"]["severe"]
    fast, late = (t["figures"]["score"]["severe"]["value"] for t in (one, other))
    assert late < 0.3 * fast


def test_consecutive_lists_share_what_they_share():
    names = [f"1-54-{i:05d}" for i in range(10)]
    before = pd.Series(np.arange(10.0), index=names)
    after = pd.Series(np.arange(10.0), index=names)
    after.iloc[[9, 0]] = after.iloc[[0, 9]].to_numpy()  # the first of the old list is now last
    days = {date(2022, 1, 1): before, date(2023, 1, 1): after, date(2024, 1, 1): after[2:]}
    found = stability.consecutive(days, capacity=0.2)
    assert [p["overlap"] for p in found["pairs"]] == [0.5, 1.0]
    # Dealers that are gone are in neither list.
    assert [p["n_dealers"] for p in found["pairs"]] == [10, 8]
    only_one = stability.consecutive({date(2022, 1, 1): before}, capacity=0.2)
    assert only_one["pairs"] == []


def test_the_truth_is_shared_out_rightly():
    true = np.array([0.5, 0.1, 0.3, 0.1])
    scores = {"shipped": np.array([1.0, 4, 3, 2]), "learnable": np.array([3.0, 1, 4, 2])}
    found = against_truth(scores, true, share=0.25)
    assert found["shipped"] == pytest.approx(
        {
            "rate": 0.1,
            "share_of_best": 0.2,
            "share_of_learnable": 1 / 3,
            "multiple_of_random": 0.4,
            "recall": 0.1,
        }
    )
    entry = {
        "truth": {"shipped": {"rate": 0.2}},
        "estimates": {"naive": {"value": 0.3}, "bounds": {"value": float("nan")}, "none": None},
    }
    assert nearer_the_truth(entry) == {"naive": pytest.approx(0.5)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest")
    options = Options(dealers=3000, years=6, end=date(2025, 1, 1), seed=1, traces_scale=0.2)
    simulate(options, folder / "raw")
    ingest(sorted((folder / "raw").glob("*.parquet")), folder / "warehouse")
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (RECIPES / "country.toml").read_text(encoding="utf-8")
    text = text.replace("min_positive = 25", "min_positive = 10").replace(
        "n_resamples = 200", "n_resamples = 50"
    )
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.xdist_group("backtest")
def test_a_budget_leaves_dates_for_the_next_run(place, recipe, tmp_path, monkeypatch):
    read: Recipe = load_recipe(str(recipe))
    store = Warehouse.open(place / "warehouse")
    first = backtest(read, store, Steps(), n_dates=2, kept=tmp_path, budget_s=0.0)
    assert len(first["dates"]) == len(first["left_out"]) == 1
    text = render("page.html", title="", page=backtest_page(first))
    assert f"left out {first['left_out'][0]}: run the command again" in text
    seen = []
    real = backtests._judge
    monkeypatch.setattr(
        backtests, "_judge", lambda task, h: seen.append(h.split.test_as_of) or real(task, h)
    )
    again = backtest(read, store, Steps(), n_dates=2, kept=tmp_path)
    assert [when[0].isoformat() for when in seen] == first["left_out"]
    assert again["left_out"] == []
    assert again["dates"][-1] == json.loads(json.dumps(first["dates"][0]))
    # Another recipe is another backtest.
    other = read.model_copy(update={"seed": read.seed + 1})
    backtest(other, store, Steps(), kept=tmp_path, budget_s=0.0)
    assert len(seen) == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.slow
@pytest.mark.xdist_group("backtest")
def test_the_command_reports_yields_hours_and_stability(place, recipe, tmp_path):
    arguments = ["backtest", "--recipe", str(recipe), "--warehouse", str(place / "warehouse")]
    truth = ["--truth", str(place / "raw" / "truth")]
    env = {"FFL_RISK_HOME": str(tmp_path)}
    result = CliRunner().invoke(app, [*arguments, *truth, "--learning-curve", "--json"], env=env)
    assert result.exception is None
    (entry,) = json.loads(result.stdout)["dates"]
    assert entry["hours"]["n"] > 50
    assert entry["hours"]["per_visit"]["score"]["hours"]["value"] > 1
    assert 0 < entry["stability"]["pairs"][-1]["overlap"] <= 1
    assert entry["truth"]["shipped"]["multiple_of_random"] > 1
    assert entry["learning_curve"][-1]["n_labels"] == entry["n_labels"]
    text = (tmp_path / "reports" / "backtest-country.html").read_text(encoding="utf-8")
    for words in (
        "yield per investigator-hour",
        "stability of the list",
        "against the truth",
        "learning",
    ):
        assert words in text
    assert text.count("<svg") >= 5
    told = CliRunner().invoke(app, ["backtest", "--recipe", "public_records"], env=env)
    assert told.exception is not None
    refused = CliRunner().invoke(
        app, ["backtest", "--recipe", "public_records", *arguments[3:]], env=env
    )
    assert isinstance(refused.exception, RecipeError)


def visited(rng: np.random.Generator, *, is_drawn: bool) -> tuple[pd.DataFrame, list[dict]]:
    """A country of no published office: one office sees half of its own, and is the strict one."""
    n, near = 1000, 160
    office = np.where(np.arange(n) < near, "Near", "Far").tolist()
    rows, visits = [], []
    for year in (2021, 2022, 2023):
        risk = rng.integers(0, 5, n)
        own = np.arange(n) < near
        is_seen = rng.random(n) < np.where(own, 0.5, 0.03)
        is_severe = rng.random(n) < 0.02 + 0.06 * risk + 0.25 * own
        rows.append(
            pd.DataFrame(
                {"dealer": [f"1-54-{i:05d}" for i in range(n)], "as_of": pd.Timestamp(year, 1, 1),
                 "state": office, "traces_n_3y": risk.astype(float),
                 "violations_years_since_inspection": rng.uniform(0, 9, n)}
            )
        )  # fmt: skip
        visits += [
            {"inspection_id": f"V{year}-{i}", "dealer": f"1-54-{i:05d}",
             "opened_on": f"{year}-02-01", "closed_on": f"{year}-03-01",
             "office": office[i], "investigator_token": f"{office[i]}{i % 3}",
             "selected_by": "random" if is_drawn and k % 2 else "risk",
             "outcome": "revocation" if is_severe[i] else "none"}
            for k, i in enumerate(np.flatnonzero(is_seen))
        ]  # fmt: skip
    return pd.concat(rows, ignore_index=True).astype({"as_of": "datetime64[s]"}), visits


@pytest.mark.parametrize("is_drawn", [True, False])
def test_a_date_is_judged_as_a_training_judges_its_years(make_warehouse, monkeypatch, is_drawn):
    """Without a visit of known probability a yield was served, and strictness went uncorrected."""
    rows, visits = visited(np.random.default_rng(3), is_drawn=is_drawn)
    store = make_warehouse(inspections=visits)
    names = ("traces_n_3y", "violations_years_since_inspection")
    read = load_recipe("country")
    head = read.head("compliance").model_copy(update={"signals": names, "rules": {}})
    signals = tuple(signal for signal in all_signals() if signal.name in names)
    table = FeatureTable(
        rows[["dealer", "as_of", *names]], rows[list(names)], signals, "full", "", ""
    )
    where = pd.DataFrame(
        dict.fromkeys(("license_type", "county", "rurality", "office", "division"), "unknown"),
        index=rows.index,
    ).assign(state=rows["state"])
    days = [date(year, 1, 1) for year in (2021, 2022, 2023)]
    split = rolling(days, horizon_months=12, n_tests=1)[-1]
    history = CountryHistory(table, split, date(2024, 1, 1), where, (split,))
    fits, real = [], compliance.fit

    def fit(*given: Any, is_treated: bool = True) -> compliance.FittedCompliance:
        """Fit what ships; the naive rival is not judged here, and costs as much."""
        if is_treated:
            fits.append(real(*given))
        return fits[0]

    monkeypatch.setattr(compliance, "fit", fit)
    rule = read.read_policy().severe_finding

    entry = backtests._judge(backtests._Task(read, head, store, rule, None, False), history)

    now = labels.compliance(store, split.test_as_of, rule=rule)
    origin = Origin(split, fits[0], now)
    _, _, trained = judge(read, head, design(table, head), history, [origin])
    for name, same in (("estimates", "yield"), ("stability", "stability")):
        np.testing.assert_equal(entry[name], trained[same])
    for name in ("model", "calibration"):
        np.testing.assert_equal(entry["figures"][name], trained[name])
    told = {name for name, value in entry["estimates"].items() if value is not None}
    assert ({"served", "contraction", "by_design"} <= told) if is_drawn else (told == {"bounds"})
