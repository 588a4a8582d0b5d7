"""Text with separators, streamed in blocks, each row with its number; odd rows set apart."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from features.domain.missing_values import BLANKS_WITHIN, NOTHING_WITHIN, SPACES
from features.errors import SourceError
from features.sources.files.source_file import HEAD_BYTES, SourceFile
from features.sources.files.streams import BLOCK, SEPARATOR, as_utf8, cut, replacing, text_of
from features.sources.rows.footers import is_note, is_sum
from features.sources.rows.quotes import FOLD, folded, folded_head

LINE: Final = "source_line"
DELIMITERS: Final = (",", "\t", ";", "|", "^", "~", SEPARATOR, "\x01")
DAMAGED: Final = "is_damaged"
_NOT_PLAIN: Final = re.compile(rb"[^ -~]")
# Blank, a rule, or what a database client says in the end. A rule within the rows has no numbers.
NO_ROW: Final = re.compile(
    r"[-=_+|,;\t\x1f \"]*|\(?[0-9,]+ (rows?|records?)( affected| selected| returned)?\.?\)?",
    re.IGNORECASE,
)
_UNNAMED: Final = re.compile(r"column_\d+")
_RULE: Final = "^[-=_]+$"
_FORMULA: Final = '^="([^"]*)"$'
REPLACEMENT: Final = "\ufffd"  # what stands where a byte could not be decoded
_REPLACEMENT_BYTES: Final = REPLACEMENT.encode()
_MAX_ODD_ROWS: Final = 1_000_000  # kept in memory; a file with more is not this kind of file


@dataclass(frozen=True)
class TextForm:
    """How the rows of a text are written.

    Parameters
    ----------
    delimiter : str
        Between fields.
    n_lines_before : int
        Lines before the header: a title, blank lines, a line that names the separator.
    n_rule_lines : int
        Lines between the header and the first row.
    has_quotes : bool
        Whether fields may be quoted.
    has_header : bool
        False where every line is a row of its own, as in JSON lines.
    fallback_encoding : str or None
        The publisher's encoding where the text is not UTF-8. Without one, bytes that are not
        UTF-8 make their row undecodable.
    spans : tuple of (int, int)
        For lines of fixed width, where each field begins and ends, counted in signs from 0.
    """

    delimiter: str = ","
    n_lines_before: int = 0
    n_rule_lines: int = 0
    has_quotes: bool = True
    has_header: bool = True
    fallback_encoding: str | None = None
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def n_lines_to_rows(self) -> int:
        """Lines before the first row."""
        return self.n_lines_before + int(self.has_header) + self.n_rule_lines


LINES: Final = TextForm(delimiter=SEPARATOR, has_quotes=False, has_header=False)


@dataclass
class OddRows:
    """Rows that are no rows: with a wrong number of fields, or swallowed by a quote left open.

    Parameters
    ----------
    n_columns : int
        Fields a row should have.
    n_lines_before : int
        Lines before the first row.
    delimiter : str
        Between fields.
    """

    n_columns: int
    n_lines_before: int
    delimiter: str = SEPARATOR
    line: list[int] = field(default_factory=list)
    n_fields: list[int] = field(default_factory=list)
    # For each row whose quotes hold line ends: the row's number among rows, and how many.
    swallowed: list[tuple[int, int]] = field(default_factory=list)
    # The same for fields that are meant to have several lines.
    folds: list[tuple[int, int]] = field(default_factory=list)
    # Numbers of rows that sum up others, and of those that say something of the file.
    footers: list[int] = field(default_factory=list)
    _words: list[int] = field(default_factory=list)
    _skipped: list[int] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """How many rows, the swallowed ones included."""
        return len(self.line) + sum(n for _, n in self.swallowed)

    def take(self, row: Any) -> str:
        """Handle one row for the reader: skip it, unless there are too many.

        A blank line, a rule line and the last words of a database client are no rows.
        """
        self._skipped.append(row.number)
        if NO_ROW.fullmatch(row.text.strip()):
            return "skip"
        n_ends = row.text.rstrip("\n").count("\n")
        first = self._first_filled(row.text)
        if not n_ends and FOLD not in row.text and is_sum(first):
            self.footers.append(row.number)
            return "skip"
        if is_note(first, row.actual_columns, self.n_columns):
            self._words.append(row.number)
        if n_ends:
            self.swallowed.append((row.number, n_ends))
        if FOLD in row.text:
            self.folds.append((row.number, row.text.count(FOLD)))
        self.line.append(row.number)
        self.n_fields.append(row.actual_columns)
        return "error" if len(self.line) > _MAX_ODD_ROWS else "skip"

    def _first_filled(self, text: str) -> str:
        cells = (cell.strip().strip('"').strip() for cell in text.split(self.delimiter))
        return next((cell for cell in cells if cell), "")

    def settle(self, last_line: int) -> None:
        """Take words behind the last row, which stands in `last_line`, for footers."""
        behind = {n for n in self._words if int(self.lines([n])[0]) > last_line}
        behind -= {n for n, _ in self.swallowed}
        kept = [(n, m) for n, m in zip(self.line, self.n_fields, strict=True) if n not in behind]
        self.footers += sorted(behind)
        self.line, self.n_fields = [n for n, _ in kept], [m for _, m in kept]
        self._words = []

    def numbers(self, first: int, n_rows: int) -> tuple[npt.NDArray[np.int64], int]:
        """Return the numbers of the next `n_rows` good rows from `first`, and the one after."""
        gaps = np.array([n for n in self._skipped if n >= first], dtype=np.int64)
        numbers = np.arange(first, first + n_rows + len(gaps), dtype=np.int64)
        numbers = np.setdiff1d(numbers, gaps, assume_unique=True)[:n_rows]
        following = int(numbers[-1]) + 1 if n_rows else first
        self._skipped = [n for n in self._skipped if n >= following]
        return numbers, following

    def lines(self, numbers: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the line of each row number: line ends inside quotes push the rest down."""
        pushing = sorted([*self.swallowed, *self.folds])
        rows = np.array([row for row, _ in pushing], dtype=np.int64)
        pushed = np.concatenate([[0], np.cumsum([n for _, n in pushing], dtype=np.int64)])
        where = np.asarray(numbers, dtype=np.int64)
        lines: npt.NDArray[np.int64] = where + pushed[np.searchsorted(rows, where)]
        return lines

    def as_rejects(self) -> pa.Table:
        """Return the odd rows with their line, reason and value; never with their text.

        The text of such a row may hold what is never stored, such as a phone.
        """
        line, reason, value = list(self.lines(self.line)), [], []
        for n_fields in self.n_fields:
            reason.append("too_many_fields" if n_fields > self.n_columns else "missing_required")
            value.append(f"{n_fields} fields instead of {self.n_columns}")
        starts = self.lines([row for row, _ in self.swallowed])
        for (_, n), start in zip(self.swallowed, starts, strict=True):
            line += [start + k for k in range(1, n + 1)]
            reason += ["undecodable"] * n
            value += [f"inside a quote that was opened in line {start}"] * n
        kinds = {"line": pa.int64(), "reason": pa.string(), "value": pa.string()}
        columns = {"line": line, "reason": reason, "value": value}
        return pa.table({name: pa.array(columns[name], kind) for name, kind in kinds.items()})


def head_lines(source: SourceFile, form: TextForm) -> list[str]:
    """Return the first lines of `source`; the last one may be cut off."""
    head = source.head
    if len(head) >= HEAD_BYTES - 3 and b"\n" in head:
        head = head[: head.rindex(b"\n")]
    if is_recoded(source, form):
        lines = [text_of(line) for line in head.split(b"\n")]
    else:
        lines = head.decode(errors="replace").split("\n")
    return folded_head(lines, DELIMITERS) if form.has_quotes and b'"' in head else lines


def is_recoded(source: SourceFile, form: TextForm) -> bool:
    """Whether the text of `source` is in another encoding than UTF-8, which `form` names."""
    return not source.is_utf8 and form.fallback_encoding is not None


def read_header(source: SourceFile, form: TextForm) -> list[str]:
    """Return the column names of `source`, stripped; one that is blank has a number for a name."""
    if not form.has_header:
        return ["line"]
    lines = head_lines(source, form)
    line = lines[form.n_lines_before] if form.n_lines_before < len(lines) else ""
    return header_names(line, form)


def header_names(line: str, form: TextForm) -> list[str]:
    """Return the column names in the header `line`."""
    line = line.rstrip("\r")
    if form.spans:
        names = [line[a:b] for a, b in form.spans]
    else:
        names = next(csv.reader([line], delimiter=form.delimiter), [])
    names = [re.sub(_FORMULA, r"\1", name.strip()).strip() for name in names]
    return [apart(name) if name else f"column_{n}" for n, name in enumerate(names, 1)]


def apart(name: str) -> str:
    """Return the name of a column, apart from those that are added to every row.

    >>> apart("Source_Line"), apart("line")
    ('Source_Line_', 'line')
    """
    return f"{name}_" if name.lower() in (LINE, DAMAGED) else name


@contextmanager
def open_rows(
    source: SourceFile, form: TextForm, names: list[str], odd: OddRows
) -> Iterator[pa.RecordBatchReader]:
    """Open `source` as a stream of batches of text columns and ``source_line``.

    Text is trimmed, and null where nothing is left. The stream can be read once, in bounded memory.
    """
    texts = [(name, pa.string()) for name in names]
    schema = pa.schema([*texts, (LINE, pa.int64()), (DAMAGED, pa.bool_())])
    if source.head.count(b"\n") < form.n_lines_to_rows and len(source.head) < HEAD_BYTES - 3:
        yield pa.RecordBatchReader.from_batches(schema, [])
        return
    with _decoded(source, form, len(names)) as stream:
        reader = _open_csv(source, stream, form, names, odd)
        header = read_header(source, form) if form.has_header else []
        batches = _numbered(source, reader, schema, odd, header)
        yield pa.RecordBatchReader.from_batches(schema, batches)


@contextmanager
def _decoded(source: SourceFile, form: TextForm, n_columns: int) -> Iterator[Any]:
    """Open the bytes of `source`; those that are not UTF-8 replaced unless `form` names a code."""
    with ExitStack() as opened:
        stream: Any = opened.enter_context(source.open())
        if is_recoded(source, form):
            stream = opened.enter_context(as_utf8(stream))
        if form.spans:
            stream = opened.enter_context(cut(stream, form.spans))
        elif not (source.is_utf8 or form.fallback_encoding):
            stream = opened.enter_context(replacing(stream))
        if form.has_quotes and not form.spans and source.has_quotes:
            stream = opened.enter_context(folded(stream, form.delimiter, n_columns))
        yield stream


def _numbered(
    source: SourceFile, reader: Any, schema: pa.Schema, odd: OddRows, header: list[str]
) -> Iterator[Any]:
    following = 1 + odd.n_lines_before
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except pa.ArrowInvalid as error:
            raise _unreadable(source, error) from error
        numbers, following = odd.numbers(following, batch.num_rows)
        batch, numbers = _without_rules(batch, numbers)
        batch, numbers = _without_headers(batch, numbers, header)
        is_damaged = _damage(batch, numbers, odd)
        added = [pa.array(odd.lines(numbers)), pa.array(is_damaged)]
        texts = [_trimmed(_plain(_unfolded(column))) for column in batch.columns]
        yield pa.RecordBatch.from_arrays([*texts, *added], schema=schema)


def _unfolded(column: pa.Array) -> pa.Array:
    """Return `column` with a blank for each line end that a field held."""
    text = column.buffers()[2]
    is_folded = text is not None and FOLD.encode() in text.to_pybytes()
    return pc.replace_substring(column, FOLD, " ") if is_folded else column


def _plain(column: pa.Array) -> pa.Array:
    """Return `column` as `plain_sql` makes it; nearly every block of a file is so already."""
    text = column.buffers()[2]
    if text is None or not _NOT_PLAIN.search(text):
        return column
    column = pc.replace_substring_regex(column, pattern=BLANKS_WITHIN, replacement=" ")
    column = pc.replace_substring_regex(column, pattern=NOTHING_WITHIN, replacement="")
    # Arrow's own kernel gives the decomposed form, whatever it is asked for.
    if unicodedata.is_normalized("NFC", "".join(filter(None, column.to_pylist()))):
        return column
    return pa.array(
        [value and unicodedata.normalize("NFC", value) for value in column.to_pylist()], pa.string()
    )


def _trimmed(column: pa.Array) -> pa.Array:
    """Return `column` without white space around its values, whatever stands in other rows."""
    trimmed = pc.utf8_trim(column, characters=SPACES)
    if pc.any(pc.starts_with(trimmed, '="')).as_py():  # how spreadsheets are made to keep zeros
        trimmed = pc.replace_substring_regex(trimmed, pattern=_FORMULA, replacement=r"\1")
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _without_rules(
    batch: pa.RecordBatch, numbers: npt.NDArray[np.int64]
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """Return the rows that are no rule lines, and their numbers."""
    first = batch.column(0)
    is_rule = pc.or_(pc.starts_with(first, "-"), pc.starts_with(first, "="))
    is_rule = pc.fill_null(pc.or_(is_rule, pc.starts_with(first, "_")), False)
    if not pc.any(is_rule).as_py():
        return batch, numbers
    for column in batch.columns:
        empty = pc.fill_null(pc.equal(column, ""), True)
        is_rule = pc.and_(is_rule, pc.or_(empty, pc.match_substring_regex(column, _RULE)))
    kept = pc.invert(pc.fill_null(is_rule, False))
    return batch.filter(kept), numbers[kept.to_numpy(zero_copy_only=False)]


def _without_headers(
    batch: pa.RecordBatch, numbers: npt.NDArray[np.int64], header: list[str]
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    """Return the rows that are no header again, as in files put together, and their numbers."""
    named = [(n, name) for n, name in enumerate(header) if not _UNNAMED.fullmatch(name)]
    is_header = None
    for n, name in named:
        same = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(batch.column(n)), name), False)
        is_header = same if is_header is None else pc.and_(is_header, same)
        if not pc.any(is_header).as_py():
            return batch, numbers
    if is_header is None:
        return batch, numbers
    kept = pc.invert(is_header)
    return batch.filter(kept), numbers[kept.to_numpy(zero_copy_only=False)]


def _damage(
    batch: pa.RecordBatch, numbers: npt.NDArray[np.int64], odd: OddRows
) -> npt.NDArray[np.bool_]:
    """Return which rows cannot be trusted, shape (n,), and note the lines that they swallowed."""
    is_damaged = np.zeros(batch.num_rows, dtype=bool)
    n_ends = np.zeros(batch.num_rows, dtype=np.int64)
    n_folds = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        # One scan of the bytes settles almost every column.
        text = column.buffers()[2]
        content = text.to_pybytes() if text is not None else b""
        if _REPLACEMENT_BYTES in content:
            is_damaged |= pc.match_substring(column, REPLACEMENT).to_numpy(zero_copy_only=False)
        if b"\n" in content:
            n_ends += _count(column, "\n")
        if FOLD.encode() in content:
            n_folds += _count(column, FOLD)
    odd.folds += [(int(numbers[k]), int(n_folds[k])) for k in np.flatnonzero(n_folds)]
    swallowing = np.flatnonzero(n_ends)
    odd.swallowed += [(int(numbers[k]), int(n_ends[k])) for k in swallowing]
    is_damaged[swallowing] = True
    return is_damaged


def _count(column: pa.Array, sign: str) -> npt.NDArray[np.int64]:
    counts = pc.fill_null(pc.count_substring(column, sign), 0)
    found: npt.NDArray[np.int64] = counts.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _open_csv(
    source: SourceFile, stream: Any, form: TextForm, names: list[str], odd: OddRows
) -> Any:
    delimiter = SEPARATOR if form.spans else form.delimiter
    try:
        return pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK,
                column_names=names,
                skip_rows=odd.n_lines_before,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if form.has_quotes and not form.spans else False,
                ignore_empty_lines=False,
                invalid_row_handler=odd.take,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _unreadable(source, error) from error


def _unreadable(source: SourceFile, error: Exception) -> SourceError:
    if "straddl" in str(error):
        return SourceError(
            f"{source.name} has a row of more than {BLOCK >> 20} MB.",
            expected="one row a line",
            fix="check how the file was written: a line end may be missing, or a quote left open",
        )
    return SourceError(
        f"{source.name} cannot be read as rows of text.",
        found=str(error),
        expected="one row a line, as many fields in each as in the header",
        fix="check the delimiter and the quotes of the export",
    )
