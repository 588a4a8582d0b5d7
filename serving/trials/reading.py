"""Read a trial: by its design, everyone in the arm drawn for them, at the looks that were planned.

References
----------
Bell and McCaffrey (2002), standard errors with few clusters; Newcombe (1998), the difference of two
shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import norm, t

from features.arrays import Floats
from serving.errors import InvalidRequestError
from serving.trials.assignments import Look, Trial, wait
from serving.trials.design import Cell, Clustered, contrasts


@dataclass(frozen=True)
class Difference:
    """Arm a less arm b, with its interval.

    Parameters
    ----------
    value, low, high : float
    level : float
        Of the interval.
    rate_a, rate_b : float
        Severe findings a visit (or a place of the list) of either arm.
    n_a, n_b : int
        Visits, or places.
    """

    value: float
    low: float
    high: float
    level: float
    rate_a: float
    rate_b: float
    n_a: int
    n_b: int


def by_office_and_period(
    severe: Floats,
    visits: Floats,
    *,
    office: npt.NDArray[np.int64],
    pair: npt.NDArray[np.int64],
    is_a: npt.NDArray[np.bool_],
    is_first: npt.NDArray[np.bool_],
    level: float,
) -> Difference:
    """Compare offices with themselves, the order of the arms apart.

    The difference of each office in each pair of periods is one number; it holds the effect, and
    the change between the two periods with the sign of the order. Errors go together by office.

    Parameters
    ----------
    severe, visits : array of shape (n_cells,)
        Findings and visits of each cell, in whatever arm they were made.
    office, pair : array of int, shape (n_cells,)
        Codes from zero.
    is_a, is_first : array of bool, shape (n_cells,)
        The arm drawn, and whether it is the first period of its pair.
    level : float

    Raises
    ------
    InvalidRequestError
        When fewer than three offices have visits in both periods of a pair.
    """
    key = office * (int(pair.max()) + 1) + pair
    size = int(key.max()) + 1
    arms = (is_a, ~is_a)
    n: Floats = np.stack([np.bincount(key, visits * arm, size) for arm in arms]).astype(float)
    found: Floats = np.stack([np.bincount(key, severe * arm, size) for arm in arms]).astype(float)
    a_first = np.bincount(key, (is_a & is_first).astype(float), size) > 0
    used = np.flatnonzero((n > 0).all(axis=0))
    owner, own_pair = used // (int(pair.max()) + 1), used % (int(pair.max()) + 1)
    if len(np.unique(owner)) < 3:
        raise InvalidRequestError(
            "Too few offices have visits in both arms to compare them.",
            found=f"{len(np.unique(owner))} offices",
            expected="at least 3",
        )
    rates = found[:, used] / n[:, used]
    weight = 1.0 / (1.0 / n[0, used] + 1.0 / n[1, used])
    fit = Clustered(contrasts(owner, own_pair, a_first[used]), weight, owner)
    value, variance = fit.estimate(rates[0] - rates[1])
    by_chance = _by_chance(found[:, used], n[:, used], fit.pull)
    upper = (1.0 + level) / 2.0
    reach = max(
        float(t.ppf(upper, max(fit.df, 1.0)) * np.sqrt(variance)),
        float(norm.ppf(upper) * np.sqrt(by_chance)),
    )
    return Difference(
        value, value - reach, value + reach, level,
        float(found[0].sum() / n[0].sum()), float(found[1].sum() / n[1].sum()),
        int(n[0].sum()), int(n[1].sum()),
    )  # fmt: skip


def _by_chance(found: Floats, n: Floats, pull: Floats) -> float:
    """Return the variance that single visits alone leave, with one finding and one clean added.

    Differences that happen to agree, as where nothing was found, have no spread of their own.
    """
    p = (found.sum(axis=1) + 1.0) / (n.sum(axis=1) + 2.0)
    return float(pull**2 @ ((p * (1.0 - p)) @ (1.0 / n)))


def interleaved(
    severe_a: int, n_a: int, severe_b: int, n_b: int, *, share: float, level: float
) -> Difference:
    """Compare two lists by the places that only one of them has.

    A place that was drawn and not visited found nothing: the list is judged as it was followed.

    Parameters
    ----------
    severe_a, n_a, severe_b, n_b : int
        Severe findings and drawn places of either side.
    share : float
        Share of a list that the other does not have: what the lists have in common finds the same.
    """
    z = float(norm.ppf((1.0 + level) / 2.0))
    p, low, high = zip(
        *(_wilson(k, n, z) for k, n in ((severe_a, n_a), (severe_b, n_b))), strict=True
    )
    value = p[0] - p[1]
    down = np.hypot(p[0] - low[0], high[1] - p[1])
    up = np.hypot(high[0] - p[0], p[1] - low[1])
    return Difference(
        share * value, share * float(value - down), share * float(value + up), level,
        p[0], p[1], n_a, n_b,
    )  # fmt: skip


def _wilson(k: int, n: int, z: float) -> tuple[float, float, float]:
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    return p, max(0.0, middle - reach), min(1.0, middle + reach)


@dataclass(frozen=True)
class Reading:
    """A trial read on a day.

    Parameters
    ----------
    look : Look or None
        The planned look that it is; None before the first: then nothing is compared.
    is_final : bool
    difference : Difference or None
    n_open : int
        Visits of the trial that have not closed.
    n_unvisited : int
        Drawn places that nobody visited.
    """

    look: Look | None
    is_final: bool
    difference: Difference | None
    n_open: int
    n_unvisited: int = 0


def read(trial: Trial, visits: pd.DataFrame, *, today: date) -> Reading:
    """Read a trial as planned; before the first planned look only counts are told.

    Everyone counts in the arm that the lot gave, whatever was done. A look in between reads what
    ended before it and no more.
    """
    look = trial.look(today)
    within = visits[
        (visits["opened_on"] >= pd.Timestamp(trial.starts_on))
        & (visits["opened_on"] < pd.Timestamp(trial.ends_on))
    ]
    if trial.kind == "interleaved":
        return _interleaved(trial, within, look)
    office = [cell.office for cell in trial.cells]
    own = within[within["office"].isin(set(office))]
    n_open = int((~own["is_closed"]).sum())
    if look is None:
        return Reading(None, False, None, n_open)
    cells = [cell for cell in trial.cells if wait(cell.ends_on) <= look.on]
    counts = [_of_cell(own, cell) for cell in cells]
    codes = {name: code for code, name in enumerate(sorted(set(office)))}
    firsts = {
        pair: min(c.starts_on for c in cells if c.pair == pair) for pair in {c.pair for c in cells}
    }
    difference = by_office_and_period(
        np.array([found for found, _ in counts]),
        np.array([n for _, n in counts]),
        office=np.array([codes[cell.office] for cell in cells]),
        pair=np.array([cell.pair for cell in cells]),
        is_a=np.array([cell.arm == "a" for cell in cells]),
        is_first=np.array([cell.starts_on == firsts[cell.pair] for cell in cells]),
        level=look.level,
    )
    return Reading(look, look is trial.looks[-1], difference, n_open)


def _of_cell(visits: pd.DataFrame, cell: Cell) -> tuple[float, float]:
    own = visits[
        (visits["office"] == cell.office)
        & (visits["opened_on"] >= pd.Timestamp(cell.starts_on))
        & (visits["opened_on"] < pd.Timestamp(cell.ends_on))
        & visits["is_closed"]
    ]
    return float(own["y"].sum()), float(len(own))


def _interleaved(trial: Trial, visits: pd.DataFrame, look: Look | None) -> Reading:
    first = visits.sort_values("opened_on", kind="stable").drop_duplicates("dealer")
    first = first.set_index("dealer")
    drawn = {
        side: [p.dealer for p in trial.places if p.side == side and p.is_drawn] for side in "ab"
    }
    everybody = [*drawn["a"], *drawn["b"]]
    seen = first.reindex(everybody)
    n_unvisited = int(seen["y"].isna().sum())
    n_open = int((seen["is_closed"] == False).sum())  # noqa: E712 - missing is neither
    if look is None:
        return Reading(None, False, None, n_open, n_unvisited)
    found = first["y"].where(first["is_closed"], 0.0)
    severe = {side: int(found.reindex(own).fillna(0.0).sum()) for side, own in drawn.items()}
    difference = interleaved(
        severe["a"], len(drawn["a"]), severe["b"], len(drawn["b"]),
        share=trial.share, level=look.level,
    )  # fmt: skip
    return Reading(look, look is trial.looks[-1], difference, n_open, n_unvisited)
