"""A ballistic lead on several firearms of a dealer is one lead, and its shootings count once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write

OTHER = "5-74-90002"


def test_a_lead_is_counted_once_for_all_its_firearms(tmp_path: Path) -> None:
    """With the most shootings that the window has of it, and once for each dealer."""
    listed = [
        row("licenses", listed_on="2020-01-01"),
        row("licenses", listed_on="2020-01-01", dealer=OTHER, license_number=""),
    ]
    traced = {
        "sold_on": "2021-02-20", "recovered_on": "2022-02-20", "requested_on": "2022-03-01",
        "completed_on": "2022-03-11",
    }  # fmt: skip
    traces = [row("traces", trace_id=f"T{n}", **traced) for n in range(3)]
    traces.append(row("traces", trace_id="T9", dealer=OTHER, **traced))
    told = (
        ("B1", "T0", "2022-05-05", "4"),
        ("B1", "T1", "2022-05-05", "4"),
        ("B1", "T2", "2022-08-05", "6"),
        ("B1", "T9", "2022-05-05", "4"),
        ("B2", "T0", "2022-08-05", "1"),
    )
    names = ("lead_id", "trace_id", "lead_on", "n_linked_events")
    leads = [dict(zip(names, one, strict=True)) for one in told]
    paths = [
        write(tmp_path, f"{name}.csv", rows)
        for name, rows in (("licenses", listed), ("traces", traces), ("ballistic_leads", leads))
    ]
    ingest(paths, tmp_path / "w", today=TODAY)
    days = [date(2022, 5, 6), date(2022, 8, 6), date(2025, 5, 6)]
    frame = build_features(
        Warehouse.open(tmp_path / "w"), days, families=("ballistics",)
    ).frame.sort_values(["dealer", "as_of"], kind="stable")
    columns = ["ballistics_leads_3y", "ballistics_firearms_3y", "ballistics_events_3y"]
    assert np.array_equal(
        frame[columns].to_numpy(),
        [[1, 2, 4], [2, 3, 7], [2, 2, 7], [1, 1, 4], [1, 1, 4], [0, 0, 0]],
    )
