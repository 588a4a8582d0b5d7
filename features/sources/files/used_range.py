"""The used range of each sheet of a workbook, from its parts and before it is read.

Readers of workbooks keep a sheet as a full rectangle up to its last cell with a value: one value in
the last row and column, a slip of the hand, makes it seventeen thousand million cells.
"""

from __future__ import annotations

import re
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Final

from features.sources.files.formulas import sheet_parts

# Rows and columns up to the last value, and cells with values.
Range = tuple[int, int]

_BLOCK: Final = 1 << 22
_LONGEST_TAG: Final = 1 << 12
# As nearly every program writes them; all else takes the slow way.
_ROW: Final = re.compile(rb'<row r="([0-9]+)"')
_COLUMN: Final = re.compile(rb'<c r="([A-Z]+)')
_SIGNS_OF_CELLS: Final = (b"<c ", b":c ", b"<c>", b":c>", b"<c/", b":c/")
_CELL: Final = re.compile(rb"<(?:\w+:)?(row|c)((?:\s[^>]*?)?)(/?)>")
_PLACE: Final = re.compile(rb'\br="([A-Z]*)([0-9]+)"')
_ODS: Final = re.compile(
    rb"<(/?)table:(table-row|table-cell|covered-table-cell|table)(?=[\s/>])([^>]*?)(/?)>"
)
_REPEATED: Final = re.compile(rb'number-(?:rows|columns)-repeated="([0-9]+)"')
_NAMED: Final = re.compile(rb'table:name="([^"]*)"')
_ROW_HEADER, _FIRST_VALUE, _LAST_VALUE = 0, 2, 11  # records of .xlsb


def used_ranges(archive: zipfile.ZipFile, enough: int) -> Iterator[tuple[str, Range]]:
    """Yield the name and the used range of each sheet; of one within `enough` cells a bound of it.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The workbook; one that is no archive has at most 65,536 rows of 256 cells.
    enough : int
        Cells up to which a bound will do, which is quicker.
    """
    names = set(archive.namelist())
    for part, sheet in sheet_parts(archive).items():
        if part.endswith(".bin"):
            yield sheet, _measured(archive, part, _of_records)
            continue
        found = _measured(archive, part, _bound)
        if found[0] * found[1] > enough:
            found = _measured(archive, part, _of_cells)
        yield sheet, found
    if "content.xml" in names:
        with archive.open("content.xml") as stream:
            yield from _of_tables(stream)


def _measured(archive: zipfile.ZipFile, part: str, measure: Callable[[IO[bytes]], Range]) -> Range:
    with archive.open(part) as stream:
        return measure(stream)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes in blocks that end with a tag, as far as tags are of any usual length."""
    rest = b""
    while block := stream.read(_BLOCK):
        block = rest + block
        end = block.rfind(b">") + 1 or max(len(block) - _LONGEST_TAG, 0)
        rest = block[end:]
        yield block[:end]
    if rest:
        yield rest


def _number(letters: bytes) -> int:
    """Return the number of a column.

    >>> _number(b"A"), _number(b"XFD")
    (1, 16384)
    """
    n = 0
    for letter in letters:
        n = n * 26 + letter - 64
    return n


def _bound(stream: IO[bytes]) -> Range:
    """Return the last row and column that have a tag, or no bound where they tell no place."""
    rows, columns = 1, {b"A"}
    for block in _blocks(stream):
        told, found = _ROW.findall(block), _COLUMN.findall(block)
        n_cells = sum(block.count(sign) for sign in _SIGNS_OF_CELLS)
        if (len(told), len(found)) != (block.count(b"row "), n_cells):
            return sys.maxsize, sys.maxsize
        rows = max([rows, *map(int, told)])
        columns.update(found)
    return rows, max(map(_number, columns))


def _of_cells(stream: IO[bytes]) -> Range:
    """Return the last row and column that have a value."""
    rows, columns, row, column = 0, 0, 0, 0
    for block in _blocks(stream):
        for kind, told, is_empty in _CELL.findall(block):
            place = _PLACE.search(told)
            if kind == b"row":
                row, column = int(place[2]) if place else row + 1, 0
                continue
            column = _number(place[1]) if place and place[1] else column + 1
            row = int(place[2]) if place else row
            if not is_empty:
                rows, columns = max(rows, row), max(columns, column)
    return rows, columns


def _of_records(stream: IO[bytes]) -> Range:
    """Return the last row and column with a value of a sheet in records."""
    content, at, row, rows, columns = stream.read(), 0, 0, 0, 0
    while at < len(content):
        kind, at = _variable(content, at, 2)
        size, at = _variable(content, at, 4)
        if kind == _ROW_HEADER and size >= 4:
            row = struct.unpack_from("<I", content, at)[0]
        elif _FIRST_VALUE <= kind <= _LAST_VALUE and size >= 4:
            rows = max(rows, row + 1)
            columns = max(columns, struct.unpack_from("<I", content, at)[0] + 1)
        at += size
    return rows, columns


def _variable(content: bytes, at: int, most: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and what follows it."""
    value = 0
    for n in range(most):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        value |= (byte & 127) << 7 * n
        if byte < 128:
            break
    return value, at


def _of_tables(stream: IO[bytes]) -> Iterator[tuple[str, Range]]:
    """Yield the used range of each table of an open document."""
    name, row, column, rows, columns = "", 0, 0, 0, 0
    n_repeated, is_used = 1, False
    for block in _blocks(stream):
        for ends, kind, told, is_empty in _ODS.findall(block):
            repeated = _REPEATED.search(told)
            n = int(repeated[1]) if repeated else 1
            if kind == b"table":
                if ends:
                    yield name, (rows, columns)
                elif named := _NAMED.search(told):
                    name = named[1].decode(errors="replace")
                row, rows, columns = 0, 0, 0
            elif kind == b"table-row":
                if not ends:
                    column, n_repeated, is_used = 0, n, False
                if ends or is_empty:
                    row += n_repeated
                    rows = row if is_used else rows
            elif not ends:
                column += n
                if not is_empty:
                    is_used, columns = True, max(columns, column)
