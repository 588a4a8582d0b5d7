"""From the real public records to a bundle in force."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import features.public_records
from features.ingest import ingest
from features.warehouse import Warehouse
from ffl_risk import app
from models import Bundle
from training.errors import GateRefusedError, MissingSignalError, RecipeError, TooFewLabelsError
from training.evaluation.candidate import open_candidate
from training.heads.fit import design, families_of
from training.pages import report
from training.recipe import RECIPES, Recipe, load_recipe
from training.registry.tracker import Tracker

RECORDS = Path(features.public_records.__file__).parent
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("public_records")]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public") / "warehouse"
    ingest(sorted(RECORDS.glob("*.gz")), folder)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the shipped recipe, judged more coarsely."""
    text = (RECIPES / "public_records.toml").read_text(encoding="utf-8")
    for old, new in (
        ("n_folds = 5", "n_folds = 2"),
        ("n_repeats = 2", "n_repeats = 1"),
        ("n_resamples = 300", "n_resamples = 60"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path_factory.mktemp("recipe") / "coarse.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, warehouse: Path, recipe: Path) -> Path:
    """Return a state folder in which the command has trained once."""
    folder = tmp_path_factory.mktemp("home")
    run(folder, "train", "--recipe", str(recipe), "--warehouse", str(warehouse))
    return folder


def run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), env={"FFL_RISK_HOME": str(folder)})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_model_beats_chance_and_every_rule_that_does_not_learn(home):
    evaluation = open_candidate(home).evaluation
    head = evaluation["heads"]["later_penalized"]
    assert head["n_positive"] >= 400
    assert head["model"]["auc"]["low"] > 0.6
    for name, figures in head["rules"].items():
        if name != "logistic":
            assert figures["auc_gain"]["low"] > 0, name


def test_severity_is_refused_and_the_report_says_so(home):
    candidate = open_candidate(home)
    head = candidate.evaluation["heads"]["severity"]
    assert not head["is_in_bundle"]
    assert "wanted an interval above 0.500" in head["refusal"]
    assert candidate.heads == ("later_penalized",)
    page = (home / "reports" / "public_records-000001.html").read_text(encoding="utf-8")
    assert "It is not in the bundle" in page
    assert page.index("The head severity is refused") < page.index("What this cannot say")
    assert page.count("<svg") == 5
    assert json.loads((home / "reports" / "public_records-000001.json").read_text())["heads"]
    with pytest.raises(GateRefusedError, match="severity") as refused:
        run(home, "promote", "--head", "severity")
    assert refused.value.exit_code == 5


def test_the_bundle_scores_and_states_what_it_is(home):
    bundle = Bundle.load(open_candidate(home).bundle_folder)
    scored = bundle.score(open_candidate(home).sample())
    assert scored["later_penalized"].between(0, 1).all()
    assert bundle.manifest["restriction"] == "public"
    assert "never visited" in bundle.card


def test_promotion_moves_alias_and_bundle_and_rollback_returns(home, warehouse, recipe):
    run(home, "promote")
    champion = json.loads((home / "champion.json").read_text())
    assert champion["bundle"] == "000001"
    with Tracker(home) as tracker:
        name = champion["name"]
        assert tracker.ask("alias_version", name=name, alias="champion") == champion["version"]
        assert tracker.ask("alias_version", name=name, alias="challenger") == champion["version"]
    run(home, "train", "--recipe", str(recipe), "--warehouse", str(warehouse))
    first, second = (open_candidate(home, n).bundle_folder for n in ("1", "2"))
    # The commit of the code stands in the card and the manifest, and may change between the two.
    for name in ("heads/later_penalized.txt", "calibration.json", "profile.json", "signals.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    compared = json.loads(run(home, "compare", "--json"))
    assert compared["heads"]["later_penalized"]["list_overlap"] == pytest.approx(1.0)
    run(home, "promote")
    assert json.loads((home / "champion.json").read_text())["version"] == "2"
    gates = json.loads((home / "reports" / "gates-000002.json").read_text(encoding="utf-8"))
    assert gates["is_passed"]
    assert {v["gate"] for v in gates["verdicts"]} >= {"schema", "calibration", "fairness"}
    page = (home / "reports" / "gates-000002.html").read_text(encoding="utf-8")
    assert "Every gate passed." in page
    assert (
        "beside the chance of a severe finding" not in page
    )  # there is no compliance head to price them in
    run(home, "rollback")
    rolled = json.loads((home / "reports" / "rollback.json").read_text(encoding="utf-8"))
    assert (rolled["version"], rolled["before"]["version"]) == ("1", "2")
    assert json.loads((home / "champion.json").read_text())["version"] == "1"


def test_both_pages_of_a_training_have_the_plots_that_were_drawn_once(home, tmp_path, monkeypatch):
    evaluation, drawn = open_candidate(home).evaluation, []
    whole, plots_of = report.render(evaluation), report._plots

    def counted(head, capacity):
        drawn.append(head)
        return plots_of(head, capacity)

    monkeypatch.setattr(report, "_plots", counted)
    report._drawn.cache_clear()
    pages = [
        report.write_report({**evaluation, "version": version}, tmp_path, stem=version)
        for version in ("", evaluation["version"])
    ]
    texts = [page.read_text(encoding="utf-8") for page in pages]
    assert texts[1] == whole
    assert [text.count("<svg") for text in texts] == [whole.count("<svg")] * 2
    assert len(drawn) == len(evaluation["heads"])
    changed = {**evaluation, "capacity": 0.2}
    assert report.render(changed) != texts[1]
    assert len(drawn) == 2 * len(evaluation["heads"])


def test_a_signal_missing_from_the_table_is_named(warehouse):
    from features.table import build_features

    recipe = load_recipe("public_records")
    head = recipe.head("severity")
    cohort = pd.DataFrame({"dealer": ["1-54-00018"], "as_of": pd.to_datetime(["2013-06-01"])})
    table = build_features(
        Warehouse.open(warehouse), variant="public", cohort=cohort, families=["license"]
    )
    assert families_of(head) == ["license", "border", "violations"]
    with pytest.raises(MissingSignalError, match="lacks 3 signals"):
        design(table, head)


def test_a_recipe_that_mixes_ways_of_judging_is_refused(warehouse, tmp_path):
    recipe = load_recipe("public_records").model_dump()
    recipe["heads"][1]["label"] = "compliance"
    recipe |= {"license_types": (), "as_of": None}  # which such heads refuse by themselves
    from training.commands.train import train_candidate
    from training.progress import Steps

    with (
        pytest.raises(RecipeError, match="mixes labels"),
        train_candidate(
            Recipe.model_validate(recipe), Warehouse.open(warehouse), tmp_path, Steps()
        ),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_too_few_labels_leave_the_registry_as_it_was(home, warehouse, recipe):
    text = recipe.read_text(encoding="utf-8").replace("min_positive = 100", "min_positive = 9000")
    asking = recipe.with_name("asking.toml")
    asking.write_text(text, encoding="utf-8")
    before = sorted(p.name for p in (home / "candidates").iterdir())
    with pytest.raises(TooFewLabelsError, match="at least 9000 positive"):
        run(home, "train", "--recipe", str(asking), "--warehouse", str(warehouse))
    assert sorted(p.name for p in (home / "candidates").iterdir()) == before
