"""A workbook with a value far from its table is refused, and merged cells beside it are nothing."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from features.errors import SourceError
from features.ingest import ingest
from features.sources.files.used_range import used_ranges
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row

ENOUGH = 1_000


def book(path: Path, *, far: tuple[int, int] | None = None, is_blank: bool = False) -> Path:
    """Write one good tip, and a cell far from it, with a value or with a style alone."""
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet("Tips of 2025")
        for n, cells in enumerate((list(row("tips")), list(row("tips").values()))):
            sheet.write_row(n, 0, cells)
        if far and is_blank:
            sheet.write_blank(*far, None, made.add_format({"bold": True}))
        elif far:
            sheet.write(*far, " ")
    return path


def rewritten(path: Path, pattern: str, by: str) -> Path:
    """Return a copy of a workbook with the tags of its sheet written otherwise."""
    target = path.with_name("other.xlsx")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part.startswith("xl/worksheets/sheet"):
                content = re.sub(pattern, by, content.decode()).encode()
            new.writestr(part, content)
    return target


def test_a_value_in_the_last_cell_is_told_and_fills_no_memory(tmp_path: Path) -> None:
    path = book(tmp_path / "tips.xlsx", far=(1_048_575, 16_383))
    with pytest.raises(SourceError, match=r"too large to read: Tips of 2025") as caught:
        ingest(path, tmp_path / "w", as_table="tips", today=TODAY)
    assert caught.value.found == "values as far as row 1,048,576 and column 16,384"


def test_a_style_in_the_last_cell_is_no_value(tmp_path: Path) -> None:
    path = book(tmp_path / "tips.xlsx", far=(1_048_575, 16_383), is_blank=True)
    ingest(path, tmp_path / "w", as_table="tips", today=TODAY)
    assert Warehouse.open(tmp_path / "w").read("tips").num_rows == 1


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (r"<(/?)(row|c)\b", r"<\1x:\2"),
        (r'<c r="(\w+)" ([^>]*)>', r'<c \2 r="\1">'),
        (r'<dimension ref="[^"]*"/>', '<dimension ref="A1"/>'),
    ],
)
@pytest.mark.parametrize("far", [(99_999, 40), (5, 16_383), None])
def test_a_range_is_measured_however_tags_are_written(
    far: tuple[int, int] | None, pattern: str, by: str, tmp_path: Path
) -> None:
    path = rewritten(book(tmp_path / "tips.xlsx", far=far), pattern, by)
    with zipfile.ZipFile(path) as archive:
        ((name, found),) = used_ranges(archive, ENOUGH)
    assert name == "Tips of 2025"
    assert found == ((far[0] + 1, far[1] + 1) if far else (2, len(row("tips"))))


def test_cells_that_tell_no_place_are_counted(tmp_path: Path) -> None:
    path = rewritten(book(tmp_path / "tips.xlsx"), r'<(row|c) r="\w+"', r"<\1")
    with zipfile.ZipFile(path) as archive:
        ((_, found),) = used_ranges(archive, ENOUGH)
    assert found == (2, len(row("tips")))


ROW = '<table:table-row table:number-rows-repeated="{}">{}</table:table-row>'
CELL = '<table:table-cell table:number-columns-repeated="{}"{}'
TEXT = "><text:p>x</text:p></table:table-cell>"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ROW.format(2, CELL.format(3, TEXT)) + ROW.format(1_048_574, CELL.format(16_384, "/>")),
         (2, 3)),
        (ROW.format(1_048_576, CELL.format(16_384, TEXT)), (1_048_576, 16_384)),
        ("<table:table-row/>" + ROW.format(1, CELL.format(9, "/>") + CELL.format(1, TEXT)),
         (2, 10)),
    ],
)  # fmt: skip
def test_repeated_rows_and_cells_of_an_open_document_count(
    rows: str, expected: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "tips.ods"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml", f'<office:s><table:table table:name="A">{rows}</table:table></office:s>'
        )
    with zipfile.ZipFile(path) as archive:
        assert list(used_ranges(archive, ENOUGH)) == [("A", expected)]
    if expected[0] > ENOUGH:
        with pytest.raises(SourceError, match="too large to read: A"):
            ingest(path, tmp_path / "w", today=TODAY)


def record(kind: int, content: bytes) -> bytes:
    return bytes([kind, len(content)]) + content


def test_the_range_of_a_sheet_in_records_is_measured(tmp_path: Path) -> None:
    def at(n: int) -> bytes:
        return n.to_bytes(4, "little")

    records = record(0, at(1_048_575)) + record(5, at(16_383) + bytes(12)) + record(1, at(16_384))
    path = tmp_path / "tips.xlsb"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.bin", "")
        archive.writestr("xl/worksheets/sheet1.bin", records)
    with zipfile.ZipFile(path) as archive:
        ((_, found),) = used_ranges(archive, ENOUGH)
    assert found == (1_048_576, 16_384)
    with pytest.raises(SourceError, match="too large to read"):
        ingest(path, tmp_path / "w", today=TODAY)


def test_a_sheet_of_one_row_is_told_and_an_empty_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "tips.xlsx"
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet("tips")
        for n, cells in enumerate((list(row("tips")), list(row("tips").values()))):
            sheet.write_row(n, 0, cells)
        made.add_worksheet("holds").write_row(0, 0, list(row("holds")))
        made.add_worksheet("Sheet3")
    summary = ingest(path, tmp_path / "w", today=TODAY)
    assert [(u.file, u.why) for u in summary.unread] == [
        ("tips.xlsx[holds]", "a sheet with one row, no header with rows")
    ]


@pytest.mark.parametrize("n_sheets", [1, 2])
def test_a_workbook_of_single_rows_says_how_many_sheets_it_has(
    n_sheets: int, tmp_path: Path
) -> None:
    with xlsxwriter.Workbook(tmp_path / "tips.xlsx") as made:
        for _ in range(n_sheets):
            made.add_worksheet().write_row(0, 0, list(row("tips")))
    with pytest.raises(SourceError, match="a workbook without rows") as refused:
        ingest(tmp_path / "tips.xlsx", tmp_path / "w", today=TODAY)
    assert refused.value.found == f"{n_sheets} sheets, none with more than one row"


@pytest.mark.parametrize("block", ["P2:P4", "A7:B9"])
def test_merged_cells_beside_or_below_the_table_are_nothing(block: str, tmp_path: Path) -> None:
    path = tmp_path / "tips.xlsx"
    with xlsxwriter.Workbook(path) as made:
        sheet = made.add_worksheet()
        for n, cells in enumerate((list(row("tips")), list(row("tips").values()))):
            sheet.write_row(n, 0, cells)
        sheet.merge_range(block, "")
    ingest(path, tmp_path / "w", as_table="tips", today=TODAY)
    assert Warehouse.open(tmp_path / "w").read("tips").num_rows == 1
