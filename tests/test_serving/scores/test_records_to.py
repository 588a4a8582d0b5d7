"""How far the records of a table reach is what the warehouse holds, not the day that was asked."""

from datetime import date, timedelta

import pytest

from features.ingest import ingest
from features.warehouse import Warehouse
from serving.commands.printing import print_published
from serving.scores.publish import Published, records_to
from tests.test_features.ingest_samples import TODAY, row, write

SOURCES = [
    {"reaches_to": {"sales_volume": "2021-03-01", "holds": "2026-11-01"}},
    {"reaches_to": {"traces": "2023-11-01"}},
    {"reaches_to": {"traces": "2026-11-20"}, "withdrawn": {}},
    {"reaches_to": {}},
]
# As versions before wrote them: no further than the day of the load.
BEFORE = [
    {"tables": {"traces": 3}, "ingested_at": "2023-11-01T10:00:00+00:00"},
    {"tables": {"thefts_losses": 0, "sales_volume": 9}, "ingested_at": "2024-02-01T10:00:00+00:00"},
]
TABLES = {
    "traces": {"max_known_on": "2026-11-26"},
    "sales_volume": {"max_known_on": "2021-03-01"},
    "thefts_losses": {"max_known_on": None},
}


@pytest.mark.parametrize("sources", [SOURCES, BEFORE])
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (date(2026, 11, 27), date(2023, 11, 2)),
        (date(2023, 12, 17), date(2023, 12, 17)),  # a month without news is no old table
        (date(2023, 12, 18), date(2023, 11, 2)),
        (date(2022, 6, 1), date(2022, 6, 1)),
    ],
)
def test_records_reach_no_further_than_the_newest_fact(tmp_path, asked, told, sources):
    """A table scored today from records of three years ago said that they reached to today."""
    warehouse = Warehouse(tmp_path, {"tables": TABLES, "sources": sources})
    assert records_to(warehouse, asked) == told


def test_an_event_of_yesterday_makes_no_old_records_new(tmp_path):
    """Scored as of today right after an event, a table said that its records reached today."""
    listed = row("licenses", listed_on="2020-01-01")
    ingest([write(tmp_path, "licenses.csv", [listed])], tmp_path / "w", today=TODAY)
    loaded = Warehouse.open(tmp_path / "w").reaches_to()
    assert loaded is not None
    lately = TODAY - timedelta(days=1)
    known = {name: lately.isoformat() for name in ("recovered_on", "requested_on", "completed_on")}
    traced = row("traces", trace_id="T9", sold_on="2019-02-20", **known)
    told = [write(tmp_path, "traces.csv", [traced])]
    ingest(told, tmp_path / "w", today=TODAY, is_told=True)
    warehouse = Warehouse.open(tmp_path / "w")
    assert warehouse.manifest["tables"]["traces"]["max_known_on"] == lately.isoformat()
    assert records_to(warehouse, TODAY) == loaded + timedelta(days=1)
    # A file that repeats what was told shows how far it reaches, though nothing of it is new.
    (tmp_path / "later").mkdir()
    ingest([write(tmp_path / "later", "traces.csv", [traced, traced])], tmp_path / "w", today=TODAY)
    assert records_to(Warehouse.open(tmp_path / "w"), TODAY) == TODAY


@pytest.mark.parametrize(
    ("to", "is_told"), [(date(2023, 11, 2), True), (date(2026, 11, 27), False)]
)
def test_who_scores_old_records_is_told(capsys, to, is_told):
    done = Published("000001", 5, date(2026, 11, 27), "b", "f" * 64, to)
    print_published(done, as_json=False)
    assert ("ffl-risk score --as-of 2023-11-02" in " ".join(capsys.readouterr().err.split())) == (
        is_told
    )
