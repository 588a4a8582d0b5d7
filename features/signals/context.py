"""What a family may ask: grids of measures over events, the cohort, its licenses, plain queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features import windows
from features.domain.asof import EVER, Window, from_day
from features.engine import Block, EmbeddedEngine

Floats = npt.NDArray[np.float64]

# SQL numbers of a listing: a code of its state, and its day.
STATE_CODE: Final = "(ascii(premises_state) * 128 + ascii(substr(premises_state, 2, 1)))"
LISTED_DAY: Final = "(listed_on - DATE '1970-01-01')"


@dataclass(frozen=True)
class Sum:
    """Count events, or sum a value over them, in each window.

    Parameters
    ----------
    name : str
        Grid name; each window's grid is ``name_window``.
    windows : tuple of Window
    where : str
        SQL condition on the view; null is false.
    value : str
        SQL number to sum, missing counts as zero; empty counts events.
    """

    name: str
    windows: tuple[Window, ...]
    where: str = "TRUE"
    value: str = ""


@dataclass(frozen=True)
class Last:
    """The last event known in the window, and some of its values.

    Gives ``name_column`` for each column, NaN where there is no event; ``name_known_on`` is
    always there (days since 1970). With `by`, a SQL number, the event for which it is highest
    instead: a listing that came in late, or was corrected, is not the newest one for that.
    """

    name: str
    window: Window
    columns: Mapping[str, str] = field(default_factory=dict)
    where: str = "TRUE"
    by: str = ""


@dataclass(frozen=True)
class Quantile:
    """Exact quantiles of whole days, 0 to 65,535, of the events in each window.

    Gives ``name_p50_window`` for level 0.5; NaN where no event is inside.
    """

    name: str
    windows: tuple[Window, ...]
    value: str
    levels: tuple[float, ...] = (0.5,)
    where: str = "TRUE"


@dataclass(frozen=True)
class Distinct:
    """How many different values occur in each window, and how they concentrate.

    Gives ``name_window``, ``name_repeated_window`` (events that share their value with another)
    and ``name_squares_window`` (sum of the squared counts); null values do not count.
    """

    name: str
    windows: tuple[Window, ...]
    value: str
    where: str = "TRUE"


Measure = Sum | Last | Quantile | Distinct


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

    @property
    def days(self) -> npt.NDArray[np.int32]:
        """As-of day of each row, shape (n_rows,)."""
        return self.as_of[self.date_index]

    @property
    def dates(self) -> list[date]:
        """The distinct as-of dates."""
        return [from_day(day) for day in self.as_of]


@runtime_checkable
class Distributed(Protocol):
    """An engine that evaluates measures where the events are."""

    def grids(
        self, view: str, measures: Sequence[Measure], cohort: Cohort
    ) -> dict[str, npt.NDArray[Any]]:
        """Return one value a cohort row for each output of the measures."""
        ...


def outputs(measures: Sequence[Measure]) -> dict[str, type]:
    """Return the names and the types of the grids that measures give."""
    return _Plan.of(measures).outputs


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
        self._by_dealer = np.argsort(cohort.dealer, kind="stable")
        n_dealers = np.int32(len(cohort.dealers))
        # Keys of the type of the array, or numpy would copy it for each search.
        self._offsets = np.searchsorted(
            cohort.dealer[self._by_dealer], np.arange(n_dealers + 1, dtype=np.int32)
        )

    @property
    def n_rows(self) -> int:
        """Number of cohort rows."""
        return len(self.cohort)

    def has(self, view: str) -> bool:
        """Whether what `view` reads was known before the first as-of date."""
        return self.engine.has(view, before=int(self.cohort.as_of[0]))

    def query(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Answer SQL over the tables in all their versions; the query must cut time itself."""
        return self.engine.query(sql, **tables)

    def rows(self, view: str, columns: Mapping[str, str]) -> Block:
        """Return every row of `view` known before the last as-of date, as one block.

        For families that walk rows with kernels of their own; it must fit in memory.
        """
        blocks = list(self._blocks(view, columns))
        start = [blocks[0].start[:1]]
        offset = 0
        for block in blocks:
            start.append(block.start[1:] + offset)
            offset += len(block.dealer)
        return Block(
            0,
            np.concatenate(start),
            np.concatenate([b.dealer + np.int32(b.first) for b in blocks]),
            np.concatenate([b.known_on for b in blocks]),
            np.concatenate([b.superseded_on for b in blocks]),
            {name: np.concatenate([b.columns[name] for b in blocks]) for name in columns},
        )

    def grids(self, view: str, measures: Sequence[Measure]) -> dict[str, npt.NDArray[Any]]:
        """Evaluate measures over the rows of `view`, in one pass.

        Returns
        -------
        dict of str to ndarray, shape (n_rows,)
            One value a cohort row: float32 for sums, quantiles and distinct counts, float64 for
            last values.
        """
        if isinstance(self.engine, Distributed):
            return self.engine.grids(view, measures, self.cohort)
        plan = _Plan.of(measures)
        out: dict[str, npt.NDArray[Any]] = {
            name: np.empty(self.n_rows, dtype=kind) for name, kind in plan.outputs.items()
        }
        for block in self._blocks(view, plan.columns):  # together they cover every row
            lo, hi = self._offsets[[block.first, block.first + block.n_dealers]]
            rows = self._by_dealer[lo:hi]
            at = (self.cohort.dealer[rows] - block.first).astype(np.int64)
            at = at * len(self.cohort.as_of) + self.cohort.date_index[rows]
            for name, grid in _evaluate(plan, block, self.cohort.as_of):
                out[name][rows] = grid.reshape(-1).take(at)
        return out

    def _blocks(self, view: str, columns: Mapping[str, str]) -> Iterator[Block]:
        last = int(self.cohort.as_of[-1])
        return self.engine.blocks(view, columns, dealers=self.cohort.dealers.tolist(), before=last)

    @cached_property
    def peers(self) -> npt.NDArray[np.int64]:
        """Code of each row's peers: license type and premises state as known last, shape (n_rows,).

        -1 for a dealer that no listing shows by then.
        """
        columns = {"type": "license_type::INTEGER", "state": STATE_CODE}
        newest = Last("listed", EVER, columns, by=LISTED_DAY)
        found = self.grids("licenses", [newest])
        code = found["listed_type"] * 128**2 + found["listed_state"]
        return np.where(np.isnan(code), -1, code).astype(np.int64)

    @property
    def peer_states(self) -> npt.NDArray[np.int64]:
        """Code of each row's premises state, -1 where unknown, shape (n_rows,)."""
        return np.where(self.peers < 0, -1, self.peers % 128**2)


@dataclass(frozen=True)
class _Plan:
    """What to read and what to compute, worked out from measures."""

    measures: tuple[Measure, ...]
    columns: dict[str, str]
    outputs: dict[str, type]
    conditions: list[str]
    values: list[str]
    windows: list[Window]

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> _Plan:
        conditions = list(dict.fromkeys(m.where for m in measures))
        if len(conditions) > 64:
            raise ValueError(f"{len(conditions)} conditions in one pass; 64 fit")
        values = list(dict.fromkeys(m.value for m in measures if isinstance(m, Sum) and m.value))
        spans = list(dict.fromkeys(w for m in measures if isinstance(m, Sum) for w in m.windows))
        bits = " | ".join(
            f"(CASE WHEN {sql} THEN {1 << bit}::UBIGINT ELSE 0::UBIGINT END)"
            for bit, sql in enumerate(conditions)
        )
        columns = {"_bits": bits}
        columns |= {f"_v{i}": f"coalesce(({v})::DOUBLE, 0)" for i, v in enumerate(values)}
        outputs: dict[str, type] = {}
        for m in measures:
            if isinstance(m, Sum):
                outputs |= {f"{m.name}_{w.name}": np.float32 for w in m.windows}
            elif isinstance(m, Last):
                columns |= {f"{m.name}_{c}": f"({sql})::DOUBLE" for c, sql in m.columns.items()}
                outputs |= {f"{m.name}_{c}": np.float64 for c in (*m.columns, "known_on")}
                if m.by:
                    columns[f"_by_{m.name}"] = f"({m.by})::DOUBLE"
            elif isinstance(m, Quantile):
                columns[f"_q_{m.name}"] = f"({m.value})::INTEGER"
                outputs |= dict.fromkeys(_quantile_names(m), np.float32)
            else:
                columns[f"_c_{m.name}"] = (
                    f"CASE WHEN ({m.where}) AND ({m.value}) IS NOT NULL THEN "
                    f"(dense_rank() OVER (PARTITION BY e.dealer ORDER BY {m.value}) - 1)::INTEGER "
                    "ELSE -1 END"
                )
                outputs |= dict.fromkeys(_distinct_names(m), np.float32)
        return cls(tuple(measures), columns, outputs, conditions, values, spans)


def _quantile_names(m: Quantile) -> list[str]:
    return [f"{m.name}_p{round(100 * q)}_{w.name}" for w in m.windows for q in m.levels]


def _distinct_names(m: Distinct) -> list[str]:
    kinds = ("", "repeated_", "squares_")
    return [f"{m.name}_{kind}{w.name}" for w in m.windows for kind in kinds]


def _evaluate(
    plan: _Plan, block: Block, as_of: npt.NDArray[np.int32]
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Run the kernels over one block; each grid has shape (n_dealers, n_as_of)."""
    enters = windows.places(as_of, block.known_on)
    leaves: dict[Window, npt.NDArray[np.int32]] = {}

    def leave(window: Window) -> npt.NDArray[np.int32]:
        if window not in leaves:
            end = windows.ends(block.known_on, block.superseded_on, window.days)
            leaves[window] = windows.places(as_of, end)
        return leaves[window]

    bits = block.columns["_bits"].astype(np.uint64)
    yield from _sum_grids(plan, block, as_of, enters, bits)
    shape = (block.n_dealers, len(as_of))
    for m in plan.measures:
        is_in = (bits >> np.uint64(plan.conditions.index(m.where))) & np.uint64(1) == 1
        if isinstance(m, Last):
            found = np.empty(shape, dtype=np.int64)
            is_in &= leave(m.window) > enters
            rank = block.columns[f"_by_{m.name}"] if m.by else np.zeros(len(is_in))
            windows.last_rows(block.start, enters, leave(m.window), is_in, rank, found)
            for name in (*m.columns, "known_on"):
                column = block.known_on if name == "known_on" else block.columns[f"{m.name}_{name}"]
                padded = np.append(column.astype(np.float64), np.nan)  # -1 takes the NaN
                yield f"{m.name}_{name}", padded[found]
        elif isinstance(m, Quantile):
            raw = block.columns[f"_q_{m.name}"]
            is_known = is_in & ~np.isnan(raw.astype(np.float64))
            days = np.where(is_known, raw, 0).astype(np.int32)
            into = np.empty((len(m.levels), *shape), dtype=np.float32)
            names = iter(_quantile_names(m))
            for window in m.windows:
                windows.quantiles(
                    block.start, enters, leave(window), is_known, days, np.array(m.levels), into
                )
                for level in range(len(m.levels)):
                    yield next(names), into[level].copy()
        elif isinstance(m, Distinct):
            code = block.columns[f"_c_{m.name}"].astype(np.int32)
            three = np.empty((3, *shape), dtype=np.float32)
            names = iter(_distinct_names(m))
            for window in m.windows:
                n_codes = int(code.max(initial=0)) + 1
                windows.distinct(block.start, enters, leave(window), code, n_codes, three)
                for grid in three:
                    yield next(names), grid.copy()


def _sum_grids(
    plan: _Plan,
    block: Block,
    as_of: npt.NDArray[np.int32],
    enters: npt.NDArray[np.int32],
    bits: npt.NDArray[np.uint64],
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    wanted = [(m, w) for m in plan.measures if isinstance(m, Sum) for w in m.windows]
    if not wanted:
        return
    spec = np.array(
        [
            (
                plan.conditions.index(m.where),
                plan.values.index(m.value) if m.value else -1,
                plan.windows.index(w),
            )
            for m, w in wanted
        ],
        dtype=np.int32,
    )
    values = [windows.quantize(block.columns[f"_v{i}"]) for i in range(len(plan.values))]
    stacked = np.stack(values) if values else np.zeros((1, len(block.dealer)))
    spans = [windows.ends(block.known_on, block.superseded_on, w.days) for w in plan.windows]
    into = np.empty((len(wanted), block.n_dealers, len(as_of)), dtype=np.float32)
    windows.sums(
        block.dealer,
        enters,
        np.stack([windows.places(as_of, end) for end in spans]),
        bits=bits,
        values=stacked,
        spec=spec,
        into=into,
    )
    for i, (m, w) in enumerate(wanted):
        yield f"{m.name}_{w.name}", into[i]
