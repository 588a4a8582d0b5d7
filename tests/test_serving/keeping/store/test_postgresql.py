"""The store on a real PostgreSQL server: migrations, the audit chain, races, lost connections."""

import dataclasses
import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from starlette.testclient import TestClient

from features.reference.attribution import COLUMNS
from features.reference.destinations import destination_names, destinations
from features.warehouse import Warehouse
from serving.access import suspension
from serving.access.audit.writer import Access, AuditWriter, Ledger, append, verify
from serving.contract.field.outcomes import OutcomeRequest
from serving.errors import ConflictError, ServingError, StoreError
from serving.field.events import events
from serving.field.outcomes import outcomes
from serving.field.referrals import case_requests, referrals
from serving.lists.work import assign, assignments_of, save_view, views_of
from serving.runtime import Runtime
from serving.scores import holds
from serving.server.app import build_app
from serving.settings import Settings
from serving.store.database import HEAD_REVISION, Store, instant
from serving.store.tables import ACCOUNTS, EVENTS, LISTS, METADATA
from tests.test_serving.access.audit.audit_rows import check_reading
from tests.test_serving.published_country import AS_OF, publish_country

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("postgresql")]
KEY = b"k" * 32
ACCESS = Access(who="analyst", role="analyst", action="score", subject="1-10-00000")
LEDGER = Ledger(KEY, ACCESS)
TIP = {
    "tip_id": "T1", "dealer": "1-10-00000", "received_on": "2026-01-02", "source": "public",
    "is_self_report": False,
}  # fmt: skip


def run(*command: str, user: str | None) -> None:
    done = subprocess.run(command, user=user, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr


class Server:
    """A server of its own in a folder of its own, on the loopback address only."""

    def __init__(self, folder: Path, fsync: str = "off") -> None:
        self.fsync = fsync
        # Debian keeps the server's programs off the PATH, one folder a version.
        self.bin = max(Path("/usr/lib/postgresql").glob("*/bin"))
        # PostgreSQL refuses to run as root.
        self.user = "nobody" if os.geteuid() == 0 else None
        self.data, self.log = folder / "data", folder / "log"
        if self.user:
            account = pwd.getpwnam(self.user)
            os.chown(folder, account.pw_uid, account.pw_gid)
        run(
            str(self.bin / "initdb"), "-D", str(self.data), "-U", "ffl_risk", "-A", "trust",
            "-E", "UTF8", "--locale=C", "--no-sync", user=self.user,
        )  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync={self.fsync}"
        self._control("start", "-o", options, "-l", str(self.log))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-m", mode)

    def _control(self, *arguments: str) -> None:
        program = str(self.bin / "pg_ctl")
        run(program, "-D", str(self.data), "-w", "-s", *arguments, user=self.user)

    def url(self, database: str) -> str:
        return f"postgresql://ffl_risk@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # pytest's own folders are closed to the user that the server runs as.
    folder = Path(mkdtemp(prefix="ffl-risk-postgresql-"))
    running = Server(folder)
    yield running
    running.stop("immediate")
    shutil.rmtree(folder)


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> str:
    name = f"t{abs(hash(request.node.name)) % 10**9}"
    admin = sa.create_engine(
        server.url("postgres").replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return server.url(name)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    yield opened
    opened.close()


def at_once(n: int, work: Callable[[int], object]) -> list[object]:
    """Run `work` in n threads that start together, and return what each returned."""
    barrier = threading.Barrier(n)

    def begin(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(begin, range(n)))


def n_rows(store: Store, table: sa.Table) -> int:
    with store.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_migrations_lead_to_the_declared_tables_and_back(store: Store):
    assert not store.is_sqlite
    with store.engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert difference == []
    store.downgrade("base")
    with store.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    store.upgrade()
    assert store.revision() == HEAD_REVISION


def test_an_auditor_finds_on_the_server_what_a_plain_search_finds(store: Store):
    check_reading(store)


def test_several_processes_may_migrate_at_once(url: str):
    stores = at_once(4, lambda _: Store.open(url))
    assert [store.revision() for store in stores if isinstance(store, Store)] == [HEAD_REVISION] * 4
    for store in stores:
        assert isinstance(store, Store)
        store.close()


def test_the_first_records_of_several_writers_make_one_chain(store: Store):
    def write(_: int) -> int:
        with store.write() as connection:
            return append(connection, KEY, [ACCESS])

    assert sorted(map(int, at_once(8, write))) == list(range(1, 9))
    assert verify(store, KEY).is_intact


def test_writers_of_several_processes_make_one_chain(url: str):
    stores = [Store.open(url) for _ in range(3)]
    writers = [AuditWriter.open(store, KEY) for store in stores]

    def write(number: int) -> list[int]:
        return [writers[number % 3].submit(ACCESS).result(timeout=30) for _ in range(40)]

    seqs = [seq for written in at_once(9, write) for seq in written]
    assert sorted(seqs) == list(range(1, 361))
    verdict = verify(stores[0], KEY)
    assert (verdict.is_intact, verdict.n_records) == (True, 360)
    for writer, store in zip(writers, stores, strict=True):
        writer.close()
        store.close()


def test_the_same_event_sent_many_times_at_once_is_kept_once(store: Store):
    answers = at_once(8, lambda _: events.keep(store, "tips", [TIP], ledger=LEDGER))
    assert sum(len(one.ids) for one in answers) == 1
    assert n_rows(store, EVENTS) == 1


def test_the_same_pattern_found_many_times_at_once_is_queued_once(store: Store):
    pattern = referrals.Pattern("several_dealers", ("1-10-00000",), {"records": ["a", "b"]})
    assert sum(at_once(8, lambda _: referrals.queue(store, [pattern], ledger=LEDGER))) == 1


def test_a_recovery_in_any_destination_is_queued_and_long_names_are_kept(store: Store):
    countries = [codes[0] for codes in destinations().values()] + ["JP"]
    trace = {"sold_on": "2026-01-01", "recovered_on": "2026-01-20"}
    trace |= dict.fromkeys(COLUMNS) | {"dealer": "1-10-00000"}
    rows = [trace | {"trace_id": one, "recovery_country": one} for one in countries]
    patterns = [one for row in rows if (one := referrals.pattern_in_trace(row, []))]
    assert referrals.queue(store, patterns, ledger=LEDGER) == len(destination_names())
    found = {one["destination"] for one in referrals.queued(store)}
    assert found == set(destination_names())
    name = f"oidc:{'x' * 255}"
    long = Ledger(KEY, dataclasses.replace(ACCESS, who=name, bundle="b" * 400))
    row = dict.fromkeys(("area", "bundle", "scored", "sha256"), "x" * 64) | {"owner": name}
    row |= {"list_id": "L1", "issued_at": instant(), "as_of": date(2026, 1, 1)}
    with store.write() as connection:
        connection.execute(LISTS.insert(), row | {"recipe": {}, "document": b""})
    assign(store, list_id="L1", dealer="1-10-00000", to=name, ledger=long)
    save_view(store, "mine", "q=" + "%F0%9F%94%AB" * 100, ledger=long)
    assert assignments_of(store, "L1") == {"1-10-00000": name}
    assert len(views_of(store, name)) == 1


class SlowLedger(Ledger):
    """Lets another transaction look before this one is through."""

    def add(self, connection, *args, **more):
        time.sleep(0.2)
        super().add(connection, *args, **more)


def test_of_two_decisions_or_suspensions_at_once_one_stands(store: Store):
    def refused(work: Callable[[], object]) -> bool:
        try:
            work()
        except ConflictError:
            return True
        return False

    slow = SlowLedger(KEY, dataclasses.replace(ACCESS, who="chief"))
    row = {"name": "chief", "role": "supervisor", "areas": ["nation"], "is_active": True}
    with store.write() as connection:
        connection.execute(ACCOUNTS.insert(), row | {"created_at": instant()})
    why, dealers = "two firearms of one case", ("1-10-00000", "1-10-00001")
    asked = case_requests.Asked("HSI-1", "criminal_investigation", "HSI", why, dealers, "chief", 5)
    request = case_requests.ask(store, asked, ledger=LEDGER)["request_id"]
    scope = SimpleNamespace(row=lambda dealer: 0)

    def decide(n: int) -> object:
        return case_requests.decide(
            store, request, approved=[dealers[n]], note="", scope=scope, ledger=slow
        )

    def suspend(n: int) -> object:
        return suspension.suspend(store, f"feed {n} is wrong", ledger=slow)

    for work in (decide, suspend):
        found = at_once(2, lambda n, work=work: refused(lambda: work(n)))
        assert sorted(found) == [False, True], work.__name__
    suspension.resume(store, "it is right again", ledger=LEDGER)
    assert suspension.current(store) is None


def test_versions_of_one_outcome_told_at_once_all_stand(store: Store):
    def tell(number: int) -> int:
        body = OutcomeRequest(
            inspection_id="I1", dealer="1-10-00000", opened_on=date(2026, 1, 1), outcome="none",
            hours=number,
        )  # fmt: skip
        today = date(2026, 6, 1)
        return outcomes.keep(
            store,
            body,
            dealer="1-10-00000",
            who=outcomes.Author("x", "t", ledger=LEDGER),
            today=today,
        ).version

    assert sorted(map(int, at_once(4, tell))) == [1, 2, 3, 4]


def test_a_lost_connection_is_replaced_and_a_lost_server_is_a_refusal(store: Store, server: Server):
    holds.place(store, "1-10-00000", owners=["a"], starts_on=date(2026, 1, 1))
    server.stop("immediate")
    try:
        assert not store.is_reachable()
        with pytest.raises(StoreError) as caught:
            holds.stored(store)
        assert str(server.port) not in str(caught.value)
        writer = AuditWriter.open(store, KEY)
        with pytest.raises(ServingError):
            writer.submit(ACCESS).result(timeout=30)
    finally:
        server.start()
    assert store.is_reachable()
    # The writer's thread outlived the fault, and a pool of dead connections is mended unseen.
    assert writer.submit(ACCESS).result(timeout=30) == 1
    writer.close()
    assert len(holds.stored(store)) == 1


def test_connections_cut_in_the_middle_of_transactions_lose_only_those(store: Store):
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    row = {"name": "x", "role": "admin", "areas": [], "is_active": True, "created_at": "now"}

    def cut_midway() -> None:
        with store.write() as connection:
            connection.execute(ACCOUNTS.insert(), row)
            with store.engine.connect() as other:
                other.execute(sa.text(cut))
            connection.execute(ACCOUNTS.insert(), row | {"name": "y"})

    with pytest.raises(StoreError):
        cut_midway()
    assert n_rows(store, ACCOUNTS) == 0


def test_more_callers_than_connections_wait_or_are_told(url: str):
    store = Store.open(url)
    store.close()
    store.engine = sa.create_engine(store.engine.url, pool_size=1, max_overflow=0, pool_timeout=0.2)
    with store.read(), pytest.raises(StoreError), store.read():
        pass
    store.close()


@pytest.fixture
def service(url, server, tmp_path, snapshot_of, start):
    running = Runtime.open(Settings(tmp_path, url, tmp_path / "audit.key", refused_days=1_000_000))
    running.replace(snapshot_of())
    yield start(running)
    running.close()


def test_the_service_works_on_it(service):
    listed = service.post("/v1/rank", "chief", {"k": 5})
    assert listed.status_code == 200
    dealer, list_id = listed.json()["rows"][0]["dealer"], listed.json()["list_id"]
    assert service.get(f"/v1/lists/{list_id}", "chief").content
    body = {"list_id": list_id, "dealer": dealer, "decision": "accept", "note": "seen"}
    assert service.post("/v1/decisions", "chief", body).status_code == 200
    outcome = {
        "inspection_id": "I1", "dealer": dealer, "opened_on": "2026-02-01", "outcome": "none"
    }  # fmt: skip
    assert service.post("/v1/outcomes", "chief", outcome).status_code == 200
    verdict = verify(service.runtime.store, service.runtime.audit_key)
    assert (verdict.is_intact, verdict.n_records) == (True, 4)


@pytest.mark.parametrize("note", ["\x00", "a\x00b", "\U0010ffff", "\ufffe", "'; DROP TABLE audit"])
def test_text_that_the_server_cannot_hold_is_refused_not_a_fault(service, note):
    listed = service.post("/v1/rank", "chief", {"k": 1}).json()
    body = {
        "list_id": listed["list_id"], "dealer": listed["rows"][0]["dealer"],
        "decision": "accept", "note": note,
    }  # fmt: skip
    answer = service.post("/v1/decisions", "chief", body)
    assert answer.status_code == (422 if "\x00" in note else 200)


def test_without_the_server_requests_are_refused_and_it_comes_back(service, server):
    body = {"dealers": ["1-10-00000"]}
    assert service.post("/v1/score", "analyst", body).status_code == 200
    server.stop("fast")
    try:
        assert service.client.get("/healthz").status_code == 200
        assert service.client.get("/readyz").status_code == 503
        for path, role, asked in (
            ("/v1/score", "analyst", body),
            ("/v1/rank", "chief", {"k": 2}),
            ("/v1/events", "scheduler", {"table": "tips", "rows": [TIP]}),
        ):
            answer = service.post(path, role, asked)
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"]
            assert "1-10-00000" not in answer.text
            assert str(server.port) not in answer.text
    finally:
        server.start()
    assert service.client.get("/readyz").status_code == 200
    assert service.post("/v1/score", "analyst", body).status_code == 200
    assert verify(service.runtime.store, service.runtime.audit_key).n_records == 2


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("published")
    publish_country(home)
    return home


@pytest.mark.slow
def test_two_homes_on_one_server_answer_alike(url, published, tmp_path, start):
    key = tmp_path / "audit.key"
    running = []
    for name in ("one", "two"):
        shutil.copytree(published, tmp_path / name)
        runtime = Runtime.open(Settings(tmp_path / name, url, key, refused_days=1_000_000))
        runtime.load()
        running.append(runtime)
    first = start(running[0])
    client = TestClient(build_app(running[1]), base_url="http://localhost:3000")
    second = dataclasses.replace(first, client=client, runtime=running[1])
    try:
        for runtime in running:
            runtime.start()
        row = first.post("/v1/rank", "chief", {"k": 1, "random_share": 0}).json()["rows"][0]
        tip = TIP | {"dealer": row["dealer"], "known_on": "2026-01-03"}
        body = {"table": "tips", "rows": [tip]}
        assert first.post("/v1/events", "scheduler", body).json()["n_stored"] == 1
        outcome = {
            "inspection_id": "H1", "dealer": row["dealer"], "opened_on": "2026-02-01",
            "closed_on": "2026-02-02", "outcome": "none",
        }  # fmt: skip
        assert first.post("/v1/outcomes", "chief", outcome).status_code == 200
        listed = second.post("/v1/rank", "chief", {"k": 200, "random_share": 0}).json()["rows"]
        assert row["dealer"] not in {one["dealer"] for one in listed}
        again = outcome | {"inspection_id": "H2", "opened_on": "2026-05-01", "closed_on": None}
        assert second.post("/v1/outcomes", "chief", again).status_code == 409
        deadline = time.monotonic() + 90
        while any(runtime.snapshot.as_of == AS_OF for runtime in running):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        # Each home has the event in its own warehouse, and so the same scores.
        for home in ("one", "two"):
            tips = Warehouse.open(tmp_path / home / "warehouse").read("tips").to_pandas()
            assert set(tips["tip_id"]) == {"T1"}
        one, two = (runtime.snapshot for runtime in running)
        assert one.basis["fingerprint"] == two.basis["fingerprint"]
        assert verify(running[0].store, running[0].audit_key).is_intact
    finally:
        for runtime in running:
            runtime.close()
