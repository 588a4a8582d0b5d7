"""Several workers of one home answer alike: each follows what the others were told."""

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from features.warehouse import Warehouse
from models.errors import BundleError
from serving.errors import AuditError, StaleTableError
from serving.field.outcomes.outcomes import collect
from serving.runtime import Runtime
from serving.scores.publish import publish
from serving.server.app import build_app
from serving.settings import Settings
from serving.store.tables import OUTCOMES
from serving.store.warehouse_progress import Collected
from tests.test_serving.conftest import NEVER, Service, make_snapshot
from tests.test_serving.published_country import AS_OF, country  # noqa: F401 - a fixture


def another_worker(service: Service, settings: Settings | None = None) -> Service:
    runtime = Runtime.open(settings or service.runtime.settings)
    return Service(
        TestClient(build_app(runtime), base_url="http://localhost:3000"), runtime, service.tokens
    )


@pytest.fixture
def other(service):
    made = another_worker(service)
    made.runtime.replace(make_snapshot())
    yield made
    made.runtime.close()


def visit(number: str, dealer: str, opened_on: str, **more) -> dict:
    return {
        "inspection_id": number, "dealer": dealer, "opened_on": opened_on,
        "closed_on": opened_on, "outcome": "none",
    } | more  # fmt: skip


def first_listed(service: Service) -> str:
    return service.post("/v1/rank", "chief", {"k": 1, "random_share": 0}).json()["rows"][0][
        "dealer"
    ]


def test_a_visit_told_to_one_worker_is_felt_by_the_other_at_once(service, other):
    dealer = first_listed(service)
    assert first_listed(other) == dealer
    told = service.post("/v1/outcomes", "chief", visit("V1", dealer, "2026-02-01"))
    assert told.status_code == 200
    listed = other.post("/v1/rank", "chief", {"k": 400, "random_share": 0}).json()["rows"]
    assert dealer not in {row["dealer"] for row in listed}
    second = other.post("/v1/outcomes", "chief", visit("V2", dealer, "2026-05-01"))
    assert (second.status_code, second.json()["code"]) == (409, "not_eligible")
    other.runtime.follow()
    answers = [
        one.post("/v1/score", "analyst", {"dealers": [dealer]}).json() for one in (service, other)
    ]
    assert answers[0] == answers[1]
    assert answers[0]["scores"][0]["eligible_on"] == "2027-02-01"


def test_of_two_visits_of_one_year_told_at_once_one_is_refused(service, other):
    dealer = first_listed(service)
    # The first request that a route reads sets Python's warnings aside, which two threads must not.
    for one in (service, other):
        assert one.post("/v1/outcomes", "chief", {}).status_code == 422
    barrier = threading.Barrier(2)

    def tell(one: Service, number: str) -> int:
        barrier.wait()
        body = visit(number, dealer, f"2026-0{number[-1]}-01")
        return int(one.post("/v1/outcomes", "chief", body).status_code)

    with ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(tell, (service, other), ("V2", "V4")))
    # The later visit may be told first: then the earlier one is history, not a second visit.
    assert statuses in ([200, 409], [200, 200], [409, 200])
    with service.runtime.store.read() as connection:
        order = [row[0] for row in connection.exec_driver_sql(
            "SELECT inspection_id FROM outcomes ORDER BY outcome_id"
        )]  # fmt: skip
    assert order in (["V2"], ["V4"], ["V4", "V2"])


def test_what_is_put_right_leaves_nothing_of_the_first_telling(service, other):
    dealer = first_listed(service)
    row = service.runtime.snapshot.row_of[dealer]
    published = service.runtime.snapshot.columns["eligible_on"][row]
    service.post("/v1/outcomes", "chief", visit("V1", dealer, "2026-08-01"))
    other.runtime.follow()
    service.post("/v1/outcomes", "chief", visit("V1", dealer, "2026-03-01"))
    for one in (service, other):
        one.runtime.follow()
        felt = one.runtime.snapshot.columns["eligible_on"][row]
        assert felt == np.datetime64("2027-03-01", "s")
    service.post("/v1/outcomes", "chief", visit("V1", dealer, "2026-03-01", kind="trace"))
    for one in (service, other):
        one.runtime.follow()
        felt = one.runtime.snapshot.columns["eligible_on"][row]
        assert felt == published or (np.isnat(felt) and np.isnat(published))


def test_an_outcome_is_taken_in_by_each_warehouse_of_a_store(country, tmp_path):  # noqa: F811
    homes = []
    for name in ("one", "two"):
        shutil.copytree(country, tmp_path / name)
        homes.append(tmp_path / name)
    key, url = homes[0] / "audit.key", f"sqlite:///{homes[0] / 'service.db'}"
    runtime = Runtime.open(Settings(homes[0], url, key, refused_days=NEVER))
    runtime.load()
    from serving.contract.field.outcomes import OutcomeRequest
    from serving.field.outcomes import outcomes

    body = OutcomeRequest.model_validate(visit("BOTH", "9-74-00000", "2026-02-01"))
    author = outcomes.Author("chief", "t", ledger=runtime.ledger(chief_of_all()))
    today = datetime.now(UTC).date()
    outcomes.keep(runtime.store, body, dealer="9-74-00000", who=author, today=today)
    with runtime.store.read() as connection:
        newest = connection.scalar(sa.select(sa.func.max(OUTCOMES.c.outcome_id)))
    for home in homes:
        assert collect(runtime.store, home / "warehouse", today=today) == 1
        assert collect(runtime.store, home / "warehouse", today=today) == 0
        stored = Warehouse.open(home / "warehouse").read("inspections").to_pandas()
        assert "BOTH" in set(stored["inspection_id"])
        assert Collected.of(runtime.store, home / "warehouse").outcome_id == newest
    runtime.close()


def traces(dealer: str, n: int, known_on: str) -> list[dict]:
    return [
        {
            "trace_id": f"{known_on}-{i}", "requested_on": known_on, "completed_on": known_on,
            "recovered_on": known_on, "recovery_country": "MX", "requester": "police",
            "dealer": dealer, "sold_on": "2025-12-20", "firearm_type": "rifle",
            "serial_status": "legible", "outcome": "purchaser", "known_on": known_on,
        }
        for i in range(n)
    ]  # fmt: skip


def wait_for(condition, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_an_event_gives_all_workers_the_same_ranking_of_one_day(country, tmp_path, start):  # noqa: F811
    home = tmp_path / "home"
    shutil.copytree(country, home)
    settings = Settings(
        home, f"sqlite:///{home / 'service.db'}", home / "audit.key", refused_days=NEVER
    )
    runtime = Runtime.open(settings)
    runtime.load()
    first = start(runtime)
    second = another_worker(first, settings)
    second.runtime.load()
    try:
        first.runtime.start()
        second.runtime.start()
        view = runtime.scope(chief_of_all()).view
        dealer = str(runtime.snapshot.columns["dealer"][view.order[60]])
        # The first event of a day moves the whole table, the next one within it its dealer alone.
        for n, known_on in enumerate(("2026-01-05", "2026-01-05", "2026-01-07")):
            before = _signals(runtime, dealer)
            rows = traces(dealer, 4, known_on)
            for row in rows:
                row["trace_id"] += f"-{n}"
            answer = second.post("/v1/events", "scheduler", {"table": "traces", "rows": rows})
            assert answer.status_code == 200
            as_of = date.fromisoformat(known_on) + timedelta(days=1)
            wait_for(lambda as_of=as_of: runtime.snapshot.as_of == as_of)
            wait_for(lambda told=before: _signals(runtime, dealer) != told)
            wait_for(lambda: _alike(first.runtime, second.runtime))
            days = set(runtime.snapshot.columns["as_of"].tolist())
            assert days == {datetime(as_of.year, as_of.month, as_of.day)}  # noqa: DTZ001
        # The day to which the records were published is not moved by what follows it.
        assert runtime.snapshot.records_to == AS_OF
        lists = [one.post("/v1/rank", "chief", {"k": 100}).json() for one in (first, second)]
        assert [r["dealer"] for r in lists[0]["rows"]] == [r["dealer"] for r in lists[1]["rows"]]
        # Rebuilt from nothing, both come to the same: a batch of that day gives the same scores.
        publish(Warehouse.open(home / "warehouse"), runtime.snapshot.as_of, home=home)
        before = runtime.snapshot.columns["priority"].copy()
        first.runtime.catch_up()
        assert np.allclose(runtime.snapshot.columns["priority"], before, rtol=1e-12)
    finally:
        second.runtime.close()
        runtime.close()


def chief_of_all():
    from serving.access.accounts import Principal

    return Principal("chief", "supervisor", frozenset({"nation"}))


def _alike(one: Runtime, other: Runtime) -> bool:
    a, b = one.snapshot, other.snapshot
    return a.table.name == b.table.name and all(
        np.array_equal(a.columns[name], b.columns[name])
        for name in ("priority", "compliance", "diversion", "signal_0", "contribution_0")
    )


def _signals(runtime: Runtime, dealer: str) -> bytes:
    snapshot = runtime.snapshot
    return snapshot.inputs[snapshot.row_of[dealer]].tobytes()


def test_heads_are_made_after_the_start_and_one_that_cannot_be_is_said(runtime, monkeypatch):
    asked = threading.Event()

    def ready(_):
        asked.set()
        raise BundleError("The head compliance cannot be read.")

    monkeypatch.setattr(type(runtime.snapshot.bundle), "ready", ready, raising=False)
    assert runtime.troubles == []
    runtime.start()
    assert not any(thread.name == "heads" for thread in threading.enumerate())
    assert not asked.is_set()
    runtime.prepare()
    assert asked.wait(30)
    wait_for(lambda: runtime.troubles == ["The head compliance cannot be read."])


def test_old_records_are_said_everywhere_and_send_nobody_anywhere(service):
    runtime = service.runtime
    today = datetime.now(UTC).date()
    old = make_snapshot()
    old.table.manifest["as_of"] = (today - timedelta(days=700)).isoformat()
    runtime.settings.__dict__["refused_days"] = 365
    runtime.replace(old)
    dealer = str(old.columns["dealer"][0])
    for path, role, body in (
        ("/v1/score", "analyst", {"dealers": [dealer]}),
        ("/v1/explain", "analyst", {"dealer": dealer}),
    ):
        answer = service.post(path, role, body).json()
        assert (answer["basis"]["age_days"], answer["basis"]["is_stale"]) == (700, True)
        assert answer["disclaimers"][0].startswith("These answers rest on records to")
    refused = service.post("/v1/rank", "chief", {"k": 5})
    assert (refused.status_code, refused.json()["code"]) == (409, "table_too_old")
    assert "700 days ago" in refused.json()["found"]
    plan = service.post("/v1/plan", "chief", {"office": "office0"})
    assert (plan.status_code, plan.json()["code"]) == (409, "table_too_old")
    with pytest.raises(StaleTableError):
        runtime.snapshot.check_age(today)


def test_a_list_of_a_stale_table_says_so_for_ever(service):
    fresh = service.post("/v1/rank", "chief", {"k": 2}).json()
    assert fresh["basis"]["is_stale"] == (fresh["basis"]["age_days"] > 45)
    old = make_snapshot()
    old.table.manifest["as_of"] = "2024-01-01"
    service.runtime.replace(old)
    listed = service.post("/v1/rank", "chief", {"k": 2})
    assert listed.json()["basis"]["is_stale"]
    assert listed.json()["basis"]["records_to"] == "2024-01-01"
    again = service.get(f"/v1/lists/{listed.json()['list_id']}", "chief")
    assert again.json()["disclaimers"] == listed.json()["disclaimers"]


def test_a_home_without_the_stores_key_is_refused(service, tmp_path):
    settings = service.runtime.settings
    service.post("/v1/score", "analyst", {"dealers": ["1-10-00000"]})
    elsewhere = Settings(tmp_path / "two", settings.store_url, tmp_path / "two" / "audit.key")
    with pytest.raises(AuditError, match="missing"):
        Runtime.open(elsewhere)
    assert not (tmp_path / "two").exists()
    (tmp_path / "two").mkdir()
    elsewhere.audit_key_file.write_bytes(b"x" * 32)
    with pytest.raises(AuditError, match="not the one"):
        Runtime.open(elsewhere)
    elsewhere.audit_key_file.write_bytes(settings.audit_key_file.read_bytes())
    Runtime.open(elsewhere).close()
