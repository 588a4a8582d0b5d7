"""The design of the sample: with what probability each visit was chosen, where that is known.

A list that is obeyed is a census of its dealers. Drawn dealers came with a stated probability. Both
speak for dealers without any model of who was chosen. Where only some of a list was visited, who
was is somebody's choice again, and only its mandatory rows speak for it; where only some of these
were, nothing of it does. What nobody recorded has no probability here and needs a model
(`training.labels.weights.propensity`).

References
----------
Horvitz and Thompson (1952), sampling without replacement; Henderson et al. (2022), optimizing and
estimating at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from features.arrays import Flags, Floats, Ints
from features.domain.asof import EPOCH

# Columns of a visit that tell its design, as the warehouse has them.
COLUMNS: Final = (
    "list_id", "why", "inclusion_probability", "is_mandatory", "mandatory_probability",
    "certain_places", "mandatory_places",
)  # fmt: skip
# What the labels carry of it.
PROBABILITY: Final = "probability"
WHY: Final = "why"
LIST: Final = "list_id"
OPENED: Final = "opened_on"
# Office that a row of dealers belongs to, where places are known.
HOME: Final = "home"
# Visits of a list's own places, all of which its obedience is counted by.
_CERTAIN: Final = ("model", "coverage")
_RANDOM: Final = "random"
# Put there by somebody's judgment: such rows stand for nobody but themselves.
_BY_HAND: Final = "manual"
# A list of which so much was visited is taken for a census; closing days and moves cost some.
OBEYED: Final = 0.95
# Of few drawn places fewer come back by chance: so many standard deviations are allowed for.
_BY_CHANCE: Final = 2.0


def probabilities(visits: pd.DataFrame, *, told: Floats | None = None) -> Floats:
    """Return the probability with which each visit was chosen, NaN where it is not known.

    Parameters
    ----------
    visits : DataFrame of shape (n,)
        `COLUMNS` and ``dealer`` of every visit known, those of the same list together.
    told : array of shape (n,), optional
        Share of the visits opened when each was that are known by now; one where it is left out.

    Returns
    -------
    array of shape (n,)
        The stated probability; on a list of which less than `OBEYED` was visited, or of which
        nobody says how many places it had, that of being mandatory for mandatory rows and NaN for
        the others. NaN for drawn and mandatory rows, too, where fewer of them were visited than
        chance and visits still open leave to expect.

    Examples
    --------
    >>> visits = pd.DataFrame({
    ...     "dealer": ["A", "B", "C", "D"],
    ...     "list_id": ["L", "L", "L", None], "why": ["model", "model", "random", None],
    ...     "inclusion_probability": [1.0, 1.0, 0.002, None],
    ...     "is_mandatory": [True, False, True, None],
    ...     "mandatory_probability": [0.1, 0.1, 1.0, None],
    ...     "certain_places": [10, 10, 10, None], "mandatory_places": [2, 2, 2, None]})
    >>> probabilities(visits).tolist()
    [0.1, nan, 0.002, nan]
    """
    chance = visits["inclusion_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    must = visits["mandatory_probability"].to_numpy(dtype=np.float64, na_value=np.nan)
    is_mandatory = visits["is_mandatory"].astype("boolean").fillna(False).to_numpy(dtype=np.bool_)
    is_place = visits["why"].isin(_CERTAIN).to_numpy(dtype=np.bool_)
    # A place that was given by a draw of somebody's own speaks by its stated probability.
    within = is_place & ((chance >= 1.0) | np.isfinite(must))
    is_draw = (visits["why"] == _RANDOM).fillna(False).to_numpy(dtype=np.bool_)
    by_draw = visits["list_id"].notna().to_numpy() & (is_draw | (within & is_mandatory))
    if not (within | by_draw).any():
        return chance
    lists, codes = np.unique(
        visits["list_id"].astype("string").fillna("").to_numpy(dtype=str), return_inverse=True
    )
    n = len(lists)
    # Not to be guessed from the rows that came back: a visit that finds much comes back late.
    places = _stated(visits["certain_places"], codes, within)
    visited = _dealers(visits["dealer"], codes, within, n)
    is_obeyed = (places > 0) & (visited >= OBEYED * places)
    alone = np.where(is_mandatory, chance * must, np.nan)
    out = np.where(within & ~is_obeyed[codes], alone, chance)
    drawn = _stated(visits["mandatory_places"], codes, by_draw)
    share = np.ones(len(visits)) if told is None else told
    n_rows = np.bincount(codes, weights=by_draw, minlength=n)
    known = np.bincount(codes, weights=share * by_draw, minlength=n) / np.maximum(n_rows, 1.0)
    expected = OBEYED * known
    least = expected * drawn - _BY_CHANCE * np.sqrt(drawn * expected * (1.0 - expected))
    is_skipped = _dealers(visits["dealer"], codes, by_draw, n) < least
    # An obeyed list speaks for its own places whatever became of its draw.
    is_lost = by_draw & is_skipped[codes] & ~(within & is_obeyed[codes])
    return np.asarray(np.where(is_lost, np.nan, out), dtype=np.float64)


def _stated(places: pd.Series, codes: Ints, rows: Flags) -> Floats:
    """Return how many places each list says it had, by these of its rows; 0 where none does."""
    out = np.zeros(int(codes.max()) + 1)
    stated = places.to_numpy(dtype=np.float64, na_value=np.nan)
    np.maximum.at(out, codes[rows], np.nan_to_num(stated[rows]))
    return out


def _dealers(dealer: pd.Series, codes: Ints, rows: Flags, n: int) -> Floats:
    """Return how many dealers each list has among these rows: a second visit is no place."""
    of = pd.DataFrame({"list": codes[rows], "dealer": dealer.to_numpy()[rows]}).drop_duplicates()
    return np.bincount(of["list"], minlength=n).astype(np.float64)


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
    group : array of int, optional
        Dealers that draws were made from together: of one as-of date, and of the offices that share
        a list.
    begun : array, optional
        Day on which the first visit of the row's list was opened.
    """

    probability: Floats
    is_drawn: Flags
    is_by_hand: Flags
    group: Ints | None = field(default=None)
    begun: Floats | None = field(default=None)

    @property
    def is_known(self) -> Flags:
        """Where the probability is known."""
        return np.isfinite(self.probability)

    def standing(self, visits: Floats) -> Floats:
        """Return how many dealers each row stands for; zero where that is not known.

        Each drawn row stands for the inverse of its probability in its own draw. A year has several
        draws from the same dealers: were each to stand for all of them, a quarter's draw would
        count four times against the places of the lists. So they share what there is to stand for:
        a place of a later list was stood for by the draws before it, and counts for what is left.

        Parameters
        ----------
        visits : array of shape (n,)
            How many visits each stands for, because others are still open.
        """
        known = np.where(self.is_known, self.probability, 1.0)
        alone = np.where(self.is_known, visits / known, 0.0)
        if self.group is None or not self.is_drawn.any():
            return alone
        there = np.bincount(self.group)
        drawn = np.bincount(self.group, weights=alone * self.is_drawn)
        visited = np.bincount(self.group, weights=visits * (self.is_drawn & self.is_known))
        others = np.bincount(self.group, weights=alone * ~self.is_drawn)
        # How often the draws met each dealer that no certain place had.
        times = drawn / np.maximum(there - others, 1.0)
        shared = np.clip(times - 1.0, 0.0, 1.0) / np.where(drawn > 0, drawn, 1.0)
        own = alone * (1.0 - shared[self.group] * self._drawn_before(alone))
        left = np.maximum(there - np.bincount(self.group, weights=own * ~self.is_drawn), visited)
        scale = np.minimum(left / np.where(drawn > 0, drawn, 1.0), 1.0)
        return np.asarray(np.where(self.is_drawn, alone * scale[self.group], own), dtype=np.float64)

    def _drawn_before(self, alone: Floats) -> Floats:
        """Return for how many dealers the draws stand that were made before each row's list."""
        frame = pd.DataFrame(
            {"group": self.group, "begun": self.begun, "mass": alone * self.is_drawn}
        )
        mass = frame[self.is_known].groupby(["group", "begun"])["mass"].sum()
        before = (mass.groupby(level="group").cumsum() - mass).rename("before").reset_index()
        found = frame.merge(before, on=["group", "begun"], how="left")["before"]
        return np.asarray(found.fillna(0.0).where(self.is_known, 0.0), dtype=np.float64)

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
        ``as_of`` and ``selected_by`` of every dealer, visited or not, with `WHY`, `PROBABILITY`,
        `LIST` and `OPENED` of its visit where the labels have them, and its `HOME` where places are
        known.
    is_told : array of bool, shape (n,)
        Whose visit tells something.
    """
    empty = pd.Series(np.nan, index=rows.index)
    chance = rows.get(PROBABILITY, empty).to_numpy(dtype=np.float64, na_value=np.nan)
    why = rows.get(WHY, pd.Series("", index=rows.index)).astype("string").fillna("")
    is_random = ((why == _RANDOM) | ((why == "") & (rows["selected_by"] == "random"))).fillna(False)
    named = rows.get(LIST, pd.Series("", index=rows.index)).astype("string").fillna("") != ""
    has_list = named.to_numpy(dtype=np.bool_)
    # Of a list whose draw was visited in part, who was is somebody's choice.
    is_drawn = is_random.to_numpy(dtype=np.bool_) & is_told & (np.isfinite(chance) | ~has_list)
    # Said to be random and no more: every dealer of that date had the same chance.
    is_equal = is_drawn & np.isnan(chance)
    frame = pd.DataFrame({"as_of": rows["as_of"].to_numpy(), "is_equal": is_equal})
    share = frame.groupby("as_of")["is_equal"].transform("mean").to_numpy(dtype=np.float64)
    stated = np.where(is_equal, share, chance)
    known: Floats = np.asarray(np.where(is_told, stated, np.nan), dtype=np.float64)
    group, begun = _draws(rows, np.isfinite(known), is_equal)
    is_by_hand = (why == _BY_HAND).to_numpy(dtype=np.bool_) & is_told
    return Sampled(known, is_drawn, is_by_hand, group, begun)


def _draws(rows: pd.DataFrame, is_known: Flags, is_equal: Flags) -> tuple[Ints, Floats]:
    """Return which dealers draws were made from together, and when each row's list began, (n,).

    Offices of one as-of date that share a list belong together, and all of them where somebody was
    drawn from all.
    """
    day = pd.factorize(rows["as_of"])[0]
    home = rows.get(HOME, pd.Series("", index=rows.index)).fillna("")
    office = pd.DataFrame({"day": day, "home": home.to_numpy()}).groupby(["day", "home"]).ngroup()
    ordered = rows.get(LIST, pd.Series("", index=rows.index)).fillna("").to_numpy()
    named = pd.DataFrame({"day": day, "list": ordered}).groupby(["day", "list"]).ngroup()
    n_offices, n_lists = int(office.max()) + 1, int(named.max()) + 1
    is_of_all = np.isin(day, np.unique(day[is_equal]))
    starts = np.concatenate([office[is_known], office[is_of_all]])
    ends = np.concatenate([n_offices + named[is_known], n_offices + n_lists + day[is_of_all]])
    n = n_offices + n_lists + int(day.max()) + 1
    edges = coo_array((np.ones(len(starts)), (starts, ends)), shape=(n, n))
    codes = connected_components(edges, directed=False)[1]
    opened = rows.get(OPENED, pd.Series(pd.NaT, index=rows.index))
    since = (pd.to_datetime(opened) - pd.Timestamp(EPOCH)).dt.days.where(is_known)
    begun = since.groupby(named.to_numpy()).transform("min").fillna(0.0)
    return (
        np.unique(codes[office.to_numpy()], return_inverse=True)[1].astype(np.int64),
        begun.to_numpy(dtype=np.float64),
    )
