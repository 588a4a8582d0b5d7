"""An engine that keeps what it worked out and asks anew only for dealers whose events changed.

The score of one dealer needs the signals of all, because rates are drawn toward the peers'. A
service that scores a few dealers after each event would read every event of the country for them.
Grids (`features.engine.context.Context.grids`) hold one value a dealer, which depends on that
dealer's events alone: when a few rows come in, only the dealers that they name are worked out
again, and the families then see what a build from nothing would give them. Of a query (`Gathered`)
the new rows alone are asked. A family is built again only when a table that it reads has new rows.
What rests on the listings alone is kept whole until a listing changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from operator import is_not
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine import kept_file
from features.engine.context import Cohort, Context, Gathered, Measure, places_among
from features.engine.embedded import EmbeddedEngine, rows_sql
from features.engine.views import VIEWS, tables_in, tables_of
from features.schema import TABLES
from features.warehouse import Warehouse
from features.warehouse.stored import scan_table

Grids = dict[str, npt.NDArray[Any]]
Made = TypeVar("Made")
# A row without a dealer here is nobody's; elsewhere its dealer stands in another table.
_NOBODYS: Final = frozenset({"traces"})


@dataclass
class _Kept:
    """What was worked out for a cohort, and what has come in since."""

    cohort: Cohort
    made: Any
    changed: set[str] = field(default_factory=set)  # dealers for whom it no longer holds
    reads: frozenset[str] = frozenset()  # tables whose new rows end it
    files: dict[str, list[str]] = field(default_factory=dict)  # new ones, by table
    parts: tuple[object, ...] = ()  # what it was made of: of others it is not

    def value(self, key: tuple[str, ...]) -> kept_file.KeptValue:
        """Return it as it is written."""
        changed, reads = tuple(sorted(self.changed)), tuple(sorted(self.reads))
        return kept_file.KeptValue(key, self.cohort, self.made, changed, reads)

    @classmethod
    def of(cls, value: kept_file.KeptValue) -> _Kept:
        """Return it as it was written."""
        return cls(value.cohort, value.made, set(value.changed), frozenset(value.reads))

    def is_of(self, cohort: Cohort) -> bool:
        """Whether it describes these dealers on these dates."""
        own = self.cohort
        return own is cohort or all(
            np.array_equal(getattr(own, name), getattr(cohort, name))
            for name in ("as_of", "date_index", "dealer", "dealers")
        )


class KeptEngine(EmbeddedEngine):
    """An embedded engine for builds that follow each other as of the same day.

    Parameters
    ----------
    warehouse : Warehouse

    Notes
    -----
    One build at a time. A build as of another day, or of another cohort, works everything out.
    """

    name = "kept"

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse)
        # To compare each expression of a measure with all others takes as long as the rows of few.
        self.connection.execute("SET disabled_optimizers = 'common_subexpressions'")
        self._files = _files(warehouse)
        self._grids: dict[tuple[str, str], _Kept] = {}
        self._shared: dict[str, _Kept] = {}
        self._answers: dict[str, _Kept] = {}
        self._families: dict[str, _Kept] = {}
        self._made_of: dict[str, _Kept] = {}
        self._cohorts: dict[tuple[date, ...], Cohort] = {}
        self._keeping = threading.Lock()
        self._noting = threading.local()

    def renew(self, warehouse: Warehouse) -> None:
        """Go on with the warehouse as it is now.

        What was kept is forgotten when stored rows changed, when listings came in, and when new
        rows do not say whose they are.
        """
        files = _files(warehouse)
        new = files.keys() - self._files.keys()
        changed = None if self._files.keys() - files.keys() else _named({f: files[f] for f in new})
        self.warehouse, self._files = warehouse, files
        for block in list(self._few):
            self._drop_few(block)
        for table in {files[f] for f in new} if changed is not None else TABLES:
            self._make_table(table)
        if changed is None:
            self.forget()
            return
        for kept in self._grids.values():
            kept.changed |= changed
        touched = {files[f] for f in new}
        for name in [n for n, kept in self._families.items() if kept.reads & touched]:
            del self._families[name]
        for answer in self._answers.values():
            for file in sorted(new):
                answer.files.setdefault(files[file], []).append(file)

    def save(self, path: Path) -> None:
        """Write what was kept, so that an engine which begins later goes on from it."""
        with self._keeping:
            grids, families, shared = (
                [kept.value(key if isinstance(key, tuple) else (key,)) for key, kept in of.items()]
                for of in (self._grids, self._families, self._shared)
            )
        own = [one for one in shared if kept_file.can_be_kept(one)]  # the rest is made anew
        cohorts = list(self._cohorts.items())
        files = _entries(self.warehouse)
        kept_file.write(kept_file.KeptState(files, cohorts, grids, families, own), path)

    def resume(self, path: Path) -> str | None:
        """Go on from what another engine wrote; None when it did, else why not.

        Rows that came in since are new ones. What was written over another warehouse, or by another
        version of the program, is left.
        """
        state = kept_file.read(path)
        if isinstance(state, str):
            return state
        entries = _entries(self.warehouse)
        if any(entries.get(name, entry) != entry for name, entry in state.files.items()):
            return "it rests on another warehouse"
        self.forget()
        self._cohorts = dict(state.cohorts)
        for one in state.grids:
            for grid in one.made.values():
                grid.flags.writeable = False
            self._grids[one.key[0], one.key[1]] = _Kept.of(one)
        self._families = {one.key[0]: _Kept.of(one) for one in state.families}
        self._shared = {one.key[0]: _Kept.of(one) for one in state.shared}
        root = self.warehouse.path
        self._files = {str(root / name): table for name, (table, _) in state.files.items()}
        self.renew(self.warehouse)
        return None

    def forget(self) -> None:
        """Let go of everything that was kept."""
        for kept in (
            self._grids, self._shared, self._answers, self._families, self._made_of, self._cohorts,
        ):  # fmt: skip
            kept.clear()
        for view in self._made:
            kind = "TABLE" if VIEWS[view].is_kept else "VIEW"
            self.connection.execute(f"DROP {kind} {view}")
        self._made.clear()
        self._cuts.clear()

    def grids(self, view: str, measures: Sequence[Measure], cohort: Cohort) -> Grids:
        """Return one value a cohort row for each output of the measures."""
        self.note(tables_of(view))
        key = (view, repr(tuple(measures)))
        with self._keeping:
            known = self._grids.get(key)
        if known is None or not known.is_of(cohort):
            found = Context(cohort, self).evaluate(view, measures)
        else:
            found = self._renewed(known, view, measures)
        for grid in found.values():
            grid.flags.writeable = False  # the next build is handed the same
        with self._keeping:
            self._grids[key] = _Kept(cohort, found)
        return found

    def keep(self, name: str, cohort: Cohort, make: Callable[[], Any]) -> Any:
        """Return what rests on the listings alone, made when it is not there."""
        with self._keeping:
            known = self._shared.get(name)
        if known is None or not known.is_of(cohort):
            known = _Kept(cohort, make())
            with self._keeping:
                self._shared[name] = known
        return known.made

    def keep_cohort(self, dates: tuple[date, ...], make: Callable[[], Cohort]) -> Cohort:
        """Return the dealers listed as of some dates, found when they are not there."""
        if dates not in self._cohorts:
            self._cohorts = {dates: make()}
        return self._cohorts[dates]

    def keep_family(self, name: str, cohort: Cohort, make: Callable[[], Made]) -> Made:
        """Return what was kept of a family, made anew when a table that it reads has new rows."""
        with self._keeping:
            known = self._families.get(name)
        if known is None or not known.is_of(cohort):
            made, reads = self.noted(make)
            known = _Kept(cohort, made, reads=reads)
            with self._keeping:
                self._families[name] = known
        kept: Made = known.made
        return kept

    def keep_made(
        self, name: str, cohort: Cohort, parts: tuple[object, ...], make: Callable[[], Made]
    ) -> Made:
        """Return what was made of these very parts, made anew when one is another."""
        with self._keeping:
            known = self._made_of.get(name)
        is_same = known is not None and len(known.parts) == len(parts) and known.is_of(cohort)
        if known is None or not is_same or any(map(is_not, known.parts, parts)):
            known = _Kept(cohort, make(), parts=parts)
            with self._keeping:
                self._made_of[name] = known
        kept: Made = known.made
        return kept

    def noted(self, make: Callable[[], Made]) -> tuple[Made, frozenset[str]]:
        """Make something and say which tables were read for it."""
        with self._noted() as reads:
            made = make()
        self.note(reads)
        return made, frozenset(reads)

    @contextmanager
    def _noted(self) -> Iterator[set[str]]:
        outer, self._noting.reads = getattr(self._noting, "reads", None), set[str]()
        try:
            yield self._noting.reads
        finally:
            self._noting.reads = outer

    def note(self, tables: Iterable[str]) -> None:
        """Say that tables were read for what is being made in this thread."""
        reads = getattr(self._noting, "reads", None)
        if reads is not None:
            reads.update(tables)

    def has(self, view: str, *, before: int | None = None) -> bool:
        """Whether every table that `view` reads holds rows; see `EmbeddedEngine.has`."""
        self.note(tables_of(view))
        return super().has(view, before=before)

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer `sql`; see `EmbeddedEngine.query`."""
        self.note(tables_in(sql))
        return super().query(sql, **tables)

    def gather(
        self, gathered: Gathered, cohort: Cohort, tables: Mapping[str, pa.Table]
    ) -> pa.Table:
        """Answer a query; of an additive one, or where no new row matters, only the new rows."""
        self.note(gathered.reads)
        with self._keeping:
            known = self._answers.get(gathered.sql)
        if known is None or not known.is_of(cohort):
            answer = self.query(gathered.sql, **tables)
        elif not any(self._matters(known, table, gathered) for table in gathered.reads):
            answer = known.made
        elif gathered.is_additive:
            (table,) = gathered.reads
            new = self.query(self._of_new(known, table, gathered.sql), **tables)
            answer = pa.concat_tables([known.made, new]).combine_chunks()
        else:
            answer = self.query(gathered.sql, **tables)
        with self._keeping:
            self._answers[gathered.sql] = _Kept(cohort, answer)
        return answer

    def _matters(self, known: _Kept, table: str, gathered: Gathered) -> bool:
        """Whether some row that came in since may change an answer."""
        if table not in known.files:
            return False
        counted = f"SELECT count(*) AS n FROM {table} WHERE {gathered.reads[table]}"
        return bool(self.query(self._of_new(known, table, counted))["n"][0].as_py())

    def _of_new(self, known: _Kept, table: str, sql: str) -> str:
        """Return a query of the rows alone that came in since."""
        return f"WITH {table} AS ({rows_sql(table, scan_table(table, known.files[table]))}) {sql}"

    def _renewed(self, known: _Kept, view: str, measures: Sequence[Measure]) -> Grids:
        cohort = known.cohort
        dealers = places_among(cohort.dealers, known.changed)
        rows = np.flatnonzero(np.isin(cohort.dealer, dealers))
        if not len(rows):
            return dict(known.made)
        part = Cohort(
            cohort.dealers[dealers],
            cohort.as_of,
            np.searchsorted(dealers, cohort.dealer[rows]).astype(np.int32),
            cohort.date_index[rows],
        )
        found = Context(part, self).evaluate(view, measures)
        out = {name: grid.copy() for name, grid in known.made.items()}
        for name, grid in found.items():
            out[name][rows] = grid
        return out


def _files(warehouse: Warehouse) -> dict[str, str]:
    """Return the table of each live file."""
    return {
        str(path): table
        for table in TABLES
        if warehouse.has(table)
        for path in warehouse.files(table)
    }


def _entries(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    """Return table and SHA-256 of each live file, by its path in the warehouse."""
    return {
        str(entry["path"]): (table, str(entry["sha256"]))
        for table in TABLES
        if warehouse.has(table)
        for entry in warehouse.manifest["tables"][table]["files"]
    }


def _named(files: dict[str, str]) -> set[str] | None:
    """Return the dealers that the rows of new files name; None when they do not say all."""
    named: set[str] = set()
    for path, table in files.items():
        if table == "licenses" or "dealer" not in TABLES[table].names:
            return None
        column = pq.read_table(path, columns=["dealer"])["dealer"]
        if column.null_count and table not in _NOBODYS:
            return None
        named.update(column.drop_null().unique().to_pylist())
    return named
