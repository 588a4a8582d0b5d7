"""One simulated country and its warehouse for everything beside the ranking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.warehouse import Warehouse

AS_OF = date(2025, 1, 1)


@dataclass(frozen=True)
class Simulated:
    """A country, its warehouse and where its truth lies."""

    folder: Path
    warehouse: Warehouse


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("insight")
    options = Options(dealers=1500, years=9, end=AS_OF, traces_scale=3.0, seed=5)
    simulate(options, folder / "country")
    files = sorted((folder / "country").glob("*.parquet"))
    ingest(files, folder / "warehouse", today=AS_OF)
    return Simulated(folder / "country", Warehouse.open(folder / "warehouse"))
