"""A day that a file gives for what it knew is held to what the row itself tells."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from features.ingest import ingest
from features.schema import TABLES
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write

# For each table, the first day on which its sample row can be known.
FIRST = {
    "traces": date(2025, 3, 11),  # when it was answered
    "inspections": date(2025, 3, 10),  # when it was closed
    "violations": date(2025, 3, 10),
    "multiple_sales": date(2025, 5, 2),
    "thefts_losses": date(2025, 5, 2),
    "sales_volume": date(2025, 4, 1),  # when the month was over
    "denials": date(2025, 4, 1),
    "seizures": date(2025, 4, 3),
    "ballistic_leads": date(2025, 5, 5),
    "tips": date(2025, 5, 5),
    "holds": date(2025, 5, 5),
    "licenses": date(2026, 1, 1),
}


@pytest.mark.parametrize("is_option", [False, True])
@pytest.mark.parametrize("table", FIRST)
def test_nothing_is_known_before_all_that_its_row_tells(
    table: str, is_option: bool, tmp_path: Path
) -> None:
    if table == "violations":
        visits = write(tmp_path, "inspections.csv", [row("inspections")])
        ingest(visits, tmp_path / "w", today=TODAY)
    eve = FIRST[table] - timedelta(days=1)
    for day, n_rejected in ((eve, 1), (FIRST[table], 0)):
        own = {} if is_option else {"known_on": day.isoformat()}
        path = write(tmp_path / day.isoformat(), f"{table}.csv", [row(table) | own])
        summary = ingest(
            path, tmp_path / "w", known_on=day if is_option else None, max_rejects=1.0, today=TODAY
        )
        (counts,) = summary.files[0].tables
        assert counts.reasons == ({"known_before_event": 1} if n_rejected else {})
    (found,) = Warehouse.open(tmp_path / "w").read(table).to_pylist()
    assert found["known_on"] == FIRST[table]


@pytest.mark.parametrize(
    ("table", "changes", "day"),
    [
        ("traces", {"completed_on": "", "outcome": "incomplete"}, "2025-03-01"),
        ("inspections", {"closed_on": "", "outcome": "none"}, "2025-01-10"),
    ],
)
def test_what_goes_on_is_known_since_it_began(
    table: str, changes: dict[str, str], day: str, tmp_path: Path
) -> None:
    path = write(tmp_path, f"{table}.csv", [row(table, **changes) | {"known_on": day}])
    summary = ingest(path, tmp_path / "w", today=TODAY)
    assert summary.counts["stored"] == 1


def test_every_table_with_a_day_of_its_own_is_held_to_it() -> None:
    """Context of agencies and areas has no event."""
    assert {name for name, table in TABLES.items() if not table.is_optional} == set(FIRST)
