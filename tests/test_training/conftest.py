"""Small agency warehouses, written as canonical files and ingested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.ingest import ingest
from features.warehouse import Warehouse

Rows = list[dict[str, object]]

_INSPECTION = {
    "kind": "compliance",
    "selected_by": "risk",
    "hours": 20,
    "investigator_token": "I1",
    "office": "763025",
    "outcome": "none",
    "recommended_outcome": "",
    "firearms_unaccounted_initial": 0,
    "firearms_unaccounted_final": 0,
}
_TRACE = {
    "requested_on": "2022-01-01",
    "completed_on": "2022-01-10",
    "recovery_country": "US",
    "requester": "police",
    "firearm_type": "pistol",
    "serial_status": "legible",
    "outcome": "purchaser",
}


@pytest.fixture
def make_warehouse(tmp_path: Path) -> Callable[..., Warehouse]:
    """Return a function that ingests rows of tables; missing columns get plain values."""

    def make(
        *,
        inspections: Rows = (),
        violations: Rows = (),
        traces: Rows = (),
        licenses: Rows = (),
    ) -> Warehouse:
        source = tmp_path / "source"
        source.mkdir(exist_ok=True)
        tables = {
            "inspections": [_INSPECTION | row for row in inspections],
            "violations": list(violations),
            "traces": [_TRACE | row for row in traces],
            "licenses": list(licenses),
        }
        for name, rows in tables.items():
            if rows:
                pd.DataFrame(rows).to_parquet(source / f"{name}.parquet", index=False)
        ingest([source], tmp_path / "warehouse")
        return Warehouse.open(tmp_path / "warehouse")

    return make


@pytest.fixture
def world() -> Callable[..., tuple[Any, ...]]:
    """Return a function that draws dealers chosen by a risk that one signal shows."""

    def make(seed: int, *, n: int = 8000, strength: float = 1.0) -> tuple[Any, ...]:
        """Dealers whose risk and whose chance of being inspected both rise with one signal."""
        rng = np.random.default_rng(seed)
        risk = rng.normal(size=n)
        X = pd.DataFrame({"risk": risk, "noise": rng.normal(size=n)})
        p_severe = 1 / (1 + np.exp(-(risk - 2.5)))
        p_inspected = 1 / (1 + np.exp(-(strength * risk - 1.5)))
        inspected = rng.random(n) < p_inspected
        y = (rng.random(n) < p_severe).astype(float)
        return X, inspected, y, p_severe, p_inspected

    return make
