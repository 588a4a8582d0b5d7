"""The truth of a country, written apart: what was the matter, and what was to be expected."""

from __future__ import annotations

from collections import deque
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrays import Flags
from features.domain.asof import to_day
from features.simulation.country.world import World
from features.simulation.files.columns import coded, days, table_of
from features.simulation.files.write import TRUTH, CountryWriter
from features.simulation.reports import mexico
from features.simulation.visits.findings import Chances

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
        self._writer.write("truth/mexico_coverage", _mexico_coverage(world))

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


def _mexico_coverage(world: World) -> pa.Table:
    """Return expected recoveries by Mexican state and month, and what each agency submits."""
    names, states = mexico.requesters(), mexico.states()
    months = np.repeat([to_day(when) for when, _, _ in world.mexico], 2 * len(states))
    n = len(world.mexico)
    agency = np.tile(np.concatenate([np.zeros(len(states), int), 1 + np.arange(len(states))]), n)
    state = np.tile(np.arange(len(states)), 2 * n)
    recoveries = np.concatenate([np.tile(r, 2) for _, r, _ in world.mexico])
    coverage = np.concatenate([np.concatenate(shares) for _, _, shares in world.mexico])
    schema = TRUTH["truth/mexico_coverage"]
    columns = (coded(agency, names), coded(state, states), days(months), recoveries, coverage)
    arrays = [pa.array(column).cast(f.type) for column, f in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def agencies(world: World) -> pa.Table:
    """Return who submits traces of firearms recovered in Mexico, from when on, as the table."""
    own = [s for s in mexico.states() if mexico.joined_on(s) < world.options.end]
    begins = [date(2010, 1, 1), *(mexico.joined_on(s) for s in own)]
    return table_of(
        "agencies",
        {
            "requester": ["FGR", *(f"FGE-{s[3:]}" for s in own)],
            "country": ["MX"] * len(begins),
            "state": [None, *own],
            "kind": ["federal", *["state"] * len(own)],
            "submits_from": days(np.array([to_day(day) for day in begins])),
        },
    )
