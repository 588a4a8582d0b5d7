"""Measures over events: what a family may ask of a view, and how the kernels answer it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.arrays import Ints32
from features.domain.asof import Window
from features.engine import kernels
from features.engine.embedded import Block

Named = Iterator[tuple[str, npt.NDArray[Any]]]


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


@dataclass(frozen=True)
class DistinctSum:
    """A sum in each window over things, each counted once with the largest value of its events.

    Gives ``name_window``. What `of` tells apart are the things; an event where it is null counts
    for none. No value is taken to be below zero.
    """

    name: str
    windows: tuple[Window, ...]
    of: str
    value: str
    where: str = "TRUE"


Measure = Sum | Last | Quantile | Distinct | DistinctSum


@dataclass(frozen=True)
class Plan:
    """What to read and what to compute, worked out from measures."""

    measures: tuple[Measure, ...]
    columns: dict[str, str]
    outputs: dict[str, type]
    conditions: list[str]
    values: list[str]
    windows: list[Window]

    @property
    def longest(self) -> int:
        """Days of the longest window."""
        return max(
            w.days
            for m in self.measures
            for w in ((m.window,) if isinstance(m, Last) else m.windows)
        )

    @classmethod
    def of(cls, measures: Sequence[Measure]) -> Plan:
        """Work out what to read for `measures`."""
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
            elif isinstance(m, DistinctSum):
                columns[f"_c_{m.name}"] = _code_sql(m.of, m.where)
                columns[f"_s_{m.name}"] = f"coalesce(({m.value})::DOUBLE, 0)"
                outputs |= {f"{m.name}_{w.name}": np.float32 for w in m.windows}
            else:
                columns[f"_c_{m.name}"] = _code_sql(m.value, m.where)
                outputs |= dict.fromkeys(_distinct_names(m), np.float32)
                outputs |= {f"{m.name}_squares_{w.name}": np.float64 for w in m.windows}
        return cls(tuple(measures), columns, outputs, conditions, values, spans)


def _code_sql(value: str, where: str) -> str:
    """Return SQL that tells values apart, by their hash; 0 stands for none."""
    return (
        f"CASE WHEN ({where}) AND ({value}) IS NOT NULL "
        f"THEN greatest(hash({value}), 1::UBIGINT) ELSE 0::UBIGINT END"
    )


def _quantile_names(m: Quantile) -> list[str]:
    return [f"{m.name}_p{round(100 * q)}_{w.name}" for w in m.windows for q in m.levels]


def _distinct_names(m: Distinct) -> list[str]:
    kinds = ("", "repeated_", "squares_")
    return [f"{m.name}_{kind}{w.name}" for w in m.windows for kind in kinds]


class _Events:
    """The events of some dealers on a grid of as-of dates."""

    def __init__(self, plan: Plan, block: Block, as_of: Ints32) -> None:
        self.plan, self.block, self.as_of = plan, block, as_of
        self.bits = block.columns["_bits"]
        self.enters = kernels.places(as_of, block.known_on)
        self.shape = (block.n_dealers, len(as_of))
        self._leaves: dict[Window, Ints32] = {}

    def leaves(self, window: Window) -> Ints32:
        """Index of the first date that no longer sees each event."""
        if window not in self._leaves:
            known, superseded = self.block.known_on, self.block.superseded_on
            self._leaves[window] = kernels.leaves(self.as_of, known, superseded, window.days)
        return self._leaves[window]

    def meets(self, where: str) -> npt.NDArray[np.bool_]:
        """Whether each event meets a condition."""
        bit = np.uint64(self.plan.conditions.index(where))
        return np.asarray((self.bits >> bit) & np.uint64(1) == 1)

    def sums(self) -> Named:
        plan, block = self.plan, self.block
        wanted = [(m, w) for m in plan.measures if isinstance(m, Sum) for w in m.windows]
        if not wanted:
            return
        spec = [
            (
                plan.conditions.index(m.where),
                plan.values.index(m.value) if m.value else -1,
                plan.windows.index(w),
            )
            for m, w in wanted
        ]
        values = [kernels.quantize(block.columns[f"_v{i}"]) for i in range(len(plan.values))]
        into = np.empty((len(wanted), *self.shape), dtype=np.float32)
        kernels.sums(
            block.dealer,
            self.enters,
            np.stack([self.leaves(w) for w in plan.windows]),
            bits=self.bits,
            values=np.stack(values) if values else np.zeros((1, len(block.dealer))),
            spec=np.array(spec, dtype=np.int32),
            into=into,
        )
        for (m, w), grid in zip(wanted, into, strict=True):
            yield f"{m.name}_{w.name}", grid

    def last(self, m: Last) -> Named:
        block, leaves = self.block, self.leaves(m.window)
        is_in = self.meets(m.where) & (leaves > self.enters)
        rank = block.columns[f"_by_{m.name}"] if m.by else np.zeros(len(is_in))
        found = np.empty(self.shape, dtype=np.int64)
        kernels.last_rows(block.start, self.enters, leaves, is_in, rank, found)
        for name in (*m.columns, "known_on"):
            column = block.known_on if name == "known_on" else block.columns[f"{m.name}_{name}"]
            padded = np.append(column.astype(np.float64), np.nan)  # -1 takes the NaN
            yield f"{m.name}_{name}", padded[found]

    def quantiles(self, m: Quantile) -> Named:
        raw = self.block.columns[f"_q_{m.name}"]
        is_in = self.meets(m.where) & ~np.isnan(raw)
        days = np.where(is_in, raw, 0).astype(np.int32)
        into = np.empty((len(m.levels), *self.shape), dtype=np.float32)
        names, levels = iter(_quantile_names(m)), np.array(m.levels)
        for window in m.windows:
            leaves = self.leaves(window)
            kernels.quantiles(self.block.start, self.enters, leaves, is_in, days, levels, into)
            for grid in into:
                yield next(names), grid

    def distinct(self, m: Distinct) -> Named:
        code, n_codes = kernels.codes(self.block.start, self.block.columns[f"_c_{m.name}"])
        into = np.empty((3, *self.shape))
        names = iter(_distinct_names(m))
        for window in m.windows:
            leaves = self.leaves(window)
            kernels.distinct(self.block.start, self.enters, leaves, code, n_codes, into)
            for grid in into:
                yield next(names), grid

    def distinct_sum(self, m: DistinctSum) -> Named:
        code, n_codes = kernels.codes(self.block.start, self.block.columns[f"_c_{m.name}"])
        values = kernels.quantize(self.block.columns[f"_s_{m.name}"])
        into = np.empty(self.shape, dtype=np.float32)
        for window in m.windows:
            leaves = self.leaves(window)
            kernels.distinct_sums(
                self.block.start, self.enters, leaves, code, n_codes, values, into
            )
            yield f"{m.name}_{window.name}", into


def evaluate(plan: Plan, block: Block, as_of: Ints32) -> Named:
    """Run the kernels over one block; each grid has shape (n_dealers, n_as_of).

    A grid is good until the next one is asked for.
    """
    events = _Events(plan, block, as_of)
    yield from events.sums()
    for m in plan.measures:
        if isinstance(m, Last):
            yield from events.last(m)
        elif isinstance(m, Quantile):
            yield from events.quantiles(m)
        elif isinstance(m, Distinct):
            yield from events.distinct(m)
        elif isinstance(m, DistinctSum):
            yield from events.distinct_sum(m)
