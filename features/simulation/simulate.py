"""A country from options to files: month after month, each table a row group at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.openjson import Json
from features.reference.legal.short_time_to_crime import is_short
from features.simulation.country import licenses
from features.simulation.country.options import Options
from features.simulation.country.truth import TruthBook, agencies
from features.simulation.country.world import World, begin_month, make_world
from features.simulation.files.dirt import DirtBook
from features.simulation.files.write import CountryWriter
from features.simulation.reports import events, reports, trace_rows, traces
from features.simulation.visits import findings
from features.simulation.visits.inspections import Inspectorate
from features.simulation.visits.orders import Orders

LISTED_EVERY = 3  # months


class Sink(Protocol):
    """Takes rows of a table."""

    def write(self, name: str, table: pa.Table) -> None:
        """Take rows."""


@dataclass(frozen=True)
class Simulated:
    """A country that was written.

    Parameters
    ----------
    out : Path
        Its folder.
    options : Options
        What it was made from.
    n_rows : dict of str to int
        Rows of each table.
    seconds : float
        How long it took.
    """

    out: Path
    options: Options
    n_rows: dict[str, int]
    seconds: float

    def as_dict(self) -> Json:
        """Return what was made, for JSON."""
        return {"out": str(self.out), "rows": self.n_rows, "seconds": round(self.seconds, 2)}

    def sentence(self) -> str:
        """Say what was made."""
        return (
            f"Simulated {self.options.dealers:,} dealers over {self.options.years} years: "
            f"{sum(self.n_rows.values()):,} rows in {self.seconds:.1f} s, in {self.out}"
        )


def simulate(
    options: Options, out: Path, *, progress: Callable[[str], None] | None = None
) -> Simulated:
    """Simulate a country and write it to a folder that must not hold anything yet.

    Parameters
    ----------
    options : Options
        Size, length, seed and policy.
    out : Path
        Receives ``TABLE.parquet`` for each table of the contract, and ``truth/``. It appears when
        everything is written, or not at all.
    progress : callable, optional
        Told what is being done.

    Raises
    ------
    InvalidValueError
        When `out` holds something already.
    """
    start = time.perf_counter()
    with CountryWriter(out) as writer:
        world = make_world(options)
        office, truth, book = Inspectorate(world), TruthBook(writer), DirtBook()
        for month in range(options.n_months):
            if progress and month % 6 == 0:
                progress(f"simulating {options.month(month):%Y-%m}")
            live_month(world, month, (writer, office, truth, book))
        truth.close(world)
        writer.write("agencies", agencies(world))
        writer.write("licenses", licenses.listing(options, world.dealers, options.n_months, book))
        writer.write("truth/dirt", book.take())
    return Simulated(out, options, writer.n_rows, time.perf_counter() - start)


def live_month(
    world: World,
    month: int,
    books: tuple[Sink, Inspectorate, TruthBook | None, DirtBook],
    orders: Orders | None = None,
) -> None:
    """Let a month pass and write its rows.

    Parameters
    ----------
    books : tuple
        Where rows go, the offices, the truth and the dirt.
    orders : Orders, optional
        The visits of the month; by default the offices choose.
    """
    writer, office, truth, book = books
    rng = world.options.generator(9, month)
    begin_month(world, month)
    if month % LISTED_EVERY == 0:
        writer.write("licenses", licenses.listing(world.options, world.dealers, month, book))
    sales, denials = reports.sales_tables(world, month, rng)
    writer.write("sales_volume", sales)
    writer.write("denials", denials)
    writer.write("multiple_sales", reports.multiple_sales(world, month, rng))
    writer.write("thefts_losses", reports.losses(world, month, rng, book))
    _traces(world, month, (writer, book))
    writer.write("tips", events.tips(world, office, month, rng))
    writer.write("holds", events.holds(world, month, rng))
    value = findings.burden(world, month)
    eligible = office.eligible(world, month)
    if truth is not None:
        truth.add(world, month, findings.chances(world, value), eligible)
    visits, violations = office.month(world, month, value, eligible, orders)
    writer.write("inspections", visits)
    writer.write("violations", violations)
    writer.write("truth/dirt", book.take())


def _traces(world: World, month: int, books: tuple[Sink, DirtBook]) -> None:
    writer, book = books
    rng = world.options.generator(10, month)
    drawn = traces.draw_month(world, month, rng)
    rows = trace_rows.make_rows(world, drawn, month, rng)
    _count_short(world, rows)
    writer.write("seizures", events.seizures(world, rows, month, rng))
    writer.write("ballistic_leads", events.ballistic_leads(world, rows, month, rng))
    soiled = trace_rows.soil(world, rows, rng, book)
    keys = pa.array(np.concatenate([world.dealers.keys, world.departed_keys]), pa.string())
    keys = pa.concat_arrays([keys, pc.utf8_slice_codeunits(keys, 0, 9)])
    writer.write("traces", trace_rows.traces_table(world, soiled, keys=keys))


def _count_short(world: World, rows: trace_rows.Rows) -> None:
    """Count traces at three years or less by the month in which they become known."""
    lag = rows.recovered - rows.sold
    n = len(world.dealers)
    soon = rows.has_sale & is_short(lag) & (rows.dealer >= 0) & (rows.dealer < n)
    dealer = rows.dealer[soon]
    known = ((rows.completed[soon] - world.first_day(0)) / 30.4375).astype(np.int64)
    np.add.at(world.seen_short, (dealer, np.minimum(known, world.seen_short.shape[1] - 1)), 1)
