"""How strict each office, investigator and division is, told apart from the risk of its dealers.

What an inspection finds depends on who inspects; a model that learns from raw findings learns the
inspectors, and any signal that names a place brings them back in. So effects of who looked are
fitted *together* with the margin of who was looked at: effects beside margins of models that saw no
row of that office, margins beside those effects, until neither moves. Nobody's identity is an
input; dealers are scored as if all were visited with the same, average strictness: that of the
country, in which the office of each dealer counts, so that an office counts by its dealers.

What differs between offices alone, labels cannot tell: it could be the inspectors or the dealers.
The policy says how it is read. Under ``strictness`` it is taken out, but for what evidence that
crosses offices credits to the dealers: the same investigator, or the same office, finding more in
one area than in another. Under ``risk`` it stays.

Assumes that visits are given to investigators of an office without regard to what they will find;
where the strict are sent to the worst, their dealers are credited too little.

References
----------
Kleinberg et al. (2018), leniency of judges; Abowd et al. (1999), who moves tells who from where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats, Ints
from models.policy import StrictnessPolicy
from training.errors import TooFewLabelsError
from training.labels.effects import Effects, fit_effects
from training.labels.offices import divisions_of, home_offices
from training.labels.ridge import Part, Ridge
from training.labels.splits import group_folds

_MAX_FOLDS, _MAX_ROUNDS = 5, 8
# An effect that moves by less changes no list.
_SETTLED: Final = 0.02
# What a model without an office says of it moves against the effects of the others: of two offices
# by as much, so that whole steps swing from twice the effect to none and never settle.
_HALF_STEP: Final = 0.5
# An effect that is given and hardly shrunk: it leaves nothing of the level to be read otherwise.
_FREE: Final = 3.0
# Of the spread between offices, so much must be credited before signals of place are read.
_CREDITED: Final = 0.5
# An office code whose two halves of history share fewer places than this is two.
_SAME_OFFICE: Final = 0.2
_MIN_VISITS: Final = 10
# Fewer visits to an office's area do not tell how its dealers differ.
_MIN_BEYOND: Final = 5


@dataclass(frozen=True)
class WhoLooked:
    """Who inspected each row, and where its dealer belongs.

    Parameters
    ----------
    groups : DataFrame of shape (n, k)
        ``office`` and ``investigator``, and ``division`` where the codes have one; text, empty
        where unknown.
    home : Series of shape (n,)
        Office the dealer belongs to (`training.labels.offices`).
    changed : tuple of str
        Office codes that came to mean another place, told apart by the date.
    dealers : Series, optional
        How many dealers belong to each home office, visited or not; as many as visits without.
    """

    groups: pd.DataFrame
    home: pd.Series
    changed: tuple[str, ...] = ()
    dealers: pd.Series | None = None

    @property
    def standing(self) -> Floats:
        """How many dealers each visit stands for: those of its home office share them, (n,)."""
        return standing_of(self.home, self.dealers)

    def taken(self, rows: Ints) -> WhoLooked:
        """Return it of some of its rows, numbered anew."""
        return WhoLooked(
            self.groups.iloc[rows].reset_index(drop=True),
            self.home.iloc[rows].reset_index(drop=True),
            self.changed,
            self.dealers,
        )


def standing_of(home: pd.Series, dealers: pd.Series | None) -> Floats:
    """Return how many of the `dealers` of its home office each visit stands for, shape (n,).

    >>> standing_of(pd.Series(["A", "A", "B"]), pd.Series({"A": 10, "B": 90})).tolist()
    [5.0, 5.0, 90.0]
    """
    visits = home.map(home.value_counts()).to_numpy(dtype=np.float64)
    if dealers is None:
        return np.ones(len(home))
    return np.asarray(home.map(dealers).to_numpy(dtype=np.float64) / visits)


def who_looked(
    office: pd.Series, investigator: pd.Series, where: pd.DataFrame, as_of: pd.Series
) -> WhoLooked:
    """Read who inspected each row.

    Parameters
    ----------
    office, investigator : Series of shape (n,)
        Codes as the agency has them; empty where nobody looked.
    where : DataFrame of shape (n, …)
        ``county``, ``state`` and ``office`` of each row (`training.labels.cohort.places`).
    as_of : Series of shape (n,)
    """
    codes = office.fillna("").astype(str).reset_index(drop=True)
    place = where[["county", "state", "office"]].reset_index(drop=True)
    codes, changed = _split_codes(codes, place["state"], as_of.reset_index(drop=True))
    groups = pd.DataFrame(
        {
            "office": codes,
            "investigator": investigator.fillna("").astype(str).reset_index(drop=True),
        }
    )
    division = divisions_of(codes)
    if division.notna().any():
        groups["division"] = division.fillna("")
    home = home_offices(place, codes)
    return WhoLooked(groups, home, changed, home.value_counts())


def _split_codes(
    office: pd.Series, state: pd.Series, as_of: pd.Series
) -> tuple[pd.Series, tuple[str, ...]]:
    """Tell apart what one code meant before and after it was given to another place."""
    seen = pd.DataFrame({"office": office, "state": state, "as_of": as_of})
    seen = seen[seen["office"] != ""]
    out, changed = office.copy(), []
    for code, own in seen.groupby("office", sort=True):
        days = _days_of_change(own["state"], own["as_of"])
        for day in reversed(days):  # so that each period keeps the day that ended it
            before = own.index[own["as_of"] < day]
            out.loc[before] = f"{code} before {pd.Timestamp(day):%Y-%m}"
        if days:
            changed.append(str(code))
    return out, tuple(changed)


def _days_of_change(state: pd.Series, as_of: pd.Series) -> list[Any]:
    """Return the days from which on visits of a code go to other states, in order."""
    day = _day_of_change(state, as_of)
    if day is None:
        return []
    is_before = as_of < day
    return [
        *_days_of_change(state[is_before], as_of[is_before]),
        day,
        *_days_of_change(state[~is_before], as_of[~is_before]),
    ]


def _day_of_change(state: pd.Series, as_of: pd.Series) -> Any:
    """Return the day before and after which visits have the fewest states in common, or None."""
    days, of_day = np.unique(as_of.to_numpy(), return_inverse=True)
    if len(of_day) < 2 * _MIN_VISITS or len(days) < 2:
        return None
    of_state = pd.factorize(state)[0]
    visits = np.zeros((len(days), int(of_state.max()) + 2))
    np.add.at(visits, (of_day, of_state), 1.0)  # the last column is of visits without a state
    visits = visits[:, :-1]
    before = np.cumsum(visits, axis=0)[:-1]
    after = visits.sum(axis=0) - before
    n_before, n_after = before.sum(axis=1), after.sum(axis=1)
    is_told = np.minimum(n_before, n_after) >= _MIN_VISITS
    if not is_told.any():
        return None
    shares = [
        part / np.maximum(n, 1.0)[:, None] for part, n in ((before, n_before), (after, n_after))
    ]
    common = np.where(is_told, np.minimum(*shares).sum(axis=1), np.inf)
    cut = int(np.argmin(common))
    return days[cut + 1] if common[cut] < _SAME_OFFICE else None


@dataclass(frozen=True)
class Evidence:
    """What crosses offices, and what it credits to the dealers of each.

    Parameters
    ----------
    n_movers : int
        Investigators who inspected dealers of two offices or more.
    n_across : int
        Visits to dealers of another office.
    n_rows : int
        Visits that say something of the difference.
    credited : Series
        Log-odds by home office that are the dealers' own.
    spread : float
        Standard deviation of what is credited.
    """

    n_movers: int
    n_across: int
    n_rows: int
    credited: pd.Series
    spread: float

    def of(self, home: pd.Series) -> Floats:
        """Credited log-odds of each row, shape (n,)."""
        return home.map(self.credited).fillna(0.0).to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class Strictness:
    """Effects of who looked, and what they leave to the dealers.

    Parameters
    ----------
    effects : tuple of Effects
        By office, investigator and division, as far as there are two or more.
    evidence : Evidence
    offset : array of shape (n,)
        Log-odds of each training row that are not the dealer's.
    level : Series
        Mean log-odds of all who looked, by home office: what differs between offices, whoever's.
    columns : tuple of str
        Signals that the head may read under the policy.
    place_signals : tuple of str
        Those it may not, because they name the office.
    beyond : tuple of (frozenset of str, Ridge)
        Models that saw no row of those home offices, to tell risk without an office's own labels.
    changed : tuple of str
        Office codes that came to mean another place.
    reading : {"strictness", "risk"}
    n_rounds : int
    moved : float
        Largest change of an offset in the last round.
    """

    effects: tuple[Effects, ...]
    evidence: Evidence
    offset: Floats
    level: pd.Series
    columns: tuple[str, ...]
    place_signals: tuple[str, ...]
    beyond: tuple[tuple[frozenset[str], Ridge], ...]
    changed: tuple[str, ...]
    reading: str
    n_rounds: int
    moved: float

    def effect(self, column: str) -> Effects | None:
        """Return the effects of a column, if it had two groups."""
        return next((e for e in self.effects if e.column == column), None)

    def offset_of(self, who: WhoLooked) -> Floats:
        """Log-odds of other rows that are not the dealer's, as the policy reads it, shape (n,)."""
        total = _sum_of(self.effects, who.groups)
        if self.reading == "risk":
            return np.asarray(total - self.level_of(who.home), dtype=np.float64)
        return np.asarray(total - self.evidence.of(who.home), dtype=np.float64)

    def level_of(self, home: pd.Series) -> Floats:
        """Log-odds by which the office of each row differs, whoever's they are, shape (n,)."""
        return home.map(self.level).fillna(0.0).to_numpy(dtype=np.float64)

    def risk_beyond(self, X: pd.DataFrame, home: pd.Series) -> Floats:
        """Log-odds of rows from models that saw no row of their office, shape (n,).

        Each model is set level with the others over all rows: one fitted without a strict office
        starts lower, and its dealers would look safer than their like elsewhere.

        Parameters
        ----------
        X : DataFrame of shape (n, p)
            Signals of all dealers of a day, those of every office among them.
        """
        margins = np.array([model.margin(X) for _, model in self.beyond])
        levels = margins.mean(axis=1)
        margins += (levels.mean() - levels)[:, None]
        # An office nobody inspected is unseen by every model.
        out = margins.mean(axis=0)
        for (offices, _), margin in zip(self.beyond, margins, strict=True):
            rows = home.isin(offices).to_numpy()
            out[rows] = margin[rows]
        return np.asarray(out, dtype=np.float64)


def fit_strictness(
    X: pd.DataFrame,
    labels: tuple[Floats, Floats],
    who: WhoLooked,
    dealer: npt.NDArray[Any],
    policy: StrictnessPolicy,
    *,
    place_share: pd.Series,
    seed: int = 0,
) -> Strictness:
    """Fit effects and margins in turn until neither moves.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        Signals of the inspected rows.
    labels : tuple of arrays, each of shape (n,)
        Finding or not, and weight.
    who : WhoLooked
        Of the same rows.
    dealer : array of shape (n,)
        Folds where there is only one office.
    policy : StrictnessPolicy
    place_share : Series of shape (p,)
        Share of each signal's variance that lies between home offices.
    """
    y, weight = labels
    is_place = place_share.reindex(X.columns).fillna(0.0) > policy.max_place_share
    place_signals = tuple(X.columns[is_place.to_numpy()])
    # A table of nothing but signals of place has nothing else to be read.
    own = tuple(c for c in X.columns if c not in place_signals) or tuple(X.columns)
    folds = _folds(who.home, dealer, seed)
    offset = np.zeros(len(y))
    effects: tuple[Effects, ...] = ()
    margin, moved, n_rounds = np.zeros(len(y)), np.inf, 0
    models: list[Ridge] = []
    parts = [Part.of(X, own, labels, folds == fold) for fold in range(int(folds.max()) + 1)]
    step = _HALF_STEP if 1 < who.home.nunique() < _MAX_FOLDS else 1.0
    while moved > _SETTLED and n_rounds < _MAX_ROUNDS:
        models = []
        for part in parts:
            model, margin[part.is_out] = part.solve(offset)
            models.append(model)
        effects = fit_effects(margin, y, weight, who.groups, standing=who.standing)
        new = _sum_of(effects, who.groups)
        moved, n_rounds = float(np.abs(new - offset).max()), n_rounds + 1
        offset = offset + step * (new - offset)
    level = pd.Series(offset).groupby(who.home.to_numpy()).mean()
    between = float(level.std(ddof=0)) if len(level) > 1 else 0.0
    evidence = _cross_office(margin, (y, weight), who, between)
    is_credited = evidence.spread > _CREDITED * between > 0.0
    if policy.between_offices == "risk":
        # What differs within an office is still who was sent.
        offset = offset - who.home.map(level).to_numpy(dtype=np.float64)
    else:
        offset = offset - evidence.of(who.home)
    reads_places = policy.between_offices == "risk" or is_credited
    return Strictness(
        effects,
        evidence,
        offset,
        level,
        tuple(X.columns) if reads_places else own,
        () if reads_places or len(own) == X.shape[1] else place_signals,
        _beyond(models, folds, who.home),
        who.changed,
        policy.between_offices,
        n_rounds,
        moved if np.isfinite(moved) else 0.0,
    )


def _folds(home: pd.Series, dealer: npt.NDArray[Any], seed: int) -> Ints:
    """Deal rows into folds by whole offices, or by dealers where there is only one."""
    n_offices = home.nunique()
    groups = home.to_numpy(dtype=str) if n_offices > 1 else np.asarray(dealer, dtype=str)
    n_folds = min(_MAX_FOLDS, len(np.unique(groups)))
    if n_folds < 2:
        raise TooFewLabelsError(
            "Every inspection is of one dealer.", fix="ingest inspections of other dealers"
        )
    return group_folds(groups, n_folds=n_folds, seed=seed)


def _beyond(
    models: list[Ridge], folds: Ints, home: pd.Series
) -> tuple[tuple[frozenset[str], Ridge], ...]:
    if home.nunique() < 2:
        return tuple((frozenset[str](), model) for model in models[:1])
    names = home.to_numpy(dtype=str)
    return tuple(
        (frozenset(np.unique(names[folds == fold]).tolist()), model)
        for fold, model in enumerate(models)
    )


def _sum_of(effects: tuple[Effects, ...], groups: pd.DataFrame) -> Floats:
    total = np.zeros(len(groups))
    for effect in effects:
        total += effect.of(groups[effect.column])
    return total


def _cross_office(
    margin: Floats, labels: tuple[Floats, Floats], who: WhoLooked, between: float
) -> Evidence:
    """Ask those who inspected dealers of two offices in which of the two they found more.

    What is credited is shrunk by how little they say, under a spread no larger than that between
    offices: some visits beyond a border credit next to nothing.
    """
    y, weight = labels
    groups, home = who.groups, who.home.reset_index(drop=True)
    office, person = groups["office"], groups["investigator"]
    unit = ("i " + person).where(person != "", "")
    is_mover = _homes_of(unit, home) > 1
    # Who stayed is one with the office; what the office found beyond its border still tells.
    unit = unit.where(is_mover, ("o " + office).where(office != "", ""))
    is_told = ((_homes_of(unit, home) > 1) & (unit != "")).to_numpy()
    n_movers = int(unit[is_mover & (unit != "")].nunique())
    n_across = int(((home != office) & (office != "")).sum())
    nothing = Evidence(n_movers, n_across, int(is_told.sum()), pd.Series(dtype=np.float64), 0.0)
    if not between or is_told.sum() < _MIN_VISITS:
        return nothing
    told = pd.DataFrame({"unit": unit[is_told], "home": home[is_told]}).reset_index(drop=True)
    standing = standing_of(told["home"], who.dealers)

    def fitted(fixed: dict[str, float]) -> Effects | None:
        rows = (margin[is_told], y[is_told], weight[is_told])
        found = fit_effects(*rows, told, fixed=fixed, standing=standing)
        return next((e for e in found if e.column == "home"), None)

    credited = fitted({"unit": _FREE})
    if credited is not None and credited.spread > between:
        credited = fitted({"unit": _FREE, "home": between})
    if credited is None:
        return nothing
    return Evidence(
        n_movers, n_across, nothing.n_rows, credited.value, float(credited.value.std(ddof=0))
    )


def _homes_of(unit: pd.Series, home: pd.Series) -> pd.Series:
    """In how many offices' areas each row's unit inspected, beyond a stray visit or two."""
    visits = home.groupby([unit, home]).transform("size")
    often = home.where(visits >= _MIN_BEYOND)
    return often.groupby(unit).transform("nunique")
