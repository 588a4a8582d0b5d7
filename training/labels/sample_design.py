"""The design of the sample: with what probability each visit was chosen, where that is known.

A list that is obeyed is a census of its dealers. Drawn dealers came with a stated probability. Both
speak for dealers without any model of who was chosen. Where only some of a list was visited, who
was is somebody's choice again, and only its mandatory rows speak for it. What nobody recorded has
no probability here and needs a model (`training.labels.propensity`).

References
----------
Horvitz and Thompson (1952), sampling without replacement; Henderson et al. (2022), optimizing and
estimating at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Flags, Floats

# Columns of a visit that tell its design, as the warehouse has them.
COLUMNS: Final = (
    "list_id", "why", "inclusion_probability", "is_mandatory", "mandatory_probability",
    "certain_places",
)  # fmt: skip
# What the labels carry of it.
PROBABILITY: Final = "probability"
WHY: Final = "why"
# Visits of a list's own places, all of which its obedience is counted by.
_CERTAIN: Final = ("model", "coverage")
_RANDOM: Final = "random"
# Put there by somebody's judgment: such rows stand for nobody but themselves.
_BY_HAND: Final = "manual"
# A list of which so much was visited is taken for a census; closing days and moves cost some.
OBEYED: Final = 0.95


def probabilities(visits: pd.DataFrame) -> Floats:
    """Return the probability with which each visit was chosen, NaN where it is not known.

    Parameters
    ----------
    visits : DataFrame of shape (n,)
        `COLUMNS` of every visit known, those of the same list together.

    Returns
    -------
    array of shape (n,)
        The stated probability; on a list of which less than `OBEYED` was visited, or of which
        nobody says how many places it had, that of being mandatory for mandatory rows and NaN for
        the others.

    Examples
    --------
    >>> visits = pd.DataFrame({
    ...     "list_id": ["L", "L", "L", None], "why": ["model", "model", "random", None],
    ...     "inclusion_probability": [1.0, 1.0, 0.002, None],
    ...     "is_mandatory": [True, False, True, None],
    ...     "mandatory_probability": [0.1, 0.1, 1.0, None],
    ...     "certain_places": [10, 10, 10, None]})
    >>> probabilities(visits).tolist()
    [0.1, nan, 0.002, nan]
    """
    chance = visits["inclusion_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    must = visits["mandatory_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    is_mandatory = visits["is_mandatory"].astype("boolean").fillna(False).to_numpy(dtype=np.bool_)
    is_place = visits["why"].isin(_CERTAIN).to_numpy(dtype=np.bool_)
    # A place that was given by a draw of somebody's own speaks by its stated probability.
    within = is_place & ((chance >= 1.0) | np.isfinite(must))
    if not within.any():
        return chance
    lists, codes = np.unique(
        visits["list_id"].astype("string").fillna("").to_numpy(dtype=str), return_inverse=True
    )
    n = len(lists)
    # Not to be guessed from the rows that came back: a visit that finds much comes back late.
    places = np.zeros(n)
    stated = visits["certain_places"].to_numpy(dtype=np.float64, na_value=np.nan)
    np.maximum.at(places, codes[within], np.nan_to_num(stated[within]))
    visited = np.bincount(codes, weights=within, minlength=n)
    is_obeyed = (places > 0) & (visited >= OBEYED * places)
    alone = np.where(is_mandatory, chance * must, np.nan)
    return np.where(within & ~is_obeyed[codes], alone, chance)


@dataclass(frozen=True)
class Sampled:
    """What is known of how rows were chosen, each of shape (n,).

    Parameters
    ----------
    probability : array
        NaN where it is not known, or nobody looked.
    is_drawn : array of bool
        Drawn at random, outside what somebody or a model chose.
    is_by_hand : array of bool
        Put on a list by somebody: a census of itself that speaks for no other.
    """

    probability: Floats
    is_drawn: Flags
    is_by_hand: Flags

    @property
    def is_known(self) -> Flags:
        """Where the probability is known."""
        return np.isfinite(self.probability)

    def standing(self, visits: Floats) -> Floats:
        """Return how many dealers each row stands for; zero where that is not known.

        Parameters
        ----------
        visits : array of shape (n,)
            How many visits each stands for, because others are still open.
        """
        known = np.where(self.is_known, self.probability, 1.0)
        return np.where(self.is_known, visits / known, 0.0)

    def level_weight(self, visits: Floats) -> Floats:
        """Return the weight of each row in setting a level; zero for those that cannot set it.

        Drawn rows and places of lists were chosen apart from what was found, given the score: each
        says of dealers like it how often findings are made. So both count by what they tell, one
        visit as another, and within both by the inverse of their probability.
        """
        out = np.zeros(len(visits))
        for part in (self.is_drawn, ~self.is_drawn & ~self.is_by_hand):
            rows = part & self.is_known & (visits > 0)
            if rows.any():
                inverse = 1.0 / self.probability[rows]
                out[rows] = visits[rows] * inverse / inverse.mean()
        return out


def sampled(rows: pd.DataFrame, is_told: Flags) -> Sampled:
    """Return the design of rows of dealers and as-of dates.

    Parameters
    ----------
    rows : DataFrame of shape (n,)
        ``as_of`` and ``selected_by`` of every dealer, visited or not, with `WHY` and `PROBABILITY`
        of its visit where the labels have them.
    is_told : array of bool, shape (n,)
        Whose visit tells something.
    """
    empty = pd.Series(np.nan, index=rows.index)
    chance = rows.get(PROBABILITY, empty).to_numpy(dtype=np.float64, na_value=np.nan)
    why = rows.get(WHY, pd.Series("", index=rows.index)).astype("string").fillna("")
    is_random = ((why == _RANDOM) | ((why == "") & (rows["selected_by"] == "random"))).fillna(False)
    is_drawn = is_random.to_numpy(dtype=np.bool_) & is_told
    # Said to be random and no more: every dealer of that date had the same chance.
    is_equal = is_drawn & np.isnan(chance)
    frame = pd.DataFrame({"as_of": rows["as_of"].to_numpy(), "is_equal": is_equal})
    share = frame.groupby("as_of")["is_equal"].transform("mean").to_numpy(dtype=np.float64)
    chance = np.where(is_equal, share, chance)
    return Sampled(
        np.where(is_told, chance, np.nan),
        is_drawn,
        (why == _BY_HAND).to_numpy(dtype=np.bool_) & is_told,
    )
