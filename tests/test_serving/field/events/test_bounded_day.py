"""An event moves all dealers' day no further than the records of the others carry."""

import csv
import io
from datetime import date, timedelta

import numpy as np
import pytest

from features.warehouse import Warehouse
from serving import clock
from serving.commands.printing import OUT, _print_row
from serving.dealers.explaining import records
from serving.dealers.source_records import merged
from serving.field.events.rescoring_loop import Rescorer
from serving.lists.files.list_files import _block
from serving.runtime import Runtime
from serving.scores.publish import publish
from serving.scores.snapshot import Snapshot
from serving.settings import Settings
from tests.test_serving.field.events.test_first_event import TODAY, TOMORROW, trace
from tests.test_serving.pages import Visitor
from tests.test_serving.published_country import AS_OF, publish_country

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]
TOUCHED, OTHER = 5, 11
# A table may follow an event of today to tomorrow at the earliest.
REACHES = (TOMORROW - AS_OF).days


@pytest.fixture
def serving(tmp_path, monkeypatch):
    """Start a service whose records are old after some days."""
    opened = []

    def start(stale_days: int) -> tuple[Runtime, Rescorer]:
        monkeypatch.setattr(clock, "today", lambda: TODAY)
        home = tmp_path / "home"
        publish_country(home)
        settings = Settings(
            home, f"sqlite:///{home / 'service.db'}", home / "audit.key",
            stale_days=stale_days, refused_days=1_000_000,
        )  # fmt: skip
        runtime = Runtime.open(settings)
        runtime.load()
        opened.extend((rescorer := Rescorer(runtime, home), runtime))
        return runtime, rescorer

    yield start
    for one in opened:
        one.close()


def days(snapshot: Snapshot) -> list[date]:
    return [snapshot.as_of_row(row) for row in range(len(snapshot.inputs))]


def test_beyond_the_records_an_event_moves_its_own_dealer_alone(serving, start):
    running, rescorer = serving(REACHES - 1)
    before = running.snapshot
    dealer = trace(running, TOUCHED)
    rescorer._once()
    after = running.snapshot
    others = np.arange(len(before.inputs)) != TOUCHED
    assert (after.table.name, after.as_of) == (before.table.name, AS_OF)
    assert np.array_equal(after.inputs[others], before.inputs[others], equal_nan=True)
    for name, column in before.columns.items():
        is_unknown = {} if column.dtype == object else {"equal_nan": True}
        assert np.array_equal(after.columns[name][others], column[others], **is_unknown), name
    assert np.array_equal(
        after.columns["eligible_on"], before.columns["eligible_on"], equal_nan=True
    )
    assert days(after) == [TOMORROW if row == TOUCHED else AS_OF for row in range(len(others))]
    warehouse = running.settings.home / "warehouse"
    named = merged(records(after, TOUCHED, warehouse).values())
    assert f"NEW{TOUCHED}" in named["traces"]
    service, other = start(running), str(before.columns["dealer"][OTHER])
    told = service.post("/v1/score", "analyst", {"dealers": [dealer, other]}).json()
    assert [one["as_of"] for one in told["scores"]] == [str(TOMORROW), str(AS_OF)]
    pages = [Visitor(service, "analyst").get(f"/dealers/{who}") for who in (dealer, other)]
    said = f"Scored on records known before {TOMORROW}"
    assert [(page.status_code, said in page.text) for page in pages] == [(200, True), (200, False)]

    _is_told_on_lists(service, dealer)

    assert Warehouse.open(warehouse).reaches_to() < TODAY  # by what was loaded, not told
    publish(Warehouse.open(warehouse), TOMORROW, home=running.settings.home)
    batch = Snapshot.load(running.settings.home)
    row = batch.row_of[dealer]
    assert np.array_equal(after.inputs[TOUCHED], batch.inputs[row], equal_nan=True)
    for name in (*after.heads, "priority", "signal_0", "contribution_0"):
        assert after.columns[name][TOUCHED] == batch.columns[name][row], name


def _is_told_on_lists(service, dealer):
    """Say of the touched dealer's row alone, on page and in files, which records it rests on."""
    made = service.post("/v1/rank", "chief", {"k": 60}).json()
    others = [row["dealer"] for row in made["rows"] if row["dealer"] != dealer]
    assert len(others) == len(made["rows"]) - 1 > 0
    at, said = f"/lists/{made['list_id']}", f"on records known before {TOMORROW}."
    chief = Visitor(service, "chief")
    shown = [chief.get(f"{at}?q={one}").text.count(said) for one in (dealer, others[0])]
    assert shown == [1, 0]
    rows = csv.DictReader(io.StringIO(service.get(f"/v1{at}.csv", "chief").text.lstrip("\ufeff")))
    days = {row["dealer"]: row["as_of"] for row in rows}
    assert days == dict.fromkeys(others, str(AS_OF)) | {dealer: str(TOMORROW)}
    facts = [_block(row, as_of=str(AS_OF))["facts"] for row in made["rows"]]
    assert sum(said in one for one in facts) == 1
    with OUT.capture() as printed:
        for row in made["rows"]:
            _print_row(row, str(AS_OF))
    assert printed.get().count(said) == 1


def test_as_far_as_the_records_carry_all_move_together(serving):
    running, rescorer = serving(REACHES)
    trace(running, TOUCHED)
    rescorer._once()
    assert set(days(running.snapshot)) == {TOMORROW}


def test_a_table_that_moves_keeps_what_was_told_of_days_beyond(serving):
    running, rescorer = serving(REACHES - 1)
    trace(running, TOUCHED)
    rescorer._once()
    alone = running.snapshot.inputs[TOUCHED].copy()
    trace(running, OTHER, known_on=AS_OF)
    rescorer._once()
    moved = running.snapshot
    assert moved.as_of == AS_OF + timedelta(days=1) == moved.as_of_row(OTHER)
    assert moved.as_of_row(TOUCHED) == TOMORROW
    assert np.array_equal(moved.inputs[TOUCHED], alone, equal_nan=True)


def test_nothing_is_moved_ahead_of_the_next_event_beyond_the_records(serving, monkeypatch):
    """A table that followed events yesterday moves on its own when a day begins."""
    running, rescorer = serving(REACHES)
    trace(running, TOUCHED)
    rescorer._once()
    name = running.snapshot.table.name
    monkeypatch.setattr(clock, "today", lambda: TOMORROW)
    rescorer._warm()
    assert (running.snapshot.table.name, running.snapshot.as_of) == (name, TOMORROW)
