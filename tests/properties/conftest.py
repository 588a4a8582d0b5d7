"""The random worlds that every property is tested on, each built once a process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from tests.properties import invented

# In years on both sides of a change of the demand letter's threshold; no month ends alone.
DATES = [date(2018, 1, 1), date(2019, 7, 15), date(2021, 3, 1)]
SEEDS = (1, 2)


@dataclass(frozen=True)
class World:
    """A country, its warehouse and the signals as of all dates."""

    country: invented.Country
    warehouse: Warehouse
    table: FeatureTable
    folder: Path

    def at(self, when: date) -> FeatureTable:
        """Signals built as of one date alone, on what was known on its eve only."""
        past = invented.known_before(self.country.tables, when)
        folder = self.folder / f"before-{when}"
        if folder.exists():
            return build_features(Warehouse.open(folder / "warehouse"), when)
        return build_features(invented.store(past, folder, today=when), when)


@pytest.fixture(scope="session", params=SEEDS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("invented")
    country = invented.Country(request.param)
    warehouse = invented.store(country.tables, folder / "all")
    return World(country, warehouse, build_features(warehouse, DATES), folder)
