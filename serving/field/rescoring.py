"""From a kept event to a new score: into the warehouse, signals of the touched dealers, scores.

The same functions that publish a whole table score a few dealers here, so that a dealer rescored
after an event has what the next batch as of the same day would give it.
"""

from __future__ import annotations

import csv
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from features.errors import FflRiskError
from features.schema import TABLES
from serving import metrics
from serving.background import Loop
from serving.errors import NotReadyError
from serving.scores.champion import inputs_of, variant_of
from serving.scores.publish import strongest
from serving.scores.snapshot import Snapshot
from serving.store.database import Store, instant
from serving.store.tables import EVENTS

if TYPE_CHECKING:
    from features.engine.kept import KeptEngine
    from features.table import FeatureTable
    from features.warehouse import Warehouse
    from models.bundle import Bundle

logger = logging.getLogger("ffl_risk.service")
_MOST_AT_ONCE: Final = 5_000
_NICENESS: Final = 10
# How often to see whether a new day has begun.
_WARM_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Waiting:
    """An event that is kept but not yet in the warehouse."""

    event_id: int
    table: str
    dealer: str | None
    document: Mapping[str, Any]
    at: str


def waiting(store: Store) -> list[Waiting]:
    """Return the events that wait for the warehouse, oldest first."""
    query = sa.select(EVENTS).where(EVENTS.c.collected_at.is_(None)).order_by(EVENTS.c.event_id)
    with store.read() as connection:
        return [_waiting(row) for row in connection.execute(query.limit(_MOST_AT_ONCE))]


def _waiting(row: sa.Row[Any]) -> Waiting:
    return Waiting(row.event_id, row.source_table, row.dealer, row.document, row.at)


def collected_since(store: Store, as_of: date) -> list[Waiting]:
    """Return the events in the warehouse that a table as of `as_of` does not know."""
    query = sa.select(EVENTS).where(
        EVENTS.c.collected_at.is_not(None), EVENTS.c.at >= as_of.isoformat()
    )
    with store.read() as connection:
        found = [_waiting(row) for row in connection.execute(query)]
    return [event for event in found if known_on(event) >= as_of.isoformat()]


def collect_events(store: Store, warehouse: Path) -> list[Waiting]:
    """Move waiting events into the warehouse and return them.

    They are marked after the warehouse has them: a process killed in between stores them again,
    and the warehouse knows rows that it has.
    """
    from features.ingest import ingest

    found = waiting(store)
    if not found:
        return []
    with tempfile.TemporaryDirectory() as folder:
        files = _canonical_files(found, Path(folder))
        # A row the warehouse rejects stays in its rejects; the others must not wait for it.
        ingest(files, warehouse, max_rejects=1.0, today=datetime.now(UTC).date())
    with store.write() as connection:
        connection.execute(
            EVENTS.update()
            .where(EVENTS.c.event_id.in_([event.event_id for event in found]))
            .values(collected_at=instant())
        )
    return found


def _canonical_files(events: Sequence[Waiting], folder: Path) -> list[Path]:
    files = []
    for name in dict.fromkeys(event.table for event in events):
        path = folder / f"{name}.csv"
        columns = (*TABLES[name].names, "known_on")
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            for event in events:
                if event.table == name:
                    writer.writerow({**_texts(event.document), "known_on": known_on(event)})
        files.append(path)
    return files


def _texts(document: Mapping[str, Any]) -> dict[str, Any]:
    texts = {True: "true", False: "false", None: ""}
    return {
        name: texts[value] if value is None or isinstance(value, bool) else value
        for name, value in document.items()
    }


def known_on(event: Waiting) -> str:
    """Return the day a row counts as known: as it says, else the day it arrived."""
    return str(event.document.get("known_on") or event.at[:10])


def as_of_after(events: Sequence[Waiting], published: date) -> date:
    """Return the first day that sees all the events, not before the published day."""
    last = max(date.fromisoformat(known_on(event)) for event in events)
    return max(published, last + timedelta(days=1))


@dataclass(frozen=True)
class Rescored:
    """New signals and scores of a few dealers, as of a day."""

    dealers: tuple[str, ...]
    inputs: npt.NDArray[np.float32]
    missing: npt.NDArray[np.int8]
    values: Mapping[str, npt.NDArray[Any]]

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with these scores in place of its own."""
        rows = np.array([snapshot.row_of[d] for d in self.dealers], dtype=np.int64)
        changed = snapshot.with_inputs(rows, self.inputs, self.missing)
        return changed.changed(rows, **self.values)


def rescore(
    snapshot: Snapshot,
    dealers: Sequence[str],
    as_of: date,
    warehouse: Path,
    *,
    engine: KeptEngine | None = None,
) -> Rescored | None:
    """Score some dealers anew as of a day; None when none of them is in the table.

    An `engine` that saw the warehouse as it is now saves what it kept from an earlier day's work.
    """
    from features.warehouse import Warehouse

    known = [dealer for dealer in dict.fromkeys(dealers) if dealer in snapshot.row_of]
    bundle = snapshot.bundle
    table = _among_all(Warehouse.open(warehouse), as_of, known, bundle, engine) if known else None
    if table is None:
        return None
    inputs = inputs_of(bundle, table)
    scores = bundle.score(inputs)
    reasons = strongest(bundle.explain(inputs)["priority"].values, bundle.signals)
    values = {name: scores[name].to_numpy() for name in scores.columns}
    values |= {name: reasons[name].to_numpy() for name in reasons.columns}
    values["as_of"] = np.full(len(inputs), np.datetime64(as_of, "s"))
    names = [signal["name"] for signal in bundle.signals]
    return Rescored(
        dealers=tuple(str(dealer) for dealer in table.frame["dealer"]),
        inputs=inputs.to_numpy(dtype=np.float32),
        missing=table.reasons[names].to_numpy(dtype=np.int8),
        values=values,
    )


def _among_all(
    warehouse: Warehouse,
    as_of: date,
    dealers: Sequence[str],
    bundle: Bundle,
    engine: KeptEngine | None,
) -> FeatureTable | None:
    """Return the signals of some dealers, built among all: rates are drawn toward the peers'.

    Built alone, dealers would be one another's only peers, and differ from the next batch.
    """
    from features.table import build_features

    whole = build_features(warehouse, as_of, variant=variant_of(bundle), engine=engine)
    rows = np.flatnonzero(whole.frame["dealer"].isin(dealers))
    if not len(rows):
        return None
    frame = whole.frame.iloc[rows].reset_index(drop=True)
    return replace(whole, frame=frame, reasons=whole.reasons.iloc[rows].reset_index(drop=True))


class InForce(Protocol):
    """What holds the table in force: the running service, as far as rescoring needs it."""

    @property
    def store(self) -> Store:
        """Where events are kept."""

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force; `NotReadyError` when there is none."""

    def update(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Change the snapshot in force."""


class _StoppingError(Exception):
    """The service stops while signals are built ahead."""


class Rescorer:
    """Takes kept events to new scores, in a thread of its own.

    Parameters
    ----------
    runtime : InForce
    warehouse : Path
    """

    def __init__(self, runtime: InForce, warehouse: Path) -> None:
        self._runtime, self._warehouse = runtime, warehouse
        self._idle = threading.Event()
        self._is_nice = False
        self._caught_up_with = ""
        self._engine: KeptEngine | None = None
        self._warm_for: tuple[str, date] | None = None
        self.loop = Loop("rescore", self._round, pause=_WARM_SECONDS)
        self.loop.start()

    def wake(self) -> None:
        """Say that there are new events, or a new table."""
        self._idle.clear()
        self.loop.wake()

    def wait_until_idle(self, seconds: float) -> bool:
        """Wait until no event waits; return whether that came in time."""
        return self._idle.wait(seconds)

    def close(self) -> None:
        """Finish what is under way, then stop."""
        self.loop.close(seconds=60)
        self._let_go()

    def _round(self) -> None:
        """Take what waits to scores, then build ahead for the next."""
        if sys.platform == "linux" and not self._is_nice:
            # Answers go first: what this thread starts, the engine's threads too, waits for them.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
            self._is_nice = True
        try:
            while not self.loop.stopping.is_set() and self._once():
                pass
        except BaseException:
            self._let_go()  # the events are kept; nothing is lost by trying again
            raise
        if not self.loop.is_awake:
            self._idle.set()
            self._warm()

    def _once(self) -> bool:
        """Take the waiting events to scores; return whether there were any."""
        store = self._runtime.store
        new = collect_events(store, self._warehouse)
        try:
            snapshot = self._runtime.snapshot
        except NotReadyError:
            return False  # they are in the warehouse; the first table will know them
        name = snapshot.table.name
        late = [] if name == self._caught_up_with else collected_since(store, snapshot.as_of)
        events = [*late, *new]
        if events:
            dealers = [event.dealer for event in events if event.dealer]
            as_of = as_of_after(events, snapshot.as_of)
            engine = self._renewed()
            found = rescore(snapshot, dealers, as_of, self._warehouse, engine=engine)
            if found is not None and not self._put(found, name):
                return True  # a new table came in between: score for that one
        self._caught_up_with = name
        now = datetime.now(UTC)
        for event in new:
            arrived = datetime.fromisoformat(event.at)
            metrics.EVENT_SECONDS.observe((now - arrived).total_seconds())
        return bool(new)

    def _warm(self) -> None:
        """Build the signals once for the day that the next event will be scored as of.

        The first build of a day reads every event there is, the next ones only what changed.
        """
        from features.table import build_features

        try:
            snapshot = self._runtime.snapshot
        except NotReadyError:
            return
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        asked = (snapshot.table.name, max(snapshot.as_of, tomorrow))
        if asked == self._warm_for or not (self._warehouse / "manifest.json").exists():
            return
        self._warm_for = asked
        try:
            engine = self._renewed()
            build_features(
                engine.warehouse,
                asked[1],
                variant=variant_of(snapshot.bundle),
                engine=engine,
                progress=self._go_on,
            )
        except _StoppingError:
            return
        except FflRiskError as error:
            logger.info("the first event of %s will take longer: %s", asked[1], error.what)

    def _go_on(self, _family: str, _done: int, _total: int) -> None:
        """Leave a build that nobody waits for when the service stops."""
        if self.loop.stopping.is_set():
            raise _StoppingError

    def _renewed(self) -> KeptEngine:
        """Return the engine over the warehouse as it is now."""
        from features.engine.kept import KeptEngine
        from features.warehouse import Warehouse

        warehouse = Warehouse.open(self._warehouse)
        if self._engine is None:
            self._engine = KeptEngine(warehouse)
        else:
            self._engine.renew(warehouse)
        return self._engine

    def _let_go(self) -> None:
        if self._engine is not None:
            self._engine.close()
        self._engine, self._warm_for = None, None

    def _put(self, found: Rescored, name: str) -> bool:
        """Put new scores in force unless the table they are for is gone."""
        is_put = False

        def change(snapshot: Snapshot) -> Snapshot:
            nonlocal is_put
            is_put = snapshot.table.name == name
            return found.applied(snapshot) if is_put else snapshot

        self._runtime.update(change)
        return is_put


def touched(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the dealers that rows name."""
    return sorted({str(row["dealer"]) for row in rows if row.get("dealer")})
