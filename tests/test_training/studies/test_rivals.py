"""Overrides are judged by what inspections found, and only doubts of the risk make a rival."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from ffl_risk import app
from models.policy import Policy
from training.errors import DecisionsError
from training.pages.page import render
from training.studies.pages.rivals import rivals_page
from training.studies.rivals import outcomes, read_decisions, rival_order, rivals, wilson

A, B, C = "1-54-00001", "1-54-00002", "1-54-00003"


def decided(seed: int, *, knows: bool, n: int = 4000) -> pd.DataFrame:
    """Decisions on a list whose risk has a part that only inspectors may know."""
    rng = np.random.default_rng(seed)
    shown, hidden = rng.normal(size=n), rng.normal(size=n)
    y = rng.random(n) < 1 / (1 + np.exp(1.5 - shown - 1.5 * hidden))
    belief = hidden if knows else rng.normal(size=n)
    practical = rng.random(n) < 0.1
    low = (belief < -0.8) & ~practical
    doubt = np.where(rng.random(n) < 0.5, "known_low_risk", "local_knowledge_higher_risk")
    reason = np.where(practical, "out_of_business", np.where(low, doubt, ""))
    is_inspected = rng.random(n) < np.where(low, 0.3, 0.6)
    return pd.DataFrame(
        {
            "list_id": "L1",
            "dealer": [f"1-54-{i:05d}" for i in range(n)],
            "decision": np.where(reason == "", "accept", "override"),
            "reason": reason,
            "priority": shown,
            "at": pd.Timestamp("2023-01-01"),
            "is_inspected": is_inspected,
            "is_random": is_inspected & (rng.random(n) < 0.1),
            "y": np.where(is_inspected, y, 0.0).astype(float),
        }
    )


def test_inspectors_who_know_more_beat_the_list():
    for seed in range(3):
        rows = decided(seed, knows=True)
        found = rivals(rows)["rival"]
        assert found["auc_gain"]["low"] > 0
        assert found["recall_gain"]["value"] > 0
        seen = rows["is_inspected"].to_numpy()
        by_hand = roc_auc_score(rows["y"][seen], rival_order(rows)[seen])
        assert found["auc_inspectors"]["value"] == pytest.approx(by_hand)
        by_hand = roc_auc_score(rows["y"][seen], rows["priority"][seen])
        assert found["auc_list"]["value"] == pytest.approx(by_hand)


def test_inspectors_who_guess_do_not():
    gains = [rivals(decided(seed, knows=False))["rival"]["auc_gain"] for seed in range(3)]
    assert all(gain["high"] < 0.02 for gain in gains)
    assert all(gain["value"] < 0 for gain in gains)


def test_reasons_that_say_nothing_of_risk_move_nobody():
    rows = decided(0, knows=True)
    practical = rows.assign(
        decision="override", reason=np.where(rows.index % 2, "safety", "recently_visited")
    )
    assert rivals(practical)["rival"]["auc_gain"]["value"] == 0.0
    # An accepted dealer keeps its place, whatever reason is left in the field.
    accepted = rows.assign(decision="accept", reason="known_low_risk")
    assert (rival_order(accepted) > 0).all()


def test_each_reason_is_counted_and_bounded():
    rows = decided(1, knows=True)
    entry = {r["reason"]: r for r in rivals(rows)["reasons"]}
    low = rows[rows["reason"] == "known_low_risk"]
    seen = low[low["is_inspected"]]
    told = entry["known_low_risk"]
    assert (told["n"], told["n_inspected"], told["n_severe"]) == (
        len(low),
        len(seen),
        seen["y"].sum(),
    )
    assert told["rate"]["value"] == pytest.approx(seen["y"].mean())
    assert told["bounds"]["low"] == pytest.approx(seen["y"].sum() / len(low))
    unseen = len(low) - len(seen)
    assert told["bounds"]["high"] == pytest.approx((seen["y"].sum() + unseen) / len(low))
    assert told["rate"]["high"] < told["rate_of_accepted"]
    assert told["is_doubt"]
    assert not entry["out_of_business"]["is_doubt"]
    assert entry["accept"]["n"] == (rows["decision"] == "accept").sum()


def test_wilson_is_the_root_of_its_equation():
    for k, n in ((0, 15), (3, 40), (40, 40)):
        i = wilson(k, n)
        for bound in (i["low"], i["high"]):
            if 1e-9 < bound < 1 - 1e-9:
                z = abs(k / n - bound) / np.sqrt(bound * (1 - bound) / n)
                assert z == pytest.approx(1.959964, abs=1e-4)


def test_too_few_visits_compare_nothing():
    found = rivals(decided(2, knows=True, n=40))
    assert found["rival"] is None
    text = render("page.html", title="", page=rivals_page(found))
    assert "Too few decided dealers were inspected" in text


def warehouse(make_warehouse):
    visit = {"hours": 10}
    return make_warehouse(
        inspections=[
            visit | {"inspection_id": "1", "dealer": A, "opened_on": "2023-03-01",
                     "closed_on": "2023-03-05", "outcome": "revocation"},
            visit | {"inspection_id": "2", "dealer": A, "opened_on": "2023-09-01",
                     "closed_on": "2023-09-05"},
            visit | {"inspection_id": "3", "dealer": B, "opened_on": "2022-12-01",
                     "closed_on": "2022-12-05", "outcome": "revocation"},
            visit | {"inspection_id": "4", "dealer": B, "opened_on": "2024-02-02",
                     "closed_on": "2024-02-05", "outcome": "revocation"},
            visit | {"inspection_id": "5", "dealer": C, "opened_on": "2023-02-01",
                     "closed_on": "2023-02-05", "selected_by": "recall", "outcome": "revocation"},
            visit | {"inspection_id": "6", "dealer": C, "opened_on": "2023-05-01",
                     "closed_on": "2023-05-05", "selected_by": "random"},
        ],
        violations=[{"violation_id": "v", "inspection_id": "6", "dealer": C,
                     "citation": "27 CFR 478.125(e)", "instances": 1, "cited_on": "2023-05-05",
                     "is_repeat": False}],
    )  # fmt: skip


def test_an_outcome_is_the_first_visit_after_and_within(make_warehouse, tmp_path):
    decisions = pd.DataFrame(
        {
            "dealer": [A, B, C], "decision": "accept", "reason": "", "priority": [3.0, 2.0, 1.0],
            "at": "2023-01-15T10:00:00+00:00",
        }
    )  # fmt: skip
    path = tmp_path / "decisions.csv"
    decisions.to_csv(path, index=False)
    rule = Policy.read().severe_finding
    found = outcomes(read_decisions(path), warehouse(make_warehouse), rule, horizon_months=12)
    # The visit before the decision, the one after the horizon and the recall do not count.
    assert found["is_inspected"].tolist() == [True, False, True]
    assert found["is_random"].tolist() == [False, False, True]
    assert found["y"].tolist()[:2] == [1.0, 0.0]
    longer = outcomes(read_decisions(path), warehouse(make_warehouse), rule, horizon_months=24)
    assert longer["y"].tolist()[1] == 1.0


def write(path: Path, **changes) -> Path:
    row = {"list_id": "L", "dealer": A, "decision": "override", "reason": "safety",
           "priority": 1.0, "at": "2023-01-01T08:00:00Z"}  # fmt: skip
    pd.DataFrame([row, {**row, **changes}]).to_csv(path, index=False)
    return path


def test_the_last_decision_on_a_dealer_of_a_list_stands(tmp_path):
    path = write(tmp_path / "d.csv", decision="accept", reason="", at="2023-01-02T08:00:00Z")
    assert read_decisions(path)["decision"].tolist() == ["accept"]
    two = read_decisions(write(tmp_path / "d.csv", list_id="M"))
    assert len(two) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decision": "maybe"}, "neither accept nor override"),
        ({"at": "soon"}, "no day, no priority or no dealer"),
        ({"priority": None}, "first in row 2"),
    ],
)
def test_a_decision_that_cannot_be_judged_is_refused(tmp_path, changes, said):
    with pytest.raises(DecisionsError, match=said):
        read_decisions(write(tmp_path / "d.csv", **changes))


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(DecisionsError, match="no file"):
        read_decisions(tmp_path / "none.csv")
    pd.DataFrame({"dealer": [A], "decison": ["accept"]}).to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(DecisionsError, match="lacks 4 columns"):
        read_decisions(tmp_path / "d.csv")


def test_the_command_writes_a_report(make_warehouse, tmp_path):
    store = warehouse(make_warehouse)
    path = write(tmp_path / "d.csv", dealer=C, decision="accept", reason="")
    arguments = ["rivals", "--decisions", str(path), "--warehouse", str(store.path), "--json"]
    result = CliRunner().invoke(app, arguments, env={"FFL_RISK_HOME": str(tmp_path / "home")})
    assert result.exception is None
    assert json.loads(result.stdout)["n_inspected"] == 2
    assert "<svg" in (tmp_path / "home" / "reports" / "rivals.html").read_text(encoding="utf-8")


def test_a_training_reads_the_decisions_before_it_begins(make_warehouse, tmp_path):
    store = warehouse(make_warehouse)
    pd.DataFrame({"dealer": [A]}).to_csv(tmp_path / "d.csv", index=False)
    arguments = ["train", "--decisions", str(tmp_path / "d.csv"), "--warehouse", str(store.path)]
    result = CliRunner().invoke(app, arguments, env={"FFL_RISK_HOME": str(tmp_path / "home")})
    assert isinstance(result.exception, DecisionsError)
    assert not (tmp_path / "home").exists()
