"""How much of what is recovered in Mexico is submitted for tracing, by state and by agency.

Coverage is measured against full submission: all that the federal prosecutor and the state's own
together submit once the state's own has done so for a year. What that would be in other quarters
follows from the homicides with firearms of the state then (SESNSP) and from how the federal
requests of the states without an agency of their own moved, so that neither more violence nor a
busier federal prosecutor is taken for coverage. States that never submitted in full borrow the
factor between federal and full submission from those that did. Where no state has, the national
index of ``mexico_coverage.toml`` stands, a convention.

Assumptions, each of which a page repeats: a recovery is submitted once; homicides with firearms
follow recoveries within a state; the federal share of the other states is steady.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats, Ints
from features.domain.asof import (
    DAYS_A_YEAR,
    NEVER,
    day_sql,
    from_day,
    is_known,
    known_sql,
    number_sql,
    to_day,
)
from features.reference.series import known_before
from features.reference.tracing_from_mexico import mexico_coverage

RAMP_DAYS: Final = DAYS_A_YEAR  # after its first request a state's own agency submits in part
SETTLED_DAYS: Final = 60  # after a quarter its requests are known, but for a few
MIN_REQUESTS: Final = 12  # requests in full, or federal-only, quarters below which nothing is told
MIN_QUARTERS: Final = 2
FLOOR: Final = 0.05  # a smaller coverage is not believed
_ONE_STATE: Final = 0.8  # a requester with so large a share in one state is that state's own
_MIN_INFERRED: Final = 20  # requests from which that is told
_SPREAD: Final = 0.1  # log standard deviation of a rate beside that of counting
FEDERAL_ONLY, RAMP, FULL = 0, 1, 2

_NEVER_SQL: Final = f"coalesce({number_sql('superseded_on')}, {int(NEVER)})"
# Who submits traces of firearms recovered in Mexico, in all versions.
AGENCIES_SQL: Final = f"""
SELECT requester, state, kind, {number_sql("submits_from")} AS begins,
       {number_sql("submits_to")} AS ends, {number_sql("known_on")} AS known, {_NEVER_SQL} AS until
FROM agencies WHERE country = 'MX'
"""


def requests_sql(before: int) -> str:
    """Return the query for Mexican requests known before a day, by the days they count between."""
    return f"""
        SELECT requester, recovery_state AS state,
               year(requested_on) * 4 + quarter(requested_on) - 1 AS quarter,
               {number_sql("known_on")} AS known, {_NEVER_SQL} AS until, count(*) AS n
        FROM traces
        WHERE recovery_country = 'MX' AND recovery_state IS NOT NULL
          AND {known_sql(day_sql(before))}
        GROUP BY ALL
    """


@dataclass(frozen=True)
class Coverage:
    """Coverage of the Mexican states as of a date; arrays of shape (n_states, n_quarters).

    Parameters
    ----------
    states : tuple of str
        ISO 3166-2 codes, ascending.
    first : int
        First quarter, ``4 * year + quarter - 1``.
    n : ndarray
        Requests.
    exposure : ndarray
        Homicides with firearms times the movement of the federal requests elsewhere.
    regime : ndarray of int
        `FEDERAL_ONLY`, `RAMP` or `FULL`.
    is_settled : ndarray of bool, shape (n_quarters,)
        Whether nearly all requests of the quarter are known; only such quarters tell.
    full : ndarray, shape (n_states,)
        Requests under full submission by unit of exposure; NaN where nothing tells.
    spread : ndarray, shape (n_states,)
        Standard deviation of its logarithm.
    basis : tuple of str
        ``measured``, ``pooled``, ``convention`` or ``none``, by state.
    is_inferred : bool
        Whether the agencies were inferred from their requests.
    unlisted : mapping of str to int
        Requests of each requester that the agencies, where they are told, do not hold.
    """

    states: tuple[str, ...]
    first: int
    n: Floats
    exposure: Floats
    regime: Ints
    is_settled: npt.NDArray[np.bool_]
    full: Floats
    spread: Floats
    basis: tuple[str, ...]
    is_inferred: bool
    unlisted: Mapping[str, int] = field(default_factory=dict)

    @property
    def expected(self) -> Floats:
        """Requests under full submission, shape (n_states, n_quarters)."""
        return self.full[:, None] * self.exposure

    def by_regime(self) -> Floats:
        """Coverage of each state in each regime, shape (n_states, 3); NaN where none is told."""
        out = np.full((len(self.states), 3), np.nan)
        for regime in (FEDERAL_ONLY, RAMP, FULL):
            is_in = (self.regime == regime) & self.is_settled
            below = (self.expected * is_in).sum(axis=1)
            share = np.divide(
                (self.n * is_in).sum(axis=1), below, out=np.full(len(below), np.nan),
                where=below > 0,
            )  # fmt: skip
            out[:, regime] = np.clip(share, FLOOR, 1.0)
        return out

    def at(
        self, state: npt.NDArray[np.object_], requested_on: Ints, *, code: Ints | None = None
    ) -> Floats:
        """Return the coverage that holds for requests, shape (n,).

        A state of which nothing is told, and a recovery without a state, take the national index.

        Parameters
        ----------
        state : ndarray of str or None, shape (n,)
        requested_on : ndarray of int, shape (n,)
            Days since 1970.
        code : ndarray of int, shape (n,), optional
            Place in `state` of each request, where that holds every state once.
        """
        out = mexico_coverage(requested_on)
        place = pd.Index(self.states).get_indexer(pd.Index(state))
        place = place if code is None else place[code]
        quarter = quarters_of(requested_on) - self.first
        is_known = (place >= 0) & (quarter >= 0) & (quarter < self.n.shape[1])
        is_known &= np.isin(np.array([*self.basis, "none"])[place], ("measured", "pooled"))
        s, q = place[is_known], quarter[is_known]
        share = self.by_regime()[s, self.regime[s, q]]
        out[is_known] = np.where(np.isnan(share), out[is_known], share)
        return out


def quarters_of(days: Ints) -> Ints:
    """Quarter of each day: ``4 * year + quarter - 1``.

    >>> quarters_of(np.array([0, 90]))
    array([7880, 7881])
    """
    months = np.asarray(days).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return 4 * 1970 + months // 3


def first_day(quarter: int) -> int:
    """Days since 1970 of the first day of a quarter."""
    return to_day(date(quarter // 4, 3 * (quarter % 4) + 1, 1))


def standing(rows: pd.DataFrame, as_of: int) -> pd.DataFrame:
    """Return the rows known before a day in the version that stood."""
    found: pd.DataFrame = rows[is_known(rows["known"], as_of) & (as_of <= rows["until"])]
    return found


def estimate(requests: pd.DataFrame, agencies: pd.DataFrame, as_of: int) -> Coverage:
    """Estimate coverage as of a day.

    Parameters
    ----------
    requests : DataFrame
        As `REQUESTS_SQL` gives them.
    agencies : DataFrame
        As `AGENCIES_SQL` gives them; without rows the agencies are inferred.
    as_of : int
        Days since 1970.
    """
    seen = standing(requests, as_of)
    known = standing(agencies, as_of)
    is_inferred = known.empty
    if is_inferred:
        known = _inferred(seen)
    states = tuple(sorted({*_state_codes(), *seen["state"]}))
    last = int(quarters_of(np.array([as_of]))[0])
    first = min([int(q) for q in seen["quarter"]], default=last)
    n_quarters = last - first + 1
    place = pd.Index(states).get_indexer(pd.Index(seen["state"]))
    # Of whom it is not told what it is, its requests count, but not as those of the prosecutor.
    is_own = seen["requester"].isin(known["requester"][known["kind"] != "federal"])
    is_listed = is_own if is_inferred else seen["requester"].isin(known["requester"])
    of = np.where(is_own, 1, 0 if is_inferred else np.where(is_listed, 0, 2))
    counts = np.zeros((3, len(states), n_quarters))
    at = (seen["quarter"].to_numpy(np.int64) - first).astype(np.int64)
    np.add.at(counts, (of, place, at), seen["n"].to_numpy(np.float64))
    begins = np.array([first_day(q) for q in range(first, last + 2)])
    regime = _regimes(known, states, begins)
    homicides = _homicides(states, range(first, last + 1), from_day(as_of))
    is_settled = begins[1:] + SETTLED_DAYS <= as_of
    moved = _movement(counts[0], homicides, regime, is_settled)
    exposure = homicides * moved
    total = counts.sum(axis=0)
    full, spread, basis = _full_rates(total, exposure, regime, is_settled)
    left = seen[of == 2].groupby("requester")["n"].sum().sort_values(ascending=False)
    unlisted = {str(name): int(n) for name, n in left.items()}
    return Coverage(
        states, first, total, exposure, regime, is_settled, full, spread, basis, is_inferred,
        unlisted,
    )  # fmt: skip


def _state_codes() -> list[str]:
    from features.reference.files import read_table

    return sorted(set(read_table("mexico_homicides")["state_code"]))


def _inferred(seen: pd.DataFrame) -> pd.DataFrame:
    """Take a requester whose requests come from one state for that state's own agency."""
    by = seen.groupby(["requester", "state"], as_index=False).agg(
        n=("n", "sum"), quarter=("quarter", "min")
    )
    by["total"] = by.groupby("requester")["n"].transform("sum")
    own = by[(by["n"] >= _ONE_STATE * by["total"]) & (by["total"] >= _MIN_INFERRED)]
    return pd.DataFrame(
        {
            "requester": own["requester"],
            "state": own["state"],
            "kind": "state",
            "begins": [first_day(int(q)) for q in own["quarter"]],
            "ends": np.nan,
        }
    )


def _regimes(agencies: pd.DataFrame, states: tuple[str, ...], begins: Ints) -> Ints:
    """Tell for each state and quarter whether its own agency submits: not, in part, or in full."""
    out = np.full((len(states), len(begins) - 1), FEDERAL_ONLY)
    own = agencies[(agencies["kind"] != "federal") & agencies["state"].isin(states)]
    starts = own["begins"].to_numpy(np.float64, na_value=-np.inf)
    stops = own["ends"].to_numpy(np.float64, na_value=np.inf)
    places = pd.Index(states).get_indexer(pd.Index(own["state"]))
    for s, start, end in zip(places, starts, stops, strict=True):
        is_part = (begins[1:] > start) & (begins[:-1] <= end)
        is_full = (begins[:-1] >= start + RAMP_DAYS) & (begins[1:] <= end + 1)
        out[s] = np.maximum(out[s], np.where(is_full, FULL, np.where(is_part, RAMP, FEDERAL_ONLY)))
    return out


@lru_cache(maxsize=256)
def _homicides(states: tuple[str, ...], quarters: range, as_of: date) -> Floats:
    """Homicides with firearms of the year up to each quarter, over four, as then public; else 1."""
    rows = known_before("mexico_homicides", as_of)
    if rows.empty:
        return np.ones((len(states), len(quarters)))
    month = pd.to_datetime(rows["month"])
    rows = rows.assign(quarter=month.dt.year * 4 + month.dt.quarter - 1)
    wide = rows.pivot_table(
        index="state_code", columns="quarter", values="firearm_homicide_victims", aggfunc="sum"
    ).reindex(list(states))
    whole = rows.groupby("quarter")["month"].nunique() == 3
    wide = wide[[q for q in wide.columns if whole[q]]]
    year = wide.T.rolling(4, min_periods=1).mean().T
    year = year.reindex(columns=list(quarters)).ffill(axis=1).bfill(axis=1)
    return np.asarray(year.fillna(1.0).to_numpy(np.float64) + 0.5, dtype=np.float64)


def _movement(
    federal: Floats, homicides: Floats, regime: Ints, is_settled: npt.NDArray[np.bool_]
) -> Floats:
    """How the federal requests by homicide moved where no other agency submits, mean about 1."""
    moved = np.ones(federal.shape[1])
    is_control = (regime == FEDERAL_ONLY) & is_settled
    for _ in range(20):
        below = (homicides * moved * is_control).sum(axis=1)
        rate = np.divide(
            (federal * is_control).sum(axis=1), below, out=np.zeros(len(below)), where=below > 0
        )
        expected = (rate[:, None] * homicides * is_control).sum(axis=0)
        is_told = expected >= MIN_REQUESTS
        if not is_told.any():
            return np.ones(federal.shape[1])
        found = np.divide(
            (federal * is_control).sum(axis=0), expected, out=np.ones(len(expected)),
            where=is_told,
        )  # fmt: skip
        # A quarter that tells too little stands between its neighbors.
        every = np.arange(len(found))
        found = np.maximum(np.interp(every, every[is_told], found[is_told]), 0.05)
        moved = found / found.mean()
    return moved


def _full_rates(
    total: Floats, exposure: Floats, regime: Ints, is_settled: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Return requests under full submission by unit of exposure, its spread, and its basis."""
    sums = {}
    for name in (FEDERAL_ONLY, FULL):
        is_in = (regime == name) & is_settled
        n, x = (total * is_in).sum(axis=1), (exposure * is_in).sum(axis=1)
        is_told = (n >= MIN_REQUESTS) & (is_in.sum(axis=1) >= MIN_QUARTERS)
        rate = np.divide(n, x, out=np.full(len(n), np.nan), where=x > 0)
        sums[name] = (n, rate, is_told)
    n_before, before, told_before = sums[FEDERAL_ONLY]
    n_full, rate, is_measured = sums[FULL]
    factor, doubt = _factor(sums[FEDERAL_ONLY], sums[FULL])
    index = float(mexico_coverage(np.array([0]))[0])
    is_pooled = ~is_measured & told_before & np.isfinite(factor)
    is_convention = ~is_measured & told_before & ~np.isfinite(factor)
    full = np.where(is_measured, rate, np.where(is_pooled, before * factor, np.nan))
    full = np.where(is_convention, before / index, full)
    counted = 1 / np.maximum(np.where(is_measured, n_full, n_before), 1) + _SPREAD**2
    spread = np.sqrt(counted + np.where(is_pooled, doubt**2, 0.0))
    spread = np.where(is_convention, 0.5, spread)
    basis = np.select(
        [is_measured, is_pooled, is_convention], ["measured", "pooled", "convention"], "none"
    )
    return full, np.where(np.isnan(full), np.nan, spread), tuple(str(b) for b in basis)


def _factor(
    before: tuple[Floats, Floats, npt.NDArray[np.bool_]],
    full: tuple[Floats, Floats, npt.NDArray[np.bool_]],
) -> tuple[float, float]:
    """Pool the factor from federal to full submission, and its standard deviation for a new state.

    By the method of DerSimonian and Laird on its logarithm; NaN below two states.
    """
    is_both = before[2] & full[2]
    if is_both.sum() < 2:
        return float("nan"), float("nan")
    log = np.log(full[1][is_both] / before[1][is_both])
    var = 1 / full[0][is_both] + 1 / before[0][is_both] + _SPREAD**2
    w = 1 / var
    mean = (w * log).sum() / w.sum()
    q = (w * (log - mean) ** 2).sum()
    between = max(0.0, (q - (len(log) - 1)) / (w.sum() - (w**2).sum() / w.sum()))
    w = 1 / (var + between)
    mean = (w * log).sum() / w.sum()
    return float(np.exp(max(mean, 0.0))), float(np.sqrt(between + 1 / w.sum()))
