"""Decisions leave the service as a file that training judges, and the leaving is audited."""

import csv

import pytest
from typer.testing import CliRunner

from serving.commands.app import app
from training.studies.rivals import read_decisions


@pytest.fixture
def export(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("FFL_RISK_HOME", str(runtime.settings.home))

    def run(name="decisions.csv"):
        done = CliRunner().invoke(app, ["decisions", "--out", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        return tmp_path / name

    return run


def decide(service, listed, row, decision, **more):
    body = {"list_id": listed["list_id"], "dealer": listed["rows"][row]["dealer"]}
    answer = service.post("/v1/decisions", "chief", body | {"decision": decision} | more)
    assert answer.status_code == 200, answer.text


def test_what_was_decided_is_read_by_training_as_it_was_decided(service, export):
    listed = service.post("/v1/rank", "chief", {"k": 5}).json()
    decide(service, listed, 0, "accept")
    decide(service, listed, 1, "override", reason="known_low_risk", note="=closed, I think")
    decide(service, listed, 0, "override", reason="local_knowledge_higher_risk")

    found = read_decisions(export()).set_index("dealer")

    first, second = (listed["rows"][i] for i in (0, 1))
    assert len(found) == 2
    # The later decision on a dealer stands.
    assert found.loc[first["dealer"], "decision"] == "override"
    assert found.loc[second["dealer"], "reason"] == "known_low_risk"
    assert found.loc[second["dealer"], "priority"] == pytest.approx(second["priority"])


def test_neither_who_decided_nor_a_note_leaves(service, export):
    listed = service.post("/v1/rank", "chief", {"k": 5}).json()
    decide(service, listed, 0, "override", reason="known_low_risk", note="met the owner")

    text = export().read_text(encoding="utf-8")

    assert next(csv.reader(text.splitlines())) == [
        "list_id",
        "dealer",
        "decision",
        "reason",
        "priority",
        "at",
    ]
    assert "chief" not in text
    assert "met the owner" not in text


def test_taking_decisions_out_is_audited(service, export, audit_of):
    export()

    assert audit_of(service)[-1]["action"] == "decisions"


def test_no_decisions_make_a_file_of_a_header(service, export):
    assert len(read_decisions(export())) == 0
