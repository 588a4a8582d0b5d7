"""What a listing says wrongly or not at all is missing in the signals, with its reason."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from features.ingest import ingest
from features.signals.signal import NO_SOURCE, OBSERVED
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import row, write

WHEN = date(2026, 5, 15)
KNOWN, ODD = "5-74-90001", "5-74-90002"
OF_COUNTY = (
    "area_dealers_per_100k",
    "area_people_per_km2",
    "area_pawnbroker_share_100km",
    "area_rural_code",
    "area_traces_per_100k_3y",
    "volume_county_share_1y",
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    """Two dealers, one in a county that does not exist and with an unknown expiry."""
    folder = tmp_path_factory.mktemp("odd")
    odd = row(
        "licenses", dealer=ODD, license_number="5-74-999-01-8F-90002", county_fips="48999",
        expires_on="",
    )  # fmt: skip
    checks = [row("sales_volume", dealer=d, month="2026-01-01") for d in (KNOWN, ODD)]
    write(folder, "licenses.csv", [row("licenses"), odd])
    write(folder, "sales_volume.csv", checks)
    write(folder, "traces.csv", [row("traces")])
    ingest([folder / f"{n}.csv" for n in ("licenses", "sales_volume", "traces")], folder / "w")
    warehouse = Warehouse.open(folder / "w")
    return build_features(warehouse, WHEN, families=("license", "area", "border", "volume"))


def cell(frame: pd.DataFrame, dealer: str, name: str) -> float:
    """One value of one dealer."""
    return float(frame.loc[frame["dealer"] == dealer, name].iloc[0])


def reason(table: FeatureTable, dealer: str, name: str) -> int:
    """Why the value of a dealer is missing."""
    at = table.frame.index[table.frame["dealer"] == dealer][0]
    return int(table.reasons.loc[at, name])


@pytest.mark.parametrize("name", OF_COUNTY)
def test_a_county_that_does_not_exist_has_no_signals(table: FeatureTable, name: str) -> None:
    assert reason(table, KNOWN, name) == OBSERVED
    assert pd.isna(cell(table.frame, ODD, name))
    assert reason(table, ODD, name) == NO_SOURCE


def test_the_state_and_the_point_are_known_all_the_same(table: FeatureTable) -> None:
    for name in ("area_is_demand_letter_3_state", "border_km_to_mexico_line", "border_km_to_port"):
        assert reason(table, ODD, name) == OBSERVED
        assert cell(table.frame, ODD, name) == cell(table.frame, KNOWN, name)


def test_an_unknown_expiry_is_missing_for_want_of_a_source(table: FeatureTable) -> None:
    name = "license_months_to_expiry"
    assert cell(table.frame, KNOWN, name) == pytest.approx(24.6, abs=0.1)
    assert pd.isna(cell(table.frame, ODD, name))
    assert reason(table, ODD, name) == NO_SOURCE
