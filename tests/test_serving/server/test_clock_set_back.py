"""The machine's clock set back under a running service, by an hour and by a day."""

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from features.ingest import ingest
from features.warehouse import Warehouse
from serving import clock
from serving.access.audit import writer as audit
from serving.field.events import events, rescoring
from serving.field.outcomes import outcomes
from serving.scores import holds
from serving.store.tables import AUDIT
from tests.test_serving.field.test_reading_back import listed_by, tell
from tests.test_serving.pages import Visitor
from tests.test_serving.published_country import dealer, write_country

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
BACK = pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=1)], ids=["1h", "1d"])


class Hands:
    """A machine's clock that may be set, and the time that passes."""

    def __init__(self, at=NOON):
        self.at, self.passed = at, 0

    def go_on(self, **span):
        self.at += timedelta(**span)
        self.passed += timedelta(**span) // timedelta(microseconds=1) * 1_000

    def wall(self):
        return (self.at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000

    def steady(self):
        return self.passed


@pytest.fixture
def hands(monkeypatch):
    """Before the service of the test begins."""
    made = Hands()
    monkeypatch.setattr(clock, "_clock", clock.Clock(made.wall, made.steady))
    return made


@pytest.fixture
def service(hands, runtime, start):
    return start(runtime)


@BACK
def test_the_clock_never_goes_back_and_is_caught_up_with(hands, back):
    told = clock.now()
    hands.at -= back
    for _ in range(20):
        hands.go_on(minutes=10)
        assert clock.now() > told
        told = clock.now()
    assert clock.ahead() < back
    hands.go_on(seconds=back.total_seconds() * 10)
    assert clock.ahead() == timedelta(0)
    assert clock.now() == hands.at
    clock.not_before(hands.at + timedelta(hours=2))  # as the newest record of the audit says
    assert clock.now() == hands.at + timedelta(hours=2)
    hands.go_on(minutes=10)
    assert clock.now() == hands.at + timedelta(hours=1, minutes=59)


@BACK
def test_what_was_in_force_stays_in_force(service, hands, back, caplog):
    """A hold from today on, a visit of today, a session that ended, the order of lists."""
    first = listed_by(service, k=12)
    held, visited = first["rows"][0]["dealer"], first["rows"][1]["dealer"]
    visitor = Visitor(service, "chief")
    holds.place(service.runtime.store, held, owners=["analyst"], starts_on=clock.today())
    service.runtime.refresh_holds()
    tell(service, "chief", visited, "NOW", kind="compliance", legal_basis=None,
         opened_on=str(clock.today()), closed_on=str(clock.today()))  # fmt: skip
    before = listed_by(service, k=12)
    assert visitor.get("/lists").status_code == 200
    hands.go_on(hours=13)  # the session has ended, and it is another day
    assert visitor.http.get("/lists", follow_redirects=False).status_code == 303

    hands.at -= back
    service.runtime._tell_clock()
    assert "behind" in caplog.text
    for _ in range(2):
        hands.go_on(minutes=1)
        after = listed_by(service, k=12)
        assert not {held, visited} & {row["dealer"] for row in after["rows"]}
        assert after["issued_at"] > before["issued_at"]
        assert after["change"]["previous_list"] == before["list_id"]
        before = after
    assert service.get(f"/v1/dealers/{held}", "chief").status_code == 404
    assert visitor.http.get("/lists", follow_redirects=False).status_code == 303
    own = service.get("/v1/lists", "chief").json()["lists"]
    assert next(one["list_id"] for one in own) == after["list_id"]
    with service.runtime.store.read() as connection:
        times = list(connection.scalars(sa.select(AUDIT.c.at).order_by(AUDIT.c.seq)))
    assert times == sorted(times)
    assert audit.verify(service.runtime.store, service.runtime.audit_key).is_intact


@BACK
def test_nothing_that_was_acknowledged_is_lost_to_the_warehouse(
    service, hands, back, tmp_path, monkeypatch
):
    """Collected by a command, whose clock is the machine's alone: their day is still to come."""
    write_country(tmp_path / "files")
    folder = tmp_path / "warehouse"
    ingest(tmp_path / "files", folder, today=hands.at.date())
    store = service.runtime.store
    hands.at = NOON.replace(hour=0, minute=30)
    known = service.runtime.snapshot.columns["dealer"]
    tell(service, "chief", str(known[3]), "LATE", opened_on="2026-05-30", closed_on="2026-05-31")
    tip = {"tip_id": "LATE", "dealer": dealer(3), "received_on": "2026-05-31", "source": "public",
           "is_self_report": False}  # fmt: skip
    checked = events.check_rows("tips", [tip], today=clock.today())
    assert not checked.rejected
    chief = service.runtime.directory.principal_of_token(service.tokens["chief"])
    events.keep(store, "tips", checked.rows, ledger=service.runtime.ledger(chief))

    hands.at -= back
    monkeypatch.setattr(clock, "_clock", clock.Clock(hands.wall, hands.steady))
    assert clock.today() == date(2026, 5, 31)
    assert outcomes.collect(store, folder, today=clock.today()) == 1
    assert len(rescoring.collect_events(store, folder)) == 1
    warehouse = Warehouse.open(folder)
    assert "LATE" in warehouse.read("inspections")["inspection_id"].to_pylist()
    assert "LATE" in warehouse.read("tips")["tip_id"].to_pylist()
