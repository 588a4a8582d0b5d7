"""The life of a referral, who answers for what, case requests, and the switch that stops lists."""

import itertools
from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from features.ingest import ingest
from features.reference.attribution import COUNTS_SQL, counts_toward_dealer
from features.schema import TABLES
from serving.access.accounts import Principal
from serving.access.audit.writer import Access, Ledger, verify
from serving.errors import InvalidRequestError
from serving.field.events.events import check_rows, keep
from serving.field.events.rescoring import collect_events
from serving.field.referrals import referral_life, responsibility
from serving.field.referrals.referrals import Pattern, Sale, find, pattern_in_trace, queue, queued
from serving.scores import holds
from serving.store.database import instant
from serving.store.tables import EVENTS

TODAY = date(2026, 1, 1)
OUTCOMES, ROUTES = (
    sorted(next(column.allowed for column in TABLES["traces"].columns if column.name == name))
    for name in ("outcome", "acquisition_route")
)


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
    said = ("take", "take", "hand_over", "close straw_purchase_confirmed")  # a take said twice
    dealer = first["dealers"][0]
    assert done == [f"{number} {step} {dealer}" for step in said]
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


def test_how_long_it_waited_to_be_taken_stays_whoever_has_it_then(service, referral, monkeypatch):
    """The first taking tells; later hands, an agency's among them, change it no more."""
    opened = datetime.now(UTC)
    service.runtime.directory.add_account("paul", "agent", areas=["division:division0"])
    said = []
    for day, who, kind, more in (
        (1, "agent", "take", {}),
        (30, "agent", "hand_over", {"to_who": "paul"}),
        (40, "supervisor", "hand_over", {"to_agency": "HSI El Paso"}),
        (50, "agent", "take", {}),
        (60, "supervisor", "hand_over", {"to_who": "paul"}),
        (70, "supervisor", "close", {"result": "lawful"}),
    ):
        at = opened + timedelta(days=day)
        monkeypatch.setattr(referral_life, "instant", lambda at=at: instant(at))
        answer = step(service, referral, who, kind, **more).json()
        said.append((answer["days_to_take"], answer["taken_by"], answer["agency"]))
    hsi = "HSI El Paso"
    assert said == [
        (1.0, "agent", None), (1.0, "paul", None), (1.0, None, hsi), (1.0, "agent", hsi),
        (1.0, "paul", hsi), (1.0, "paul", hsi),
    ]  # fmt: skip


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


def test_a_dealer_without_a_score_is_of_the_office_that_the_table_has_in_its_county(
    service, runtime, ledger
):
    """An agency's own offices are on no map but that of the table."""
    newcomer = "1-11-90001"
    list_dealer(runtime, newcomer, "48141", "TX")
    at = runtime.snapshot.columns["county"] == "48141"
    offices = np.where(at, "SOUTH", runtime.snapshot.columns["office"]).astype(object)
    runtime.replace(runtime.snapshot.changed(np.arange(len(at)), office=offices))
    evidence = {"records": ["traces T0"], "recovery_country": "MX", "destination": "mexico"}
    assert queue(runtime.store, [Pattern("fast_recovery", (newcomer,), evidence)], ledger=ledger)
    runtime.directory.add_account("south", "agent", areas=["office:SOUTH"])
    service.tokens["south"] = runtime.directory.issue_token("south")
    (one,) = service.get("/v1/referrals", "south").json()["referrals"]
    assert one["dealers"] == [newcomer]
    assert service.get("/v1/referrals", "agent").json()["referrals"] == []


def test_a_referral_about_a_dealer_without_a_score_is_shown_to_those_of_its_area(
    service, runtime, ledger
):
    newcomer, unlisted, unscored = "1-11-90001", "1-11-90002", dealer_of(runtime, "office0")
    list_dealer(runtime, newcomer, "04019", "AZ")  # a county that the table does not know
    row = np.array([runtime.snapshot.row_of[unscored]])
    runtime.replace(runtime.snapshot.changed(row, is_in_scope=np.array([False])))
    for n, dealer in enumerate((newcomer, unlisted, unscored)):
        evidence = {"records": [f"traces T{n}"], "recovery_country": "MX", "destination": "mexico"}
        assert queue(runtime.store, [Pattern("fast_recovery", (dealer,), evidence)], ledger=ledger)
    add(runtime, ledger, "ATF Phoenix", "division:785")
    for name, role, area in (
        ("tucson", "agent", "office:785090"), ("leader", "supervisor", "division:785"),
        ("dallas", "agent", "division:781"), ("everywhere", "agent", "nation"),
    ):  # fmt: skip
        runtime.directory.add_account(name, role, areas=[area])
        service.tokens[name] = runtime.directory.issue_token(name)
    seen = {
        who: {d for one in service.get("/v1/referrals", who).json()["referrals"]
              for d in one["dealers"]}
        for who in ("tucson", "leader", "dallas", "everywhere", "agent")
    }  # fmt: skip
    assert seen == {
        "tucson": {newcomer}, "leader": {newcomer, unlisted}, "dallas": set(),
        "everywhere": {newcomer, unlisted, unscored}, "agent": {unscored},
    }  # fmt: skip
    (mine,) = service.get("/v1/referrals", "tucson").json()["referrals"]
    path = f"/v1/referrals/{mine['referral_id']}"
    assert [row["agency"] for row in service.get(path, "tucson").json()["call"]] == ["ATF Phoenix"]
    assert step(service, path, "tucson", "take").json()["taken_by"] == "tucson"
    holds.place(runtime.store, newcomer, owners=["leader"], starts_on=TODAY)
    runtime.refresh_holds()
    assert service.get(path, "tucson").status_code == 404
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


def test_a_trace_that_counts_toward_nobody_refers_nobody(service, runtime):
    dealer, sent = dealer_of(runtime, "office0"), []
    values = [("legible", "obliterated", "none"), OUTCOMES, (None, *ROUTES)]
    for n, (serial, outcome, route) in enumerate(itertools.product(*values)):
        told = {"serial_status": serial, "outcome": outcome, "acquisition_route": route}
        sent.append(trace("MX", 0) | told | {
            "trace_id": f"T{n}", "dealer": dealer, "requested_on": "2026-01-02",
            "requester": "police", "firearm_type": "rifle",
        })  # fmt: skip
    counting = {
        f"traces {row['trace_id']}" for row in sent
        if row["serial_status"] != "none" and row["outcome"] != "unserialized"
        and row["acquisition_route"] not in {"export", "government"}
    }  # fmt: skip
    body = {"table": "traces", "rows": sent}
    answer = service.post("/v1/events", "scheduler", body).json()
    assert (answer["n_stored"], answer["rejected"]) == (len(sent), [])
    assert answer["n_referrals"] == len(counting) > 10
    found = {r for one in queued(runtime.store) for r in one["evidence"]["records"]}
    assert found == counting
    # The row's rule is that of the queries.
    query = f"SELECT trace_id FROM frame WHERE {COUNTS_SQL}"  # noqa: S608
    frame = pd.DataFrame(sent).fillna({"acquisition_route": "unknown"})
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        assert {f"traces {row[0]}" for row in connection.execute(query).fetchall()} == counting
    assert {f"traces {name}" for name in frame["trace_id"][counts_toward_dealer(frame)]} == counting


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


def test_an_agency_answers_for_an_office_by_whatever_name_it_has(runtime, ledger):
    add(runtime, ledger, "Customs", "office: Co\u0302te / Nord: 2")
    (row,) = responsibility.table(runtime.store)
    assert row.area == "office:Côte / Nord: 2"


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
