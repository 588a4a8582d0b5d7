"""A visit within twelve months of another has a legal basis, however it is told or put right."""

from datetime import date

import numpy as np
import pytest

from serving.access.audit.writer import verify
from serving.field.outcomes import outcomes
from serving.field.outcomes.outcome_rules import Recorded, recorded

SOON = "2026-01-05"


@pytest.fixture
def body(service):
    """A visit to a dealer inspected a little less than a year before."""
    last = service.runtime.snapshot.columns["last_inspected_on"].astype("datetime64[D]")
    row = int(np.argmin(np.where(last > np.datetime64(SOON) - 365, last, np.datetime64("2100"))))
    dealer = str(service.runtime.snapshot.columns["dealer"][row])
    return {"inspection_id": "X1", "dealer": dealer, "kind": "compliance", "opened_on": SOON,
            "closed_on": SOON, "outcome": "none"}  # fmt: skip


def last_of(service, body):
    row = service.runtime.snapshot.row_of[body["dealer"]]
    scored = service.runtime.snapshot.table.scored
    return scored["last_inspected_on"].iloc[row].date(), scored["eligible_on"].iloc[row].date()


def n_kept(service):
    return len(service.get("/v1/outcomes", "chief").json()["outcomes"])


def refused(answer):
    return (answer.status_code, answer.json()["code"]) == (409, "not_eligible")


def test_a_visit_told_as_a_trace_first_is_judged_as_what_it_becomes(service, body):
    assert refused(service.post("/v1/outcomes", "chief", body))
    told = service.post("/v1/outcomes", "chief", body | {"kind": "trace"})
    assert told.status_code == 200
    assert refused(service.post("/v1/outcomes", "chief", body))
    assert n_kept(service) == 1
    basis = {"legal_basis": "warrant"}
    assert service.post("/v1/outcomes", "chief", body | basis).json()["version"] == 2


def test_a_day_put_right_is_judged_as_told_now(service, body):
    _, allowed = last_of(service, body)
    lawful = {"opened_on": str(allowed), "closed_on": None}
    assert service.post("/v1/outcomes", "chief", body | lawful).status_code == 200
    assert refused(service.post("/v1/outcomes", "chief", body))
    closed = body | {"opened_on": str(allowed), "closed_on": str(allowed)}
    assert service.post("/v1/outcomes", "chief", closed).json()["version"] == 2


def test_another_number_opened_on_the_day_of_the_last_visit_is_another_visit(service, body):
    last, allowed = last_of(service, body)
    day = {"opened_on": str(allowed), "closed_on": str(allowed)}
    assert service.post("/v1/outcomes", "chief", body | day).status_code == 200
    second = body | day | {"inspection_id": "X2"}
    assert refused(service.post("/v1/outcomes", "chief", second))
    recorded_day = {"opened_on": str(last), "closed_on": str(last), "inspection_id": "X3"}
    assert refused(service.post("/v1/outcomes", "chief", body | recorded_day))


def test_what_the_records_hold_of_the_visit_itself_forbids_nothing(service, body, monkeypatch):
    """The last visit of the table may be this very one, and then one before it is what counts."""
    last, _ = last_of(service, body)
    own = Recorded("X1", "compliance", last, last, is_standing=True)
    before = Recorded("W", "recall", date(last.year - 3, 1, 5), None, is_standing=True)
    right = body | {"opened_on": str(last), "closed_on": str(last)}
    path = "serving.field.outcomes.outcome_rules.recorded"
    monkeypatch.setattr(path, lambda *_: [own, before])
    assert service.post("/v1/outcomes", "chief", right).status_code == 200
    near = Recorded("W", "recall", date(last.year - 1, last.month, 28), None, is_standing=True)
    monkeypatch.setattr(path, lambda *_: [own, near])
    assert refused(service.post("/v1/outcomes", "chief", right | {"outcome": "report"}))
    gone = Recorded("W", "recall", near.opened_on, None, is_standing=False)
    monkeypatch.setattr(path, lambda *_: [own, gone])
    assert service.post("/v1/outcomes", "chief", right | {"outcome": "report"}).status_code == 200


def test_a_basis_that_lets_a_visit_pass_is_on_record_and_no_other(service, body, audit_of):
    _, allowed = last_of(service, body)
    basis = {"legal_basis": "trace_of_a_firearm"}
    lawful = body | basis | {"inspection_id": "X0", "opened_on": str(allowed), "closed_on": None}
    assert service.post("/v1/outcomes", "chief", lawful | {"kind": "trace"}).status_code == 200
    assert service.post("/v1/outcomes", "chief", body | basis).status_code == 200
    found = [r for r in audit_of(service) if r["action"] == "override_legal_gate"]
    assert [one["subject"] for one in found] == [f"{body['dealer']} X1 trace_of_a_firearm"]
    assert (found[0]["who"], found[0]["purpose"]) == ("chief", "licensing")
    assert verify(service.runtime.store, service.runtime.audit_key).is_intact


def test_records_are_read_with_every_version(simulated):
    inspections = simulated.warehouse.read("inspections", as_of=date(2024, 1, 1)).to_pandas()
    row = inspections.iloc[0]
    found = {one.inspection_id: one for one in recorded(simulated.warehouse.path, row["dealer"])}
    own = found[row["inspection_id"]]
    assert (own.kind, own.opened_on) == (row["kind"], row["opened_on"])
    assert recorded(simulated.warehouse.path, "9-99-99999") == []
    assert recorded(simulated.warehouse.path / "nowhere", row["dealer"]) == []


def test_the_gate_sees_every_version_in_order(service, body):
    for kind in ("trace", "criminal"):
        service.post("/v1/outcomes", "chief", body | {"kind": kind})
    with service.runtime.store.read() as connection:
        found = outcomes.versions_of(connection, body["dealer"])
    assert [(one.version, one.document["kind"]) for one in found] == [(1, "trace"), (2, "criminal")]
