"""Requests of one identity per second: a bucket of tokens that fills at a fixed rate."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from serving.errors import RateLimitError


class RateLimiter:
    """Token buckets by key, in this process.

    Parameters
    ----------
    rate : float
        Tokens per second.
    burst : float
        Most tokens a bucket holds.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, key: str, cost: float = 1.0) -> None:
        """Take tokens.

        Raises
        ------
        RateLimitError
            When the bucket does not hold enough.
        """
        now = self._clock()
        left, since = self._buckets.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        is_allowed = left >= cost
        self._buckets[key] = (left - cost if is_allowed else left, now)
        if len(self._buckets) > 10_000:
            self._buckets.popitem(last=False)
        if not is_allowed:
            raise RateLimitError(
                "Too many requests from this identity.",
                expected=f"at most {self._rate:g} a second, {self._burst:g} at once",
                fix="wait a second, or ask for several dealers in one request",
            )
