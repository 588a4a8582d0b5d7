"""Yearly figures of the country and the seasons of its sales, read from data."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.openjson import Json
from features.reference import files
from features.reference.geography.places import states

TYPES: Final = ("01", "02", "06", "07", "08", "09", "10", "11")
# No later year of the series is complete.
_LAST_FULL_YEAR: Final = 2022


@lru_cache(maxsize=1)
def _figures() -> Json:
    path = Path(__file__).parent / "national.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def figure(name: str, year: float) -> float:
    """Return a yearly figure, interpolated between the years given and held beyond them."""
    entry = _figures()[name]
    years = np.array([float(y) for y in entry])
    return float(np.interp(year, years, np.array([float(v) for v in entry.values()])))


def fiscal_year(month: date) -> int:
    """Return the fiscal year of a month: October opens the next one."""
    return month.year + (month.month >= 10)


def type_shares(year: float) -> Floats:
    """Return the share of each license type of `TYPES` in a year, summing to one."""
    table = _figures()["types"]
    years = np.array([float(y) for y in table])
    rows = np.array([[float(entry[t]) for t in TYPES] for entry in table.values()])
    shares = np.array([np.interp(year, years, column) for column in rows.T])
    return np.asarray(shares / shares.sum(), dtype=np.float64)


@lru_cache(maxsize=1)
def _checks() -> pd.DataFrame:
    table = files.read_table("background_checks")
    when = pd.to_datetime(table["month"])
    sold = table[["handgun", "long_gun"]].fillna(0).astype("float64").sum(axis=1)
    code = table["state"].map(states().set_index("name")["state"])
    return pd.DataFrame({"state": code, "year": when.dt.year, "month": when.dt.month, "n": sold})


@lru_cache(maxsize=1)
def seasons() -> pd.DataFrame:
    """Sales of each calendar month over the mean month, by state (index) and month 1 to 12."""
    recent = _checks()
    recent = recent[recent["year"].between(2014, 2019) & recent["state"].notna()]
    table = recent.pivot_table(index="state", columns="month", values="n", aggfunc="sum")
    mean = table.mean(axis=1)
    return table.div(mean.where(mean > 0), axis=0).fillna(1.0).clip(0.4, 2.5)


def sales_level(year: int) -> float:
    """Return the background checks of a year over those of 2019."""
    total = _checks().groupby("year")["n"].sum()
    return float(total[min(max(year, 1999), _LAST_FULL_YEAR)] / total[2019])
