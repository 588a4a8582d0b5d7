"""Invented inspection labels: a firearms table of many signals, and an inspectorate's open data."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

SHARE_POSITIVE = 0.04

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


def inspections(n: int, *, seed: int, n_signals: int = 130) -> tuple[pd.DataFrame, Ints]:
    """Correlated long-tailed counts and gapped shares; smooth effects and two interactions."""
    rng = np.random.default_rng(seed)
    n_counts = n_signals // 2
    hidden = rng.normal(size=(n, 6))
    parent = rng.integers(0, 6, n_signals)
    level = 0.8 * hidden[:, parent[:n_counts]] + rng.normal(-0.5, 1.0, n_counts)
    counts = rng.poisson(np.exp(level + 0.5 * rng.normal(size=level.shape))).astype(float)
    noise = rng.normal(size=(n, n_signals - n_counts))
    shares = 1.0 / (1.0 + np.exp(-0.7 * hidden[:, parent[n_counts:]] - noise))
    shares[rng.random(shares.shape) < 0.15] = np.nan
    known = np.nan_to_num(shares, nan=0.5)
    margin = sum(
        weight * np.log1p(counts[:, j]) for j, weight in enumerate((0.9, 0.6, 0.5, 0.4, 0.3))
    )
    margin += 2.0 * known[:, 0] + 1.2 * known[:, 1]
    margin += 0.9 * (counts[:, 5] > 2) * (known[:, 2] > 0.6) + 0.7 * (hidden[:, 0] > 1)
    y = rng.random(n) < logistic(margin + level_for(margin, SHARE_POSITIVE))
    columns = [f"signal_{j}" for j in range(n_signals)]
    frame = pd.DataFrame(np.hstack([counts, shares]).astype(np.float32), columns=columns)
    return frame, y.astype(np.int64)


def known_probabilities(n: int, *, seed: int) -> tuple[pd.DataFrame, Ints, Floats]:
    """Rows whose columns tell their probability in full: counts, shares, a kind and a region."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, 3))
    counts = rng.poisson(np.exp(0.8 * np.repeat(hidden, 2, axis=1) - 0.3)).astype(float)
    shares = logistic(0.7 * hidden + rng.normal(size=(n, 3)))
    kind = rng.choice(["dealer", "pawnbroker", "maker"], n, p=[0.6, 0.25, 0.15])
    region = rng.choice(["north", "south", "east", "west"], n)
    margin = (
        -3.2
        + 0.6 * np.log1p(counts[:, 0])
        + 0.4 * np.log1p(counts[:, 1])
        + 1.5 * shares[:, 0]
        + 0.5 * (counts[:, 2] > 1) * (shares[:, 1] > 0.6)
        + 0.5 * (kind == "pawnbroker")
        + 0.3 * (region == "south")
    )
    p = logistic(margin)
    columns = [f"count_{j}" for j in range(6)] + [f"share_{j}" for j in range(3)]
    frame = pd.DataFrame(np.hstack([counts, shares]), columns=columns)
    frame = frame.assign(kind=kind, region=region)
    return frame, (rng.random(n) < p).astype(np.int64), p


def logistic(margin: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-margin))


def level_for(margin: Any, share: float) -> float:
    """Return what must be added to a margin for this share of positives."""
    low, high = -30.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if logistic(margin + middle).mean() > share else (middle, high)
    return low


@dataclass(frozen=True)
class Inspectorate:
    """Visits to premises as a city publishes them: names, codes, dates as text, gaps.

    Parameters
    ----------
    frame : DataFrame
        Columns as published.
    y : array of int
        Failed or not.
    p : array of float
        The probability `y` was drawn from, the premises' own luck included.
    premises : array of str
        Whom each visit was to: the group of its row.
    """

    frame: pd.DataFrame
    y: Ints
    p: Floats
    premises: np.ndarray[tuple[int], np.dtype[np.str_]]

    @cached_property
    def new(self) -> "Inspectorate":
        """The visits to premises whose first visit is in the last fifth of the rows."""
        first = pd.Series(np.arange(len(self.y))).groupby(self.premises).transform("min").to_numpy()
        kept = first >= 0.8 * len(self.y)
        return Inspectorate(self.frame[kept], self.y[kept], self.p[kept], self.premises[kept])


def inspectorate(n: int, *, seed: int, share: float = 0.2) -> Inspectorate:
    """Draw visits to premises that keep their habits; `share` of them fail.

    Names repeat along chains, types and postal codes have long tails, the years since the last
    failure are missing for whom they never were recorded, which depends on how they fare.
    """
    rng = np.random.default_rng(seed)
    n_premises = max(n // 5, 10)
    kept = _premises(n_premises, rng)
    whose = rng.integers(0, n_premises, n)
    rows = kept.iloc[whose].reset_index(drop=True)
    year = rng.integers(2015, 2024, n)
    month = rng.integers(1, 13, n)
    reason = rng.choice(_REASONS, n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    years_open = np.clip(year - rows["opened"].to_numpy(), 0, None).astype(float)
    warm = np.isin(month, [6, 7, 8])
    margin = (
        rows["habit"].to_numpy()
        + 0.5 * warm * (rows["type"] == "RESTAURANT").to_numpy()
        + np.select([reason == "Complaint", reason == "Re-inspection"], [0.9, -0.8], 0.0)
        - 0.25 * np.log1p(years_open)
        + 0.06 * (year - 2019)
    )
    p = logistic(margin + level_for(margin, share))
    y = (rng.random(n) < p).astype(np.int64)
    past = rng.poisson(np.exp(0.5 * margin - 0.3))
    unrecorded = rng.random(n) < logistic(-0.5 - 0.8 * rows["habit"].to_numpy())
    frame = pd.DataFrame(
        {
            "name": rows["name"],
            "facility_type": rows["type"].where(rng.random(n) > 0.03),
            "zip": rows["zip"],
            "risk": rows["risk"].astype("category"),
            "inspection_type": reason,
            "month": pd.Series([f"{y_}-{m:02d}" for y_, m in zip(year, month, strict=True)]),
            "year": year,
            "years_open": np.where(rng.random(n) < 0.1, np.nan, years_open),
            "past_violations": np.where(unrecorded, np.nan, past),
            "is_chain": rows["chain"] >= 0,
            "latitude": rows["latitude"],
            "longitude": rows["longitude"],
            "seats": rng.lognormal(3.5, 0.8, n).round(),
        }
    )
    return Inspectorate(frame, y, p, rows["id"].to_numpy(dtype=np.str_))


_REASONS = ("Canvass", "License", "Complaint", "Re-inspection", "Consultation")


def _premises(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Premises: chain, type, place, and the habit all of them and luck make together."""
    n_chains, n_types, n_zips = max(n // 25, 3), 120, 60
    chain = np.where(rng.random(n) < 0.3, rng.zipf(1.6, n) % n_chains, -1)
    kind = np.minimum(rng.zipf(1.5, n) - 1, n_types - 1)
    place = rng.integers(0, n_zips, n)
    latitude = 41.6 + 0.4 * (place % 10) / 10 + rng.normal(0, 0.01, n)
    longitude = -87.9 + 0.4 * (place // 10) / 6 + rng.normal(0, 0.01, n)
    risk = rng.choice(["Risk 1 (High)", "Risk 2 (Medium)", "Risk 3 (Low)"], n, p=[0.6, 0.3, 0.1])
    of_chain, of_kind = rng.normal(0, 0.7, n_chains), rng.normal(0, 0.5, n_types)
    of_place = rng.normal(0, 0.4, n_zips)
    habit = (
        of_kind[kind]
        + of_place[place]
        + np.where(chain >= 0, of_chain[chain], 0.0)
        + 0.5 * (risk == "Risk 1 (High)")
        + rng.normal(0, 0.6, n)
    )
    types = np.array(["RESTAURANT", "GROCERY STORE"] + [f"TYPE {k}" for k in range(2, n_types)])
    own = np.array([f"PREMISES {k}" for k in range(n)])
    shared = np.array([f"CHAIN {k}" for k in range(n_chains)])
    return pd.DataFrame(
        {
            "id": own,
            "name": np.where(chain >= 0, shared[chain], own),
            "chain": chain,
            "type": types[kind],
            "zip": [f"606{k:02d}" for k in place],
            "risk": risk,
            "latitude": latitude,
            "longitude": longitude,
            "opened": rng.integers(1990, 2020, n),
            "habit": habit,
        }
    )
