"""Routes that will go: said in every answer of theirs, and in the OpenAPI document.

A route is named here at least half a year before it goes. Until then it answers as it always did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Final

# Between the day on which a route is deprecated and the day on which it goes, at the least.
LEAST_DAYS: Final = 182


@dataclass(frozen=True)
class Deprecation:
    """What is said of a route that will go.

    Parameters
    ----------
    since : date
    sunset : date
        The first day on which it may answer no more.
    instead : str
        What to use instead, such as ``GET /v2/lists``.
    """

    since: date
    sunset: date
    instead: str

    def __post_init__(self) -> None:
        if (self.sunset - self.since).days < LEAST_DAYS:
            raise ValueError(f"a route answers for {LEAST_DAYS} days after it is deprecated")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of RFC 9745 and RFC 8594.

        >>> dict(Deprecation(date(2027, 1, 1), date(2027, 9, 1), "GET /v2/x").headers)[b"sunset"]
        b'Wed, 01 Sep 2027 00:00:00 GMT'
        """
        gone = format_datetime(_midnight(self.sunset), usegmt=True)
        return [
            (b"deprecation", f"@{int(_midnight(self.since).timestamp())}".encode()),
            (b"sunset", gone.encode()),
        ]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# Method and route, as the OpenAPI document writes them: ``GET /v1/lists/{list_id}``.
DEPRECATED: Final[Mapping[str, Deprecation]] = {}
