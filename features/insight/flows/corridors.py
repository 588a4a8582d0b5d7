"""Corridors: from a source area to a market, by count, rate and excess over expected.

Expected is what a market would draw from an area if it drew on all areas by their sales, and by how
completely they are traced (`features.insight.flows.tracing`): the market's traces times the area's
share of background checks, each weighed by its tracing. Beside it stands what sales alone would
bring, with the 95% interval of a Poisson rate (Jeffreys). Where the market is a Mexican state, a
range for what full submission would have shown stands beside the count
(`features.signals.shared.coverage`). Distance is no part of it: that a corridor is short does not
make it stand out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.insight.flows.tally import records
from features.insight.flows.tracing import Tracing
from features.signals.shared.coverage import Coverage

_LEVEL: Final = 0.95
_Z: Final = 1.645
MIN_COUNT: Final = 5  # traces below which a corridor is not ranked by excess


@dataclass(frozen=True)
class Corridor:
    """One corridor.

    Parameters
    ----------
    source, market : str
        Area of the dealers, and state or country of recovery.
    destination, course : str
        Group of the country, and ``intrastate``, ``interstate`` or ``international``.
    n, n_short, n_complete : int
        Traces, those with a short time-to-crime, those whose sale and recovery are known.
    per_100k_sales : float or None
    expected, excess, low, high : float or None
        Expected of sales, counted over expected, and its 95% interval.
    adjusted_low, adjusted_high : float or None
        Range under full submission, of Mexican states whose coverage is told.
    status : str
        ``complete`` when sale and place are known for all, else ``partial``.
    traced_expected, traced_excess, traced_low, traced_high : float or None
        Expected of sales and of how completely the source is traced, counted over that, and its
        95% interval; None within the source's own state, where nothing tells the two apart.
    """

    source: str
    market: str
    destination: str
    course: str
    n: int
    n_short: int
    n_complete: int
    per_100k_sales: float | None
    expected: float | None
    excess: float | None
    low: float | None
    high: float | None
    adjusted_low: float | None
    adjusted_high: float | None
    status: str
    traced_expected: float | None = None
    traced_excess: float | None = None
    traced_low: float | None = None
    traced_high: float | None = None

    def without_tracing(self) -> Corridor:
        """Return it for somebody who is not told how completely the source is traced."""
        return replace(
            self, traced_expected=None, traced_excess=None, traced_low=None, traced_high=None
        )


def corridors(
    cells: pd.DataFrame, sales: pd.DataFrame, *, by: str = "state", coverage: Coverage | None = None
) -> tuple[Corridor, ...]:
    """Return the corridors, those that stand out most by the low end of their excess first.

    By that given sales and tracing where it is told, else by that given sales.

    Parameters
    ----------
    cells : DataFrame
        All traces of the country, as `Tally.cells` gives them: expectations need the whole.
    sales : DataFrame
        As `Tally.sales` gives them.
    by : {"state", "county"}
        What a source is.
    coverage : Coverage, optional
        Of the Mexican states.
    """
    if cells.empty:
        return ()
    short = cells["n"].where(cells["band"] <= 2, 0)
    grouped = (
        cells.assign(n_short=short)
        .groupby([by, "state", "market", "destination"] if by != "state" else
                 ["state", "market", "destination"], as_index=False)[["n", "n_short", "n_complete"]]
        .sum()
    )  # fmt: skip
    sold = sales.groupby(by)["sales"].sum()
    drawn = grouped.groupby("market")["n"].transform("sum")
    own = grouped[by].map(sold).fillna(0.0).to_numpy(np.float64)
    expected = drawn.to_numpy(np.float64) * own / max(float(sold.sum()), 1e-9)
    n = grouped["n"].to_numpy(np.float64)
    low, high = rate_range(n)
    share = _shares(grouped["market"], coverage)
    tracing = Tracing.of(cells, sales, by)
    traced, ends = tracing.expected(grouped, by), tracing.excess_range(n, grouped[by])
    frame = grouped.assign(
        sales=own, expected=expected, low=_over(low, expected), high=_over(high, expected),
        excess=_over(n, expected), adjusted_low=n / share[1], adjusted_high=n / share[0],
        traced_expected=traced, traced_excess=_over(n, traced),
        traced_low=_over(ends[0], traced), traced_high=_over(ends[1], traced),
    )  # fmt: skip
    frame["rank"] = np.where(n >= MIN_COUNT, frame["traced_low"].fillna(frame["low"]), -1.0)
    frame = frame.sort_values(["rank", "n", by, "market"], ascending=[False, False, True, True])
    return tuple(_corridor(row, by) for row in records(frame))


def rate_range(n: Floats) -> tuple[Floats, Floats]:
    """Return the 95% interval of Poisson means from counts, shape (n,) each."""
    from scipy import stats  # slow to import

    tail = (1 - _LEVEL) / 2
    low = np.where(n > 0, stats.gamma.ppf(tail, n + 0.5), 0.0)
    return low, stats.gamma.ppf(1 - tail, n + 0.5)


def _over(above: Floats, below: Floats) -> Floats:
    out = np.full(len(below), np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _shares(market: pd.Series, coverage: Coverage | None) -> tuple[Floats, Floats]:
    """Low and high coverage of each market over the span, NaN where none is told."""
    none = np.full(len(market), np.nan)
    if coverage is None:
        return none, none
    told = coverage.expected[:, coverage.is_settled].sum(axis=1)
    n = coverage.n[:, coverage.is_settled].sum(axis=1)
    share = np.divide(n, told, out=np.full(len(n), np.nan), where=told > 0)
    is_known = np.isin(coverage.basis, ("measured", "pooled"))
    wide = np.exp(_Z * coverage.spread)
    low = dict(zip(coverage.states, np.where(is_known, np.clip(share / wide, 0.02, 1), np.nan),
                   strict=True))  # fmt: skip
    high = dict(zip(coverage.states, np.where(is_known, np.clip(share * wide, 0.02, 1), np.nan),
                    strict=True))  # fmt: skip
    return market.map(low).to_numpy(np.float64), market.map(high).to_numpy(np.float64)


def _corridor(row: dict[str, object], by: str) -> Corridor:
    def number(name: str) -> float | None:
        value = float(row[name])  # type: ignore[arg-type]
        return value if np.isfinite(value) else None

    n, complete, sales = int(row["n"]), int(row["n_complete"]), float(row["sales"])  # type: ignore[call-overload,arg-type]
    return Corridor(
        source=str(row[by]),
        market=str(row["market"]),
        destination=str(row["destination"]),
        course=course_of(str(row["state"]), str(row["market"]), str(row["destination"])),
        n=n,
        n_short=int(row["n_short"]),  # type: ignore[call-overload]
        n_complete=complete,
        per_100k_sales=1e5 * n / sales if sales > 0 else None,
        expected=number("expected"),
        excess=number("excess"),
        low=number("low"),
        high=number("high"),
        adjusted_low=number("adjusted_low"),
        adjusted_high=number("adjusted_high"),
        status="complete" if complete == n else "partial",
        traced_expected=number("traced_expected"),
        traced_excess=number("traced_excess"),
        traced_low=number("traced_low"),
        traced_high=number("traced_high"),
    )


def course_of(state: str, market: str, destination: str) -> str:
    """Return the word of the published assessment for a flow.

    >>> course_of("TX", "TX", "domestic"), course_of("TX", "MX-TAM", "mexico")
    ('intrastate', 'international')
    """
    if destination != "domestic":
        return "international"
    return "intrastate" if state == market else "interstate"
