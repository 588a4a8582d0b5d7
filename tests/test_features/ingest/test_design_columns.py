"""The design of a visit in files and in the warehouse: accepted, checked, absent in older files."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.ingest import ingest
from features.warehouse import Warehouse
from features.warehouse.stored import columns_of

_VISIT = {
    "dealer": "1-54-00001",
    "kind": "compliance",
    "opened_on": "2023-01-01",
    "closed_on": "2023-02-01",
    "selected_by": "random",
    "outcome": "none",
}
_DESIGN = ["list_id", "why", "inclusion_probability", "is_mandatory", "mandatory_probability"]


def ingested(folder: Path, rows: list[dict[str, object]], name: str = "inspections") -> Warehouse:
    source = folder / f"{name}.csv"
    pd.DataFrame([_VISIT | {"inspection_id": f"I{i}"} | row for i, row in enumerate(rows)]).to_csv(
        source, index=False
    )
    ingest([source], folder / "warehouse", as_table="inspections", max_rejects=1.0)
    return Warehouse.open(folder / "warehouse")


def test_a_design_is_kept_as_given(tmp_path):
    rows = [
        {"list_id": "A-7", "why": "random", "inclusion_probability": 0.0024, "is_mandatory": "yes"},
        {"list_id": "A-7", "why": "model", "inclusion_probability": 1, "is_mandatory": "no",
         "mandatory_probability": 0.05},
        {"selected_by": "unknown"},
    ]  # fmt: skip
    kept = ingested(tmp_path, rows).read("inspections", columns=["inspection_id", *_DESIGN])
    found = kept.sort_by("inspection_id").to_pylist()
    assert [row["inclusion_probability"] for row in found] == [0.0024, 1.0, None]
    assert [row["is_mandatory"] for row in found] == [True, False, None]
    assert [row["why"] for row in found] == ["random", "model", None]
    assert [row["mandatory_probability"] for row in found] == [None, 0.05, None]


@pytest.mark.parametrize("column", ["inclusion_probability", "mandatory_probability"])
@pytest.mark.parametrize("value", ["0", "-0.1", "1.0001", "inf", "often"])
def test_a_probability_that_is_none_is_rejected_with_its_reason(tmp_path, column, value):
    warehouse = ingested(tmp_path, [{column: value}, {column: "0.5"}])
    rejects = warehouse.rejects("inspections")
    assert rejects is not None
    assert rejects["reason"].to_pylist() == ["out_of_range"]
    assert rejects["column_name"].to_pylist() == [column]
    assert warehouse.read("inspections").num_rows == 1


def test_an_unknown_why_is_rejected(tmp_path):
    warehouse = ingested(tmp_path, [{"why": "hunch"}, {"why": "coverage"}])
    rejects = warehouse.rejects("inspections")
    assert rejects is not None
    assert rejects["reason"].to_pylist() == ["unknown_code"]


def test_a_warehouse_of_an_older_version_is_read_and_corrected(tmp_path):
    first = ingested(tmp_path, [{"selected_by": "risk"}, {"selected_by": "risk"}], "first")
    (file,) = first.files("inspections")
    old = pq.read_table(file, partitioning=None)
    pq.write_table(old.drop_columns(_DESIGN), file)
    columns_of.cache_clear()  # files never change, but for this one

    read = Warehouse.open(tmp_path / "warehouse").read("inspections", columns=["list_id", "office"])
    assert read["list_id"].to_pylist() == [None, None]

    told = {
        "list_id": "L-1",
        "inclusion_probability": "0.25",
        "closed_on": "2023-03-01",
        "outcome": "report",
    }
    corrected = ingested(tmp_path, [told], "later")
    rows = corrected.read("inspections", columns=["inspection_id", *_DESIGN]).to_pylist()
    assert {row["inspection_id"]: row["inclusion_probability"] for row in rows} == {
        "I0": 0.25,
        "I1": None,
    }
