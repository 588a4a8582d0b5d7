"""Workbooks: each sheet becomes a text with separators, its cells as they would be typed.

Numbers lose the ``.0`` that a spreadsheet gives them, dates are ISO, yes and no are ``true`` and
``false``. Leading zeros that the spreadsheet ate come back where a column has a fixed width, as for
any other source. Cells merged downward hold their value in every row.
"""

from __future__ import annotations

import csv
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

import python_calamine

from features.errors import SourceError
from features.sources.files.formulas import uncomputed
from features.sources.files.source_file import HARMLESS_BYTES, MAX_RATIO
from features.sources.files.used_range import used_ranges

ENDINGS: Final = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ODS: Final = b"application/vnd.oasis.opendocument.spreadsheet"
_MAX_CELLS: Final = 100_000_000
_MOST_OF_ONE: Final = 1_032  # bytes that deflate can make of one
_BLOCK: Final = 1 << 20


def is_workbook(path: Path, magic: bytes) -> bool:
    """Tell a workbook by its content, whatever its name; a file that only claims to be one is none.

    Parameters
    ----------
    path : Path
        The file.
    magic : bytes
        Its first bytes.
    """
    if magic.startswith(_OLE):
        return True
    if not magic.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                with archive.open("mimetype") as kind:
                    return kind.read(len(_ODS) + 8).strip() == _ODS
            return bool(names & {"xl/workbook.xml", "xl/workbook.bin"})
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


@dataclass(frozen=True)
class Sheets:
    """The sheets of a workbook that hold rows.

    Parameters
    ----------
    texts : mapping of str to Path
        The text of each one that a reader of the workbook sees, by its name.
    hidden : tuple of str
        Names of those that the workbook hides: old states and aids, which nobody looked at.
    single : tuple of str
        Names of those with one row alone, which cannot be a header with rows.
    notes : mapping of str to str
        What to tell of a sheet, by its name.
    """

    texts: Mapping[str, Path]
    hidden: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


def sheets(path: Path, name: str, folder: Path) -> Sheets:
    """Write each sheet that holds rows and is not hidden as a text under `folder`.

    Raises
    ------
    SourceError
        When the workbook cannot be read or holds no rows that can be seen.
    """
    _check_sizes(path, name)
    _check_ranges(path, name)
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Path] = {}
    hidden, single = [], []
    n_sheets = 0
    try:
        with python_calamine.load_workbook(path) as book:
            for n, sheet in enumerate(book.sheets_metadata):
                target = folder / f"{n:04d}"
                n_sheets += 1
                if sheet.typ != python_calamine.SheetTypeEnum.WorkSheet:
                    continue  # of charts or programs, without cells
                n_rows = _write(book, sheet.name, target)
                if n_rows == 1:
                    single.append(sheet.name)
                if n_rows < 2:
                    continue
                if sheet.visible == python_calamine.SheetVisibleEnum.Visible:
                    made[sheet.name] = target
                else:
                    hidden.append(sheet.name)
        notes = uncomputed(path)
    except (python_calamine.CalamineError, zipfile.BadZipFile, OSError, ValueError) as error:
        raise SourceError(
            f"{name} cannot be read as a workbook.",
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            expected="a workbook (.xlsx, .xlsb, .xls, .ods) without a password",
            fix="open it and save the sheet as CSV in UTF-8, or remove its password",
        ) from error
    if hidden and not made:
        raise SourceError(
            f"{name} is a workbook whose rows stand in hidden sheets alone.",
            found=", ".join(hidden),
            expected="a sheet that can be seen, so that somebody has looked at it",
            fix="show the sheet that is meant (Format, Sheet, Unhide), save, and load again",
        )
    if not made:
        raise SourceError(
            f"{name} is a workbook without rows.",
            found=f"{n_sheets} sheets, none with more than one row",
            expected="a header row and rows of one table in each sheet",
        )
    return Sheets(made, tuple(hidden), tuple(single), notes)


def _check_sizes(path: Path, name: str) -> None:
    """Refuse a workbook that would fill the memory: its parts are read whole, each at once.

    What a part declares is not believed; it is unpacked once and counted.
    """
    packed = path.stat().st_size
    most = max(HARMLESS_BYTES, MAX_RATIO * packed)
    if packed * _MOST_OF_ONE <= HARMLESS_BYTES or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive, path.open("rb") as stream:
        left = most - sum(part.file_size for part in archive.infolist())
        if left >= 0:
            left = most
            for part in archive.infolist():
                left -= _size(stream, part, left)
    if left < 0:
        raise SourceError(
            f"{name} unpacks beyond all measure and was not read.",
            found=f"more than {most >> 20:,} MB out of {max(packed >> 10, 1):,} kB",
            expected=f"at most {MAX_RATIO} bytes out of one",
            fix="open it where you trust it, save the sheet as CSV, and ingest that",
        )


def _check_ranges(path: Path, name: str) -> None:
    """Refuse a workbook with a sheet whose values stand so far apart that it would fill the memory.

    A reader keeps the whole rectangle, and where memory ends the process does.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        for sheet, (n_rows, n_columns) in used_ranges(archive, _MAX_CELLS):
            if n_rows * n_columns > _MAX_CELLS:
                raise SourceError(
                    f"{name} has a sheet that is too large to read: {sheet}.",
                    found=f"values as far as row {n_rows:,} and column {n_columns:,}",
                    expected=f"at most {_MAX_CELLS:,} cells from the first to the last value",
                    fix="delete what stands behind the table (Ctrl+End shows the last cell), or "
                    "save the sheet as CSV",
                )


def _size(stream: BinaryIO, part: zipfile.ZipInfo, most: int) -> int:
    """Return how many bytes a part unpacks to, or a number over `most` when it is more."""
    if part.compress_type != zipfile.ZIP_DEFLATED:
        return max(part.file_size, part.compress_size)
    stream.seek(part.header_offset + 26)
    n_name, n_more = struct.unpack("<HH", stream.read(4))
    stream.seek(n_name + n_more, 1)
    unpacking, n, left = zlib.decompressobj(-zlib.MAX_WBITS), 0, part.compress_size
    while n <= most and (block := unpacking.unconsumed_tail or stream.read(min(left, _BLOCK))):
        left -= 0 if unpacking.unconsumed_tail else len(block)
        n += len(unpacking.decompress(block, _BLOCK))
    return n


def _write(book: python_calamine.CalamineWorkbook, sheet: str, target: Path) -> int:
    """Write a sheet unless it has less than two rows; return how many it has."""
    found = book.get_sheet_by_name(sheet)
    rows = found.to_python(skip_empty_area=False)
    if len(rows) < 2:
        return int(any(as_text(cell).strip() for row in rows for cell in row))
    _fill_merged(rows, found.merged_cell_ranges or ())
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        for row in rows:
            writer.writerow([as_text(cell) for cell in row])
    return len(rows)


def _fill_merged(
    rows: list[list[Any]], ranges: Iterable[tuple[tuple[int, int], tuple[int, int]]]
) -> None:
    """Give every row of cells merged downward their value, which only the first one holds.

    Cells merged to the side are a title or one column's own: the columns beside stay empty. Those
    beside or below all values are nothing.
    """
    for (top, left), (bottom, _) in ranges:
        if top >= len(rows) or left >= len(rows[top]):
            continue
        for row in rows[top + 1 : bottom + 1]:
            row[left] = rows[top][left]


def as_text(cell: object) -> str:
    r"""Return a cell as it would be typed; line ends inside of it become spaces.

    >>> [as_text(c) for c in (7.0, 2.5, True, datetime(2024, 5, 1), "A\nB\rC", None)]
    ['7', '2.5', 'true', '2024-05-01', 'A B C', '']
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if isinstance(cell, datetime):
        is_day = cell.time() == time()
        return cell.date().isoformat() if is_day else cell.isoformat(" ", "seconds")
    if isinstance(cell, date | time | timedelta):
        return str(cell)
    return re.sub("\r\n?|[\n\0]", " ", str(cell))
