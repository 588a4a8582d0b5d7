"""Several cores at once, with the same bytes for any number of them.

Work is split into items that one thread does from beginning to end, and libraries are kept from
threads of their own: a sum that is split differently is another sum in its last bits, and threads
that wait for each other in a busy machine cost many times what they bring.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from threadpoolctl import ThreadpoolController


@cache
def n_threads(n_jobs: int | None) -> int:
    """Return how many threads `n_jobs` means, as scikit-learn reads it: -1 is every core.

    >>> n_threads(None), n_threads(2)
    (1, 2)
    """
    if n_jobs is None:
        return 1
    if n_jobs > 0:
        return n_jobs
    return max(1, len(os.sched_getaffinity(0)) + 1 + n_jobs)


def in_turns(
    work: Callable[[Any], Any],
    items: Iterable[Any],
    n_jobs: int,
    *,
    prepare: Callable[[], object] | None = None,
) -> list[Any]:
    """Return what `work` makes of each item, several at once, in the order of the items.

    Each thread begins with `prepare`, for what a library keeps by thread. Jobs that are `beside`
    each other have `n_jobs` between them.

    >>> in_turns(abs, [-2, 1], 2)
    [2, 1]
    """
    go_on()
    items = list(items)
    n_jobs = max(1, n_jobs // max(1, _BESIDE.n))
    if n_jobs == 1 or len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(n_jobs, len(items)), initializer=prepare) as pool:
        return list(pool.map(work, items))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


class UnwantedError(BaseException):
    """Work is left that nobody waits for any more."""


class _Beside:
    """How many threads do one of several jobs each."""

    def __init__(self) -> None:
        self.n = 0
        self.lock = threading.Lock()


_BESIDE: Final = _Beside()
_own = threading.local()


@contextmanager
def beside(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Say that the calling thread does one of several jobs at once, while the block runs.

    Parameters
    ----------
    is_wanted : callable
        Asked by `go_on` whether the job still is.
    """
    with _BESIDE.lock:
        _BESIDE.n += 1
    _own.is_wanted = is_wanted
    try:
        yield
    finally:
        _own.is_wanted = None
        with _BESIDE.lock:
            _BESIDE.n -= 1


def go_on() -> None:
    """Return while what this thread does is wanted; call it wherever work takes long.

    Raises
    ------
    UnwantedError
        When a thread does one of several jobs, and another has failed or was interrupted.
    """
    is_wanted = getattr(_own, "is_wanted", None)
    if is_wanted is not None and not is_wanted():
        raise UnwantedError


@contextmanager
def single_threaded_algebra() -> Iterator[None]:
    """Keep linear algebra on the calling thread while the block runs."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield
