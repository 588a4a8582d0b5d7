"""What the oracles of events share: rows in force, windows, peers and shrinkage, done slowly."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

DAYS = {"90d": 90, "1y": 365, "2y": 730, "3y": 1095, "5y": 1825}


def standing(tables, name, as_of):
    """Rows known before the date in the version that stood; None when there is no such table."""
    if name not in tables:
        return None
    frame = tables[name] if name != "traces" else at_dealers(tables[name])
    stood = frame["superseded_on"].isna() | (frame["superseded_on"] >= as_of)
    return frame[(frame["known_on"] < as_of) & stood]


def at_dealers(traces):
    """Traces that name a dealer only where they count toward it.

    Not for a firearm without a serial number, nor for one that left lawfully.
    """
    gone = traces["acquisition_route"].isin(["export", "government"])
    bare = traces["serial_status"].isin(["none"]) | traces["outcome"].isin(["unserialized"])
    dealer = [None if away else d for d, away in zip(traces["dealer"], gone | bare, strict=True)]
    return traces.assign(named=traces["dealer"], dealer=pd.array(dealer, dtype=object))


def both(left, right, on):
    """Join rows that stand; a pair is known when both of its rows are."""
    pairs = left.merge(right, on=on, suffixes=("", "_of_right"))
    pairs["known_on"] = pairs[["known_on", "known_on_of_right"]].max(axis=1)
    return pairs


def within(frame, as_of, window):
    return frame[frame["known_on"] >= as_of - timedelta(days=DAYS[window])]


def counts(frame, dealers, column=None):
    """Rows, or the sum of a column over them, of each dealer; zero for a dealer without one."""
    if column is None:
        found = frame["dealer"].value_counts()
    else:
        found = frame[column].fillna(0).astype(float).groupby(frame["dealer"]).sum()
    return np.array([found.get(dealer, 0.0) for dealer in dealers], dtype=float)


def of_each(frame, dealers):
    """Rows of each dealer, in their order."""
    places = frame.groupby("dealer", sort=False).indices
    return [frame.iloc[places.get(dealer, [])] for dealer in dealers]


def true(column):
    """Where a flag is known and true."""
    return column.fillna(False).astype(bool)


def gap_days(later, earlier):
    """Days between two columns of dates, None where one is missing."""
    return pd.Series(
        [
            None if pd.isna(a) or pd.isna(b) else (a - b).days
            for a, b in zip(later, earlier, strict=True)
        ],
        index=later.index,
        dtype=float,
    )


def divided(above, below, at_least=1.0, times=1.0):
    return np.array(
        [a * times / b if b >= at_least else np.nan for a, b in zip(above, below, strict=True)]
    )


def newest_listing(tables, as_of, dealers):
    """The row of the latest listed day of each dealer, None for one that no listing shows."""
    rows = standing(tables, "licenses", as_of)
    last = rows.sort_values("listed_on", kind="stable").drop_duplicates("dealer", keep="last")
    newest = {row["dealer"]: row for row in last.to_dict("records")}
    return {dealer: newest.get(dealer) for dealer in dealers}


def peers(tables, as_of, dealers):
    """License type and state of each dealer."""
    rows = newest_listing(tables, as_of, dealers)
    return [
        None if rows[d] is None else (rows[d]["license_type"], rows[d]["premises_state"])
        for d in dealers
    ]


def prior(events, exposure, group):
    """Mean and worth in exposure of the prior of each dealer, by moments."""

    def fit(members):
        n, x = exposure[members], events[members]
        is_exposed = n > 0
        n, x = n[is_exposed], x[is_exposed]
        if n.sum() == 0 or x.sum() == 0:
            return 0.0, 1e9, len(n)
        mean = x.sum() / n.sum()
        spread = (n * (x / n - mean) ** 2).sum()
        between = (spread - len(n) * mean) / n.sum()
        return mean, (mean / between if between > mean / 1e9 else 1e9), len(n)

    whole = fit(np.ones(len(events), dtype=bool))
    fits = {mine: fit(np.array([g == mine for g in group])) for mine in set(group) - {None}}
    found = [fits.get(mine, whole) for mine in group]
    out = [one if one[2] >= 20 else whole for one in found]
    return np.array([o[0] for o in out]), np.array([o[1] for o in out])


def shrunk(events, exposure, group, times=1.0):
    mean, worth = prior(events, exposure, group)
    safe = np.where(exposure > 0, exposure, 1.0)
    return np.where(exposure > 0, (events + worth * mean) / (safe + worth), np.nan) * times


def table_of(dealers, prefix, columns):
    return pd.DataFrame({f"{prefix}_{k}": v for k, v in columns.items()}, index=list(dealers))


def year_of(column):
    return column.map(lambda day: day.year if isinstance(day, date) else None)
