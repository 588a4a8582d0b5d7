"""The truth of a country, written apart: what was the matter, and what was to be expected."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.simulation.columns import coded, days
from features.simulation.findings import Chances
from features.simulation.world import World
from features.simulation.write import TRUTH, CountryWriter

Flags = npt.NDArray[np.bool_]
_HORIZON = 12


class TruthBook:
    """Holds each month back until the twelve months after it are known.

    The expected numbers of the last year reach beyond the history: there, the months that follow
    are taken to be like the last one.

    Parameters
    ----------
    writer : CountryWriter
        Where the truth goes.
    """

    def __init__(self, writer: CountryWriter) -> None:
        self._writer = writer
        self._waiting: deque[tuple[int, dict[str, npt.NDArray[np.generic]]]] = deque()

    def add(self, world: World, month: int, chances: Chances, eligible: Flags) -> None:
        """Note a month; write the one twelve months ago."""
        rows = np.flatnonzero(world.dealers.is_active(month))
        self._waiting.append(
            (
                month,
                {
                    "row": rows,
                    "p_severe": chances.severe[rows].astype(np.float32),
                    "p_any": chances.any[rows].astype(np.float32),
                    "care": world.dealers.care[rows].astype(np.float32),
                    "diversion": world.dealers.diversion[rows].astype(np.float32),
                    "is_eligible": eligible[rows],
                },
            )
        )
        if len(self._waiting) > _HORIZON:
            self._write(world)

    def close(self, world: World) -> None:
        """Write the months that are left."""
        while self._waiting:
            self._write(world)

    def _write(self, world: World) -> None:
        month, noted = self._waiting.popleft()
        rows = noted.pop("row")
        last = world.options.n_months
        beyond = max(0, month + _HORIZON - last)
        expected = {}
        for name, rate in (
            ("expected_diverted_12m", world.rate_short),
            ("expected_mexico_12m", world.rate_mexico),
        ):
            ahead = rate[rows, month : min(month + _HORIZON, last)].sum(axis=1)
            expected[name] = ahead + beyond * rate[rows, last - 1]
        columns = {
            "dealer": coded(rows, world.dealers.keys),
            "as_of": days(np.full(len(rows), world.first_day(month))),
            **noted,
            **expected,
        }
        schema = TRUTH["truth/dealer_month"]
        arrays = [pa.array(columns[f.name]).cast(f.type) for f in schema]
        self._writer.write("truth/dealer_month", pa.table(arrays, schema=schema))
