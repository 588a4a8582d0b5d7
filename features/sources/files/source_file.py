"""One source file: what its bytes are, read once from end to end before anything trusts them."""

from __future__ import annotations

import codecs
import hashlib
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final, Literal, cast

from features.errors import SourceError
from features.sources.files.streams import (
    BLANK_TAIL,
    BLOCK,
    END_MARK,
    ENDING,
    MAGIC,
    Compression,
    Encoding,
    compression_of,
    open_bytes,
    translated,
    without_end_marks,
)

HEAD_BYTES: Final = 1 << 16
PARQUET_MAGIC: Final = b"PAR1"
ZIP_MAGIC: Final = b"PK\x03\x04"
_TAIL: Final = 4096
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# A table as text packs 5 to 30 times; only a file made to harm packs 200 times and is large too.
MAX_RATIO: Final = 200
HARMLESS_BYTES: Final = 64 << 20


@dataclass(frozen=True)
class SourceFile:
    """A file to ingest.

    Parameters
    ----------
    path : Path
        Where its bytes are.
    name : str
        What the user calls it; a member of a zip is ``archive.zip!member.csv``.
    sha256 : str
        Of the bytes as given (compressed ones included).
    form : {"text", "parquet"}
        What the bytes are.
    compression : {"", "gzip", "bzip2", "xz", "zstd"}
        How the text is compressed.
    translation : {"", "utf-16", "utf-16-le", "utf-16-be", "latin-1"}
        How the bytes are read where they are UTF-16, or where lines end in a carriage return
        (``latin-1``: the other bytes stay as they are).
    is_utf8 : bool
        Whether the whole text is UTF-8 (a byte order mark is allowed).
    ends_in_newline : bool
        False when the last row may have been cut off.
    head : bytes
        The first bytes that `open` gives, without a byte order mark.
    table : str or None
        The table that the folder or archive around the file says it holds.
    has_quotes : bool
        Whether a double quote stands anywhere in it.
    has_end_marks : bool
        Whether signs of old programs stand behind its last line (Ctrl-Z, zero bytes).
    """

    path: Path
    name: str
    sha256: str
    form: Literal["text", "parquet"]
    compression: Compression = ""
    translation: Encoding = ""
    is_utf8: bool = True
    ends_in_newline: bool = True
    head: bytes = b""
    table: str | None = None
    has_quotes: bool = True
    has_end_marks: bool = False

    @property
    def stem(self) -> str:
        """The file name without folders and endings."""
        return self.name.rsplit("!", 1)[-1].rsplit("/", 1)[-1].split(".", 1)[0]

    def open(self) -> IO[bytes]:
        """Open the bytes, decompressed, every line of them ending in a line feed."""
        stream = open_bytes(self.path, self.compression)
        if self.translation:
            stream = cast("IO[bytes]", translated(stream, self.translation))
        if self.has_end_marks:
            stream = cast("IO[bytes]", without_end_marks(stream))
        return stream


def inspect(path: Path, name: str, table: str | None = None) -> SourceFile:
    """Read `path` once: hash, form, encoding.

    Raises
    ------
    SourceError
        When the file is empty, is not the format its name claims, or unpacks beyond all measure.
    """
    sha256, magic = _hash(path, name)
    if magic.startswith(PARQUET_MAGIC):
        return SourceFile(path, name, sha256, "parquet", table=table)
    _check_claim(name, magic)
    compression = compression_of(magic)
    text = _Text()
    try:
        for block in _blocks(path, compression):
            text.take(block)
            _check_ratio(name, text.n_bytes, path.stat().st_size)
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        raise SourceError(
            f"{name} is cut off or damaged inside its {compression or 'file'} compression.",
            found=str(error),
            expected=f"a complete {compression} file",
            fix="copy the file again from its origin",
        ) from error
    _check_text(name, text)
    source = SourceFile(
        path, name, sha256, "text", compression, "", text.is_utf8(), text.ends_in_newline(),
        text.head.removeprefix(codecs.BOM_UTF8), table, text.has_quotes, text.has_end_marks(),
    )  # fmt: skip
    return _translated(source, text)


def _translated(source: SourceFile, text: _Text) -> SourceFile:
    """Return `source` as its bytes are to be read, where not as they stand."""
    wide = text.wide()
    if wide:
        source = replace(source, translation=wide, is_utf8=True, has_end_marks=True)
    elif text.n_returns:
        source = replace(source, translation="latin-1")
    elif not source.has_end_marks:
        return source
    try:
        with source.open() as stream:
            head = stream.read(HEAD_BYTES)
            while wide and stream.read(BLOCK):
                pass
    except UnicodeDecodeError as error:
        raise _no_text(source.name, "UTF-16 that is damaged or cut off") from error
    return replace(source, head=head.removeprefix(codecs.BOM_UTF8))


class _Text:
    """What one pass over decompressed bytes tells."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.head = b""
        self.has_quotes = False
        self._tail = b""
        self._last = b""
        self._n_returns = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True

    @property
    def n_returns(self) -> int:
        """How many carriage returns stand without a line feed after them."""
        return self._n_returns + self._last.endswith(b"\r")

    def take(self, block: bytes) -> None:
        """Add the next block."""
        self.n_bytes += len(block)
        if len(self.head) < HEAD_BYTES:
            self.head = (self.head + block)[:HEAD_BYTES]
        self.has_quotes = self.has_quotes or b'"' in block
        self._tail = (self._tail[-_TAIL:] + block[-_TAIL:])[-_TAIL:] if block else self._tail
        if self._last.endswith(b"\r") and not block.startswith(b"\n"):
            self._n_returns += 1
        self._n_returns += block.count(b"\r") - block.count(b"\r\n") - block.endswith(b"\r")
        self._last = (self._last + block[-2:])[-2:]
        if self._is_utf8:
            self._is_utf8 = self._decodes(block)

    def ends_in_newline(self) -> bool:
        """Whether the last line is complete."""
        tail = END_MARK.split(self._blank_tail(), maxsplit=1)[0]
        return tail.endswith((b"\n", b"\r")) or self._last.endswith(b"\n\0")

    def has_end_marks(self) -> bool:
        """Whether an old program's signs stand behind the last line."""
        return END_MARK.search(self._blank_tail()) is not None

    def wide(self) -> Encoding:
        """Return which UTF-16 the text is, with a byte order mark or told by its zero bytes."""
        if self.head.startswith(_UTF16):
            return "utf-16"
        pairs = self.head[:_TAIL]
        pairs = pairs[: len(pairs.rstrip(BLANK_TAIL)) & ~1]
        high, low = pairs[0::2].count(0), pairs[1::2].count(0)
        if low > 0.6 * len(pairs) / 2 and high < 0.05 * len(pairs) / 2:
            return "utf-16-le"
        if high > 0.6 * len(pairs) / 2 and low < 0.05 * len(pairs) / 2:
            return "utf-16-be"
        return ""

    def _blank_tail(self) -> bytes:
        return self._tail[len(self._tail.rstrip(BLANK_TAIL)) :]

    def is_utf8(self) -> bool:
        """Whether all blocks together are UTF-8."""
        return self._is_utf8 and self._decodes(b"", final=True)

    def _decodes(self, block: bytes, *, final: bool = False) -> bool:
        try:
            self._decoder.decode(block, final)
        except UnicodeDecodeError:
            return False
        return True


def _hash(path: Path, name: str) -> tuple[str, bytes]:
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
            stream.seek(0)
            return hashlib.file_digest(stream, "sha256").hexdigest(), magic
    except OSError as error:
        raise SourceError(
            f"{name} cannot be read.",
            found=error.strerror or str(error),
            fix="check the path and that you may read it",
        ) from error


def _blocks(path: Path, compression: Compression) -> Iterator[bytes]:
    with open_bytes(path, compression) as stream:
        while block := stream.read(BLOCK):
            yield block


def _check_claim(name: str, magic: bytes) -> None:
    ending = name.lower().rsplit(".", 1)[-1]
    claims: dict[str, tuple[bytes, str]] = {k: (MAGIC[how], how) for k, how in ENDING.items()}
    claims["parquet"] = (PARQUET_MAGIC, "Parquet")
    if ending in claims and not magic.startswith(claims[ending][0]):
        raise SourceError(
            f"{name} is not the format its name claims.",
            found=f"first bytes {magic[:4]!r}",
            expected=f"a {claims[ending][1]} file",
            fix="check how the file was written or copied, or correct its ending",
        )


def _check_ratio(name: str, n_bytes: int, n_packed: int) -> None:
    if n_bytes > HARMLESS_BYTES and n_bytes > MAX_RATIO * n_packed:
        raise SourceError(
            f"{name} unpacks beyond all measure and was not read to its end.",
            found=f"more than {n_bytes >> 20} MB out of {max(n_packed >> 10, 1)} kB",
            expected=f"at most {MAX_RATIO} bytes out of one",
            fix="unpack the file yourself where you trust it, and ingest the result",
        )


# What other kinds of files begin with, and what to do about each.
_KINDS: Final = (
    (b"%PDF", "a PDF document", "export the table itself as CSV or as a workbook"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it and ingest what it holds"),
    (b"Rar!", "a RAR archive", "unpack it and ingest what it holds"),
    (b"{\\rtf", "a text document (RTF)", "save the table as CSV"),
    (
        b"SQLite format 3",
        "a database of SQLite",
        "ask it through a mapping with [database]; "
        "`ffl-risk mapping new FILE --table TABLE` proposes one",
    ),
    (codecs.BOM_UTF32_LE, "UTF-32 text", "save the file as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text", "save the file as UTF-8"),
)
_MARKUP: Final = (b"<!docty", b"<html", b"<?xml", b"<table")


def is_markup(head: bytes) -> bool:
    """Tell a web page or XML by its first bytes.

    >>> is_markup(b" <!DOCTYPE html>"), is_markup(b"<html xm"), is_markup(b"dealer,n")
    (True, True, False)
    """
    start = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    return start.startswith(_MARKUP)


def _refuse_other_kinds(name: str, head: bytes) -> None:
    """Refuse what is no table at all in words that say what it is."""
    found = next((kind for kind in _KINDS if head.startswith(kind[0])), None)
    if found is None and is_markup(head):
        found = (b"", "a web page or XML", "check that the download needed no sign-in, or open it "
                 "in a spreadsheet and save it as a workbook")  # fmt: skip
    if found is None and head[257:262] == b"ustar":
        found = (b"", "a tar archive", "unpack it and ingest what it holds")
    if found is not None:
        raise SourceError(
            f"{name} holds no table that is read here.",
            found=found[1],
            expected="text with a header line, Parquet or a workbook",
            fix=found[2],
        )


def _check_text(name: str, text: _Text) -> None:
    if text.n_bytes == 0:
        raise SourceError(f"{name} is empty.", expected="a header line and rows")
    _refuse_other_kinds(name, text.head)
    if b"\0" in text.head.rstrip(BLANK_TAIL) and not text.wide():
        raise _no_text(name, "zero bytes (a database file, a program or another binary format)")


def _no_text(name: str, found: str) -> SourceError:
    return SourceError(
        f"{name} is not text in a supported encoding.",
        found=found,
        expected="UTF-8 or UTF-16 text, or latin-1 in a listing of the publisher",
        fix="export the table again as CSV in UTF-8, as Parquet or as a workbook",
    )
