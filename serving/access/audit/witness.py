"""Where the head of the audit chain is noted outside the store: a file, or the system's log.

Whoever can write the store and kept an older head can put the store back to that day, and the
chain alone cannot tell. A line elsewhere can: ``ffl-risk audit verify --against FILE``.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from serving.errors import InvalidRequestError
from serving.store.database import instant

logger = logging.getLogger("ffl_risk.service")
_LINE: Final = re.compile(r"\b(\d{1,18}):([0-9a-f]{64})\b")
_SECONDS: Final = 1.0


class Witness:
    """Notes heads elsewhere, at most one a second, and the last one at the end.

    Parameters
    ----------
    where : str
        A file's path, ``syslog:/dev/log``, ``syslog:HOST:PORT``, or nothing.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._newest: tuple[int, str] | None = None
        self._sent = 0
        self._at = 0.0
        self._lock = threading.Lock()
        self._syslog = _syslog(where) if where.startswith("syslog:") else None

    def note(self, seq: int, digest: str) -> None:
        """Remember the head; send it when none was sent for a second."""
        if not self._where:
            return
        if self._newest is None or seq > self._newest[0]:
            self._newest = (seq, digest)
        if time.monotonic() - self._at >= _SECONDS:
            self.send()

    def send(self) -> None:
        """Send the newest head unless it was sent already."""
        with self._lock:
            newest = self._newest
            if newest is None or newest[0] <= self._sent:
                return
            self._at = time.monotonic()
            line = f"{instant()} ffl-risk audit head {newest[0]}:{newest[1]}"
            try:
                self._write(line)
            except OSError as error:
                # The record itself is safe; that nobody outside knows of it must be seen to.
                logger.error("the head of the audit chain is not noted: %s", type(error).__name__)
                return
            self._sent = newest[0]

    def close(self) -> None:
        """Send what was not sent, and let go of the log."""
        self.send()
        if self._syslog is not None:
            self._syslog.close()

    def _write(self, line: str) -> None:
        if self._syslog is not None:
            record = logging.LogRecord("ffl_risk", logging.INFO, "", 0, line, None, None)
            self._syslog.emit(record)
            return
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND
        with os.fdopen(os.open(self._where, flags, 0o600), "a", encoding="ascii") as out:
            out.write(line + "\n")


class _Syslog(logging.handlers.SysLogHandler):
    """The system's log, whose failures are errors instead of lines on the screen."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Say that the line did not leave."""
        raise OSError(record.getMessage())


def _syslog(where: str) -> _Syslog:
    target = where.removeprefix("syslog:")
    if target.startswith("/"):
        return _Syslog(target)
    parts = urlsplit(f"//{target}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise InvalidRequestError(
            "FFL_RISK_AUDIT_HEADS cannot be read.",
            found=where,
            expected="a file's path, syslog:/dev/log or syslog:HOST:PORT",
        )
    return _Syslog((host, port))


def noted(lines: Iterable[str]) -> dict[int, str]:
    """Return sequence number and digest of every line that names a head.

    >>> noted(["Jan 1 00:00:00 host ffl-risk audit head 7:" + "a" * 64]) == {7: "a" * 64}
    True

    Raises
    ------
    InvalidRequestError
        When no line does, or two name the same record differently.
    """
    found: dict[int, str] = {}
    for line in lines:
        for match in _LINE.finditer(line):
            seq, digest = int(match[1]), match[2]
            if found.setdefault(seq, digest) != digest:
                raise InvalidRequestError(
                    f"Two lines name record {seq} differently.",
                    fix="look which of them was put in later; the file is not to be trusted",
                )
    if not found:
        raise InvalidRequestError(
            "No line names a head of the audit chain.", expected="SEQ:DIGEST in each line"
        )
    return found


def noted_in(path: Path) -> dict[int, str]:
    """Return the heads that a file holds."""
    try:
        return noted(path.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError as error:
        raise InvalidRequestError(
            "The file of noted heads cannot be read.", found=f"{path}: {type(error).__name__}"
        ) from None
