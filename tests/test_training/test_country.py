"""A small simulated country, from its files to a candidate and its truth."""

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.warehouse import Warehouse
from ffl_risk import app
from models.policy import Policy
from training.errors import NotTrainedError
from training.evaluation.candidate import open_candidate
from training.heads import ahead
from training.heads import country_history as country
from training.heads.compliance import compliance
from training.heads.fit import design
from training.labels import dated_labels as labels
from training.progress import Steps
from training.recipe import RECIPES, Recipe, load_recipe
from training.studies import backtest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("country")]


@pytest.fixture(scope="module")
def place(learned_country: Path) -> Path:
    return learned_country


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (RECIPES / "country.toml").read_text(encoding="utf-8")
    text = text.replace("min_positive = 25", "min_positive = 15").replace(
        "n_resamples = 200", "n_resamples = 60"
    )
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def history(place: Path, recipe: Path) -> tuple[Recipe, Warehouse, country.CountryHistory]:
    read, store = load_recipe(str(recipe)), Warehouse.open(place / "warehouse")
    return read, store, country.assemble(read, store, Steps())


def test_nothing_learned_from_is_known_after_the_training_day(history):
    _, store, past = history
    rule = Policy.read().severe_finding
    then = labels.compliance(
        store, past.split.train_as_of, rule=rule, known_before=past.split.trained_on
    )
    then.require_known(past.split.trained_on)
    assert (then.frame["known_on"].dt.date < past.split.trained_on).all()
    # The same labels read from the whole warehouse hold ones that were not known yet.
    later = labels.compliance(store, past.split.train_as_of, rule=rule)
    assert len(later.known_before(past.split.trained_on)) >= len(then) > 0


def test_follow_ups_never_teach(history):
    _, store, past = history
    visits = labels.inspections(store)
    is_recall = visits[["kind", "selected_by"]].eq("recall").any(axis=1)
    recalled = set(visits.loc[is_recall, "inspection_id"])
    found = labels.compliance(store, past.split.train_as_of, rule=Policy.read().severe_finding)
    assert recalled
    assert not recalled & set(found.frame["inspection_id"])


def test_who_inspects_is_never_an_input(history):
    recipe, _, past = history
    made = design(past.table, recipe.head("compliance"))
    assert not [c for c in made.X if any(w in c for w in ("office", "division", "investigator"))]


def test_weights_cover_every_inspected_row(history):
    recipe, store, past = history
    rows = past.cohort[past.is_at(past.split.train_as_of)]
    found = labels.compliance(store, past.split.train_as_of, rule=Policy.read().severe_finding)
    made = design(past.table, recipe.head("compliance"))
    fitted = compliance.fit(recipe, recipe.head("compliance"), made, rows, found)
    # A dealer licensed after the as-of date is inspected without having stood on the list.
    listed = found.frame.merge(rows[["dealer", "as_of"]], on=["dealer", "as_of"])
    assert 0.8 * len(found) < fitted.n == len(listed)
    assert (fitted.weighted.weight > 0).all()
    strictness = fitted.weighted.strictness
    assert {e.column for e in strictness.effects} == {"office", "investigator", "division"}
    assert strictness.moved < 0.1
    assert set(fitted.model.columns_) == set(strictness.columns)
    assert not set(strictness.columns) & set(strictness.place_signals)


def test_the_shipped_list_finds_several_times_what_chance_finds(history, place):
    recipe, store, _ = history
    found = backtest.backtest(recipe, store, Steps(), truth=place / "raw" / "truth")
    (entry,) = found["dates"]
    true = entry["truth"]
    assert true["shipped"]["multiple_of_random"] > 2.0
    assert true["shipped"]["share_of_best"] <= 1.0
    assert true["shipped"]["rate"] > true["longest_uninspected_first"]["rate"]
    assert set(backtest.nearer_the_truth(entry)) >= {"naive", "weighted"}


def test_truth_is_read_only_where_it_is_named(tmp_path):
    with pytest.raises(NotTrainedError, match="No truth"):
        backtest.read_truth(tmp_path)


def trained(place: Path, recipe: Path, home: Path) -> None:
    result = CliRunner().invoke(
        app,
        ["train", "--recipe", str(recipe), "--warehouse", str(place / "warehouse")],
        env={"FFL_RISK_HOME": str(home)},
    )
    assert result.exception is None


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, recipe: Path) -> Path:
    """Return the recipe with all its heads, taught by fewer years and judged on one."""
    text = recipe.read_text(encoding="utf-8")
    for wanted, fewer in (("n_as_of = 8", "n_as_of = 3"), ("n_judged = 3", "n_judged = 1")):
        assert wanted in text
        text = text.replace(wanted, fewer)
    path = tmp_path_factory.mktemp("short") / "short.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, place: Path, short: Path) -> Path:
    """Return a state folder in which the command has trained, one model after another."""
    home = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ahead, "n_threads", lambda _: 1)
        trained(place, short, home)
    return home


def test_the_same_warehouse_and_seed_give_the_same_bytes(place, short, once, tmp_path, monkeypatch):
    """Whether models are fitted one after another or three at a time."""
    monkeypatch.setattr(ahead, "n_threads", lambda _: 3)
    trained(place, short, tmp_path)
    found = []
    for home in (once, tmp_path):
        found.append(contents(open_candidate(home).folder))
        run = json.loads(found[-1].pop("evaluation.json"))
        del run["run_id"]  # MLflow's own
        found[-1]["evaluation"] = json.dumps(run).encode()
    assert {"bundle/manifest.json", "order.parquet", "report/report.html"} <= set(found[0])
    assert found[0] == found[1]


def test_the_command_trains_three_heads(once):
    candidate = open_candidate(once)
    assert set(candidate.evaluation["heads"]) == {"compliance", "diversion", "mexico"}
    assert "diversion" in candidate.heads
    head = candidate.evaluation["heads"]["compliance"]
    assert head["gains"]["total"] is not None
    assert head["overlap"]["effective_n"] <= head["overlap"]["n_inspected"]
    bundle = candidate.bundle()
    assert bundle.manifest["restriction"] == "restricted"
    if "compliance" in candidate.heads:
        # What names the office is read by no head of findings, and taken off those of traces.
        places = bundle.profile.peers.places
        assert "border_km_to_mexico_line" in places.signals
        assert not set(places.signals) & set(bundle.heads["compliance"].columns_)
        assert set(places.slopes) == set(bundle.heads)
        # Support is told by the inspected, who are fewer than all.
        (one, *_) = bundle.profile.signals
        assert one.learned is not None
        assert not np.allclose(one.learned, one.shares, atol=1e-4)
    page = (once / "reports" / "country-000001.html").read_text(encoding="utf-8")
    assert "What the list would find, in every way" in page
    assert re.search(
        r"The level rests on \d+ visits of known probability, \d+ of them severe", page
    )
    shown = CliRunner().invoke(app, ["fairness", "--json"], env={"FFL_RISK_HOME": str(once)})
    assert "diversion" in json.loads(shown.stdout)["heads"]
    page = (once / "reports" / "fairness-000001.html").read_text(encoding="utf-8")
    assert "diversion, by license type" in page
    assert "<svg" in page


@pytest.fixture(scope="module")
def chased(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder like `place` of a country whose visits went where traces were many."""
    folder = tmp_path_factory.mktemp("chased")
    options = Options(dealers=2000, years=6, end=date(2025, 1, 1), seed=3, policy="trace_chasing")
    simulate(options, folder / "raw")
    ingest(sorted((folder / "raw").glob("*.parquet")), folder / "warehouse")
    return folder


@pytest.mark.parametrize("chosen", ["place", "chased"])
def test_weights_bring_the_inspected_of_a_country_nearer_its_truth(
    chosen, recipe, history, request
):
    """By true probabilities, so that the luck of single findings has no part in it."""
    folder = request.getfixturevalue(chosen)
    read, store = load_recipe(str(recipe)), Warehouse.open(folder / "warehouse")
    past = history[2] if chosen == "place" else country.assemble(read, store, Steps())
    rule = Policy.read().severe_finding
    dates = (*past.split.train_as_of, *past.split.test_as_of)
    looked = compliance.place_labels(past.cohort, labels.compliance(store, dates, rule=rule))
    X = design(past.table, read.head("compliance")).X
    fitted = looked.propensity(X, past.rows["dealer"].to_numpy(dtype=str), seed=0)
    truth = backtest.read_truth(folder / "raw" / "truth")
    true = past.rows.astype({"dealer": str, "as_of": "datetime64[s]"}).merge(
        truth[["dealer", "as_of", "p_severe"]], on=["dealer", "as_of"], how="left"
    )["p_severe"]
    known = true.notna().to_numpy()
    p = true.to_numpy(dtype=np.float64)[known]
    naive, weighted = (
        float(np.average(p, weights=w[known]))
        for w in (looked.is_inspected.astype(float), fitted.weights())
    )
    assert naive > 1.5 * p.mean()
    assert abs(weighted - p.mean()) < 0.6 * abs(naive - p.mean())
