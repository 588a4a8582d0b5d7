"""Who may use which route: every role on every route, purposes, and what must not differ."""

import itertools
import shutil
from contextlib import closing

import pytest

from serving.access.roles import ACCESS, DEALER_LEVEL
from serving.runtime import Runtime
from serving.settings import Settings

ROLES = [
    "inspector", "supervisor", "analyst", "scheduler", "partner", "agent", "auditor", "admin",
]  # fmt: skip
KEY = "1-10-00000"
LIST = "L-20260101-ffffffffffff"
PLAN = "P-20260101-ffffffffffff"
CASE = "C-20260101-ffffffffffff"
ROUTES = {
    ("POST", "/v1/score"): ("score", {"dealers": [KEY]}),
    ("POST", "/v1/score_features"): ("score_features", {"rows": [{}]}),
    ("POST", "/v1/rank"): ("rank", {"k": 1}),
    ("POST", "/v1/explain"): ("explain", {"dealer": KEY}),
    ("POST", "/v1/decisions"): (
        "decisions",
        {"list_id": LIST, "dealer": KEY, "decision": "accept"},
    ),
    ("POST", "/v1/outcomes"): (
        "outcomes",
        {"inspection_id": "I1", "dealer": KEY, "opened_on": "2026-01-01", "outcome": "none"},
    ),
    ("POST", "/v1/events"): ("events", {"table": "tips", "rows": [{}]}),
    ("GET", f"/v1/lists/{LIST}"): ("lists", None),
    ("GET", f"/v1/lists/{LIST}.csv"): ("lists", None),
    ("GET", f"/v1/dealers/{KEY}"): ("dealers", None),
    ("GET", "/v1/plans"): ("plans", None),
    ("GET", f"/v1/plans/{PLAN}"): ("plans", None),
    ("GET", f"/v1/plans/{PLAN}.ics"): ("plans", None),
    ("GET", "/v1/lists"): ("lists", None),
    ("GET", "/v1/changes"): ("changes", None),
    ("GET", "/v1/decisions"): ("decisions_read", None),
    ("GET", "/v1/decisions/7"): ("decisions_read", None),
    ("GET", "/v1/outcomes"): ("outcomes_read", None),
    ("GET", "/v1/outcomes/I1"): ("outcomes_read", None),
    ("GET", "/v1/scores/export"): ("export", None),
    ("GET", "/v1/referrals"): ("referrals", None),
    ("GET", "/v1/referrals/7"): ("referrals", None),
    ("POST", "/v1/referrals/7/steps"): ("referral_steps", {"step": "take"}),
    ("POST", "/v1/case_requests"): (
        "case_ask",
        {
            "case_reference": "HSI-1",
            "legal_basis": "warrant",
            "agency": "HSI",
            "why": "a named case",
            "dealers": [KEY],
            "approver": "chief",
        },
    ),
    ("GET", f"/v1/case_requests/{CASE}"): ("case_read", None),
    ("POST", f"/v1/case_requests/{CASE}/decision"): ("case_decide", {"approved": []}),
    ("GET", "/v1/responsibilities"): ("responsibilities", None),
    ("GET", "/v1/audit"): ("audit", None),
    ("GET", "/v1/flows"): ("flows", None),
    ("GET", "/v1/completeness"): ("completeness", None),
    ("GET", "/v1/repeats"): ("repeats", None),
    ("GET", "/v1/staffing"): ("staffing", None),
    ("GET", "/v1/shares/hsi"): ("shares", None),
}
# The table of the design, written out once more by hand: the code must agree with it.
MAY = {
    "score": {"scheduler", "supervisor", "analyst"},
    "score_features": {"analyst"},
    "rank": {"inspector", "supervisor", "scheduler"},
    "explain": {"inspector", "supervisor", "analyst"},
    "decisions": {"inspector", "supervisor"},
    "outcomes": {"inspector", "supervisor"},
    "decisions_read": {"inspector", "supervisor", "scheduler"},
    "outcomes_read": {"inspector", "supervisor", "scheduler"},
    "export": {"scheduler", "supervisor", "analyst"},
    "events": {"scheduler"},
    "lists": {"inspector", "supervisor", "scheduler", "auditor"},
    "changes": {"supervisor", "scheduler"},
    "dealers": {"inspector", "supervisor", "analyst"},
    "plans": {"inspector", "supervisor", "scheduler"},
    "referrals": {"supervisor", "agent", "scheduler"},
    "referral_steps": {"supervisor", "agent"},
    "case_ask": {"agent"},
    "case_decide": {"supervisor"},
    "case_read": {"agent", "supervisor"},
    "responsibilities": {
        "inspector",
        "supervisor",
        "analyst",
        "scheduler",
        "partner",
        "agent",
        "auditor",
    },
    "audit": {"auditor"},
    "flows": {"inspector", "supervisor", "analyst"},
    "completeness": {"supervisor", "analyst", "scheduler"},
    "repeats": {"supervisor"},
    "staffing": {"supervisor", "analyst", "scheduler"},
    "shares": {"partner", "supervisor", "analyst", "scheduler"},
}


def concrete(path: str) -> str:
    path = path.replace("{plan_id}", PLAN).replace("{request_id}", CASE)
    path = path.replace("{referral_id}", "7").replace("{partner}", "hsi")
    path = path.replace("{decision_id}", "7").replace("{inspection_id}", "I1")
    kind = "ics" if "/plans/" in path else "csv"
    return path.replace("{list_id}", LIST).replace("{kind}", kind).replace("{dealer}", KEY)


def test_the_matrix_covers_every_data_route(service):
    document = service.client.get("/docs.json").json()
    declared = {
        (method.upper(), concrete(path))
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/v1/") and path not in {"/v1/plan", "/v1/measures"}
    }
    assert declared == set(ROUTES)


@pytest.mark.parametrize(("route", "role"), list(itertools.product(ROUTES, ROLES)), ids=str)
def test_every_role_on_every_route(service, route, role):
    method, path = route
    action, body = ROUTES[route]
    answer = service.call(method, path, role, **({} if body is None else {"json": body}))
    is_refused = answer.status_code == 403 and answer.json()["code"] == "forbidden_role"
    assert is_refused == (role not in MAY[action])
    assert ACCESS[action] == MAY[action]


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_no_route_answers_without_an_identity(service, route, audit_of):
    method, path = route
    for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic YTpi"}):
        body = ROUTES[route][1]
        more = {} if body is None else {"json": body}
        answer = service.client.request(method, path, headers=headers, **more)
        assert answer.status_code == 401
        assert answer.json()["code"] == "unauthenticated"
        assert "Bearer" in answer.headers["www-authenticate"]
    assert audit_of(service) == []


@pytest.mark.parametrize("route", ROUTES, ids=str)
def test_restricted_answers_need_a_purpose_that_reaches_them(service, route):
    method, path = route
    action, body = ROUTES[route]
    role = min(MAY[action] & set(ROLES))
    more = {} if body is None else {"json": body}
    if action in DEALER_LEVEL:
        for purpose in (None, "statistics", "curiosity"):
            answer = service.call(method, path, role, purpose=purpose, **more)
            assert answer.status_code == 403
            assert answer.json()["code"] == "purpose_required"


def test_public_data_needs_no_purpose(service, snapshot_of, audit_of):
    service.runtime.replace(snapshot_of(restriction="public"))
    answer = service.call("POST", "/v1/score", "analyst", purpose=None, json={"dealers": [KEY]})
    assert answer.status_code == 200
    assert not any("traced" in line for line in answer.json()["disclaimers"])
    assert audit_of(service)[0]["purpose"] == ""


def test_the_body_and_the_header_may_not_disagree(service):
    body = {"dealers": [KEY], "purpose": "criminal_investigation"}
    answer = service.post("/v1/score", "analyst", body, purpose="licensing")
    assert answer.status_code == 403
    assert service.post("/v1/score", "analyst", body, purpose=None).status_code == 200


def test_a_failing_audit_withholds_the_answer(service):
    import sqlalchemy as sa

    with service.runtime.store.write() as connection:
        connection.execute(sa.text("DROP TABLE audit"))
    answer = service.post("/v1/score", "analyst", {"dealers": [KEY]})
    assert answer.status_code == 503
    assert answer.json()["code"] == "audit_failed"
    assert KEY not in answer.text


@pytest.mark.parametrize("path", ["/v1/dealers/{}", "/v1/explain"])
def test_absent_held_and_outside_are_alike(service, path):
    from datetime import date

    from serving.scores import holds

    columns = service.runtime.snapshot.columns
    offices = columns["office"]
    outside = columns["dealer"][(offices == "office4").argmax()]
    held = columns["dealer"][(offices == "office0").argmax()]
    holds.place(service.runtime.store, held, owners=[], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    answers = set()
    for dealer in (outside, held, "1-99-99999"):
        if "{}" in path:
            answer = service.get(path.format(dealer), "inspector")
        else:
            answer = service.post(path, "inspector", {"dealer": dealer})
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404


def test_applications_of_one_process_share_routes_and_nothing_else(
    service, start, new_store, tmp_path
):
    asked = {"Authorization": f"Bearer {service.tokens['analyst']}"}
    home = tmp_path / "other"
    home.mkdir()
    shutil.copy(new_store, home / "service.db")
    settings = Settings(
        home=home, store_url=f"sqlite:///{home / 'service.db'}", audit_key_file=home / "audit.key"
    )
    with closing(Runtime.open(settings)) as running:
        other = start(running)
        assert service.client.get("/v1/responsibilities", headers=asked).status_code == 200
        assert other.client.get("/v1/responsibilities", headers=asked).status_code == 401
        assert other.get("/v1/responsibilities", "analyst").status_code == 503, "no table yet"
