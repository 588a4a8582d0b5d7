"""The life of a referral, who answers for what, case requests, and the switch that stops lists."""

import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from features.ingest import ingest
from serving.access import suspension
from serving.access.accounts import Principal
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Access, Ledger, verify
from serving.commands.app import app
from serving.errors import ConflictError, InvalidRequestError
from serving.field import case_requests, responsibility
from serving.field.events import check_rows, keep
from serving.field.referrals import Pattern, Sale, find, pattern_in_trace, queue, queued
from serving.field.rescoring import collect_events
from serving.scores import holds
from serving.store.database import instant
from serving.store.tables import CASE_REQUESTS, EVENTS, SUSPENSIONS

TODAY = date(2026, 1, 1)


@pytest.fixture
def ledger(runtime):
    return Ledger(runtime.audit_key, Access("operator:x", "operator", "", ""))


def dealer_of(runtime, office, n=0):
    columns = runtime.snapshot.columns
    return str(columns["dealer"][columns["office"] == office][n])


@pytest.fixture
def referral(service, runtime, ledger):
    """One referral about a dealer of office0, which lies in division0."""
    evidence = {"records": ["traces T1"], "recovery_country": "MX", "destination": "mexico"}
    pattern = Pattern("fast_recovery", (dealer_of(runtime, "office0"),), evidence)
    assert queue(runtime.store, [pattern], ledger=ledger) == 1
    (queued,) = service.get("/v1/referrals", "chief").json()["referrals"]
    return f"/v1/referrals/{queued['referral_id']}"


def step(service, path, who, kind, **more):
    return service.post(f"{path}/steps", who, {"step": kind} | more)


def test_a_referral_is_taken_handed_over_and_closed(service, referral, audit_of):
    service.runtime.directory.add_account("paul", "agent", areas=["division:division0"])
    service.tokens["paul"] = service.runtime.directory.issue_token("paul")
    first = service.get("/v1/referrals", "agent").json()["referrals"][0]
    assert (first["status"], first["destination"]) == ("open", "mexico")
    assert step(service, referral, "agent", "take").json()["taken_by"] == "agent"
    assert step(service, referral, "agent", "take").status_code == 200  # said twice, kept once
    taken = step(service, referral, "paul", "take")
    assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
    assert step(service, referral, "paul", "close", result="lawful").status_code == 409
    handed = step(service, referral, "agent", "hand_over", to_who="paul", note="his area").json()
    assert (handed["taken_by"], handed["status"]) == ("paul", "taken")
    closed = step(service, referral, "paul", "close", result="straw_purchase_confirmed").json()
    assert (closed["status"], closed["result"]) == ("closed", "straw_purchase_confirmed")
    assert closed["days_open"] >= 0.0
    assert [one["step"] for one in closed["steps"]] == ["take", "hand_over", "close"]
    assert "let a suspect sale go on" in closed["statement"]
    again = step(service, referral, "paul", "close", result="lawful")
    assert again.status_code == 409
    done = [r["subject"] for r in audit_of(service) if r["action"] == "referral"]
    number = referral.rpartition("/")[2]
    said = ("take", "hand_over", "close straw_purchase_confirmed")
    assert done == [f"{number} {step}" for step in said]
    runtime = service.runtime
    assert verify(runtime.store, runtime.audit_key).is_intact


def test_to_another_agency_it_waits_there_and_whoever_leads_may_step_in(service, referral):
    assert step(service, referral, "agent", "close", result="lawful").status_code == 409
    step(service, referral, "agent", "take")
    handed = step(service, referral, "agent", "hand_over", to_agency="HSI El Paso").json()
    assert (handed["status"], handed["agency"], handed["taken_by"]) == (
        "handed_over", "HSI El Paso", None,
    )  # fmt: skip
    closed = step(service, referral, "supervisor", "close", result="known_already")
    assert closed.json()["status"] == "closed"


@pytest.mark.parametrize(
    "body",
    [
        {"step": "close"},
        {"step": "close", "result": "guilty"},
        {"step": "close", "result": "other"},
        {"step": "hand_over"},
        {"step": "hand_over", "to_agency": "  "},
        {"step": "forget"},
        {},
    ],
    ids=str,
)
def test_a_step_that_does_not_say_what_it_must_is_refused(service, referral, body):
    step(service, referral, "agent", "take")
    assert service.post(f"{referral}/steps", "agent", body).status_code == 422
    assert len(service.get(referral, "agent").json()["steps"]) == 1


def test_a_referral_is_handed_only_to_somebody_who_sees_it(service, referral):
    runtime = service.runtime
    runtime.directory.add_account("paul", "agent", areas=["division:division0"])
    runtime.directory.add_account("west", "agent", areas=["division:division2"])
    federated = Principal("oidc:Maria", "agent", frozenset({"office:office0"}), via="oidc")
    runtime.directory.start_session(federated, "criminal_investigation", hours=1)
    step(service, referral, "agent", "take")
    for wrong in ("mariaa", "west", "inspector", "oidc:maria"):
        refused = step(service, referral, "agent", "hand_over", to_who=wrong)
        assert (refused.status_code, "nothing was handed over" in refused.text) == (422, True)
    assert len(service.get(referral, "agent").json()["steps"]) == 1
    handed = step(service, referral, "agent", "hand_over", to_who="oidc:Maria").json()
    assert handed["taken_by"] == "oidc:Maria"
    again = step(service, referral, "supervisor", "hand_over", to_who=" Paul ").json()
    assert (again["taken_by"], again["steps"][-1]["to_who"]) == ("paul", "paul")


def test_an_agent_sees_the_own_area_and_no_list(service, runtime, ledger, referral):
    far = Pattern("fast_recovery", (dealer_of(runtime, "office4"),), {"records": ["traces T2"]})
    queue(runtime.store, [far], ledger=ledger)
    seen = service.get("/v1/referrals", "agent").json()["referrals"]
    assert [f"/v1/referrals/{one['referral_id']}" for one in seen] == [referral]
    both = service.get("/v1/referrals", "chief").json()["referrals"]
    (other,) = {f"/v1/referrals/{one['referral_id']}" for one in both} - {referral}
    for answer in (
        service.get(other, "agent"),
        step(service, other, "agent", "take"),
        service.get("/v1/referrals/99", "agent"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_referral")
    dealer = dealer_of(runtime, "office0")
    assert service.get(f"/v1/dealers/{dealer}", "agent").status_code == 403
    assert service.post("/v1/rank", "agent", {"k": 1}).status_code == 403


def list_dealer(runtime, dealer, county, state):
    """Put a dealer that no scored table has into the listings of the warehouse."""
    path = runtime.settings.home / "licenses.csv"
    columns = "dealer,license_type,listed_on,premises_city,premises_state,county_fips"
    path.write_text(f"{columns}\n{dealer},01,2025-12-01,PHOENIX,{state},{county}\n")
    ingest([path], runtime.settings.home / "warehouse", today=TODAY)


def test_a_referral_about_a_dealer_without_a_score_is_shown_to_those_of_its_area(
    service, runtime, ledger
):
    newcomer, unlisted, unscored = "1-11-90001", "1-11-90002", dealer_of(runtime, "office0")
    list_dealer(runtime, newcomer, "04013", "AZ")
    row = np.array([runtime.snapshot.row_of[unscored]])
    runtime.replace(runtime.snapshot.changed(row, is_in_scope=np.array([False])))
    for n, dealer in enumerate((newcomer, unlisted, unscored)):
        evidence = {"records": [f"traces T{n}"], "recovery_country": "MX", "destination": "mexico"}
        assert queue(runtime.store, [Pattern("fast_recovery", (dealer,), evidence)], ledger=ledger)
    add(runtime, ledger, "ATF Phoenix", "division:785")
    for name, role, area in (
        ("phoenix", "agent", "office:785110"), ("leader", "supervisor", "division:785"),
        ("dallas", "agent", "division:781"), ("everywhere", "agent", "nation"),
    ):  # fmt: skip
        runtime.directory.add_account(name, role, areas=[area])
        service.tokens[name] = runtime.directory.issue_token(name)
    seen = {
        who: {d for one in service.get("/v1/referrals", who).json()["referrals"]
              for d in one["dealers"]}
        for who in ("phoenix", "leader", "dallas", "everywhere", "agent")
    }  # fmt: skip
    assert seen == {
        "phoenix": {newcomer}, "leader": {newcomer, unlisted}, "dallas": set(),
        "everywhere": {newcomer, unlisted, unscored}, "agent": {unscored},
    }  # fmt: skip
    (mine,) = service.get("/v1/referrals", "phoenix").json()["referrals"]
    path = f"/v1/referrals/{mine['referral_id']}"
    assert [row["agency"] for row in service.get(path, "phoenix").json()["call"]] == ["ATF Phoenix"]
    assert step(service, path, "phoenix", "take").json()["taken_by"] == "phoenix"
    holds.place(runtime.store, newcomer, owners=["leader"], starts_on=TODAY)
    runtime.refresh_holds()
    assert service.get(path, "phoenix").status_code == 404
    assert service.get(path, "leader").status_code == 200


def trace(country, days):
    recovered = date(2026, 1, 1) + timedelta(days=days)
    return {
        "trace_id": "T1", "dealer": "1-10-00001", "sold_on": "2026-01-01",
        "recovered_on": recovered.isoformat(), "recovery_country": country,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("country", "destination"),
    [("MX", "mexico"), ("GT", "guatemala"), ("HN", "honduras"), ("SV", "el_salvador"),
     ("JM", "caribbean"), ("CA", "canada"), ("US", "domestic"), ("DE", "elsewhere")],
)  # fmt: skip
def test_a_fast_recovery_is_referred_wherever_it_was(country, destination):
    found = pattern_in_trace(trace(country, 60), [])
    assert (found.name, found.evidence["destination"]) == ("fast_recovery", destination)
    sale = Sale("M1", "1-10-00002", date(2026, 1, 1), 2)
    assert pattern_in_trace(trace(country, 3), [sale]).dealers == ("1-10-00001", "1-10-00002")
    assert pattern_in_trace(trace(country, 61), [sale]) is None
    assert pattern_in_trace(trace(country, -1), [sale]) is None


def told(runtime, ledger, table, **row):
    """Keep a row as the feed sends it and queue what it completes; return the whole queue."""
    home = runtime.settings.home / "warehouse"
    (clean,) = check_rows(table, [row], today=TODAY).rows
    keep(runtime.store, table, [clean], ledger=ledger)
    queue(runtime.store, find(runtime.store, home, table, [clean]), ledger=ledger)
    return [
        (r["pattern"], r["dealers"], r["evidence"]["records"])
        for r in reversed(list(queued(runtime.store)))
    ]


SALE = {
    "report_id": "R1", "dealer": "1-10-00001", "sold_on": "2025-12-20", "reported_on": "2025-12-21",
    "kind": "handgun", "n_firearms": 2, "purchaser_token": "token-1", "known_on": "2025-12-22",
}  # fmt: skip


@pytest.mark.parametrize("is_collected", [False, True])
def test_a_corrected_report_is_one_sale(runtime, ledger, is_collected):
    assert told(runtime, ledger, "multiple_sales", **SALE) == []
    if is_collected:
        collect_events(runtime.store, runtime.settings.home / "warehouse")
    for change in ({"n_firearms": 3}, {"dealer": "1-10-00002"}):
        correction = SALE | change | {"known_on": "2025-12-24"}
        assert told(runtime, ledger, "multiple_sales", **correction) == []
    # The report is now about another purchaser: neither token has two.
    correction = SALE | {"purchaser_token": "token-2", "known_on": "2025-12-25"}
    assert told(runtime, ledger, "multiple_sales", **correction) == []
    assert told(runtime, ledger, "multiple_sales", **SALE | {"report_id": "R2"}) == []
    (found,) = told(
        runtime, ledger, "multiple_sales",
        **SALE | {"report_id": "R3", "purchaser_token": "token-2"},
    )  # fmt: skip
    records = ["multiple_sales R1", "multiple_sales R3"]
    assert found == ("repeat_multiple_sales", ["1-10-00001"], records)


def test_a_trace_is_referred_once_and_anew_to_the_dealer_it_is_corrected_to(runtime, ledger):
    sent = trace("MX", -5) | {
        "sold_on": "2025-12-20", "requested_on": "2025-12-29", "known_on": "2025-12-30",
        "requester": "police", "firearm_type": "pistol", "serial_status": "legible",
        "outcome": "purchaser", "purchaser_token": "token-1",
    }  # fmt: skip
    first = ("fast_recovery", ["1-10-00001"], ["traces T1"])
    assert told(runtime, ledger, "traces", **sent) == [first]
    told(runtime, ledger, "multiple_sales", **SALE | {"dealer": "1-10-00003"})
    assert told(runtime, ledger, "traces", **sent) == [first]  # the token bought more since
    assert told(runtime, ledger, "traces", **sent | {"serial_status": "obliterated"}) == [first]
    corrected = told(runtime, ledger, "traces", **sent | {"dealer": "1-10-00002"})
    records = ["traces T1", "multiple_sales R1"]
    assert corrected == [first, ("fast_recovery", ["1-10-00002", "1-10-00003"], records)]
    assert told(runtime, ledger, "traces", **sent) == corrected


def test_a_ballistic_lead_touches_the_dealer_of_its_trace(service, runtime):
    dealer = dealer_of(runtime, "office0")
    known = {
        "trace_id": "T7", "requested_on": "2026-01-02", "recovered_on": "2026-01-01",
        "recovery_country": "US", "recovery_state": "AZ", "requester": "police", "dealer": dealer,
        "sold_on": "2020-01-01", "firearm_type": "rifle", "serial_status": "legible",
        "outcome": "purchaser", "known_on": "2026-01-05",
    }  # fmt: skip
    assert service.post("/v1/events", "scheduler", {"table": "traces", "rows": [known]}).json()[
        "n_stored"
    ]
    leads = [
        {"lead_id": "L1", "trace_id": name, "lead_on": "2026-01-06", "n_linked_events": 2}
        for name in ("T7", "T8")
    ]
    body = {"table": "ballistic_leads", "rows": leads}
    answer = service.post("/v1/events", "scheduler", body).json()
    assert (answer["n_stored"], answer["pending"]) == (2, [])
    with runtime.store.read() as connection:
        query = sa.select(EVENTS.c.dealer).where(EVENTS.c.source_table == "ballistic_leads")
        assert sorted(connection.scalars(query), key=str) == [dealer, None]


# Who answers for what


def add(runtime, ledger, agency, area, subject="southbound_trafficking", **more):
    given = {"contact": "555-0100", "starts_on": date(2020, 1, 1)} | more
    return responsibility.add(
        runtime.store, agency, area=area, subject=subject, ledger=ledger, **given
    )


def test_a_referral_says_whom_to_call_the_nearest_first(service, runtime, ledger, referral):
    add(runtime, ledger, "HSI", "nation")
    add(runtime, ledger, "ATF Phoenix", "division:division0")
    add(runtime, ledger, "ATF Dallas", "division:division2")
    add(runtime, ledger, "Old office", "division:division0", ends_on=date(2021, 1, 1))
    called = service.get(referral, "agent").json()["call"]
    assert [row["agency"] for row in called] == ["ATF Phoenix", "HSI"]


def test_overlaps_and_gaps_are_told(service, runtime, ledger):
    add(runtime, ledger, "ATF", "division:division0")
    second = add(runtime, ledger, "HSI", "division:division0")
    add(runtime, ledger, "ATF", "nation", subject="inspections")
    told = service.get("/v1/responsibilities", "partner").json()
    assert [[one["agency"] for one in pair] for pair in told["overlaps"]] == [["ATF", "HSI"]]
    gaps = {gap["subject"]: gap["areas"] for gap in told["gaps"]}
    assert gaps["southbound_trafficking"] == ["division:division1", "division:division2"]
    assert "inspections" not in gaps
    responsibility.end(runtime.store, second, datetime.now(UTC).date(), ledger=ledger)
    assert service.get("/v1/responsibilities", "partner").json()["overlaps"] == []


@pytest.mark.parametrize(
    "wrong",
    [{"area": "galaxy"}, {"subject": "weather"}, {"contact": " "}, {"agency": ""},
     {"ends_on": date(2020, 1, 1)}],
    ids=str,
)  # fmt: skip
def test_a_row_that_makes_no_sense_is_refused(runtime, ledger, wrong):
    given = {"agency": "ATF", "area": "nation"} | wrong
    with pytest.raises(InvalidRequestError):
        add(runtime, ledger, given.pop("agency"), given.pop("area"), **given)
    assert responsibility.table(runtime.store) == []


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


# The switch

STOPPED = [
    ("POST", "/v1/score", "analyst", {"dealers": ["{dealer}"]}),
    ("POST", "/v1/rank", "chief", {"k": 1}),
    ("POST", "/v1/explain", "chief", {"dealer": "{dealer}"}),
    ("POST", "/v1/plan", "chief", {"office": "office0"}),
    ("GET", "/v1/dealers/{dealer}", "chief", None),
    ("GET", "/v1/lists/{list}", "chief", None),
    ("GET", "/v1/lists/{list}.csv", "chief", None),
]


def ask(service, runtime, listed, asked):
    method, path, who, body = asked
    dealer = dealer_of(runtime, "office0")
    path = path.replace("{dealer}", dealer).replace("{list}", listed["list_id"])
    if body is not None:
        body = {k: [dealer] if v == ["{dealer}"] else dealer if v == "{dealer}" else v
                for k, v in body.items()}  # fmt: skip
    return service.call(method, path, who, **({} if body is None else {"json": body}))


def test_suspended_nothing_shows_a_score_and_the_field_goes_on(
    service, runtime, ledger, referral, monkeypatch, audit_of
):
    monkeypatch.setattr(suspension, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("FFL_RISK_HOME", str(runtime.settings.home))
    listed = service.post("/v1/rank", "chief", {"k": 3}).json()
    assert ask(service, runtime, listed, STOPPED[0]).status_code == 200
    done = CliRunner().invoke(app, ["suspend", "--why", "The feed is wrong"])
    assert done.exit_code == 0, done.output
    for asked in STOPPED:
        answer = ask(service, runtime, listed, asked)
        assert (answer.status_code, answer.json()["code"]) == (503, "suspended"), asked
        assert answer.json()["found"] == "The feed is wrong"
        assert answer.headers["retry-after"] == "600"
    who = runtime.directory.principal_of_token(service.tokens["chief"])
    cookie = runtime.directory.start_session(who, "licensing", hours=1)
    page = service.client.get("/lists", headers={"Cookie": f"ffl_risk_session={cookie}"})
    assert page.status_code == 503
    assert "Lists and scores are suspended" in page.text
    assert "The feed is wrong" in page.text
    assert step(service, referral, "agent", "take").status_code == 200
    outcome = {
        "inspection_id": "I5", "dealer": listed["rows"][0]["dealer"], "opened_on": "2026-01-01",
        "outcome": "none",
    }  # fmt: skip
    assert service.post("/v1/outcomes", "chief", outcome).status_code == 200
    twice = CliRunner().invoke(app, ["suspend", "--why", "again"])
    assert isinstance(twice.exception, ConflictError)
    assert CliRunner().invoke(app, ["resume", "--why", "It is mended"]).exit_code == 0
    assert ask(service, runtime, listed, STOPPED[0]).status_code == 200
    marks = [(r["action"], r["subject"]) for r in audit_of(service)]
    assert ("suspend", "The feed is wrong") in marks
    assert ("resume", "It is mended") in marks
    assert verify(runtime.store, runtime.audit_key).is_intact


def test_every_worker_stops_within_a_second(runtime, ledger):
    others = [suspension.Switch(runtime.store) for _ in range(2)]
    for switch in others:
        switch.check("score")
    suspension.suspend(runtime.store, "stop now", ledger=ledger)
    until = datetime.now(UTC) + timedelta(seconds=1)
    stopped = set()
    while datetime.now(UTC) < until and len(stopped) < 2:
        for n, switch in enumerate(others):
            try:
                switch.check("score")
            except suspension.SuspendedError:
                stopped.add(n)
    assert stopped == {0, 1}


@pytest.mark.parametrize("why", ["", "  ", "x", "y" * 2_001])
def test_a_suspension_needs_a_reason(runtime, ledger, why):
    with pytest.raises(InvalidRequestError):
        suspension.suspend(runtime.store, why, ledger=ledger)
    assert suspension.current(runtime.store) is None


def test_resuming_ends_every_suspension(runtime, ledger):
    suspension.suspend(runtime.store, "the feed is wrong", ledger=ledger)
    with runtime.store.write() as connection:  # as two at once could leave them
        row = {"why": "so it is", "who": "operator:y", "at": instant()}
        key = connection.execute(SUSPENSIONS.insert(), row).inserted_primary_key[0]
        ledger.add(connection, "suspend", "so it is", kept=kept_now(connection, "suspension", key))
    suspension.resume(runtime.store, "it is right again", ledger=ledger)
    assert suspension.current(runtime.store) is None
    assert verify(runtime.store, runtime.audit_key).is_intact


def test_resuming_what_goes_on_is_a_conflict(runtime, ledger):
    with pytest.raises(ConflictError):
        suspension.resume(runtime.store, "nothing to do", ledger=ledger)
