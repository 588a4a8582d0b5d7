"""Text with separators, streamed in blocks, each row with its number; odd rows set apart."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv

from features.errors import SourceError
from features.sources.files import BLOCK, ReplacingStream, SourceFile

LINE: Final = "source_line"
REPLACEMENT: Final = "\ufffd"  # what stands where a byte could not be decoded
_MAX_ODD_ROWS: Final = 1_000_000  # kept in memory; a file with more is not this kind of file
_NO_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True)
class TextForm:
    """How the rows of a text are written.

    Parameters
    ----------
    delimiter : str
        Between fields.
    n_rule_lines : int
        Lines between the header and the first row.
    has_quotes : bool
        Whether fields may be quoted.
    has_header : bool
        False where every line is a row of its own, as in JSON lines.
    fallback_encoding : str or None
        The publisher's encoding where the text is not UTF-8. Without one, bytes that are not
        UTF-8 make their row undecodable.
    """

    delimiter: str = ","
    n_rule_lines: int = 0
    has_quotes: bool = True
    has_header: bool = True
    fallback_encoding: str | None = None


LINES: Final = TextForm(delimiter=_NO_SEPARATOR, has_quotes=False, has_header=False)


@dataclass
class OddRows:
    """Rows whose number of fields is not the header's.

    Parameters
    ----------
    n_columns : int
        Fields a row should have.
    n_lines_before : int
        Lines before the first row.
    """

    n_columns: int
    n_lines_before: int
    line: list[int] = field(default_factory=list)
    n_fields: list[int] = field(default_factory=list)
    _skipped: list[int] = field(default_factory=list)

    def take(self, row: Any) -> str:
        """Handle one row for the reader: skip it, unless there are too many."""
        self._skipped.append(row.number)
        self.line.append(row.number)
        self.n_fields.append(row.actual_columns)
        return "error" if len(self.line) > _MAX_ODD_ROWS else "skip"

    def numbers(self, first: int, n_rows: int) -> tuple[np.ndarray[Any, Any], int]:
        """Return the numbers of the next `n_rows` good rows from `first`, and the one after."""
        gaps = np.array([n for n in self._skipped if n >= first], dtype=np.int64)
        numbers = np.arange(first, first + n_rows + len(gaps), dtype=np.int64)
        numbers = np.setdiff1d(numbers, gaps, assume_unique=True)[:n_rows]
        following = int(numbers[-1]) + 1 if n_rows else first
        self._skipped = [n for n in self._skipped if n >= following]
        return numbers, following


def read_header(source: SourceFile, form: TextForm) -> list[str]:
    """Return the column names of `source`, stripped."""
    encoding = "utf-8" if source.is_utf8 else (form.fallback_encoding or "utf-8")
    line = source.head.split(b"\n", 1)[0].decode(encoding, errors="replace")
    if not form.has_header:
        return ["line"]
    names = next(csv.reader([line], delimiter=form.delimiter), [])
    return [name.strip() for name in names]


@contextmanager
def open_rows(
    source: SourceFile, form: TextForm, names: list[str], odd: OddRows
) -> Iterator[pa.RecordBatchReader]:
    """Open `source` as a stream of batches of text columns and ``source_line``.

    The stream can be read once, in bounded memory.
    """
    schema = pa.schema([*((n, pa.string()) for n in names), (LINE, pa.int64())])
    if form.has_header and b"\n" not in source.head:
        yield pa.RecordBatchReader.from_batches(schema, [])
        return
    with _decoded(source, form) as stream:
        reader = _open_csv(source, stream, form, names, odd)
        yield pa.RecordBatchReader.from_batches(schema, _numbered(source, reader, schema, odd))


@contextmanager
def _decoded(source: SourceFile, form: TextForm) -> Iterator[Any]:
    """Open the bytes of `source`; those that are not UTF-8 replaced unless `form` names a code."""
    with source.open() as stream:
        if source.is_utf8 or form.fallback_encoding:
            yield stream
        else:
            with ReplacingStream(stream) as replacing:
                yield replacing


def _numbered(source: SourceFile, reader: Any, schema: pa.Schema, odd: OddRows) -> Iterator[Any]:
    following = 1 + odd.n_lines_before
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise _unreadable(source, error) from error
        numbers, following = odd.numbers(following, batch.num_rows)
        yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(numbers)], schema=schema)


def _open_csv(
    source: SourceFile, stream: Any, form: TextForm, names: list[str], odd: OddRows
) -> Any:
    encoding = "utf-8" if source.is_utf8 else (form.fallback_encoding or "utf-8")
    try:
        return pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=4 * BLOCK,
                column_names=names,
                skip_rows=odd.n_lines_before,
                encoding=encoding,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=form.delimiter,
                quote_char='"' if form.has_quotes else False,
                ignore_empty_lines=False,
                invalid_row_handler=odd.take,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}
            ),
        )
    except pa.ArrowInvalid as error:
        raise _unreadable(source, error) from error


def _unreadable(source: SourceFile, error: Exception) -> SourceError:
    return SourceError(
        f"{source.name} cannot be read as rows of text.",
        found=str(error),
        expected="one row a line, as many fields in each as in the header",
        fix="check the delimiter and the quotes of the export",
    )
