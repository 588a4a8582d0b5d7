"""A simulated country that goes on: months pass, visits are ordered, increments become known.

`simulate` writes a whole history at once. Here the country stops whenever somebody has to decide
whom to visit, and goes on with the visits that were ordered. Facts come out when they are known: a
visit when it has closed, a trace when it was completed, so that an increment holds no future.
"""

from __future__ import annotations

import copy
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.arrays import Flags, Floats
from features.simulation.country.options import Options
from features.simulation.country.world import World, make_world
from features.simulation.files.dirt import DirtBook
from features.simulation.simulate import live_month
from features.simulation.visits.inspections import Inspectorate
from features.simulation.visits.orders import Orders

# The day on which a row is known, by table: the first column that is there.
_KNOWN: Final = {
    "licenses": ("listed_on",),
    "traces": ("completed_on", "requested_on"),
    "inspections": ("closed_on",),
    "multiple_sales": ("reported_on",),
    "thefts_losses": ("reported_on",),
    "seizures": ("reported_on",),
    "ballistic_leads": ("lead_on",),
    "tips": ("received_on",),
    "holds": ("starts_on",),
}
_TRACE_DAYS: Final = 14  # until an uncompleted trace is known
_MONTHLY: Final = ("sales_volume", "denials")


class Ongoing:
    """A country between two months.

    Parameters
    ----------
    options : Options
        Its length is all the months that may ever pass.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.world: World = make_world(options)
        self.office = Inspectorate(self.world)
        self.month = 0
        self._book = DirtBook()
        self._waiting: dict[str, list[pa.Table]] = {}

    def fork(self) -> Ongoing:
        """Return another country that is the same until now."""
        return copy.deepcopy(self)

    @property
    def today(self) -> date:
        """First day of the month that comes next."""
        return self.options.month(self.month)

    @property
    def eligible(self) -> Flags:
        """Who may be visited in the month that comes next, shape (n,)."""
        return self.office.eligible(self.world, self.month)

    def chances(self) -> Floats:
        """Return each dealer's chance of a severe finding in the month that was last, (n,)."""
        return self.office.chances(self.world, max(self.month - 1, 0))

    def write(self, name: str, table: pa.Table) -> None:
        """Take rows of a month; they wait until they are known."""
        if not name.startswith("truth/") and len(table):
            self._waiting.setdefault(name, []).append(table)

    def live(self, orders: Orders | None = None) -> None:
        """Let a month pass.

        Parameters
        ----------
        orders : Orders, optional
            The visits of the month; by default the offices choose.
        """
        live_month(self.world, self.month, (self, self.office, None, self._book), orders)
        self.month += 1

    def known(self) -> dict[str, pa.Table]:
        """Return the rows that have become known since they were last asked for."""
        out: dict[str, pa.Table] = {}
        closed = self._split("inspections", out)
        for name in [*self._waiting]:
            if name == "violations":
                continue
            if name != "inspections":
                self._split(name, out)
        if "violations" in self._waiting:
            rows = pa.concat_tables(self._waiting["violations"])
            told = pc.is_in(rows["inspection_id"], closed)
            self._keep("violations", rows, told, out)
        return out

    def save(self, folder: Path) -> Path:
        """Write what has become known as canonical files into a new folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in self.known().items():
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
        return folder

    def _split(self, name: str, out: dict[str, pa.Table]) -> pa.Array:
        """Move the known rows of a table into `out`; return the ids of inspections among them."""
        if name not in self._waiting:
            return pa.array([], pa.string())
        rows = pa.concat_tables(self._waiting[name])
        today = pa.scalar(self.today, pa.date32())
        if name in _MONTHLY:
            # A month is counted on the first day of the month after next.
            last = pa.scalar(_before(self.today, 2), pa.date32())
            is_known = pc.less_equal(rows["month"], last)
        else:
            first, *others = _KNOWN[name]
            is_known = pc.less(rows[first], today)
            for other in others:
                waited = pa.scalar(self.today - timedelta(days=_TRACE_DAYS), pa.date32())
                late = pc.less(rows[other], waited)
                is_known = pc.if_else(pc.is_null(rows[first]), late, is_known)
        is_known = pc.fill_null(is_known, False)
        self._keep(name, rows, is_known, out)
        return out[name]["inspection_id"] if name == "inspections" else pa.array([], pa.string())

    def _keep(
        self, name: str, rows: pa.Table, is_known: pa.ChunkedArray, out: dict[str, pa.Table]
    ) -> None:
        out[name] = rows.filter(is_known)
        self._waiting[name] = [rows.filter(pc.invert(is_known))]


def _before(day: date, months: int) -> date:
    """Return the first day of the month so many months before."""
    whole = day.year * 12 + day.month - 1 - months
    return date(whole // 12, whole % 12 + 1, 1)
