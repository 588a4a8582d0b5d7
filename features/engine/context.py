"""What a family may ask: grids of measures over events, the cohort, its licenses, plain queries."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.domain.asof import EVER, from_day, number_sql
from features.engine import kernels
from features.engine.embedded import Block, EmbeddedEngine
from features.engine.evaluation import evaluate
from features.engine.measures import Distinct, DistinctSum, Last, Measure, Plan, Quantile, Sum
from features.engine.views import STATE_CODE
from features.reference.geography.areas import area_sql

__all__ = [
    "LISTED_DAY",
    "Cohort",
    "Context",
    "Distinct",
    "DistinctSum",
    "Gathered",
    "Last",
    "Measure",
    "OwnGrids",
    "Quantile",
    "Sum",
    "outputs",
]

Shared = TypeVar("Shared")

# SQL number of a listing: its day.
LISTED_DAY: Final = number_sql("listed_on")


@dataclass(frozen=True)
class Cohort:
    """The (dealer, as-of) pairs to describe, sorted by as-of, then dealer.

    Parameters
    ----------
    dealers : ndarray of str, shape (n_dealers,)
        Distinct dealers, ascending.
    as_of : ndarray of int32, shape (n_as_of,)
        Distinct as-of days since 1970, ascending.
    dealer, date_index : ndarray of int32, shape (n_rows,)
        Index into `dealers` and into `as_of` of each row.
    """

    dealers: npt.NDArray[np.object_]
    as_of: npt.NDArray[np.int32]
    dealer: npt.NDArray[np.int32]
    date_index: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.dealer)

    def part(self, rows: slice) -> Cohort:
        """Return some consecutive rows as a cohort of their own."""
        dealers, dealer = np.unique(self.dealer[rows], return_inverse=True)
        dates, index = np.unique(self.date_index[rows], return_inverse=True)
        return Cohort(
            self.dealers[dealers],
            self.as_of[dates],
            dealer.astype(np.int32),
            index.astype(np.int32),
        )

    def of(self, rows: npt.NDArray[np.int64]) -> Cohort:
        """Return some rows, ascending, with their dealers alone and all the dates."""
        dealers, dealer = np.unique(self.dealer[rows], return_inverse=True)
        return Cohort(
            self.dealers[dealers], self.as_of, dealer.astype(np.int32), self.date_index[rows]
        )

    @property
    def days(self) -> npt.NDArray[np.int32]:
        """As-of day of each row, shape (n_rows,)."""
        return self.as_of[self.date_index]

    @property
    def dates(self) -> list[date]:
        """The distinct as-of dates."""
        return [from_day(day) for day in self.as_of]


def places_among(dealers: npt.NDArray[np.object_], named: Iterable[str]) -> npt.NDArray[np.int64]:
    """Return where some dealers stand among `dealers`, ascending; without those that do not."""
    names = np.array(sorted(set(named)), dtype=object)
    at = np.searchsorted(dealers, names)
    at, names = at[at < len(dealers)], names[at < len(dealers)]
    found: npt.NDArray[np.int64] = at[dealers[at] == names]
    return found


@runtime_checkable
class OwnGrids(Protocol):
    """An engine that has its own way to the grids: where the events are, or from what it kept."""

    def grids(
        self, view: str, measures: Sequence[Measure], cohort: Cohort
    ) -> dict[str, npt.NDArray[Any]]:
        """Return one value a cohort row for each output of the measures."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """An engine that keeps what new rows do not change."""

    def keep(self, name: str, cohort: Cohort, make: Callable[[], Any]) -> Any:
        """Return what was kept under a name for this cohort, which rests on listings alone."""
        ...

    def keep_cohort(self, dates: tuple[date, ...], make: Callable[[], Cohort]) -> Cohort:
        """Return the cohort that was kept of some dates."""
        ...

    def keep_family(self, name: str, cohort: Cohort, make: Callable[[], Any]) -> Any:
        """Return what was kept of a family, else make it."""
        ...

    def noted(self, make: Callable[[], Shared]) -> tuple[Shared, frozenset[str]]:
        """Make something and say which tables were read for it."""
        ...

    def note(self, tables: Iterable[str]) -> None:
        """Say that tables were read for what is being made."""
        ...

    def gather(
        self, gathered: Gathered, cohort: Cohort, tables: Mapping[str, pa.Table]
    ) -> pa.Table:
        """Answer a query, from what was answered before as far as new rows allow."""
        ...

    def keep_made(
        self, name: str, cohort: Cohort, parts: tuple[object, ...], make: Callable[[], Any]
    ) -> Any:
        """Return what was made of these very parts, else make it."""
        ...


@dataclass(frozen=True)
class Gathered:
    """A query whose answer an engine may keep while rows come in.

    Parameters
    ----------
    sql : str
    reads : mapping of str to str
        The tables whose new rows may change the answer, and the condition on them to do so.
    is_additive : bool
        Whether the answer is that of all rows for those before and for the new ones, one after the
        other, in any order; only of a query that reads one table.
    """

    sql: str
    reads: Mapping[str, str]
    is_additive: bool = True


def outputs(measures: Sequence[Measure]) -> dict[str, type]:
    """Return the names and the types of the grids that measures give."""
    return Plan.of(measures).outputs


class Context:
    """One build: the cohort, the engine and what families share.

    Parameters
    ----------
    cohort : Cohort
    engine : EmbeddedEngine or compatible
    """

    def __init__(self, cohort: Cohort, engine: EmbeddedEngine) -> None:
        self.cohort = cohort
        self.engine = engine
        self._shared: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._starts = np.searchsorted(
            cohort.date_index, np.arange(len(cohort.as_of) + 1, dtype=np.int32)
        )

    @property
    def n_rows(self) -> int:
        """Number of cohort rows."""
        return len(self.cohort)

    def has(self, view: str) -> bool:
        """Whether what `view` reads was known before the first as-of date."""
        return self.engine.has(view, before=int(self.cohort.as_of[0]))

    def once(
        self, name: str, make: Callable[[], Shared], *, is_of_listings: bool = False
    ) -> Shared:
        """Return what families share under a name; the first that asks makes it.

        What is made of the listings alone an engine may keep from one build to the next.
        """
        engine, nothing = self.engine, frozenset[str]()
        with self._locks.setdefault(name, threading.RLock()):
            if name not in self._shared:
                if not isinstance(engine, Keeping):
                    self._shared[name] = (make(), nothing)
                elif is_of_listings:
                    self._shared[name] = (engine.keep(name, self.cohort, make), nothing)
                else:
                    self._shared[name] = engine.noted(make)
            shared, reads = self._shared[name]
            if isinstance(engine, Keeping):
                engine.note(reads)
            return shared  # type: ignore[no-any-return]

    def family(self, name: str, make: Callable[[], Shared]) -> Shared:
        """Return what a family is made of, which an engine may keep as long as it still holds."""
        if isinstance(self.engine, Keeping):
            kept: Shared = self.engine.keep_family(name, self.cohort, make)
            return kept
        return make()

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer SQL over the tables in all their versions; the query must cut time itself."""
        return self.engine.query(sql, **tables)

    def gather(self, gathered: Gathered, **tables: pa.Table) -> pa.Table:
        """Answer a query as `query` does; rows come in any order, and one may come in parts."""
        if isinstance(self.engine, Keeping):
            return self.engine.gather(gathered, self.cohort, tables)
        return self.query(gathered.sql, **tables)

    def made_of(self, name: str, parts: tuple[object, ...], make: Callable[[], Shared]) -> Shared:
        """Return what is made of the cohort and of some parts alone.

        An engine may keep it as long as they are the very same objects: of what `gather` answers,
        until a new row matters.
        """
        if isinstance(self.engine, Keeping):
            kept: Shared = self.engine.keep_made(name, self.cohort, parts, make)
            return kept
        return make()

    def grids(self, view: str, measures: Sequence[Measure]) -> dict[str, npt.NDArray[Any]]:
        """Evaluate measures over the rows of `view`, in one pass.

        Returns
        -------
        dict of str to ndarray, shape (n_rows,)
            One value a cohort row: float32 for sums, quantiles and distinct counts, float64 for
            last values.
        """
        if isinstance(self.engine, OwnGrids):
            return self.engine.grids(view, measures, self.cohort)
        return self.evaluate(view, measures)

    def evaluate(self, view: str, measures: Sequence[Measure]) -> dict[str, npt.NDArray[Any]]:
        """Evaluate measures as `grids` does, in this process and out of the files."""
        plan = Plan.of(measures)
        out: dict[str, npt.NDArray[Any]] = {
            name: np.empty(self.n_rows, dtype=kind) for name, kind in plan.outputs.items()
        }

        def answer(part: Block) -> None:
            span = (part.first, part.first + part.n_dealers)
            for name, grid in evaluate(plan, part, self.cohort.as_of):
                kernels.put(grid, span, self._starts, self.cohort.dealer, out[name])

        if len(self.cohort.dealers) <= self.engine.dealers_per_block:  # one part: no threads
            for block in self._blocks(view, plan):
                answer(block)
            return out
        # The kernels let go of the interpreter, and no two parts share a row.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for block in self._blocks(view, plan):  # together they cover every row
                list(pool.map(answer, block.parts(self.engine.dealers_per_block)))
        return out

    def _blocks(self, view: str, plan: Plan) -> Iterator[Block]:
        first, last = int(self.cohort.as_of[0]), int(self.cohort.as_of[-1])
        return self.engine.blocks(
            view,
            plan.columns,
            dealers=self.cohort.dealers,
            days=range(first - plan.longest, last),  # before it no window reaches
            in_order=any(isinstance(m, Last) for m in plan.measures),
        )

    @property
    def listed(self) -> dict[str, npt.NDArray[Any]]:
        """``listed_type``, ``listed_state`` and ``listed_county`` of each row's newest listing."""
        columns = {
            "type": "license_type::INTEGER",
            "state": STATE_CODE,
            "county": f"({area_sql('county_fips', 'premises_zip')})::INTEGER",
        }
        newest = Last("listed", EVER, columns, by=LISTED_DAY)
        return self.once("listed", lambda: self.grids("licenses", [newest]), is_of_listings=True)

    @cached_property
    def peers(self) -> npt.NDArray[np.int64]:
        """Code of each row's peers: license type and premises state as known last, shape (n_rows,).

        -1 for a dealer that no listing shows by then.
        """
        code = self.listed["listed_type"] * 128**2 + self.listed["listed_state"]
        return np.where(np.isnan(code), -1, code).astype(np.int64)

    @property
    def peer_states(self) -> npt.NDArray[np.int64]:
        """Code of each row's premises state, -1 where unknown, shape (n_rows,)."""
        return np.where(self.peers < 0, -1, self.peers % 128**2)
