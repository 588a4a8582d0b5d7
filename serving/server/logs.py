"""The service's log: lines for people by default, one JSON object a line by setting.

A line holds who asked, which route, and how it ended; never a dealer, a body or a query string.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal

LogFormat = Literal["text", "json"]
# What the access log adds to a record, as its own fields.
FIELDS: Final = ("request_id", "trace_id", "who", "method", "route", "status", "seconds")


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, default=str)  # escaped: U+2028 ends a line for some readers


class TextLines(logging.Formatter):
    """One line for people a record; no traceback, for it may quote restricted values."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s [%(name)s] %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        if record.exc_info and record.exc_info[0] is not None:
            line += f" ({record.exc_info[0].__name__})"
        return " ".join(
            line.splitlines()
        )  # of every kind, so that nobody writes lines of their own


def configure_logs(form: LogFormat) -> None:
    """Send the service's log to standard error in the given form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("ffl_risk", "uvicorn.error", "bentoml"):
        own = logging.getLogger(name)
        own.handlers.clear()
        own.propagate = True
        own.setLevel(logging.INFO)
    # One line a request is the guard's, with its fields; uvicorn's would quote the query string.
    logging.getLogger("uvicorn.access").disabled = True
    # Quotes the input of a request that does not validate.
    logging.getLogger("bentoml._internal.server.http_app").setLevel(logging.CRITICAL)
