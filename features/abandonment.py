"""Work that nobody waits for any more: whoever does it asks between its steps, or is interrupted.

Whoever starts work puts an `Abandonment` in the context it runs in (`doing`). Steps in Python ask
(`check`); a step that is one long call into a library says how that call is ended (`ended_by`).
Without one in the context nothing is ever abandoned.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_current: contextvars.ContextVar[Abandonment | None] = contextvars.ContextVar(
    "abandonment", default=None
)


class AbandonedError(Exception):
    """Ends work whose result nobody waits for."""


class Abandonment:
    """Whether a piece of work is abandoned, and how to end what it is in the middle of."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_set = False
        self._ends: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Whether nobody waits any more."""
        return self._is_set

    def set(self) -> None:
        """Say that nobody waits any more, and end what is under way."""
        with self._lock:
            self._is_set = True
            for end in self._ends:
                end()

    @contextmanager
    def ended_by(self, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` when the work is abandoned while the block runs."""
        with self._lock:
            if self._is_set:
                raise AbandonedError
            self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)


def doing(abandonment: Abandonment) -> None:
    """Make the rest of this context the work that `abandonment` is about."""
    _current.set(abandonment)


def check() -> None:
    """End this work when nobody waits for its result; called between its steps."""
    if is_abandoned()():
        raise AbandonedError


def is_abandoned() -> Callable[[], bool]:
    """Return what says whether anybody still waits for this work, for others' threads to ask."""
    current = _current.get()
    return (lambda: False) if current is None else current.is_set


@contextmanager
def ended_by(end: Callable[[], None]) -> Iterator[None]:
    """End a long call into a library with `end` when nobody waits for this work any more.

    Raises
    ------
    AbandonedError
        When it was abandoned, whatever the call itself raised.
    """
    current = _current.get()
    if current is None:
        yield
        return
    try:
        with current.ended_by(end):
            yield
    except Exception as error:
        if current.is_set():
            raise AbandonedError from error
        raise
