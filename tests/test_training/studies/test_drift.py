"""Drift is found where it is, not where chance put it, and the advice says what to do."""

import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import features.public_records
from features.errors import FflRiskError
from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse
from ffl_risk import app
from models import Bundle, RiskClassifier
from models.bundle.profile import Profile
from models.errors import InputError
from models.policy import Policy
from training.errors import DriftError, NotTrainedError
from training.studies.drift import _of_head as of_head
from training.studies.drift import drift, stability_index, summary

STATED = {
    "name": "m", "as_of": "2013-06-01", "restriction": "public", "data_fingerprint": "",
    "git_commit": "", "variant": "public",
}  # fmt: skip
LISTING = Path(features.public_records.__file__).parent


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    X = rows(0)
    model = RiskClassifier(n_repeats=1, n_folds=2, max_rounds=20).fit(X, X["a"] > 1)
    about = [
        {"name": "a", "table": "traces"},
        {"name": "b", "table": "licenses"},
        {"name": "code", "table": "licenses", "is_category": True},
    ]
    profile = Profile.of(X, {"later_penalized": model.predict_margin(X)})
    return Bundle({"later_penalized": model}, Policy.read(), about, profile, "card", STATED)


def rows(seed: int, shift: float = 0.0, n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": rng.normal(shift, 1, n),
            "b": rng.normal(size=n),
            "code": rng.integers(0, 4, n).astype(float),
        }
    )


@pytest.mark.parametrize("margins", ["a third alike", "four values", "one value"])
def test_the_rows_of_training_have_not_drifted_whatever_ties_they_have(margins):
    rng = np.random.default_rng(0)
    n = 5000
    then = {
        "a third alike": np.where(rng.random(n) < 0.3, 0.0, rng.normal(size=n)),
        "four values": rng.choice([-2.0, -1.0, 0.0, 1.0], n, p=[0.6, 0.25, 0.1, 0.05]),
        "one value": np.zeros(n),
    }[margins]
    kept = Profile.of(rows(0), {"h": then}).scores["h"]
    found = of_head("h", kept, then, n)
    assert found.stability_index == 0
    again = of_head("h", kept, rng.choice(then, n), n)
    assert again.advice == "none"
    if margins != "one value":
        assert of_head("h", kept, then + rng.choice([0.0, 1.0], n), n).advice != "none"


def by_name(bundle: Bundle, X: pd.DataFrame):
    found = drift(bundle, X)
    return {d.name: d for d in found}, summary(found)


@pytest.mark.parametrize("n", [60, 300, 2000])
def test_a_resample_of_the_same_world_has_not_drifted(bundle, n):
    advices = [by_name(bundle, rows(seed, n=n))[1]["advice"] for seed in range(1, 11)]
    # One in a hundred samples of each column lies beyond chance; few of these are also large.
    assert advices.count("none") >= 9


def test_the_index_of_few_rows_is_large_by_chance_alone(bundle):
    """The fixed limits alone would send people to train again for thirty unchanged dealers."""
    indices = [drift(bundle, rows(s, n=30)) for s in range(1, 11)]
    assert max(d.stability_index for found in indices for d in found) > 0.25
    few, many = (by_name(bundle, rows(1, n=n))[0]["a"].by_chance for n in (30, 2000))
    assert few > 5 * many


def test_a_moved_signal_moves_the_head_and_asks_for_training(bundle):
    found, told = by_name(bundle, rows(2, shift=1.5))
    assert found["a"].stability_index > 0.25
    assert found["b"].stability_index < 0.1
    assert found["later_penalized"].stability_index > 0.25
    assert told["advice"] == "train again"
    assert told["what_to_do"][0].startswith("Train again: the scores of later_penalized")
    assert "(a)" in told["what_to_do"][1]


def test_a_signal_that_vanished_points_to_its_table(bundle):
    X = rows(3)
    X["a"] = np.nan
    found, told = by_name(bundle, X)
    assert found["a"].advice == "check the source"
    assert told["advice"] == "check the source"
    assert told["tables"] == {"traces": {"n_signals": 1, "n_suspect": 1}}
    assert "Check the table traces: 1 of 1 signals" in told["what_to_do"][0]
    assert any("once the sources are mended" in s for s in told["what_to_do"][1:])


def test_a_table_that_is_gone_is_named_once(bundle):
    X = rows(3)
    X["a"] = np.nan
    told = summary(drift(bundle, X), absent=["traces"])
    assert told["what_to_do"][0] == (
        "The warehouse has no table traces: ingest it before a list is published."
    )
    assert sum("traces" in sentence for sentence in told["what_to_do"]) == 1


def test_one_of_several_signals_is_named_itself(bundle):
    X = rows(3)
    X.loc[:1000, "code"] = np.nan
    X["b"] = rows(4)["b"]
    many = [*bundle.signals, {"name": "c", "table": "licenses"}, {"name": "d", "table": "licenses"}]
    wide = rows(0).assign(c=0.0, d=1.0)
    larger = Bundle(
        bundle.heads, bundle.policy, many, Profile.of(wide, bundle.profile.scores), "card", STATED
    )
    _, told = by_name(larger, X.assign(c=0.0, d=1.0))
    assert told["what_to_do"] == ["Check code: missing for 50% of dealers, for 0% in training."]


def test_values_that_came_back_are_no_fault(bundle):
    X = rows(0)
    X.loc[:1200, "b"] = np.nan
    profile = Profile.of(X, bundle.profile.scores)
    later = Bundle(bundle.heads, bundle.policy, bundle.signals, profile, "card", STATED)
    found, told = by_name(later, rows(5))
    assert found["b"].share_missing_then > 0.5
    assert found["b"].share_missing_now == 0
    assert (found["b"].advice, told["advice"]) == ("watch", "watch")
    assert "Watch what moved far (b)" in told["what_to_do"][0]


def test_a_code_never_seen_points_to_its_source_and_a_record_number_does_not(bundle):
    X = rows(6)
    X.loc[:59, "code"] = 9.0
    found, told = by_name(bundle, X)
    assert found["code"].share_unseen == pytest.approx(0.03)
    assert told["advice"] == "check the source"
    X = rows(6)
    X.loc[:59, "b"] = 99.0
    found, told = by_name(bundle, X)
    assert found["b"].share_unseen >= 0.03
    assert told["advice"] == "none"


def test_a_level_never_seen_counts_as_new():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {"kind": pd.Categorical(rng.choice(["01", "07"], 800)), "z": rng.normal(size=800)}
    )
    model = RiskClassifier(n_repeats=1, n_folds=2, max_rounds=10).fit(X, X["z"] > 1)
    about = [{"name": "kind", "table": "licenses"}, {"name": "z", "table": "licenses"}]
    kept = Bundle({"later_penalized": model}, Policy.read(), about, Profile.of(X), "card", STATED)
    new = X.assign(kind=pd.Categorical(["11"] * 80 + ["07"] * 720))
    (kind,) = [d for d in drift(kept, new) if d.name == "kind"]
    assert (kind.share_unseen, kind.share_missing_now) == (0.1, 0.0)
    assert kind.advice == "check the source"


def test_a_column_the_bundle_reads_must_be_there(bundle):
    with pytest.raises(InputError, match="missing from the table"):
        drift(bundle, rows(1).drop(columns="b"))


def test_the_index_is_symmetric_and_grows_with_distance():
    even, odd, far = (np.array(v) for v in ([0.5, 0.5], [0.6, 0.4], [0.9, 0.1]))
    assert stability_index(even, odd) == pytest.approx(stability_index(odd, even))
    assert 0 < stability_index(even, odd) < stability_index(even, far)
    by_hand = (0.6 - 0.5) * np.log(0.6 / 0.5) + (0.4 - 0.5) * np.log(0.4 / 0.5)
    assert stability_index(even, odd) == pytest.approx(by_hand)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state folder with the real listing and a champion that learned from it."""
    folder = tmp_path_factory.mktemp("drift")
    listing = [p for p in LISTING.glob("*.gz") if "list" in p.name]
    assert listing
    ingest(listing, folder / "warehouse")
    store = Warehouse.open(folder / "warehouse")
    names = ["license", "border"]
    table = build_features(store, date(2013, 6, 1), variant="public", families=names)
    is_useful = table.X.nunique() > 1
    X = table.X.loc[:, is_useful]
    y = np.random.default_rng(0).random(len(X)) < 0.1
    model = RiskClassifier(n_repeats=1, n_folds=2, max_rounds=5).fit(X, y)
    about = [{"name": s.name, "table": s.table, "is_category": s.is_category}
             for s in table.signals if is_useful[s.name]]  # fmt: skip
    profile = Profile.of(X, {"later_penalized": model.predict_margin(X)})
    made = Bundle({"later_penalized": model}, Policy.read(), about, profile, "card", STATED)
    made.save(folder / "champion" / "000001")
    record = {"bundle": "000001", "name": "m", "version": "1", "candidate": "000001", "history": []}
    (folder / "champion.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def run(folder: Path, *arguments: str):
    return CliRunner().invoke(app, ["drift", *arguments], env={"FFL_RISK_HOME": str(folder)})


def test_the_command_finds_the_day_of_training_unchanged(home):
    result = run(home, "--as-of", "2013-06-01", "--check", "--json")
    assert result.exception is None
    told = json.loads(result.stdout)
    assert told["advice"] == "none"
    assert told["n_dealers"] > 10_000
    assert json.loads((home / "reports" / "drift.json").read_text()) == told
    page = (home / "reports" / "drift.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "Nothing is to be done" in page


def test_a_warehouse_without_a_table_is_told_so(home, tmp_path):
    made = Bundle.load(home / "champion" / "000001")
    about = [{**s, "table": "traces"} if i == 0 else s for i, s in enumerate(made.signals)]
    Bundle(made.heads, made.policy, about, made.profile, "card", STATED).save(
        tmp_path / "champion" / "000001"
    )
    (tmp_path / "champion.json").write_bytes((home / "champion.json").read_bytes())
    told = run(tmp_path, "--as-of", "2013-06-01", "--warehouse", str(home / "warehouse"), "--json")
    found = json.loads(told.stdout)
    assert found["absent_tables"] == ["traces"]
    assert found["advice"] == "check the source"


def test_the_check_leaves_with_a_code_a_scheduler_understands(home, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    made = Bundle.load(home / "champion" / "000001")
    state = made.profile.state()
    state["scores"]["later_penalized"] = [m - 3.0 for m in state["scores"]["later_penalized"]]
    Bundle(made.heads, made.policy, made.signals, Profile.from_state(state), "card", STATED).save(
        moved / "champion" / "000001"
    )
    (moved / "champion.json").write_bytes((home / "champion.json").read_bytes())
    arguments = ("--as-of", "2013-06-01", "--warehouse", str(home / "warehouse"))
    plain = run(moved, *arguments)
    assert plain.exception is None
    assert "Train again: the scores of later_penalized" in plain.stdout
    checked = run(moved, *arguments, "--check")
    assert isinstance(checked.exception, DriftError)
    assert checked.exception.exit_code == 5


def test_without_a_champion_or_a_listing_the_command_says_so(home, tmp_path):
    result = run(tmp_path, "--as-of", "2013-06-01", "--warehouse", str(home / "warehouse"))
    assert isinstance(result.exception, NotTrainedError)
    assert result.exception.exit_code == 4
    early = run(home, "--as-of", "2001-01-01")
    assert isinstance(early.exception, FflRiskError)
    assert "2001-01-01" in str(early.exception)
