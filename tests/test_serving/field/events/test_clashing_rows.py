"""Rows that contradict each other are refused when they are sent, not when they are loaded."""

import random
from datetime import date

import pytest

from features.ingest import ingest
from features.warehouse import Warehouse
from serving import clock
from serving.access.audit.writer import Access, Ledger
from serving.field.events.events import check_rows, keep
from serving.field.events.rescoring import collect_events
from tests.test_serving.field.events.test_event_rows import ROWS

TODAY = date(2026, 1, 5)
TIP = ROWS["tips"] | {"known_on": "2025-12-22"}


@pytest.fixture(autouse=True)
def on_a_day(monkeypatch):
    monkeypatch.setattr(clock, "today", lambda: TODAY)


def refused_of(service, rows, table="tips"):
    answer = service.post("/v1/events", "scheduler", {"table": table, "rows": rows}).json()
    return answer, {one["row"]: one for one in answer["rejected"]}


def test_rows_of_one_request_that_contradict_each_other_are_named_and_not_kept(service):
    other = TIP | {"dealer": "1-10-00002"}
    sent = [TIP | {"tip_id": "Q"}, TIP, TIP | {"source": "nobody"}, other, other]
    answer, refused = refused_of(service, sent)
    assert (answer["n_stored"], answer["pending"]) == (1, ["1-10-00001"])
    assert refused[2]["code"] == "unknown_code"
    assert {n: one["clashes_with"] for n, one in refused.items()} == {
        1: [3, 4], 2: [], 3: [1], 4: [1],
    }  # fmt: skip
    assert (refused[1]["column"], refused[1]["code"]) == ("tip_id", "duplicate_key_conflict")
    assert "rows 3, 4 of this request of the same tip_id" in refused[1]["detail"]
    assert "1-10-0000" not in str(refused)


def test_a_row_that_contradicts_what_is_kept_is_refused_and_the_first_stands(service):
    assert refused_of(service, [TIP])[0]["n_stored"] == 1
    other = TIP | {"source": "agency"}
    answer, refused = refused_of(service, [TIP, other])
    assert (answer["n_stored"], answer["n_known"]) == (0, 1)
    assert (list(refused), refused[1]["clashes_with"]) == ([1], [0])
    assert "what was kept before" in refused[1]["detail"]
    # What corrects it is known later, and a dispute of one day touches no other.
    answer, refused = refused_of(service, [other | {"known_on": "2025-12-23"}])
    assert (answer["n_stored"], refused) == (1, {})


def test_a_row_that_contradicts_a_loaded_file_is_refused(service, tmp_path):
    (tmp_path / "tips.csv").write_text(",".join(TIP) + "\n" + ",".join(map(str, TIP.values())))
    ingest(tmp_path / "tips.csv", tmp_path / "warehouse", today=TODAY)
    answer, refused = refused_of(service, [TIP | {"is_self_report": True}])
    assert (answer["n_stored"], refused[0]["clashes_with"]) == (0, [])
    assert refused[0]["code"] == "duplicate_key_conflict"


CHANGES = {
    "traces": {"completed_on": [None, "2025-12-30"], "outcome": ["purchaser", "incomplete"]},
    "multiple_sales": {"purchaser_token": [None, "9f86d081", "a1b2c3d4"]},
    "tips": {"is_substantiated": [None, True], "source": ["public", "agency"]},
}


@pytest.mark.parametrize("table", CHANGES)
def test_no_load_finds_rows_of_the_feed_in_dispute(runtime, table):
    """Any rows of few keys and days, in any cut: what was kept stands, and nothing is refused."""
    draw = random.Random(11)
    home = runtime.settings.home / "warehouse"
    ledger = Ledger(runtime.audit_key, Access("feed", "scheduler", "", ""))
    key = next(iter(ROWS[table]))
    n_refused = 0
    for batch in range(8):
        sent = [
            ROWS[table]
            | {key: draw.choice("AB"), "known_on": draw.choice(["2026-01-02", "2026-01-03"])}
            | {name: draw.choice(values) for name, values in CHANGES[table].items()}
            for _ in range(draw.choice((1, 2, 3)))
        ]
        checked = check_rows(table, sent, today=TODAY)
        assert not checked.rejected
        kept = keep(runtime.store, table, checked.rows, ledger=ledger, warehouse=home)
        n_refused += len(kept.clashes)
        assert len(kept.ids) + kept.n_known + len(kept.clashes) == len(sent)
        assert all(kept.clashes.values())
        if batch in (2, 7):
            collect_events(runtime.store, home)
    assert n_refused
    assert Warehouse.open(home).rejects(table) is None
