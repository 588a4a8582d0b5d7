"""Each answer that shows dealers leaves a record that names every one of them."""

import re

import pytest

from serving.access.roles import ACCESS, DEALER_LEVEL
from serving.field.referrals.referrals import Pattern, queue
from serving.server.idempotent_routes import ROUTES
from tests.test_serving.pages import Visitor

KEY = re.compile(r"\b\d-\d\d-\d{5}\b")
EXAMPLES = {"1-56-21093"}  # how a key is written, beside a field
PAGES = (
    "/map", "/map?state=AZ", "/dealers?q=SHOP", "/dealers/{dealer}",
    "/dealers/{dealer}/outcome", "/lists/{list_id}", "/referrals",
)  # fmt: skip


@pytest.fixture
def dealer(service):
    """One that an agent and everybody above sees, with a referral about it."""
    columns = service.runtime.snapshot.columns
    found = str(columns["dealer"][columns["office"] == "office0"][0])
    who = service.runtime.directory.principal_of_token(service.tokens["chief"])
    pattern = Pattern("several_dealers", (found, "1-99-99999"), {"records": ["R1"]})
    queue(service.runtime.store, [pattern], ledger=service.runtime.ledger(who))
    return found


@pytest.fixture
def asked(service, dealer):
    """Path, role and body (of a write) of a request of each action that reaches dealers."""
    listed = service.post("/v1/rank", "chief", {"k": 3}).json()
    referral = service.get("/v1/referrals", "chief").json()["referrals"][0]["referral_id"]
    tip = {"tip_id": "T1", "dealer": dealer, "received_on": "2026-01-02", "source": "public",
           "is_self_report": False}  # fmt: skip
    case = {"case_reference": "X-1", "legal_basis": "warrant", "agency": "HSI", "dealers": [dealer],
            "why": "firearms moving today", "approver": "chief"}  # fmt: skip
    number = service.post("/v1/case_requests", "agent", case).json()["request_id"]
    decision = {"list_id": listed["list_id"], "dealer": listed["rows"][0]["dealer"],
                "decision": "accept"}  # fmt: skip
    outcome = {"inspection_id": "I1", "dealer": dealer, "kind": "trace",
               "opened_on": "2026-02-01", "outcome": "none"}  # fmt: skip
    steps = f"/v1/referrals/{referral}/steps"
    plan = {"office": "office0", "weeks": 2, "starts_on": "2026-01-05"}
    return [
        ("score", "/v1/score", "analyst", {"dealers": [dealer]}),
        ("rank", "/v1/rank", "chief", {"k": 5}),
        ("explain", "/v1/explain", "analyst", {"dealer": dealer}),
        ("plan", "/v1/plan", "chief", plan),
        ("decisions", "/v1/decisions", "chief", decision),
        ("decisions_read", "/v1/decisions", "chief", None),
        ("outcomes", "/v1/outcomes", "chief", outcome),
        ("outcomes_read", "/v1/outcomes", "chief", None),
        ("outcomes_read", "/v1/outcomes/I1", "chief", None),
        ("dealers", f"/v1/dealers/{dealer}", "analyst", None),
        ("events", "/v1/events", "scheduler", {"table": "tips", "rows": [tip]}),
        ("changes", "/v1/changes", "chief", None),
        ("referrals", "/v1/referrals", "agent", None),
        ("referrals", f"/v1/referrals/{referral}", "agent", None),
        ("referral_steps", steps, "agent", {"step": "take"}),
        ("referral_steps", steps, "agent", {"step": "hand_over", "to_agency": "HSI"}),
        ("case_ask", "/v1/case_requests", "agent", case),
        ("case_decide", f"/v1/case_requests/{number}/decision", "chief", {"approved": [dealer]}),
        ("case_read", f"/v1/case_requests/{number}", "agent", None),
    ]


# Named by what was asked for: every score of an area, a list's id, rows that name no dealer; the
# others are tried where there is a warehouse and where there are plans and pages.
ELSEWHERE = {"export", "lists", "score_features", "plans", "page", "flows", "repeats"}


def test_every_answer_names_its_dealers_on_record_and_so_does_one_given_again(
    service, asked, audit_of
):
    assert {one[0] for one in asked} | ELSEWHERE == DEALER_LEVEL | {"events"}
    assert {one[0] for one in asked} <= ACCESS.keys()
    written = {path for _, path, _, body in asked if body is not None}
    for n, (action, path, role, body) in enumerate(asked):
        is_once = action == "case_decide" or (body or {}).get("step") == "hand_over"
        # Sent again as it is, then as a write that gives its key, twice.
        for key in (None, None, "a", "a") if not is_once else ("a", "a"):
            before = len(audit_of(service))
            headers = {} if key is None else {"Idempotency-Key": f"{n} {key}"}
            answer = (
                service.get(path, role)
                if body is None
                else service.post(path, role, body, headers=headers)
            )
            assert answer.status_code == 200, (path, answer.text)
            new = audit_of(service)[before:]
            assert new, f"{path} left no record"
            assert {row["who"] for row in new} == {role}
            named = {name for row in new for name in row["subject"].split()}
            if action not in {"events", "plan"}:
                assert set(KEY.findall(answer.text)) <= named, path
            lists = set(re.findall(r'"list_id":"(L-[^"]+)"', answer.text))
            if body is not None and lists:
                assert lists == {row["list_id"] for row in new} - {""}, path
    assert {"/v1/rank", "/v1/decisions", "/v1/outcomes", "/v1/events"} <= written & ROUTES.keys()


def test_a_request_sent_again_shows_no_rows_that_were_approved_since(service, dealer, audit_of):
    case = {"case_reference": "X-1", "legal_basis": "warrant", "agency": "HSI", "dealers": [dealer],
            "why": "firearms moving today", "approver": "chief"}  # fmt: skip
    key = {"Idempotency-Key": "a"}
    first = service.post("/v1/case_requests", "agent", case, headers=key).json()
    path = f"/v1/case_requests/{first['request_id']}"
    service.post(f"{path}/decision", "chief", {"approved": [dealer]})
    again = service.post("/v1/case_requests", "agent", case, headers=key).json()
    assert (again["rows"], again["status"]) == ([], "approved")
    assert [row["dealer"] for row in service.get(path, "agent").json()["rows"]] == [dealer]


def test_no_dealer_of_a_long_answer_is_missing_from_its_record(service, snapshot_of, audit_of):
    service.runtime.replace(snapshot_of(2_500))
    listed = service.post("/v1/rank", "chief", {"k": 1_200, "limit": 5_000}).json()
    assert len(listed["rows"]) == 1_200
    found = service.get("/v1/changes", "chief").json()["changes"]
    shown = {dealer for one in found for dealer in one["dealers"]}
    assert len(shown) == 1_200
    assert set(audit_of(service)[-1]["subject"].split()) == shown


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leaves_a_record_of_each_dealer_that_it_shows(service, dealer, audit_of, path):
    """A circle of the map leads to one dealer, with name and percentile: it is shown as any."""
    listed = service.post("/v1/rank", "chief", {"k": 3}).json()
    of_list = {row["dealer"] for row in listed["rows"]}
    here = Visitor(service, "chief")
    n_before = len(audit_of(service))
    page = here.get(path.format(dealer=dealer, list_id=listed["list_id"]))
    assert page.status_code == 200, page.text
    records = audit_of(service)[n_before:]
    named = {key for record in records for key in KEY.findall(record["subject"])}
    if any(record["list_id"] == listed["list_id"] for record in records):
        named |= of_list  # as issued: the record names the list
    shown = set(KEY.findall(page.text)) - EXAMPLES
    assert shown, "the page shows nobody"
    assert shown - named == set()
