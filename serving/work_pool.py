"""Work that takes seconds of a processor: in threads of its own, few at a time, fairly by identity.

A time limit on a request bounds its answer, not its work: a plan nobody waits for any more would go
on, and a dozen of them would stall everybody. Here only a few run at once, the others wait in a
queue for each identity, the identities taking turns; whoever stops waiting leaves the queue, and
work under way ends at its next step (`features.abandonment`).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from features.abandonment import Abandonment, doing
from serving import metrics
from serving.errors import OverloadedError

Result = TypeVar("Result")
_MOST_WAITING: Final = 64
_MOST_OF_ONE: Final = 4


class HeavyWork:
    """A few threads, and a queue of each identity before them.

    Parameters
    ----------
    n_threads : int
        Pieces of work done at once.
    """

    def __init__(self, n_threads: int) -> None:
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="heavy")
        self._n_free = n_threads
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(
        self, who: str, work: Callable[..., Result], *args: Any, goes_on: bool = False
    ) -> Result:
        """Do a piece of work for an identity, in its turn.

        It ends when nobody waits for it any more, unless it `goes_on`: then its result is kept, and
        whoever asks again finds it.

        Raises
        ------
        OverloadedError
            When too much waits already, of this identity or of all.
        """
        await self._turn(who)
        abandonment = Abandonment()
        context = contextvars.copy_context()
        if not goes_on:
            context.run(doing, abandonment)
        metrics.HEAVY.inc()
        done = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: context.run(work, *args)
        )
        # The place is free when the work has ended, however early nobody waited any more.
        done.add_done_callback(self._ended)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            abandonment.set()
            raise

    def close(self) -> None:
        """Begin no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _turn(self, who: str) -> None:
        if self._n_free > 0 and not self._queues:
            self._n_free -= 1
            return
        own = self._queues.get(who, deque())
        if len(own) >= _MOST_OF_ONE or sum(map(len, self._queues.values())) >= _MOST_WAITING:
            raise OverloadedError(
                "Too many plans, files and long lists are waiting.",
                found=f"{len(own)} of yours" if own else "those of others",
                expected=f"at most {_MOST_OF_ONE} of one identity, {_MOST_WAITING} of all",
                fix="wait for one to be answered, then ask again",
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(who, own).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()  # the turn had just come
            else:
                self._leave(who, turn)
            raise

    def _leave(self, who: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(who)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[who]

    def _ended(self, done: asyncio.Future[Any]) -> None:
        metrics.HEAVY.dec()
        if not done.cancelled():
            done.exception()  # seen: of abandoned work nobody else would ask
        self._next()

    def _next(self) -> None:
        """Give the free place to the identity that has waited longest for a turn."""
        while self._queues:
            who, queue = self._queues.popitem(last=False)
            turn = queue.popleft()
            if queue:
                self._queues[who] = queue  # behind the others
            if not turn.done():
                turn.set_result(None)
                return
        self._n_free += 1
