"""Assign a trial by lot, with known probabilities, and say beforehand what it can show.

Two designs. *Office by period*: in each pair of periods an office works one period by either arm,
in an order drawn by lot, half of the offices each way; offices are compared with themselves.
*Interleaved*: of two lists of the same length the places that both have are visited, and of those
that only one has a random half, as many from either; that is a list of the same length, and each
place of the difference has the same known probability.

References
----------
Jones and Kenward (2014), cross-over trials; Chapelle et al. (2012), interleaved comparison; Lan and
DeMets (1983), looks at accumulating data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import ncf, norm, t

from features.arrays import Floats
from features.domain.asof import add_months
from serving.errors import InvalidRequestError

Arm = Literal["a", "b"]
# Of fewer drawn places of a side no rate can be told.
MIN_PLACES: Final = 2
ALPHA: Final = 0.05
POWER: Final = 0.8
_MIN_OFFICES: Final = 4


@dataclass(frozen=True)
class Cell:
    """An office in a period, and the arm by which it works.

    Parameters
    ----------
    office : str
    pair : int
        From 0; a pair is two periods after each other.
    starts_on, ends_on : date
        First day, and the first day after.
    arm : {"a", "b"}
    probability : float
        With which the lot could have given this arm.
    """

    office: str
    pair: int
    starts_on: date
    ends_on: date
    arm: Arm
    probability: float = 0.5


@dataclass(frozen=True)
class Place:
    """A dealer of an interleaved list.

    Parameters
    ----------
    dealer : str
    side : {"both", "a", "b"}
        Which of the two lists has it.
    is_drawn : bool
        Whether it is to be visited.
    probability : float
        With which it was.
    """

    dealer: str
    side: Literal["both", "a", "b"]
    is_drawn: bool
    probability: float


def by_office_and_period(
    offices: Sequence[str], *, starts_on: date, months: int, n_pairs: int, seed: int
) -> list[Cell]:
    """Draw by lot which arm each office begins with, in each pair of periods anew.

    Raises
    ------
    InvalidRequestError
        When there are too few offices to compare.
    """
    names = sorted(set(offices))
    if len(names) < _MIN_OFFICES:
        raise InvalidRequestError(
            "A trial by office and period needs more offices.",
            found=f"{len(names)} offices",
            expected=f"at least {_MIN_OFFICES}",
            fix="compare the lists interleaved, within one office",
        )
    rng = np.random.default_rng(seed)
    cells = []
    for pair in range(n_pairs):
        begins = _halves(len(names), rng)
        first = add_months(starts_on, 2 * pair * months)
        middle, last = add_months(first, months), add_months(first, 2 * months)
        for name, is_a in zip(names, begins, strict=True):
            one: Arm = "a" if is_a else "b"
            other: Arm = "b" if is_a else "a"
            cells += [Cell(name, pair, first, middle, one), Cell(name, pair, middle, last, other)]
    return cells


def interleaved(list_a: Sequence[str], list_b: Sequence[str], *, seed: int) -> list[Place]:
    """Draw a random half of the places that only one of two lists has.

    Parameters
    ----------
    list_a, list_b : sequence of str
        Dealers, best first; the same number each.

    Raises
    ------
    InvalidRequestError
        When the lists differ in length, name a dealer twice, or differ in so few dealers that
        fewer than `MIN_PLACES` of a side are drawn.
    """
    a, b = list(dict.fromkeys(list_a)), list(dict.fromkeys(list_b))
    if len(a) != len(b) or len(a) != len(list_a) or len(b) != len(list_b):
        raise InvalidRequestError(
            "The two lists are not alike in length.",
            found=f"{len(a)} and {len(b)} dealers",
            expected="the same number of different dealers",
        )
    only = {"a": [d for d in a if d not in set(b)], "b": [d for d in b if d not in set(a)]}
    m = len(only["a"])
    if m == 0:
        raise InvalidRequestError("The two lists have the same dealers: nothing can be compared.")
    if m < 2 * MIN_PLACES:
        raise InvalidRequestError(
            "The two lists have nearly the same dealers: too few places would be drawn to compare.",
            found=f"{m} of {len(a)} dealers stand on one list alone",
            expected=f"at least {2 * MIN_PLACES} on each, of which half are drawn",
            fix="compare longer lists, or lists that differ more",
        )
    rng = np.random.default_rng(seed)
    # An odd number cannot be halved: one more comes from a side drawn by lot.
    more = bool(rng.random() < 0.5)
    quota = {"a": (m + more) // 2, "b": m - (m + more) // 2}
    places = [Place(dealer, "both", True, 1.0) for dealer in a if dealer in set(b)]
    for side in ("a", "b"):
        drawn = rng.permutation(m)[: quota[side]]
        places += [Place(dealer, side, i in drawn, 0.5) for i, dealer in enumerate(only[side])]
    return places


def _halves(n: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Flag half of `n`, by lot; of an odd number one more or one less."""
    flags = np.zeros(n, dtype=bool)
    flags[rng.permutation(n)[: n // 2 + (n % 2 and int(rng.random() < 0.5))]] = True
    return flags


@dataclass(frozen=True)
class Power:
    """What a trial can be expected to show.

    Parameters
    ----------
    rate : float
        Past share of visits with a severe finding.
    error : float
        Expected standard error of the difference.
    df : float
        Degrees of freedom of its interval.
    difference, power : float
        The difference asked about, and the chance that the interval of the last reading excludes
        none if it is so; readings before can only add to it.
    detectable : float
        The difference for which that chance is `POWER`.
    """

    rate: float
    error: float
    df: float
    difference: float
    power: float
    detectable: float


def power_of(
    rate: float, error: float, df: float, difference: float, *, level: float = 1.0 - ALPHA
) -> Power:
    """Return the power of a comparison with an error foreseen, at the level it will be read with.

    Raises
    ------
    InvalidRequestError
        When the design leaves nothing by which chance could be told.
    """
    if df < 1.0:
        raise InvalidRequestError(
            "A trial of so few offices and periods has nothing left to tell chance by.",
            found=f"{df:.1f} degrees of freedom",
            expected="more offices, or more pairs of periods",
        )
    critical = float(t.ppf((1.0 + level) / 2.0, df))

    def seen(shift: float) -> float:  # the square of Student's is Fisher's: both tails in one
        return float(ncf.sf(critical**2, 1.0, df, shift**2))

    most = 2.0 * (critical + float(t.ppf(POWER, df)))
    detectable = float(brentq(lambda shift: seen(shift) - POWER, 0.0, most)) * error
    return Power(rate, error, df, difference, seen(abs(difference) / error), detectable)


def error_by_period(rates: Floats, visits: Floats, *, n_pairs: int, n_visits: float) -> float:
    """Foresee the standard error from past cells of the same length.

    Parameters
    ----------
    rates, visits : array of shape (n_offices, n_past)
        Share of severe findings and visits of each office in past periods; NaN where none.
    n_pairs : int
    n_visits : float
        Visits of an office in a period, as planned.
    """
    rate = float(np.nansum(rates * visits) / np.nansum(visits))
    change = np.diff(rates, axis=1)
    chance = rate * (1.0 - rate) * (1.0 / visits[:, 1:] + 1.0 / visits[:, :-1])
    # What periods of an office differ by beyond the chance of single visits.
    beyond = float(np.nanmean(change**2 - chance)) if np.isfinite(change).any() else 0.0
    variance = max(beyond, 0.0) + 2.0 * rate * (1.0 - rate) / n_visits
    return float(np.sqrt(variance / (len(rates) * n_pairs)))


def contrasts(
    owner: npt.NDArray[np.int64], pair: npt.NDArray[np.int64], a_first: npt.NDArray[np.bool_]
) -> Floats:
    """Return what the differences of offices are regressed on, the effect first.

    Parameters
    ----------
    owner, pair : array of int, shape (n,)
        Office and pair of each difference of arm a less arm b.
    a_first : array of bool, shape (n,)

    Returns
    -------
    array of shape (n, 1 + n_pairs)
        The effect, and for each pair the change between its periods with the sign of the order.
    """
    sign = np.where(a_first, 1.0, -1.0)
    orders = sign[:, None] * (pair[:, None] == np.unique(pair)[None, :])
    return np.column_stack([np.ones(len(owner)), orders])


def precision(cells: Sequence[Cell]) -> tuple[float, float]:
    """Return what the lot that was drawn costs a reading of alike offices.

    Returns
    -------
    share : float
        Variance of the effect over that of a plain mean of all differences.
    df : float
        Satterthwaite's degrees of freedom.
    """
    first = {pair: min(c.starts_on for c in cells if c.pair == pair) for pair in _pairs(cells)}
    begun = [cell for cell in cells if cell.starts_on == first[cell.pair]]
    codes = {name: code for code, name in enumerate(sorted({cell.office for cell in begun}))}
    owner = np.array([codes[cell.office] for cell in begun])
    pair = np.array([cell.pair for cell in begun])
    design = contrasts(owner, pair, np.array([cell.arm == "a" for cell in begun]))
    fit = Clustered(design, np.ones(len(begun)), owner)
    return float(fit.inverse[0, 0]) * len(begun), fit.df


def _pairs(cells: Sequence[Cell]) -> set[int]:
    return {cell.pair for cell in cells}


class Clustered:
    """A weighted regression whose first coefficient has errors that go together by cluster (CR2).

    Parameters
    ----------
    X : array of shape (n, k)
    weight : array of shape (n,)
    cluster : array of int, shape (n,)

    References
    ----------
    Bell and McCaffrey (2002), standard errors with few clusters.
    """

    def __init__(self, X: Floats, weight: Floats, cluster: npt.NDArray[np.int64]) -> None:
        self.root = np.sqrt(weight)
        self.X = X * self.root[:, None]
        self.inverse = np.linalg.pinv(self.X.T @ self.X)
        hat = self.X @ self.inverse @ self.X.T
        self._parts: list[tuple[npt.NDArray[np.int64], Floats]] = []
        loads = []
        for own in np.unique(cluster):
            rows = np.flatnonzero(cluster == own)
            values, vectors = np.linalg.eigh(np.eye(len(rows)) - hat[np.ix_(rows, rows)])
            # A direction that the fit follows exactly tells nothing of the error.
            scale = np.where(values > 1e-9, 1.0 / np.sqrt(np.maximum(values, 1e-9)), 0.0)
            adjusted = vectors * scale @ vectors.T @ (self.X[rows] @ self.inverse[:, 0])
            self._parts.append((rows, adjusted))
            loads.append((np.eye(len(weight)) - hat)[:, rows] @ adjusted)
        gram = np.array(loads) @ np.array(loads).T
        spread = float((gram**2).sum())
        self.df = float(np.trace(gram) ** 2 / spread) if spread > 0 else 0.0
        # What one unit of each row adds to the coefficient.
        self.pull = (self.inverse @ self.X.T)[0] * self.root

    def estimate(self, y: Floats) -> tuple[float, float]:
        """Return the first coefficient and its variance, of one outcome a row."""
        weighted = y * self.root
        beta = self.inverse @ (self.X.T @ weighted)
        residual = weighted - self.X @ beta
        variance = sum(float(pull @ residual[rows]) ** 2 for rows, pull in self._parts)
        return float(beta[0]), variance


def error_interleaved(rate: float, n_a: int, n_b: int, *, share: float) -> float:
    """Foresee the standard error of the difference of two lists that share ``1 - share``."""
    return float(share * np.sqrt(rate * (1.0 - rate) * (1.0 / n_a + 1.0 / n_b)))


def look_levels(n_looks: int) -> list[float]:
    """Return the level of the interval at each planned look, the last look last.

    The spending of O'Brien and Fleming; each look has what it may spend for itself, so that all
    intervals together miss at most at `ALPHA`, whatever the looks have in common.

    >>> [round(level, 4) for level in look_levels(1)], round(sum(1 - v for v in look_levels(3)), 4)
    ([0.95], 0.05)
    """
    share = np.arange(1, n_looks + 1) / n_looks
    spent = 2.0 * norm.sf(norm.isf(ALPHA / 2.0) / np.sqrt(share))
    return [float(1.0 - alpha) for alpha in np.diff(np.concatenate([[0.0], spent]))]
