"""One source file: what its bytes are, read once from end to end before anything trusts them."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal, cast

from features.errors import SourceError

BLOCK: Final = 1 << 20
_HEAD: Final = 1 << 16
GZIP_MAGIC: Final = b"\x1f\x8b"
PARQUET_MAGIC: Final = b"PAR1"
ZIP_MAGIC: Final = b"PK\x03\x04"

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
    is_gzip : bool
        Whether the text is compressed.
    is_utf8 : bool
        Whether the whole text is UTF-8 (a byte order mark is allowed).
    ends_in_newline : bool
        False when the last row may have been cut off.
    head : bytes
        The first decompressed bytes, without a byte order mark.
    table : str or None
        The table that the folder or archive around the file says it holds.
    """

    path: Path
    name: str
    sha256: str
    form: Literal["text", "parquet"]
    is_gzip: bool = False
    is_utf8: bool = True
    ends_in_newline: bool = True
    head: bytes = b""
    table: str | None = None

    @property
    def stem(self) -> str:
        """The file name without folders and endings."""
        return self.name.rsplit("!", 1)[-1].rsplit("/", 1)[-1].split(".", 1)[0]

    def open(self) -> IO[bytes]:
        """Open the decompressed bytes."""
        return open_bytes(self.path, is_gzip=self.is_gzip)


def open_bytes(path: Path, *, is_gzip: bool) -> IO[bytes]:
    """Open `path`, decompressed on the way."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if is_gzip else path.open("rb")


def inspect(path: Path, name: str, table: str | None = None) -> SourceFile:
    """Read `path` once: hash, form, encoding.

    Raises
    ------
    SourceError
        When the file is empty, is not the format its name claims, or unpacks beyond all measure.
    """
    sha256, magic = _hash(path, name)
    if magic == PARQUET_MAGIC:
        return SourceFile(path, name, sha256, "parquet", table=table)
    _check_claim(name, magic)
    is_gzip = magic[:2] == GZIP_MAGIC
    text = _Text()
    try:
        for block in _blocks(path, is_gzip=is_gzip):
            text.take(block)
            _check_ratio(name, text.n_bytes, path.stat().st_size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(
            f"{name} is cut off or damaged inside its gzip compression.",
            found=str(error),
            expected="a complete gzip file",
            fix="copy the file again from its origin",
        ) from error
    _check_text(name, text)
    return SourceFile(
        path, name, sha256, "text", is_gzip, text.is_utf8(), text.last == b"\n", text.head, table
    )


class _Text:
    """What one pass over decompressed bytes tells."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.head = b""
        self.last = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_utf8 = True

    def take(self, block: bytes) -> None:
        """Add the next block."""
        self.n_bytes += len(block)
        if len(self.head) < _HEAD:
            self.head = (self.head + block)[:_HEAD].removeprefix(codecs.BOM_UTF8)
        self.last = block[-1:]
        if self._is_utf8:
            self._is_utf8 = self._decodes(block)

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
            magic = stream.read(4)
            stream.seek(0)
            return hashlib.file_digest(stream, "sha256").hexdigest(), magic
    except OSError as error:
        raise SourceError(
            f"{name} cannot be read.",
            found=error.strerror or str(error),
            fix="check the path and that you may read it",
        ) from error


def _blocks(path: Path, *, is_gzip: bool) -> Iterator[bytes]:
    with open_bytes(path, is_gzip=is_gzip) as stream:
        while block := stream.read(BLOCK):
            yield block


def _check_claim(name: str, magic: bytes) -> None:
    ending = name.lower().rsplit(".", 1)[-1]
    claims = {"gz": (GZIP_MAGIC, "gzip"), "parquet": (PARQUET_MAGIC, "Parquet")}
    if ending in claims and not magic.startswith(claims[ending][0]):
        raise SourceError(
            f"{name} is not the format its name claims.",
            found=f"first bytes {magic!r}",
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


def _check_text(name: str, text: _Text) -> None:
    if text.n_bytes == 0:
        raise SourceError(f"{name} is empty.", expected="a header line and rows")
    if b"\0" in text.head or text.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(
            f"{name} is not text in a supported encoding.",
            found="zero bytes (UTF-16, a spreadsheet or another binary format)",
            expected="UTF-8 text, or latin-1 in a listing of the publisher",
            fix="export the table again as CSV in UTF-8, or as Parquet",
        )


class ReplacingStream(io.RawIOBase):
    """UTF-8 with every undecodable byte replaced by U+FFFD, so that one bad row stops nothing.

    Parameters
    ----------
    stream : binary stream
        The bytes to read.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ready = b""

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with the next bytes."""
        while not self._ready:
            block = self._stream.read(BLOCK)
            self._ready = self._decoder.decode(block, final=not block).encode()
            if not block:
                break
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n

    def close(self) -> None:
        """Close the stream underneath."""
        self._stream.close()
        super().close()
