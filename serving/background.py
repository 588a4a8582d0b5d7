"""Work beside the answers: loops that outlive their faults, are counted, and are part of readiness.

A thread that ends at the first unexpected error leaves a service that answers and no longer
follows its store. A `Loop` meets every error of its work with a line in the log, a count in the
metrics and another try; one whose thread is gone all the same is started again by whoever asks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from features.errors import FflRiskError
from serving import metrics

logger = logging.getLogger("ffl_risk.service")
_LONGEST_PAUSE: Final = 30.0


class Loop:
    """Does one piece of work again and again, in a thread of its own.

    Parameters
    ----------
    name : str
        Of the thread, in the log and in the metrics.
    work : callable
        One round. It may wait; it must return soon after `stopping` is set.
    pause : float
        Seconds between two rounds; `wake` ends a pause early.
    patience : float
        Seconds without a round that went well after which the loop counts as ill.
    """

    def __init__(
        self, name: str, work: Callable[[], None], *, pause: float, patience: float = 60.0
    ) -> None:
        self.name, self._work, self.pause, self._patience = name, work, pause, patience
        self.stopping = threading.Event()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ill_since = time.monotonic()
        self._fault = ""
        self._n_in_a_row = 0
        for counter in (metrics.FAULTS, metrics.RESTARTS):
            counter.labels(name)  # zero is told, too: an alarm needs to see the rise from it

    def start(self) -> None:
        """Start the thread, or start it again when it is gone."""
        with self._lock:
            if self.stopping.is_set() or (self._thread is not None and self._thread.is_alive()):
                return
            if self._thread is not None:
                metrics.RESTARTS.labels(self.name).inc()
                logger.error("the thread %s was gone and is started again", self.name)
            thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            thread.start()
            self._thread = thread

    def wake(self) -> None:
        """Let the next round begin now."""
        self._wake.set()

    @property
    def is_awake(self) -> bool:
        """Whether somebody asked for another round since this one began."""
        return self._wake.is_set()

    @property
    def is_ill(self) -> bool:
        """Whether the last round failed."""
        return bool(self._fault)

    @property
    def trouble(self) -> str:
        """What is wrong with it; empty when nothing is."""
        if self._thread is None or self.stopping.is_set():
            return ""
        if not self._thread.is_alive():
            return f"{self.name} has stopped"
        if self._fault and time.monotonic() - self._ill_since > self._patience:
            return f"{self.name} fails: {self._fault}"
        return ""

    def close(self, seconds: float = 60.0) -> None:
        """Stop after the round under way."""
        self.stopping.set()
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self.stopping.is_set():
            self._wake.clear()
            self._wake.wait(self._round())

    def _round(self) -> float:
        """Do one round and return how long to pause after it."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - the border of a thread: nothing may end it
            metrics.FAULTS.labels(self.name).inc()
            if not self._fault:
                self._ill_since = time.monotonic()
            self._fault = error.what if isinstance(error, FflRiskError) else type(error).__name__
            self._n_in_a_row += 1
            # The message of an unknown error may quote restricted values.
            logger.warning("%s failed and tries again: %s", self.name, self._fault)
            return min(_LONGEST_PAUSE, max(self.pause, 0.25) * 2.0 ** min(self._n_in_a_row, 6))
        self._fault, self._n_in_a_row = "", 0
        return self.pause
