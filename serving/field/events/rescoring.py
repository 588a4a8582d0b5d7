"""From a kept event to a new score: into the warehouse, signals of the touched dealers, scores.

The same functions that publish a whole table score a few dealers here, so that a dealer rescored
after an event has what the next batch as of the same day would give it.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from features.domain.agency_day import begin_of, day_of
from features.home import write_atomically
from features.openjson import Row
from features.schema import TABLES
from serving import clock
from serving.field.events.refused_rows import OnRefused, log_refused, refused_rows
from serving.scores.champion import inputs_of, variant_of
from serving.scores.publish import strongest
from serving.scores.snapshot import Snapshot
from serving.scores.table.loaded_table import RESCORED
from serving.store.database import Store
from serving.store.tables import EVENTS
from serving.store.warehouse_progress import Collected

if TYPE_CHECKING:
    from features.engine.incremental import KeptEngine

_MOST_AT_ONCE: Final = 5_000
# Beside the published table: what was rescored since, for every worker of the home.
FILE: Final = RESCORED


@dataclass(frozen=True)
class Waiting:
    """An event that is kept but not yet in the warehouse."""

    event_id: int
    table: str
    dealer: str | None
    document: Mapping[str, Any]
    at: str


def waiting(store: Store, after: int) -> list[Waiting]:
    """Return the events after number `after`, oldest first."""
    query = sa.select(EVENTS).where(EVENTS.c.event_id > after).order_by(EVENTS.c.event_id)
    with store.read() as connection:
        return [_waiting(row) for row in connection.execute(query.limit(_MOST_AT_ONCE))]


def n_waiting(store: Store, warehouse: Path) -> int:
    """Return how many events the warehouse has not taken in."""
    done = Collected.of(store, warehouse)
    query = sa.select(sa.func.count()).select_from(EVENTS).where(EVENTS.c.event_id > done.event_id)
    with store.read() as connection:
        return int(connection.scalar(query) or 0)


def _waiting(row: sa.Row[Any]) -> Waiting:
    return Waiting(row.event_id, row.source_table, row.dealer, row.document, row.at)


def collected_since(store: Store, warehouse: Path, as_of: date) -> list[Waiting]:
    """Return the events in the warehouse that a table as of `as_of` does not know."""
    done = Collected.of(store, warehouse)
    query = sa.select(EVENTS).where(
        EVENTS.c.event_id <= done.event_id, EVENTS.c.at >= begin_of(as_of)
    )
    with store.read() as connection:
        found = [_waiting(row) for row in connection.execute(query)]
    return [event for event in found if known_on(event) >= as_of.isoformat()]


def collect_events(
    store: Store, warehouse: Path, *, on_refused: OnRefused = log_refused
) -> list[Waiting]:
    """Move waiting events into the warehouse and return them.

    How far it has come is noted in the warehouse after it has them: a process killed in between
    stores them again, and the warehouse knows rows that it has.
    """
    from features.ingest import ingest

    found = waiting(store, Collected.of(store, warehouse).event_id)
    if not found:
        return []
    with tempfile.TemporaryDirectory() as folder:
        files = _canonical_files(found, Path(folder))
        # A row the warehouse rejects stays in its rejects; the others must not wait for it.
        # They may have come on a day that is still to come here: clocks differ, and are set back.
        today = max(clock.today(), *(date.fromisoformat(day_of(event.at)) for event in found))
        refused = refused_rows(ingest(files, warehouse, max_rejects=1.0, today=today, is_told=True))
    done = Collected.of(store, warehouse)
    replace(done, event_id=max(done.event_id, found[-1].event_id)).save(warehouse)
    if refused:
        on_refused(refused)
    return found


def _canonical_files(events: Sequence[Waiting], folder: Path) -> list[Path]:
    files = []
    for name in dict.fromkeys(event.table for event in events):
        path = folder / f"{name}.csv"
        told = {
            c for e in events if e.table == name for c, v in e.document.items() if v is not None
        }
        # Half of what an ingest of a few rows takes is reading the checks of every column.
        told |= {"known_on", *TABLES[name].required}
        columns = [column for column in (*TABLES[name].names, "known_on") if column in told]
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            for event in events:
                if event.table == name:
                    writer.writerow({**_texts(event.document), "known_on": known_on(event)})
        files.append(path)
    return files


def _texts(document: Mapping[str, Any]) -> Row:
    texts = {True: "true", False: "false", None: ""}
    return {
        name: texts[value] if value is None or isinstance(value, bool) else value
        for name, value in document.items()
    }


def known_on(event: Waiting) -> str:
    """Return the day a row counts as known: as it says, else the day it arrived."""
    return str(event.document.get("known_on") or day_of(event.at))


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

    def save(self, path: Path, *, batch: int) -> None:
        """Put it beside what was rescored of the same table before, for the other workers.

        A dealer has one row, of the newest batch.
        """
        rows = pa.table(
            {
                "dealer": pa.array(self.dealers, pa.string()),
                "batch": np.full(len(self.dealers), batch, dtype=np.int64),
                "inputs": _lists(self.inputs),
                "missing": _lists(self.missing),
                **{
                    f"value_{name}": pa.array(value, from_pandas=True)
                    for name, value in self.values.items()
                },
            }
        )
        before = _read(path)
        if before is not None:
            is_kept = pc.invert(pc.is_in(before["dealer"], value_set=rows["dealer"]))
            kept = before.filter(is_kept).select(rows.column_names)
            rows = pa.concat_tables([kept.cast(rows.schema), rows])
        stream = io.BytesIO()
        pq.write_table(rows, stream)
        write_atomically(path, stream.getvalue())

    @classmethod
    def load(cls, path: Path, *, after: int) -> tuple[Rescored | None, int]:
        """Return what was rescored after batch `after`, and the newest batch."""
        rows = _read(path)
        if rows is None:
            return None, after
        rows = rows.filter(pc.greater(rows["batch"], after))
        if not len(rows):
            return None, after
        values = {
            name.removeprefix("value_"): rows[name].to_pandas().to_numpy()
            for name in rows.column_names
            if name.startswith("value_")
        }
        return cls(
            dealers=tuple(rows["dealer"].to_pylist()),
            inputs=_matrix(rows["inputs"]).astype(np.float32),
            missing=_matrix(rows["missing"]).astype(np.int8),
            values=values,
        ), int(pc.max(rows["batch"]).as_py())

    def applied(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with these scores in place of its own."""
        rows = np.array([snapshot.row_of[d] for d in self.dealers], dtype=np.int64)
        changed = snapshot.with_inputs(rows, self.inputs, self.missing)
        values = {n: v.astype(snapshot.columns[n].dtype) for n, v in self.values.items()}
        return changed.changed(rows, **values)


def _lists(rows: npt.NDArray[Any]) -> pa.ListArray:
    """Return each row of a matrix as a list."""
    ends = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.shape[1])
    return pa.ListArray.from_arrays(ends, pa.array(np.ravel(rows)))


def _matrix(lists: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Return lists of one length as the rows of a matrix."""
    matrix: npt.NDArray[Any] = pc.list_flatten(lists).to_numpy().reshape(len(lists), -1)
    return matrix


def _read(path: Path) -> pa.Table | None:
    """Return what stands in the file, None where there is none."""
    try:
        return pq.ParquetFile(io.BytesIO(path.read_bytes())).read()
    except FileNotFoundError:
        return None


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
    from features.table import build_features
    from features.warehouse import Warehouse

    known = [dealer for dealer in dict.fromkeys(dealers) if dealer in snapshot.row_of]
    if not known:
        return None
    bundle = snapshot.bundle
    table = build_features(
        Warehouse.open(warehouse), as_of, variant=variant_of(bundle), only=known, engine=engine
    )
    if table.frame.empty:
        return None
    inputs = inputs_of(bundle, table)
    # As of whole tables, however few rows: to the last bit what the next batch gives them.
    scores, explained = bundle.score_and_explain(inputs, method="table")
    reasons = strongest(explained["priority"].values, bundle.signals)
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


def touched(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the dealers that rows name."""
    return sorted({str(row["dealer"]) for row in rows if row.get("dealer")})
