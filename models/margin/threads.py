"""Several cores at once, with the same bytes for any number of them.

Work is split into items that one thread does from beginning to end, and libraries are kept from
threads of their own: a sum that is split differently is another sum in its last bits, and threads
that wait for each other in a busy machine cost many times what they bring.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

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

    Each thread begins with `prepare`, for what a library keeps by thread.

    >>> in_turns(abs, [-2, 1], 2)
    [2, 1]
    """
    items = list(items)
    if n_jobs == 1 or len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(n_jobs, len(items)), initializer=prepare) as pool:
        return list(pool.map(work, items))


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def single_threaded_algebra() -> Iterator[None]:
    """Keep linear algebra on the calling thread while the block runs."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield
