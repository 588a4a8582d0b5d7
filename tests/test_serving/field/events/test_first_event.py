"""The first event after a start is scored from what was built before it, to the bit of a batch."""

import json
import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.engine import context
from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse
from models import Bundle
from serving import clock
from serving.access.audit.writer import Access, Ledger
from serving.field.events.events import keep
from serving.field.events.rescoring_loop import KEPT, Rescorer
from serving.runtime import Runtime
from serving.scores.publish import publish, score_rows
from serving.scores.snapshot import Snapshot
from serving.scores.table.dealer_facts import dealer_facts
from serving.settings import Settings
from tests.test_serving.published_country import publish_country

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("end_to_end")]
TODAY, TOMORROW = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture
def running(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "today", lambda: TODAY)
    home = tmp_path / "home"
    publish_country(home)
    settings = Settings(
        home, f"sqlite:///{home / 'service.db'}", home / "audit.key", refused_days=1_000_000
    )
    opened = Runtime.open(settings)
    opened.load()
    yield opened
    opened.close()


@pytest.fixture
def worked_out(monkeypatch):
    """How many dealers each evaluation of measures was for."""
    counted, plain = [], context.Context.evaluate

    def evaluate(self, view, measures):
        counted.append(len(self.cohort.dealers))
        return plain(self, view, measures)

    monkeypatch.setattr(context.Context, "evaluate", evaluate)
    return counted


def trace(running: Runtime, row: int, known_on: date = TODAY) -> str:
    """Keep a trace of the dealer in a row of the table, and return the dealer."""
    dealer = str(running.snapshot.columns["dealer"][row])
    told = {
        "trace_id": f"NEW{row}",
        "requested_on": "2026-01-02",
        "completed_on": "2026-01-04",
        "recovered_on": "2026-01-01",
        "recovery_country": "MX",
        "requester": "police",
        "dealer": dealer,
        "sold_on": "2025-12-01",
        "firearm_type": "rifle",
        "serial_status": "legible",
        "outcome": "purchaser",
        "known_on": known_on.isoformat(),
    }
    access = Access("feed", "scheduler", "", "", "", "", "", "")
    keep(running.store, "traces", [told], ledger=Ledger(running.audit_key, access))
    return dealer


def assert_of_a_batch(running: Runtime, dealer: str) -> None:
    """Others' rates drawn toward the peers' move by a little, and wait for the next batch."""
    home = running.settings.home
    beside = home.parent / "batch"
    shutil.copytree(home, beside)
    publish(Warehouse.open(beside / "warehouse"), TOMORROW, home=beside)
    batch, served = Snapshot.load(beside), running.snapshot
    row, other = served.row_of[dealer], batch.row_of[dealer]
    assert served.as_of == batch.as_of == TOMORROW
    assert np.array_equal(served.inputs[row], batch.inputs[other], equal_nan=True)
    for name, column in batch.columns.items():
        assert np.array_equal(served.columns[name][row], column[other]), name


def test_the_first_event_after_a_start_works_out_its_own_dealer_alone(running, worked_out):
    home, before = running.settings.home, Rescorer(running, running.settings.home)
    trace(running, 5)
    before._once()
    before._warm()
    before.close()
    kept = list(home.glob(f"scored/*/{KEPT}"))
    assert kept == [running.snapshot.table.folder / KEPT]
    rolled = running.snapshot.table.name
    worked_out.clear()
    after = Rescorer(running, home)
    dealer = trace(running, 11)
    old = running.snapshot.inputs[running.snapshot.row_of[dealer]].copy()
    after._once()
    assert set(worked_out) == {1}
    after.close()
    assert running.snapshot.table.name == rolled
    new = running.snapshot.inputs[running.snapshot.row_of[dealer]]
    assert not np.array_equal(new, old, equal_nan=True)
    assert_of_a_batch(running, dealer)


def test_the_first_event_of_a_day_scores_again_only_whom_it_moves(running, monkeypatch):
    """All dealers were scored for it, though the day that it moves them to was known before."""
    home, rescorer = running.settings.home, Rescorer(running, running.settings.home)
    rescorer._warm()
    asked, plain = [], Bundle.score_and_explain

    def counted(self, X, **how):
        asked.append(len(X))
        return plain(self, X, **how)

    monkeypatch.setattr(Bundle, "score_and_explain", counted)
    before = running.snapshot
    trace(running, 5)
    rescorer._once()
    rescorer.close()
    assert running.snapshot.as_of == TOMORROW > before.as_of
    assert len(asked) == 1
    assert 0 < asked[0] < len(before.columns["dealer"])
    rolled = running.snapshot.table.folder
    shutil.copytree(home, beside := home.parent / "batch")
    name = publish(Warehouse.open(beside / "warehouse"), TOMORROW, home=beside).name
    batch = beside / "scored" / name
    for file in sorted(path.relative_to(batch) for path in batch.rglob("*") if path.is_file()):
        if file.name != "manifest.json":
            assert (rolled / file).read_bytes() == (batch / file).read_bytes(), file
    told, wanted = (
        json.loads((folder / "manifest.json").read_text()) for folder in (rolled, batch)
    )
    assert {key: told[key] for key in wanted if key != "records_to"} == {
        key: value for key, value in wanted.items() if key != "records_to"
    }


@pytest.mark.parametrize("change", ["nothing", "other day", "other model", "other facts"])
def test_what_was_scored_before_is_taken_only_for_the_same(running, change):
    warehouse, bundle = Warehouse.open(running.settings.home / "warehouse"), running.snapshot.bundle
    table = build_features(warehouse, TOMORROW)
    plain = score_rows(("000001", bundle), table, warehouse, TOMORROW)
    marked = replace(
        plain,
        scores=plain.scores.assign(priority=-1.0),
        facts=plain.facts.assign(city="ELSEWHERE"),
        **{
            "other day": {"as_of": TODAY},
            "other model": {"champion": "000002"},
            "other facts": {"facts_of": ("another",)},
        }.get(change, {}),
    )
    found = score_rows(("000001", bundle), table, warehouse, TOMORROW, before=marked)
    is_taken = change in ("nothing", "other facts")
    pd.testing.assert_frame_equal(found.scores, marked.scores if is_taken else plain.scores)
    pd.testing.assert_frame_equal(found.reasons, plain.reasons)
    pd.testing.assert_frame_equal(found.facts, marked.facts if change == "nothing" else plain.facts)


def test_what_was_built_for_a_table_that_is_no_longer_in_force_is_left_by_nobody(running):
    """One of each day would fill the disk within the month that tables are kept."""
    home, rescorer = running.settings.home, Rescorer(running, running.settings.home)
    rescorer._warm()
    first = running.snapshot.table.folder / KEPT
    assert first.is_file()
    trace(running, 5)
    rescorer._once()
    rescorer._warm()
    rescorer.close()
    assert list(home.glob(f"scored/*/{KEPT}")) == [running.snapshot.table.folder / KEPT]
    assert not first.exists()


def test_whose_office_a_dealer_is_of_follows_visits_with_the_whole_table(running):
    """An event scores a dealer anew; where it lies is the table's, for it as for its neighbors."""
    home, rescorer = running.settings.home, Rescorer(running, running.settings.home)
    trace(running, 5)
    rescorer._once()
    assert running.snapshot.as_of == TOMORROW
    before = running.snapshot.columns["office"].copy()
    visits = Warehouse.open(home / "warehouse").read("inspections").to_pandas()
    visits = visits.assign(
        inspection_id="OWN-" + visits["inspection_id"], office="OWN", kind="compliance",
        opened_on=TODAY, closed_on=TODAY,
    )  # fmt: skip
    more = pd.concat([visits, visits.assign(inspection_id="MORE-" + visits["inspection_id"])])
    more.drop(columns=["known_on", "superseded_on", "source_id", "source_line"]).to_csv(
        home / "inspections.csv", index=False
    )
    ingest(home / "inspections.csv", home / "warehouse", today=TODAY)
    dealer = trace(running, 11)
    rescorer._once()
    assert running.snapshot.as_of_row(running.snapshot.row_of[dealer]) == TOMORROW
    assert np.array_equal(running.snapshot.columns["office"], before)
    rescorer.close()
    # The next whole table has it, by `ffl-risk score` or by the first event of another day.
    facts = dealer_facts(Warehouse.open(home / "warehouse"), np.array([dealer]), TOMORROW)
    assert facts["office"].tolist() == ["OWN"] != [before[running.snapshot.row_of[dealer]]]
