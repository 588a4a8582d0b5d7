"""Files made to harm, or made without care: read as what they say, or refused in words."""

from __future__ import annotations

import io
import json
import os
import zipfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, csv_text, row, workbook

TIP = row("tips")


def load(path: Path) -> IngestSummary:
    return ingest(path, path.parent / "w", as_table="tips", today=TODAY, max_rejects=1.0)


def stored(folder: Path) -> list[str]:
    read = Warehouse.open(folder / "w").read("tips")["tip_id"].to_pylist()
    return sorted(str(value) for value in read)


def parquet(path: Path, **columns: pa.Array | list[object]) -> Path:
    """Write one tip with some columns of another type or beyond its own."""
    pq.write_table(pa.table({name: [value] for name, value in TIP.items()} | columns), path)
    return path


ALIKE = ("N\u0303 1", "\u00d1\u00a01", "\u00d1\x0b1", "\u00d1\x001", "\u200b\u00d1 1\u202e")


@pytest.mark.parametrize("form", ["csv", "jsonl", "json", "parquet", "xlsx"])
def test_values_that_nobody_can_tell_apart_are_one(form: str, tmp_path: Path) -> None:
    rows = [row("tips", tip_id=value) for value in ALIKE]
    path = tmp_path / f"tips.{form}"
    if form == "csv":  # a zero byte in the first lines is no text
        far = [row("tips", tip_id=f"A{n}") for n in range(3_000)]
        path.write_text(csv_text(far + rows))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "xlsx":
        workbook(path, {"tips": [list(TIP), *(list(one.values()) for one in rows)]})
    elif form == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    summary = load(path)
    assert summary.counts["duplicate"] == len(ALIKE) - 1
    assert [value for value in stored(tmp_path) if not value.startswith("A")] == ["\u00d1 1"]


def test_decimals_that_are_read_as_other_numbers_are_refused(tmp_path: Path) -> None:
    wide = pa.array([Decimal(1)], pa.decimal256(50, 2))
    with pytest.raises(SourceError, match="more digits than can be read") as refused:
        load(parquet(tmp_path / "tips.parquet", tip_id=wide))
    assert refused.value.found == "tip_id"


@pytest.mark.parametrize("value", [["P1", "P2"], {"nr": "P1"}])
def test_several_values_in_the_place_of_one_are_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="lists or records where tips has one value"):
        load(parquet(tmp_path / "tips.parquet", tip_id=[value]))
    load(parquet(tmp_path / "tips.parquet", note=[value]))
    assert stored(tmp_path) == ["P1"]


@pytest.mark.parametrize("value", [{"buyer_name": "X"}, [{"notes": {"Buyer Name": "X"}}]])
def test_persons_within_values_of_parquet_refuse_it(value: object, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="data about persons"):
        load(parquet(tmp_path / "tips.parquet", extra=[value]))


@pytest.mark.parametrize("name", ["source_line", "Source_Line", "is_damaged", "file_row_number"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_column_called_as_one_that_is_added_says_nothing(
    name: str, form: str, tmp_path: Path
) -> None:
    if form == "csv":
        path = tmp_path / "tips.csv"
        path.write_text(csv_text([TIP | {name: "7"}]))
    else:
        kind = pa.bool_() if name == "is_damaged" else pa.int64()
        path = parquet(tmp_path / "tips.parquet", **{name: pa.array([1]).cast(kind)})
    assert load(path).counts["stored"] == 1
    lines = Warehouse.open(tmp_path / "w").read("tips")["source_line"].to_pylist()
    assert lines == [2 if form == "csv" else 1]


@pytest.mark.parametrize("deep", ['{"a":' * 400 + "1" + "}" * 400, "[" * 20_000 + "]" * 20_000])
def test_records_within_records_without_end_are_told(deep: str, tmp_path: Path) -> None:
    path = tmp_path / "tips.jsonl"
    path.write_text(json.dumps(TIP)[:-1] + f', "x": {deep}}}\n')
    with pytest.raises(SourceError, match="without end"):
        load(path)


def test_a_key_without_a_name_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "tips.jsonl"
    path.write_text(json.dumps(TIP | {"": 1, 'a"b': 2}) + "\n")
    load(path)
    assert stored(tmp_path) == ["P1"]


def packed(text: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("tips.csv", text)
    return made.getvalue()


@pytest.mark.parametrize("form", ["csv", "parquet", "zip"])
@pytest.mark.parametrize("is_in_folder", [True, False])
def test_a_name_that_is_not_utf8_is_read(form: str, is_in_folder: bool, tmp_path: Path) -> None:
    plain = parquet(tmp_path / "plain.parquet")
    content = {"csv": csv_text([TIP]).encode(), "parquet": plain.read_bytes(),
               "zip": packed(csv_text([TIP]))}[form]  # fmt: skip
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / os.fsdecode(b"informaci\xf3n." + form.encode())
    path.write_bytes(content)
    summary = ingest(
        path.parent if is_in_folder else path, tmp_path / "w", as_table="tips", today=TODAY
    )
    assert stored(tmp_path) == ["P1"]
    assert summary.files[0].file.startswith("informaci\u00f3n.")


def test_a_pipe_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tips.csv")
    with pytest.raises(SourceError, match="is no file"):
        load(tmp_path / "tips.csv")
    (tmp_path / "holds.csv").write_text(csv_text([row("holds")]))
    (tmp_path / "in").mkdir()
    for name in ("tips.csv", "holds.csv"):
        (tmp_path / name).rename(tmp_path / "in" / name)
    summary = ingest(tmp_path / "in", tmp_path / "w", today=TODAY)
    assert [(one.file, one.why) for one in summary.unread] == [
        ("tips.csv", "a pipe, a socket or a device")
    ]


def test_a_damaged_sheet_refuses_its_workbook(tmp_path: Path) -> None:
    """What it holds is not known; the other sheet alone would pass for the whole."""
    cells = [list(TIP), list(TIP.values())]
    workbook(tmp_path / "whole.xlsx", {"tips": cells, "holds": [list(row("holds"))] * 2})
    with (
        zipfile.ZipFile(tmp_path / "whole.xlsx") as whole,
        zipfile.ZipFile(tmp_path / "tips.xlsx", "w") as cut,
    ):
        for name in whole.namelist():
            content = whole.read(name)
            is_second = name.endswith("sheet2.xml")
            cut.writestr(name, content[: len(content) // 2] if is_second else content)
    with pytest.raises(SourceError, match="cannot be read as a workbook"):
        load(tmp_path / "tips.xlsx")
