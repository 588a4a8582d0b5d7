"""The loop that takes kept events to scores: one worker of a home does it for all of them.

All dealers of a ranking stand at one as-of day. An event known after the day of the table in force
therefore first moves the whole table to a day that sees it; only within that day are the touched
dealers scored alone. Scored as of another day than the rest, a dealer would be compared with them
as they were, and an event that only raises its risk could lower it.

That goes as far as the records of the others do (`Snapshot.follows_to`). Beyond it the days between
hold none of their traces and inspections, and to move them there would age out what is known of
them: the touched dealers alone are then scored as of their events' day, and say so.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from features.errors import FflRiskError
from features.warehouse import Warehouse
from serving import clock, metrics
from serving.background import Loop
from serving.errors import ConflictError, NotReadyError
from serving.field.events.rescoring import (
    FILE,
    Rescored,
    Waiting,
    as_of_after,
    collect_events,
    collected_since,
    n_waiting,
    rescore,
)
from serving.scores.champion import inputs_of, variant_of
from serving.scores.publish import ScoredRows, publish, score_rows
from serving.scores.snapshot import Snapshot
from serving.store.database import Store

if TYPE_CHECKING:
    from features.engine.incremental import KeptEngine
    from features.table import FeatureTable

logger = logging.getLogger("ffl_risk.service")
_NICENESS: Final = 10
# How often to see whether a new day has begun, or whether the worker that did this is gone.
_WARM_SECONDS: Final = 300.0
_LEAD_SECONDS: Final = 2.0
_LOCK: Final = "rescore.lock"
# Beside the published table: signals as they were built for the events of a day. Like what was
# rescored it is this home's own, and in no backup: it is made again.
KEPT: Final = ".kept_signals.npz"


class InForce(Protocol):
    """What holds the table in force: the running service, as far as rescoring needs it."""

    @property
    def store(self) -> Store:
        """Where events are kept."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force; `NotReadyError` when there is none."""

    def catch_up(self) -> None:
        """Take up the newest table and everything that was written since."""


class _StoppingError(Exception):
    """The service stops while signals are built ahead."""


class Rescorer:
    """Takes kept events to new scores, in a thread of its own.

    Parameters
    ----------
    runtime : InForce
    home : Path
        State folder: its warehouse takes the events, and its lock lets one worker do the work.
    """

    def __init__(self, runtime: InForce, home: Path) -> None:
        self._runtime, self._home, self._warehouse = runtime, home, home / "warehouse"
        self._idle = threading.Event()
        self._is_nice = False
        self._lead: int | None = None
        self._caught_up_with = ""
        self._engine: KeptEngine | None = None
        self._warm_for: tuple[str, date] | None = None
        self._scored: ScoredRows | None = None
        self.loop = Loop("rescore", self._round, pause=_LEAD_SECONDS)

    def start(self) -> None:
        """Start the thread."""
        self.loop.start()

    def wake(self) -> None:
        """Say that there are new events, or a new table."""
        self._idle.clear()
        self.loop.wake()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no event waits; return whether that came in time."""
        return self._idle.wait(seconds)

    def close(self) -> None:
        """Finish what is under way, then stop and let another worker do this."""
        self.loop.close(seconds=60)
        self._let_go()
        if self._lead is not None:
            os.close(self._lead)
            self._lead = None

    def _leads(self) -> bool:
        """Whether this worker is the one that does it; the lock ends with its process."""
        if self._lead is not None:
            return True
        handle = os.open(self._home / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._lead = handle
        return True

    def _round(self) -> None:
        """Take what waits to scores, then build ahead for the next."""
        if sys.platform == "linux" and not self._is_nice:
            # Answers go first: what this thread starts, the engine's threads too, waits for them.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
            self._is_nice = True
        if not self._leads():
            self.loop.pause = _LEAD_SECONDS
            return
        self.loop.pause = _WARM_SECONDS
        try:
            while not self.loop.stopping.is_set() and self._once():
                pass
        except BaseException:
            self._let_go()  # the events are kept; nothing is lost by trying again
            raise
        metrics.WAITING_EVENTS.set(n_waiting(self._runtime.store, self._warehouse))
        if not self.loop.is_awake:
            self._idle.set()
            self._warm()

    def _once(self) -> bool:
        """Take the waiting events to scores; return whether there were any."""
        store = self._runtime.store
        new = collect_events(store, self._warehouse)
        try:
            self._runtime.catch_up()
            snapshot = self._runtime.snapshot
        except NotReadyError:
            return False  # they are in the warehouse; the first table will know them
        name = snapshot.table.name
        is_late = name != self._caught_up_with
        late = collected_since(store, self._warehouse, snapshot.as_of) if is_late else []
        if events := [*late, *new]:
            self._score(snapshot, events)
        self._caught_up_with = self._runtime.snapshot.table.name
        now = clock.now()
        for event in new:
            arrived = datetime.fromisoformat(event.at)
            metrics.EVENT_SECONDS.observe((now - arrived).total_seconds())
        return bool(new)

    def _score(self, snapshot: Snapshot, events: list[Waiting]) -> None:
        """Move the whole table to the events' day, or score the touched dealers within it."""
        known = [event for event in events if event.dealer in snapshot.row_of]
        days = [as_of_after([event], snapshot.as_of) for event in known]
        as_of = max((day for day in days if day <= snapshot.follows_to), default=snapshot.as_of)
        if as_of > snapshot.as_of:
            self._roll(snapshot, as_of)
            rolled = self._runtime.snapshot
            # Of later days, too: what they had changed stood beside the table before.
            later = collected_since(self._runtime.store, self._warehouse, rolled.as_of)
            self._score(rolled, later)
            return
        if not known:
            return
        engine = self._renewed()
        path = snapshot.table.folder / FILE
        for day, dealers in _by_day(snapshot, known).items():
            if day > snapshot.as_of:
                logger.info(
                    "events came after %s, to which the records of all carry: "
                    "scoring %d as of %s alone",
                    snapshot.follows_to,
                    len(dealers),
                    day,
                )
            found = rescore(snapshot, dealers, day, self._warehouse, engine=engine)
            if found is not None:
                _, last = Rescored.load(path, after=0)
                found.save(path, batch=last + 1)
        self._runtime.catch_up()

    def _roll(self, snapshot: Snapshot, as_of: date) -> None:
        """Publish the table in force as of a later day, unless another was published meanwhile."""
        logger.info("events came after %s: scoring all as of %s", snapshot.as_of, as_of)
        engine = self._renewed()  # what it keeps of that day serves the next events too
        before = snapshot.table
        try:
            publish(
                engine.warehouse,
                as_of,
                home=self._home,
                instead_of=before,
                engine=engine,
                scored_before=self._scored,
            )
        except ConflictError as error:
            logger.info("not published: %s", error.what)
        self._scored = None
        self._runtime.catch_up()

    def _warm(self) -> None:
        """Build the signals once for the day that the next event will be scored as of.

        The first build of a day reads every event there is, the next ones only what changed.
        """
        from features.table import build_features

        try:
            snapshot = self._runtime.snapshot
        except NotReadyError:
            return
        tomorrow = clock.today() + timedelta(days=1)
        was_live = snapshot.as_of == tomorrow - timedelta(days=1)
        is_rolled = snapshot.table.manifest.get("rolled_from") is not None
        if was_live and is_rolled and tomorrow <= snapshot.follows_to:
            # Events came yesterday: be there before the first of this day.
            self._roll(snapshot, tomorrow)
            snapshot = self._runtime.snapshot
        asked = (snapshot.table.name, max(snapshot.as_of, tomorrow))
        if asked == self._warm_for or not (self._warehouse / "manifest.json").exists():
            return
        self._warm_for = asked
        try:
            engine = self._renewed()
            table = build_features(
                engine.warehouse,
                asked[1],
                variant=variant_of(snapshot.bundle),
                engine=engine,
                progress=self._go_on,
            )
            self._score_ahead(snapshot, table, asked[1])
            self._save(engine, snapshot)
        except _StoppingError:
            return
        except FflRiskError as error:
            logger.info("the first event of %s will take longer: %s", asked[1], error.what)

    def _score_ahead(self, snapshot: Snapshot, table: FeatureTable, as_of: date) -> None:
        """Score all dealers of the day that the first event will move the table to."""
        if snapshot.as_of < as_of <= snapshot.follows_to:
            champion = str(snapshot.table.manifest["champion"]), snapshot.bundle
            self._scored = score_rows(champion, table, Warehouse.open(self._warehouse), as_of)
        else:
            one = inputs_of(snapshot.bundle, table).head(1)
            snapshot.bundle.score_and_explain(one, method="table")  # lays the trees out

    def _go_on(self, _family: str, _done: int, _total: int) -> None:
        """Leave a build that nobody waits for when the service stops."""
        if self.loop.stopping.is_set():
            raise _StoppingError

    def _renewed(self) -> KeptEngine:
        """Return the engine over the warehouse as it is now."""
        from features.engine.incremental import KeptEngine

        warehouse = Warehouse.open(self._warehouse)
        if self._engine is None:
            self._engine = KeptEngine(warehouse)
            if why := self._engine.resume(self._runtime.snapshot.table.folder / KEPT):
                logger.info("signals built before are not gone on from: %s", why)
        else:
            self._engine.renew(warehouse)
        return self._engine

    def _save(self, engine: KeptEngine, snapshot: Snapshot) -> None:
        """Keep what is built beside the table, for the first event after a start; no other's."""
        path = snapshot.table.folder / KEPT
        try:
            engine.save(path)
            for other in path.parent.parent.glob(f"*/{KEPT}"):
                if other != path:
                    other.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the first event after a start will take longer: %s", error)

    def _let_go(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine, self._warm_for, self._scored = None, None, None


def _by_day(snapshot: Snapshot, events: Iterable[Waiting]) -> Mapping[date, list[str]]:
    """Return whom to score as of which day: that of its events, and none before its own."""
    day_of_dealer: dict[str, date] = {}
    for event in events:
        dealer = str(event.dealer)
        before = day_of_dealer.get(dealer) or snapshot.as_of_row(snapshot.row_of[dealer])
        day_of_dealer[dealer] = as_of_after([event], before)
    by_day = defaultdict[date, list[str]](list)
    for dealer, day in sorted(day_of_dealer.items(), key=lambda item: item[1]):
        by_day[day].append(dealer)
    return by_day
