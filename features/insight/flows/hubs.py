"""Hubs: dealers and counties by throughput, and inland hubs beside border counties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.insight.flows.tally import records
from features.reference.geography.border_distances import km_to_mexico_line
from features.reference.geography.places import counties

BORDER_KM: Final = 100.0
MIN_TIMED: Final = 5  # traces with sale and recovery known below which no share is ranked
_Z: Final = 1.959964


@dataclass(frozen=True)
class DealerHub:
    """One dealer by what passed through it. It implies no wrong."""

    dealer: str
    county: str
    state: str
    n: int
    n_short: int
    share_short: float | None
    n_international: int
    n_mexico: int


@dataclass(frozen=True)
class CountyHub:
    """One county by what its dealers sold and Mexico recovered.

    Parameters
    ----------
    county, label : str
    zone : str
        ``border`` up to 100 km from the line, else ``inland``.
    km_to_line : float or None
    n_mexico, n_short : int
        Mexican traces, and those with a short time-to-crime.
    per_100k_sales, excess : float or None
        Rate, and counted over expected of sales.
    """

    county: str
    label: str
    zone: str
    km_to_line: float | None
    n_mexico: int
    n_short: int
    per_100k_sales: float | None
    excess: float | None


def dealer_hubs(dealers: pd.DataFrame, most: int = 25) -> tuple[DealerHub, ...]:
    """Return the dealers with most traces."""
    top = dealers.head(most)
    return tuple(
        DealerHub(
            str(row["dealer"]),
            str(row["county"]),
            str(row["state"]),
            int(row["n"]),
            int(row["n_short"]),
            row["n_short"] / row["n_timed"] if row["n_timed"] else None,
            int(row["n_international"]),
            int(row["n_mexico"]),
        )
        for row in records(top)
    )


def fast_hubs(dealers: pd.DataFrame, most: int = 25) -> tuple[DealerHub, ...]:
    """Return the dealers whose traces came soonest: by the low end of the short share.

    The low end is that of the 95% interval (Wilson) of the share with a short time-to-crime among
    traces whose sale and recovery are known, so that two of two do not outrank 90 of 100.
    """
    enough = dealers[dealers["n_timed"] >= MIN_TIMED]
    n, of = enough["n_short"].to_numpy(np.float64), enough["n_timed"].to_numpy(np.float64)
    share = n / of
    middle = share + _Z**2 / (2 * of)
    spread = _Z * np.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    ranked = enough.assign(low=(middle - spread) / (1 + _Z**2 / of))
    ranked = ranked.sort_values(["low", "n", "dealer"], ascending=[False, False, True])
    return dealer_hubs(ranked, most)


def county_hubs(cells: pd.DataFrame, sales: pd.DataFrame) -> tuple[CountyHub, ...]:
    """Return the counties with Mexican traces, most first."""
    southern = cells[cells["destination"] == "mexico"]
    if southern.empty:
        return ()
    short = southern["n"].where(southern["band"] <= 2, 0)
    by = southern.assign(short=short).groupby("county")[["n", "short"]].sum()
    sold = sales.groupby("county")["sales"].sum()
    places = counties().reindex(by.index)
    km = km_to_mexico_line(places["lat"].to_numpy(float), places["lon"].to_numpy(float))
    own = sold.reindex(by.index).fillna(0.0).to_numpy(np.float64)
    expected = by["n"].sum() * own / max(float(sold.sum()), 1e-9)
    frame = by.assign(km=km, sales=own, expected=expected).reset_index()
    frame["label"] = [
        f"{name}, {state}" if isinstance(name, str) else str(code)
        for code, name, state in zip(
            frame["county"], places["county_name"], places["state"], strict=True
        )
    ]
    frame = frame.sort_values(["n", "county"], ascending=[False, True])
    return tuple(
        CountyHub(
            str(row["county"]),
            str(row["label"]),
            "border" if row["km"] <= BORDER_KM else "inland",
            None if np.isnan(row["km"]) else float(row["km"]),
            int(row["n"]),
            int(row["short"]),
            1e5 * row["n"] / row["sales"] if row["sales"] > 0 else None,
            row["n"] / row["expected"] if row["expected"] > 0 else None,
        )
        for row in records(frame)
    )
