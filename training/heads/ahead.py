"""Fits that do not wait for each other, several at once, taken in the order they are judged in.

Threads do them, for what takes long is done by libraries that leave the interpreter to others
meanwhile. What a fit makes does not depend on how many are under way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

from models.margin.threads import beside, n_threads
from training.progress import Steps, one_thread

# More at once would take more memory than they save time.
_MOST: Final = 4
# Of fits that read more bytes one is under way at a time.
LARGE: Final = 256 * 2**20


@dataclass
class Begun:
    """A fit that was begun.

    Parameters
    ----------
    name : str
        What is done, for people.
    work : callable
        Does it.
    is_large : bool
        Whether it may only be under way without another that is.
    """

    name: str
    work: Callable[[], Any]
    is_large: bool
    result: Any = None
    seconds: float = 0.0
    is_done: bool = field(default=False)


class Ahead:
    """Does what is begun in threads of its own, while the block lasts.

    An error in any of them is raised where the next result is asked for, and where the block ends
    early, the rest is left undone.

    Parameters
    ----------
    steps : Steps
        Told of each when its result is taken.
    at_once : int, optional
        How many are under way at once; by default as many as there are cores, four at most.
    """

    def __init__(self, steps: Steps, *, at_once: int | None = None) -> None:
        self.steps = steps
        self._n = min(n_threads(-1), _MOST) if at_once is None else at_once
        self._changed = threading.Condition()
        self._waiting: list[Begun] = []
        self._large = 0
        self._error: BaseException | None = None
        self._is_closed = False
        self._threads: list[threading.Thread] = []
        self._limits = one_thread()

    def __enter__(self) -> Ahead:
        # Held by this thread: a fit that ends must not give the others threads of linear algebra.
        self._limits.__enter__()
        # A command that is interrupted twice does not wait for what is under way.
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(self._n)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._changed:
                self._is_closed = True
                self._waiting.clear()
                self._changed.notify_all()
            for thread in self._threads:
                thread.join()
        finally:
            self._limits.__exit__(kind, error, trace)

    def begin(self, name: str, work: Callable[[], Any], *, n_bytes: int = 0) -> Begun:
        """Begin a fit as soon as a thread is free, in the order of the calls.

        Parameters
        ----------
        n_bytes : int
            Size of the table that it reads.
        """
        begun = Begun(name, work, n_bytes > LARGE)
        with self._changed:
            self._waiting.append(begun)
            self._changed.notify_all()
        return begun

    def take(self, begun: Begun) -> Any:
        """Wait for a fit, print what it took, and return what it made.

        Raises
        ------
        BaseException
            What it, or any other that was begun, raised.
        """
        self.steps.taken(begun.name, lambda: self._wait(begun))
        result, begun.result = begun.result, None
        return result

    def _wait(self, begun: Begun) -> float:
        with self._changed:
            self._changed.wait_for(lambda: begun.is_done or self._error is not None)
            if self._error is not None:
                raise self._error
        return begun.seconds

    def _next(self) -> Begun | None:
        """Return what may be done now; None when the block ends."""
        with self._changed:
            while not self._is_closed:
                free = (b for b in self._waiting if not (b.is_large and self._large))
                found = next(free, None)
                if found is not None and self._error is None:
                    self._waiting.remove(found)
                    self._large += found.is_large
                    return found
                self._changed.wait()
        return None

    def _run(self) -> None:
        while (begun := self._next()) is not None:
            self._do(begun)

    def _is_wanted(self) -> bool:
        return not self._is_closed and self._error is None

    def _do(self, begun: Begun) -> None:
        start = time.perf_counter()
        error: BaseException | None = None
        try:
            with beside(self._is_wanted):
                begun.result = begun.work()
        except BaseException as raised:  # noqa: BLE001 - handed to the thread that waits
            error = raised
        with self._changed:
            self._large -= begun.is_large
            begun.work = _nothing  # what it holds is wanted no more
            begun.seconds, begun.is_done = time.perf_counter() - start, error is None
            if self._error is None:
                self._error = error
            self._changed.notify_all()


def _nothing() -> None:
    """Do nothing."""
