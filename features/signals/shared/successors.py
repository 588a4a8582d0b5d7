"""Links from an ended license to the one that took its place.

A dealer that gets a new sequence number at the same premises, or under the same licensee, within
two years of the old one ending is a *successor*. The link is made by a deterministic rule with a
name; the two dealers are never merged.

As of ``T``, from listings known before ``T`` only:

- a dealer is *new* when its first listing is later than the first listing of its state: before
  that nobody can tell who is new;
- a dealer has *ended* when its last listing is earlier than the newest listing of its state.

==============================  ===================================================================
rule                            the new dealer has ... as the ended one
==============================  ===================================================================
``same_premises_and_licensee``  the same street and ZIP code and the same licensee
``same_premises``               the same street and ZIP code
``same_licensee``               the same licensee in the same state; names that more than five
                                dealers of the state bear are chains: a new store succeeds none
==============================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Ints
from features.domain.asof import DAYS_A_YEAR
from features.reference.legal.law import law

if TYPE_CHECKING:
    pass

RULES: Final[Mapping[int, str]] = {
    3: "same_premises_and_licensee",
    2: "same_premises",
    1: "same_licensee",
}
MAX_SAME_LICENSEE: Final = 5


@dataclass(frozen=True)
class Careers:
    """When and where each dealer was first and last listed, as of a date; arrays of shape (n,).

    Parameters
    ----------
    first_on, last_on : ndarray of int
        Days of the first and the last listing.
    state_first_on, state_newest_on : ndarray of int
        Days of the first and the newest listing of the dealer's state.
    premises_at_first, premises_at_last, licensee_at_first, licensee_at_last : ndarray of int
        Codes of premises and of licensee within the state, -1 where unknown.
    """

    first_on: Ints
    last_on: Ints
    state_first_on: Ints
    state_newest_on: Ints
    premises_at_first: Ints
    premises_at_last: Ints
    licensee_at_first: Ints
    licensee_at_last: Ints

    @property
    def is_new(self) -> npt.NDArray[np.bool_]:
        """Whether the dealer's beginning was seen."""
        return self.first_on > self.state_first_on

    @property
    def has_ended(self) -> npt.NDArray[np.bool_]:
        """Whether a newer listing of its state lacks the dealer."""
        return self.last_on < self.state_newest_on


def link(careers: Careers, *, window_days: int) -> pd.DataFrame:
    """Pair each new dealer with the ended ones it took over from.

    Returns
    -------
    DataFrame
        ``successor``, ``predecessor`` (rows of `careers`) and ``rule`` (key of `RULES`), one row
        a pair, the strongest rule of each, sorted.
    """
    begun = np.flatnonzero(careers.is_new)
    ended = np.flatnonzero(careers.has_ended)
    by_premises = _pairs(begun, careers.premises_at_first, ended, careers.premises_at_last)
    last = careers.licensee_at_last
    bearers = np.bincount(last[last >= 0], minlength=int(last.max(initial=-1)) + 1)
    is_chain = np.zeros(len(last), dtype=bool)
    is_chain[last >= 0] = bearers[last[last >= 0]] > MAX_SAME_LICENSEE
    alone = ended[~is_chain[ended]]
    by_licensee = _pairs(begun, careers.licensee_at_first, alone, last)
    new, old = (np.concatenate(side) for side in zip(by_premises, by_licensee, strict=True))
    rule = np.repeat([2, 1], [len(by_premises[0]), len(by_licensee[0])])
    gap = careers.first_on[new] - careers.last_on[old]
    is_link = (new != old) & (gap > 0) & (gap <= window_days)
    # Both rules at once make the strongest: 2 + 1.
    n_dealers = max(len(last), 1)
    pair, at = np.unique(new[is_link] * n_dealers + old[is_link], return_inverse=True)
    strongest = np.bincount(at, weights=rule[is_link], minlength=len(pair)).astype(np.int64)
    successor, predecessor = np.divmod(pair, n_dealers)
    return pd.DataFrame({"successor": successor, "predecessor": predecessor, "rule": strongest})


def _pairs(begun: Ints, begun_code: Ints, ended: Ints, ended_code: Ints) -> tuple[Ints, Ints]:
    """Every new dealer with every ended one of the same known code."""
    begun = begun[begun_code[begun] >= 0]
    ended = ended[np.argsort(ended_code[ended], kind="stable")]
    wanted, held = begun_code[begun], ended_code[ended]
    first = np.searchsorted(held, wanted)
    n_pairs = np.searchsorted(held, wanted, side="right") - first
    start = np.cumsum(n_pairs) - n_pairs
    place = np.arange(n_pairs.sum()) + np.repeat(first - start, n_pairs)
    return np.repeat(begun, n_pairs), ended[place]


def window_days(as_of: date) -> int:
    """Days within which a new license counts as a successor; a year is 365 days."""
    return DAYS_A_YEAR * int(law("successor_window_years", as_of))


def _codes(key: pd.Series, *, is_known: pd.Series) -> Ints:
    codes, _ = pd.factorize(key.where(is_known), sort=True)
    return codes.astype(np.int64)


def _days(dates: pd.Series) -> pd.Series:
    return pd.to_datetime(dates).dt.as_unit("s").astype("int64") // 86_400
