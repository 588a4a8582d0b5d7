"""A feature table as other libraries take it."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from features.domain.asof import as_of_range
from features.errors import AsOfError, InvalidValueError
from features.ingest import ingest
from features.table import build_features
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    folder: Path = tmp_path_factory.mktemp("others")
    ingest(write(folder, "licenses.csv", [row("licenses")]), folder / "w", today=TODAY)
    return Warehouse.open(folder / "w")


@pytest.mark.parametrize(
    "as_of",
    ["2026-03-01", date(2026, 3, 1), datetime(2026, 3, 1, 8), ["2026-03-01"]],  # noqa: DTZ001
)
def test_a_date_may_be_text(as_of: object, warehouse: Warehouse) -> None:
    table = build_features(warehouse, as_of, families=("license",))  # type: ignore[arg-type]
    assert table.frame["as_of"].dt.date.tolist() == [date(2026, 3, 1)]


def test_other_text_is_no_date(warehouse: Warehouse) -> None:
    with pytest.raises(AsOfError, match="'March' is not a date"):
        build_features(warehouse, "March")


def test_pandas_polars_and_arrow_hold_the_same(warehouse: Warehouse) -> None:
    dates = as_of_range("2026-02-01", "2026-05-01", every_months=1)
    table = build_features(warehouse, dates, families=("license",))
    assert len(table) == 4
    arrow, frame = table.to_arrow(), table.to_polars()
    assert arrow.column_names == list(table.to_pandas().columns) == frame.columns
    assert frame["dealer"].to_list() == table.frame["dealer"].tolist()
    name = "license_months_to_expiry"
    assert arrow[name].to_pylist() == pytest.approx(table.frame[name].tolist())
    copy = table.to_pandas()
    copy["dealer"] = "changed"
    assert "changed" not in set(table.frame["dealer"])


def test_a_range_runs_forward() -> None:
    with pytest.raises(InvalidValueError, match="runs forward"):
        as_of_range("2026-02-01", "2026-01-01")
