"""Passwords: their hashes, and how fast they may be guessed.

Guessing is slowed, never answered by locking the account: whoever knows a name could otherwise
keep its owner out. What counts is the pair of source and name, so that wrong passwords sent from
elsewhere do not slow the owner at all, and each wrong one only makes the next answer wait longer.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from serving.errors import InvalidRequestError, OverloadedError, RateLimitError

FREE_FAILURES: Final = 5
LONGEST_WAIT: Final = 4.0
_FORGET_SECONDS: Final = 300.0
_MOST_PAIRS: Final = 20_000
_MOST_OF_ONE_SOURCE: Final = 8
_HASHES_AT_ONCE: Final = 2
_HASH_WAIT_SECONDS: Final = 8.0
# The hash of a random password that nobody has.
_UNMATCHED: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$"
    "c29tZXNhbHRzb21lc2FsdA$tZ0o5QvZz5oJm9n6qkz7f0kq8wVtJm1x0bq0m6cQm3M"
)
# Each hash takes 64 MiB and a tenth of a second: a flood of guesses must not take the machine.
_hashing = threading.BoundedSemaphore(_HASHES_AT_ONCE)


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password of at least 12 characters."""
    if len(password) < 12:
        raise InvalidRequestError("A password needs at least 12 characters.")
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def password_matches(kept: str | None, password: str) -> bool:
    """Return whether the password is the kept one; None never matches but takes as long."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    if not _hashing.acquire(timeout=_HASH_WAIT_SECONDS):
        raise OverloadedError("Too many people are signing in at once.", fix="try again shortly")
    try:
        return PasswordHasher().verify(kept or _UNMATCHED, password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _hashing.release()


def source_of(address: str) -> str:
    """Return what counts as one source: an address, or of IPv6 the network of 64 bits.

    >>> source_of("2001:db8::1") == source_of("2001:db8::2"), source_of("192.0.2.7")
    (True, '192.0.2.7')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:80]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)


class Attempts:
    """How long the next attempt of a source at a name waits, in this process.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._under_way: dict[str, int] = {}
        self._lock = threading.Lock()

    def wait_of(self, source: str, name: str) -> float:
        """Return the seconds that the next attempt has to wait: none for the first five."""
        with self._lock:
            n, since = self._failures.get((source, name), (0, 0.0))
            if self._clock() - since > _FORGET_SECONDS:
                return 0.0
        return min(0.25 * 2.0 ** (n - FREE_FAILURES), LONGEST_WAIT) if n >= FREE_FAILURES else 0.0

    def failed(self, source: str, name: str) -> None:
        """Count a wrong password."""
        with self._lock:
            n, since = self._failures.pop((source, name), (0, 0.0))
            now = self._clock()
            n = 0 if now - since > _FORGET_SECONDS else n
            self._failures[source, name] = (min(n + 1, 60), now)
            while len(self._failures) > _MOST_PAIRS:
                self._failures.popitem(last=False)

    def succeeded(self, source: str, name: str) -> None:
        """Forget the wrong ones."""
        with self._lock:
            self._failures.pop((source, name), None)

    @contextmanager
    def one_of(self, source: str) -> Iterator[None]:
        """Hold a place among the attempts of a source that wait at once.

        Raises
        ------
        RateLimitError
            When the source has too many of them under way.
        """
        with self._lock:
            n = self._under_way.get(source, 0)
            if n >= _MOST_OF_ONE_SOURCE:
                raise RateLimitError(
                    "Too many attempts to sign in from this place.",
                    expected=f"at most {_MOST_OF_ONE_SOURCE} at once",
                    fix="wait a few seconds",
                )
            self._under_way[source] = n + 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way[source] -= 1
                if not self._under_way[source]:
                    del self._under_way[source]
