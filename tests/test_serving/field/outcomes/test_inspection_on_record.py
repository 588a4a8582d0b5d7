"""What stands of an inspection, told here or in the records, and what telling it changes."""

from __future__ import annotations

import re
from datetime import date

import pytest

from features.ingest import ingest
from serving.api.callers import Caller
from serving.api.routes import field as routes
from serving.contract.field.outcomes import OutcomeRequest
from serving.field.outcomes.inspection_on_record import as_recorded
from serving.field.outcomes.ordering_list import investigator_token
from serving.field.outcomes.outcomes import collect
from serving.web.dealers.outcome_check import check
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import follow, outcome

TODAY = date(2026, 3, 9)
TOLD = {
    "inspection_id": "I-7", "kind": "compliance", "opened_on": "2026-02-02", "outcome": "report",
    "closed_on": "2026-02-20", "hours": 8, "recommended_outcome": "warning_letter",
    "firearms_unaccounted_initial": 5, "firearms_unaccounted_final": 2, "legal_basis": "warrant",
    "violations": [
        {"citation": "478.124(c)(1)", "is_willful": True, "instances": 3, "is_repeat": True},
        {"citation": "478.125(e)"},
    ],
}  # fmt: skip
ONE, TWO = TOLD["violations"]
CHANGES = [
    {"kind": "recall"}, {"opened_on": "2026-02-03"}, {"closed_on": None}, {"hours": 8.5},
    {"outcome": "revocation"}, {"recommended_outcome": None}, {"selected_by": "complaint"},
    {"firearms_unaccounted_initial": 6}, {"firearms_unaccounted_final": None},
    {"legal_basis": None}, {"investigator_token": "another"}, {"list_id": "the list"},
    {"violations": [ONE]},
    {"violations": [ONE | {"is_willful": None}, TWO]},
    {"violations": [ONE, TWO | {"is_willful": True}]},
    {"violations": [ONE | {"instances": 4}, TWO]}, {"violations": [ONE | {"is_repeat": None}, TWO]},
]  # fmt: skip
SAME = [{}, {"hours": 8.0}, {"violations": [TWO, ONE]}, {"violations": [ONE, TWO, TWO]}]


@pytest.fixture
def listed(service):
    return service.post("/v1/rank", "inspector", {"k": 20}).json()


@pytest.fixture
def inspector(service):
    return Visitor(service, "inspector")


@pytest.fixture
def free(service):
    """A dealer of the inspector's office that was never inspected."""
    columns = service.runtime.snapshot.columns
    is_free = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    return str(columns["dealer"][is_free][0])


@pytest.fixture
def in_records(service, free, tmp_path):
    """The inspection I-7 of that dealer, as the agency's records have it."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "inspections.csv").write_text(
        "inspection_id,dealer,kind,opened_on,closed_on,selected_by,outcome,hours,"
        "investigator_token,known_on\n"
        f"I-7,{free},compliance,2026-02-02,2026-02-20,risk,revocation,8,inv-12,2026-02-25\n"
    )
    (files / "violations.csv").write_text(
        "inspection_id,citation,instances,is_willful,known_on\n"
        "I-7,478.124(c)(1),3,true,2026-02-25\n"
    )
    ingest([files], service.runtime.settings.home / "warehouse", today=TODAY)
    return as_recorded(service.runtime.settings.home / "warehouse", "I-7", free)


@pytest.fixture
def seen(service):
    """What the page says before an outcome is kept, told by the chief at a browser."""

    def look(body):
        principal = service.runtime.directory.principal_of_token(service.tokens["chief"])
        caller = Caller(service.runtime, principal, "outcomes", "licensing")
        return check(*routes.preview(caller, OutcomeRequest.model_validate(body)))

    return look


@pytest.mark.parametrize("change", [*CHANGES, *SAME])
def test_what_makes_a_version_is_named_and_nothing_else_is(service, listed, seen, change):
    dealer = listed["rows"][0]["dealer"]
    told = TOLD | {"dealer": dealer}
    assert service.post("/v1/outcomes", "chief", told).json()["version"] == 1
    again = told | change
    if again.get("list_id"):
        again["list_id"] = listed["list_id"]
    shown = seen(again)
    version = service.post("/v1/outcomes", "chief", again).json()["version"]
    assert (version == 2) == bool(shown["changes"]) == (not shown["is_told_already"])
    assert (version == 2) == (change in CHANGES)


def test_a_correction_leaves_the_inspection_with_its_investigator(service, free):
    told = TOLD | {"dealer": free}
    service.post("/v1/outcomes", "inspector", told)
    own = investigator_token(service.runtime.audit_key, "inspector")
    again = service.post("/v1/outcomes", "chief", told | {"hours": 9}).json()
    assert again["version"] == 2
    kept = service.get("/v1/outcomes/I-7", "chief").json()
    assert (kept["investigator_token"], kept["who"]) == (own, "chief")
    # Another person who says the same changes nothing, and one who is named stands.
    assert service.post("/v1/outcomes", "supervisor", told | {"hours": 9}).json()["version"] == 2
    service.post("/v1/outcomes", "chief", told | {"investigator_token": "inv-9"})
    assert service.get("/v1/outcomes/I-7", "chief").json()["investigator_token"] == "inv-9"


def test_the_form_leaves_what_it_does_not_ask_for(service, inspector, free):
    violations = [{"citation": "478.124(c)(1)", "is_repeat": True, "is_willful": True}]
    told = TOLD | {"dealer": free, "violations": violations}
    service.post("/v1/outcomes", "inspector", told)
    same = {name: str(told[name] or "") for name in told if name not in {"violations", "dealer"}}
    same |= {"selected_by": "risk", "instances_0": ""}
    assert "changes nothing" in follow(inspector, free, outcome(**same)).text
    page = follow(inspector, free, outcome(**same | {"willful_0": ""})).text
    assert "(willful, a repeat) become 478.124(c)(1) (not willful, a repeat)" in page
    assert "changes nothing" not in page
    sent = outcome(**same | {"willful_0": "", "step": "save"})
    kept = inspector.post(f"/dealers/{free}/outcomes", sent, at=f"/dealers/{free}/outcome")
    assert kept.status_code == 303
    (one,) = service.get("/v1/outcomes/I-7", "chief").json()["violations"]
    assert (one["is_repeat"], one["is_willful"]) == (True, False)


def test_an_inspection_of_the_records_is_replaced_with_a_word(service, inspector, free, in_records):
    assert in_records.document["outcome"] == "revocation"
    changed = {"outcome": "none", "citation_0": "", "willful_0": "", "instances_0": ""}
    page = follow(inspector, free, outcome(**changed)).text
    assert "on record already</b> (in the records, known since 2026-02-25)" in page
    assert "Outcome: revocation or denied renewal becomes no violation" in page
    assert "Citations: 478.124(c)(1) (willful, 3 instances) become none" in page
    assert "Investigator" not in page
    same = {"closed_on": "2026-02-20", "outcome": "revocation", "hours": "8"}
    page = follow(inspector, free, outcome(**same)).text
    # The office is that of the dealer, which those records do not have.
    assert re.findall("<li>([^<]*)</li>", page) == ["Office: not stated becomes office0"]
    told = {"inspection_id": "I-7", "dealer": free, "opened_on": "2026-02-02", "outcome": "none"}
    answer = service.post("/v1/outcomes", "inspector", told).json()
    assert (answer["version"], answer["replaces_record_of"]) == (1, "2026-02-25")
    answer = service.post("/v1/outcomes", "inspector", told).json()
    assert (answer["version"], answer["replaces_record_of"]) == (1, None)


def test_what_was_collected_is_still_what_was_told(service, inspector, free):
    told = TOLD | {"dealer": free, "legal_basis": None}
    warehouse = service.runtime.settings.home / "warehouse"
    for hours in (8, 9):
        answer = service.post("/v1/outcomes", "inspector", told | {"hours": hours}).json()
        collect(service.runtime.store, warehouse, today=TODAY)
    assert answer["replaces_record_of"] is None
    assert as_recorded(warehouse, "I-7", free).at > answer["at"][:10]  # versions follow by a day
    again = service.post("/v1/outcomes", "inspector", told | {"hours": 9}).json()
    assert (again["version"], again["replaces_record_of"]) == (2, None)


def test_records_that_know_better_later_stand_until_told_again(service, free, in_records):
    told = TOLD | {"dealer": free, "legal_basis": None}
    service.post("/v1/outcomes", "inspector", told)
    warehouse = service.runtime.settings.home / "warehouse"
    files = warehouse.parent / "later"
    files.mkdir()
    (files / "inspections.csv").write_text(
        "inspection_id,dealer,kind,opened_on,closed_on,selected_by,outcome,known_on\n"
        f"I-7,{free},compliance,2026-02-02,2026-02-20,risk,other,2199-06-01\n"
    )
    ingest([files], warehouse, today=date(2199, 6, 2))
    again = service.post("/v1/outcomes", "inspector", told).json()
    assert (again["version"], again["replaces_record_of"]) == (2, "2199-06-01")
