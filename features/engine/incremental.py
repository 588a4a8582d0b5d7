"""An engine that keeps what it worked out and asks anew only for dealers whose events changed.

The score of one dealer needs the signals of all, because rates are drawn toward the peers'. A
service that scores a few dealers after each event would read every event of the country for them.
Grids (`features.engine.context.Context.grids`) hold one value a dealer, which depends on that
dealer's events alone: when a few rows come in, only the dealers that they name are worked out
again, and the families then see what a build from nothing would give them. What rests on the
listings alone is kept whole until a listing changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from features.engine.context import Cohort, Context, Measure
from features.engine.embedded import EmbeddedEngine
from features.engine.views import VIEWS
from features.schema import TABLES
from features.warehouse import Warehouse

Grids = dict[str, npt.NDArray[Any]]
# A row without a dealer here is nobody's; elsewhere its dealer stands in another table.
_NOBODYS: Final = frozenset({"traces"})


@dataclass
class _Kept:
    """What was worked out for a cohort, and the dealers for whom it no longer holds."""

    cohort: Cohort
    made: Any
    changed: set[str] = field(default_factory=set)

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
        self._files = _files(warehouse)
        self._grids: dict[tuple[str, str], _Kept] = {}
        self._shared: dict[str, _Kept] = {}
        self._keeping = threading.Lock()

    def renew(self, warehouse: Warehouse) -> None:
        """Go on with the warehouse as it is now.

        What was kept is forgotten when stored rows changed, when listings came in, and when new
        rows do not say whose they are.
        """
        files = _files(warehouse)
        new = files.keys() - self._files.keys()
        changed = None if self._files.keys() - files.keys() else _named({f: files[f] for f in new})
        self.warehouse, self._files = warehouse, files
        for table in {files[f] for f in new} if changed is not None else TABLES:
            self._make_table(table)
        if changed is None:
            self.forget()
        for kept in self._grids.values():
            kept.changed |= changed or set()

    def forget(self) -> None:
        """Let go of everything that was kept."""
        self._grids.clear()
        self._shared.clear()
        for view in self._made:
            kind = "TABLE" if VIEWS[view].is_kept else "VIEW"
            self.connection.execute(f"DROP {kind} {view}")
        self._made.clear()
        self._cuts.clear()

    def grids(self, view: str, measures: Sequence[Measure], cohort: Cohort) -> Grids:
        """Return one value a cohort row for each output of the measures."""
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

    def _renewed(self, known: _Kept, view: str, measures: Sequence[Measure]) -> Grids:
        cohort = known.cohort
        names = np.array(sorted(known.changed), dtype=object)
        at = np.searchsorted(cohort.dealers, names)
        dealers = at[np.append(cohort.dealers, "")[at] == names]
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
