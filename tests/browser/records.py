"""Invented records behind the first dealers of the busiest division, ingested as any others are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from features.ingest import ingest
from tests.browser.country import AS_OF


def write_warehouse(dealers: Sequence[str], warehouse: Path, *, folder: Path) -> None:
    """Ingest some inspections, citations, traces and reports about `dealers`."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    inspections, violations, traces, reports = [], [], [], []
    for n, dealer in enumerate(dealers):
        for visit, years in enumerate((2, 5, 9)):
            opened = AS_OF - timedelta(days=365 * years + n)
            key = f"I-{n:03d}-{visit}"
            outcome = ("warning_letter", "report", "none")[visit]
            inspections.append(
                {
                    "inspection_id": key, "dealer": dealer, "kind": "compliance",
                    "opened_on": opened, "closed_on": opened + timedelta(days=20),
                    "selected_by": "risk", "hours": 22, "outcome": outcome,
                }
            )  # fmt: skip
            cited = ("478.124(c)(1)", "478.125(e)", "478.21(a)")[: 3 - visit]
            violations += [{"inspection_id": key, "citation": c, "instances": 2} for c in cited]
        for k in range(int(rng.integers(4, 14))):
            sold = AS_OF - timedelta(days=int(rng.integers(300, 2500)))
            found = sold + timedelta(days=int(rng.integers(20, 290)))
            place = rng.choice(["US", "US", "MX"])
            traces.append(
                {
                    "trace_id": f"T-{n:03d}-{k:02d}", "dealer": dealer, "sold_on": sold,
                    "recovered_on": found, "requested_on": found + timedelta(days=2),
                    "completed_on": found + timedelta(days=9), "recovery_country": place,
                    "recovery_state": "MX-SON" if place == "MX" else rng.choice(["TX", "MN"]),
                    "requester": "agency", "firearm_type": rng.choice(["pistol", "rifle"]),
                    "serial_status": "legible", "outcome": "purchaser",
                }
            )  # fmt: skip
        sold = AS_OF - timedelta(days=40 + n)
        reports.append(
            {
                "report_id": f"M-{n:03d}", "dealer": dealer, "sold_on": sold, "reported_on": sold,
                "kind": "handgun", "n_firearms": 3,
            }
        )  # fmt: skip
    tables = {
        "inspections": inspections, "violations": violations, "traces": traces,
        "multiple_sales": reports,
    }  # fmt: skip
    paths = []
    for name, rows in tables.items():
        path = folder / f"{name}.csv"
        pd.DataFrame(rows).to_csv(path, index=False)
        paths.append(path)
    ingest(paths, warehouse, today=date(2026, 2, 1))
