"""How the kernels answer measures over the events of some dealers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from features.arrays import Ints32
from features.domain.asof import Window
from features.engine import kernels
from features.engine.embedded import Block
from features.engine.measures import (
    Distinct,
    DistinctSum,
    Last,
    Plan,
    Quantile,
    Sum,
    distinct_names,
    quantile_names,
)

Named = Iterator[tuple[str, npt.NDArray[Any]]]


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
        names, levels = iter(quantile_names(m)), np.array(m.levels)
        for window in m.windows:
            leaves = self.leaves(window)
            kernels.quantiles(self.block.start, self.enters, leaves, is_in, days, levels, into)
            for grid in into:
                yield next(names), grid

    def distinct(self, m: Distinct) -> Named:
        code, n_codes = kernels.codes(self.block.start, self.block.columns[f"_c_{m.name}"])
        into = np.empty((3, *self.shape))
        names = iter(distinct_names(m))
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
