"""Bytes on their way to the reader of rows: decompressed, in UTF-8, lines ending in a line feed."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Literal, cast

import pyarrow as pa

BLOCK: Final = 1 << 20
_MOST_HELD: Final = 2 * BLOCK  # of a line; one of more than a block is refused
SEPARATOR: Final = "\x1f"  # between the fields that are cut out of lines of fixed width

Compression = Literal["", "gzip", "bzip2", "xz", "zstd"]
Encoding = Literal["", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]
MAGIC: Final[Mapping[Compression, bytes]] = {
    "gzip": b"\x1f\x8b",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
ENDING: Final[Mapping[str, Compression]] = {"gz": "gzip", "bz2": "bzip2", "xz": "xz", "zst": "zstd"}
# What old programs put behind the last line: the end mark of CP/M, and the rest of a disk block.
END_MARK: Final = re.compile(rb"[\x1a\0]")
BLANK_TAIL: Final = b"\x1a\0\r\n \t"


def compression_of(magic: bytes) -> Compression:
    """Return how a file is compressed, told by its first bytes."""
    return next((name for name, first in MAGIC.items() if magic.startswith(first)), "")


def open_bytes(path: Path, compression: Compression) -> IO[bytes]:
    """Open `path`, decompressed on the way."""
    if compression == "gzip":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if compression == "bzip2":
        return cast("IO[bytes]", bz2.open(path, "rb"))
    if compression == "xz":
        return cast("IO[bytes]", lzma.open(path, "rb"))
    if compression == "zstd":
        return cast("IO[bytes]", pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


class ChangedStream(io.RawIOBase):
    """A stream whose blocks pass through a function.

    Parameters
    ----------
    stream : binary stream
        The bytes to read.
    change : callable
        Given the next bytes and whether they are the last, returns what is read instead.
    """

    def __init__(self, stream: IO[bytes], change: Callable[[bytes, bool], bytes]) -> None:
        self._stream = stream
        self._change = change
        self._ready = b""
        self._is_at_end = False

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with the next bytes."""
        while not self._ready and not self._is_at_end:
            block = self._stream.read(BLOCK)
            self._is_at_end = not block
            self._ready = self._change(block, self._is_at_end)
        n = min(len(buffer), len(self._ready))
        buffer[:n] = self._ready[:n]
        self._ready = self._ready[n:]
        return n

    def close(self) -> None:
        """Close the stream underneath."""
        self._stream.close()
        super().close()


def replacing(stream: IO[bytes]) -> ChangedStream:
    """Return `stream` with bytes that are not UTF-8 replaced: one bad row stops nothing."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return ChangedStream(stream, lambda block, is_last: decoder.decode(block, is_last).encode())


# Bytes 80 to 9F, which latin-1 leaves to controls that no text has; of the five that Windows leaves
# free, nothing is known.
_WINDOWS: Final = {
    byte: bytes([byte]).decode("cp1252")
    for byte in range(0x80, 0xA0)
    if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def text_of(line: bytes) -> str:
    r"""Return a line that is UTF-8 or what Windows writes, which holds latin-1.

    >>> [text_of(line) for line in (b"O\x92BRIEN", b"MU\xd1OZ", "MU\u00d1OZ".encode())]
    ['O\u2019BRIEN', 'MU\xd1OZ', 'MU\xd1OZ']
    """
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1").translate(_WINDOWS)


def as_utf8(stream: IO[bytes]) -> ChangedStream:
    """Return `stream` as UTF-8, each line of it read by `text_of`: files are put together."""
    rest = b""

    def change(block: bytes, is_last: bool) -> bytes:
        nonlocal rest
        lines, end, rest = (rest + block).rpartition(b"\n")
        if is_last or len(rest) > _MOST_HELD:
            lines, end, rest = lines + end + rest, b"", b""
        if lines.isascii():
            return lines + end
        return b"\n".join(text_of(line).encode() for line in lines.split(b"\n")) + end

    return ChangedStream(stream, change)


def translated(stream: IO[bytes], encoding: str) -> ChangedStream:
    """Return `stream` with every kind of line end as a line feed, UTF-16 as UTF-8.

    Parameters
    ----------
    stream : binary stream
        The bytes to read.
    encoding : {"utf-16", "utf-16-le", "utf-16-be", "latin-1"}
        ``latin-1`` leaves bytes as they are, whatever their own encoding.
    """
    target = encoding if encoding == "latin-1" else "utf-8"
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
    return ChangedStream(
        stream, lambda block, is_last: decoder.decode(block, final=is_last).encode(target)
    )


def without_end_marks(stream: IO[bytes]) -> ChangedStream:
    """Return `stream` without what old programs put behind its last line."""
    held = b""

    def change(block: bytes, is_last: bool) -> bytes:
        nonlocal held
        text = held + block
        if is_last:
            return re.split(END_MARK, text, maxsplit=1)[0]
        kept = text.rstrip(BLANK_TAIL) if len(held) < BLOCK else text
        held = text[len(kept) :]
        return kept

    return ChangedStream(stream, change)


def cut(stream: IO[bytes], spans: Sequence[tuple[int, int]]) -> ChangedStream:
    """Return `stream` with its lines of fixed width as fields with `SEPARATOR` between them.

    Parameters
    ----------
    stream : binary stream
        The bytes to read, in UTF-8; the width of a field counts signs.
    spans : sequence of (int, int)
        First sign of each field, from 0, and the one after its last.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""

    def change(block: bytes, is_last: bool) -> bytes:
        nonlocal rest
        lines = (rest + decoder.decode(block, is_last)).split("\n")
        rest = "" if is_last else lines.pop()
        if is_last and lines and not lines[-1]:
            lines.pop()
        fields = (
            SEPARATOR.join(line[a:b].replace(SEPARATOR, " ") for a, b in spans)
            if line.strip()
            else ""
            for line in lines
        )
        return "".join(f"{line}\n" for line in fields).encode()

    return ChangedStream(stream, change)
