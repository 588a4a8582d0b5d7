"""Line ends inside of quoted fields, as spreadsheets and databases write a note of two lines.

Such a line end becomes a sign of its own before the rows are read, so that a row is a line again
and a quote that somebody left open harms no more than the rows that it swallowed. A field is
believed when all quotes of its row open and close where fields do, and when it holds not exactly as
many separators as the rows would that it could have swallowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import IO, Final

import numpy as np

from features.sources.files.streams import ChangedStream

FOLD: Final = "\x1e"  # stands for a line end inside of a quoted field
_FOLD: Final = FOLD.encode()
_MOST_LINES: Final = 500  # of one row
_LINE_END: Final = re.compile(rb"\r\n|\n")


def folded(stream: IO[bytes], delimiter: str, n_columns: int) -> ChangedStream:
    """Return `stream` with line ends inside of quoted fields as `FOLD`.

    Parameters
    ----------
    stream : binary stream
        Lines that end in a line feed, in an encoding that holds ASCII as it is.
    delimiter : str
        Between fields.
    n_columns : int
        Fields of a row.
    """
    believed = _believer(delimiter, n_columns)
    rest = b""

    def change(block: bytes, is_last: bool) -> bytes:
        nonlocal rest
        text = rest + block
        end = len(text) if is_last else text.rfind(b"\n") + 1
        done, kept = _folded(text[:end], believed, is_last=is_last)
        rest = kept + text[end:]
        return done

    return ChangedStream(stream, change)


def folded_head(lines: Sequence[str], delimiters: Sequence[str]) -> list[str]:
    """Return the first lines of a text, those that one row's quotes hold together as one.

    Its separator is not known yet: that all quotes fit one tells enough.
    """
    text = "\n".join(lines).encode()
    for delimiter in delimiters:
        text = _folded(text, _believer(delimiter, 0), is_last=True)[0]
    return [line.replace(FOLD, " ") for line in text.decode().split("\n")]


def _folded(
    text: bytes, believed: Callable[[bytes], bool], *, is_last: bool
) -> tuple[bytes, bytes]:
    """Return the whole rows of `text` and what may go on in the next block."""
    ends, odd = _odd_lines(text)
    if not len(odd):
        return text, b""
    starts = np.concatenate([[0], ends + 1])
    stops = np.append(ends, len(text))
    parts, done, k = [], 0, 0
    while k + 1 < len(odd):
        first, last = odd[k], odd[k + 1]
        row = text[starts[first] : stops[last]]
        if last - first <= _MOST_LINES and believed(row):
            parts += [text[done : starts[first]], _LINE_END.sub(_FOLD, row[:-1]), row[-1:]]
            done = int(stops[last])
            k += 1
        k += 1
    begun = int(starts[odd[k]]) if k < len(odd) else len(text)
    if is_last or text.count(b"\n", begun) > _MOST_LINES:
        begun = len(text)
    return b"".join([*parts, text[done:begun]]), text[begun:]


def _odd_lines(text: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return where lines end, and the numbers of those with an odd number of quotes."""
    if b'"' not in text:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    signs = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(signs == ord("\n"))
    lines = np.searchsorted(ends, np.flatnonzero(signs == ord('"')))
    return ends, np.flatnonzero(np.bincount(lines) % 2)


def _believer(delimiter: str, n_columns: int) -> Callable[[bytes], bool]:
    """Return what tells a row of several lines from rows that an open quote swallowed."""
    sign = delimiter.encode()
    d = re.escape(sign)
    quoted = rb' *+"([^"]*+(?:""[^"]*+)*+)" *+'
    field = rb"(?:" + quoted + rb"|(?:[^\"\n" + d + rb"][^\n" + d + rb"]*+)?)"
    whole = re.compile(field + rb"(?:" + d + field + rb")*+\r?")
    each = re.compile(rb"(?:^|(?<=" + d + rb"))" + quoted + rb"(?=" + d + rb"|\r?$)")

    def believed(row: bytes) -> bool:
        if not whole.fullmatch(row):
            return False
        bodies = [match[1] for match in each.finditer(row) if b"\n" in match[1]]
        n_signs = [body.count(sign) for body in bodies]
        n_ends = [body.count(b"\n") for body in bodies]
        return all(
            not n_columns or n != m * (n_columns - 1) for n, m in zip(n_signs, n_ends, strict=True)
        )

    return believed
