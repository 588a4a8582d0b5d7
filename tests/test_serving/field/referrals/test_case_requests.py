"""A case is answered with what was approved, by those who may approve."""

import re

import pytest
import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.access.audit.writer import Access, Ledger, verify
from serving.field.referrals import case_requests
from serving.scores import holds
from serving.store.database import instant
from serving.store.tables import CASE_REQUESTS
from tests.test_serving.field.referrals.test_referrals import TODAY, dealer_of

# Case requests


def case(runtime, **changed):
    return {
        "case_reference": "HSI-2026-17", "legal_basis": "criminal_investigation", "agency": "HSI",
        "why": "two firearms of one case were traced here",
        "dealers": [dealer_of(runtime, "office0"), dealer_of(runtime, "office4")],
        "approver": "chief", "days": 5,
    } | changed  # fmt: skip


def test_a_case_is_answered_with_the_approved_rows_only(service, runtime, audit_of):
    near, far = case(runtime)["dealers"]
    asked = service.post("/v1/case_requests", "agent", case(runtime)).json()
    assert (asked["status"], asked["rows"]) == ("asked", [])
    path = f"/v1/case_requests/{asked['request_id']}"
    assert service.get(path, "agent").json()["rows"] == []
    for who in ("supervisor", "inspector", "analyst", "partner", "auditor"):
        assert service.get(path, who).status_code in {403, 404}
    refused = service.post(f"{path}/decision", "supervisor", {"approved": [far]})
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_case")
    decided = service.post(f"{path}/decision", "chief", {"approved": [far], "note": "one will do"})
    assert decided.json()["status"] == "approved"
    told = service.get(path, "agent").json()
    assert [row["dealer"] for row in told["rows"]] == [far]
    assert not {"priority", "heads", "national_rank"} & told["rows"][0].keys()
    assert service.post(f"{path}/decision", "chief", {"approved": [near]}).status_code == 409
    actions = [(r["action"], r["who"]) for r in audit_of(service) if r["action"].startswith("case")]
    assert actions == [
        ("case_request", "agent"), ("case_read", "agent"), ("case_request", "chief"),
        ("case_read", "agent"),
    ]  # fmt: skip
    assert verify(runtime.store, runtime.audit_key).is_intact


@pytest.mark.parametrize(
    "changed",
    [{"approver": "nobody"}, {"approver": "agent"}, {"approver": "analyst"}, {"approver": ""},
     {"approver": None}, {"legal_basis": "curiosity"}, {"dealers": []}, {"days": 0},
     {"days": 91}, {"why": "short"}, {"case_reference": ""}],
    ids=str,
)  # fmt: skip
def test_a_case_without_an_approver_or_a_reason_is_refused(service, runtime, changed):
    assert service.post("/v1/case_requests", "agent", case(runtime, **changed)).status_code == 422
    with runtime.store.read() as connection:
        assert connection.execute(sa.select(CASE_REQUESTS)).first() is None


def test_a_supervisor_of_the_issuers_approves_a_case_too(service, runtime):
    """Where nobody has a local account there is no other approver."""
    lead = Principal("oidc:Lead-Kx7", "supervisor", frozenset({"nation"}), "oidc")
    body = case(runtime, approver=lead.name)
    assert service.post("/v1/case_requests", "agent", body).status_code == 422
    runtime.directory.start_session(lead, "licensing", hours=1)
    asked = service.post("/v1/case_requests", "agent", body).json()
    chosen = body["dealers"][:1]
    decided = case_requests.decide(
        runtime.store, asked["request_id"], approved=chosen, note="",
        scope=runtime.scope(lead), ledger=runtime.ledger(lead),
    )  # fmt: skip
    assert decided["approved"] == chosen
    agent = runtime.directory.principal_of_token(service.tokens["agent"])
    own = case(runtime, approver=agent.name)
    assert service.post("/v1/case_requests", "agent", own).status_code == 422


def test_a_case_without_the_field_approver_is_refused(service, runtime):
    body = case(runtime)
    del body["approver"]
    assert service.post("/v1/case_requests", "agent", body).status_code == 422


def test_only_what_was_asked_for_can_be_approved(service, runtime):
    asked = service.post("/v1/case_requests", "agent", case(runtime)).json()
    path = f"/v1/case_requests/{asked['request_id']}/decision"
    for more in (dealer_of(runtime, "office1"), "1-99-99999"):
        assert service.post(path, "chief", {"approved": [more]}).status_code == 422


def test_a_case_asked_by_license_number_is_one_of_keys(service, runtime, audit_of):
    near, _ = case(runtime)["dealers"]
    snapshot = runtime.snapshot
    number = str(snapshot.columns["license_number"][snapshot.row_of[near]])
    body = case(runtime, dealers=[number, near])
    asked = service.post("/v1/case_requests", "agent", body).json()
    assert asked["dealers"] == [near]
    path = f"/v1/case_requests/{asked['request_id']}"
    holds.place(runtime.store, near, owners=["chief", "agent"], starts_on=TODAY)
    runtime.refresh_holds()
    approved = service.post(f"{path}/decision", "chief", {"approved": [near]}).json()
    assert (approved["status"], approved["approved"]) == ("approved", [near])
    record = Access("agent", "agent", "case_request", f"C-1 ask {number}")
    with runtime.store.write() as connection:  # as earlier versions kept it
        Ledger(runtime.audit_key, record).add(connection, "case_request", record.subject)
    told = service.get("/v1/audit?limit=1000", "auditor").text
    assert number in str(audit_of(service))
    assert not {near, number} & set(re.split(r'[\s"]', told))
    unreadable = case(runtime, dealers=["the shop on the corner"])
    assert service.post("/v1/case_requests", "agent", unreadable).status_code == 422


def test_a_case_whose_dealers_are_held_by_now_is_as_if_they_were_not_approved(service, runtime):
    near, far = case(runtime)["dealers"]
    asked = service.post("/v1/case_requests", "agent", case(runtime)).json()
    path = f"/v1/case_requests/{asked['request_id']}"
    service.post(f"{path}/decision", "chief", {"approved": [near, far]})
    for held, status, approved in ((far, "approved", [near]), (near, "refused", [])):
        holds.place(runtime.store, held, owners=["inspector"], starts_on=TODAY)
        runtime.refresh_holds()
        for who in ("agent", "chief"):
            told = service.get(path, who).json()
            shown = [row["dealer"] for row in told["rows"]]
            assert (told["status"], told["approved"], shown) == (status, approved, approved)


def test_an_expired_case_answers_nothing(service, runtime):
    asked = service.post("/v1/case_requests", "agent", case(runtime)).json()
    path = f"/v1/case_requests/{asked['request_id']}"
    service.post(f"{path}/decision", "chief", {"approved": asked["dealers"]})
    with runtime.store.write() as connection:
        connection.execute(CASE_REQUESTS.update().values(expires_at=instant()))
    for answer in (
        service.get(path, "agent"),
        service.post(f"{path}/decision", "chief", {"approved": []}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "case_expired")
