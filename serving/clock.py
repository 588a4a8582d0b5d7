"""The service's clock: the machine's, except that it never goes back.

Days and moments decide what is in force: a hold from today on, a session that has ended, which of
two lists is the newer. When the machine's clock is set back under a running service, this one goes
on from where it was, slightly slower than time passes, until the machine's has caught up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final

from features.domain import agency_day

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# An hour that the clock was ahead is made up for within ten.
_TENTHS: Final = 9
_GUAM_AHEAD: Final = timedelta(hours=10)


class Clock:
    """A clock that never goes back.

    Parameters
    ----------
    wall, steady : callable, optional
        The machine's clock, and one that nobody can set, both in nanoseconds.
    """

    def __init__(
        self,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._told, self._at = 0, steady()
        self._ahead = 0

    def now(self) -> datetime:
        """Return the time in UTC, never earlier than any that was told before."""
        return _EPOCH + timedelta(microseconds=self.microseconds())

    def microseconds(self) -> int:
        """Return the same as microseconds since 1970: every answer asks several times."""
        with self._lock:
            wall, steady = self._wall(), self._steady()
            least = self._told + (steady - self._at) * _TENTHS // 10 if self._told else 0
            self._told, self._at = max(wall, least), steady
            self._ahead = self._told - wall
            return self._told // 1_000

    def ahead(self) -> timedelta:
        """Return how far the machine's clock is behind what this one tells."""
        self.now()
        return timedelta(microseconds=self._ahead // 1_000)

    def not_before(self, when: datetime) -> None:
        """Begin no earlier than a moment that is known to be over."""
        with self._lock:
            least = (when - _EPOCH) // timedelta(microseconds=1) * 1_000
            if least > self._told:
                self._told, self._at = least, self._steady()


_clock: Final = Clock()


def now() -> datetime:
    """Return the time in UTC by the clock of this process."""
    return _clock.now()


def microseconds() -> int:
    """Return microseconds since 1970 in UTC by the clock of this process."""
    return _clock.microseconds()


def today() -> date:
    """Return the agency's day by the clock of this process."""
    return agency_day.day_at(_clock.microseconds() / 1_000_000)


def latest_day() -> date:
    """Return the day where it begins first in the country: Guam and the Northern Marianas.

    What was done there today may be tomorrow's by `today`.
    """
    return max(today(), (now() + _GUAM_AHEAD).date())


def ahead() -> timedelta:
    """Return how far the machine's clock is behind that of this process."""
    return _clock.ahead()


def not_before(when: datetime) -> None:
    """Let the clock of this process begin no earlier than a moment that is known to be over."""
    _clock.not_before(when)
