"""A margin: log-odds or log-rate as the weighted sum of a linear and a tree part.

Both parts are fitted on crossing folds; what each says of rows it has not seen decides the weight
it gets. The sum is explained exactly: each part's contributions times its weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.boosting import Growth, grow, mix, read
from models.encoding import Column, encode, fit_columns
from models.explanation import Explanation, contributions_by_lightgbm
from models.level import Level
from models.linear import Basis, Family, Problem, fit_basis, loss, mean_of
from models.tabulated import Tabulated, tabulate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Method = Literal["auto", "lightgbm", "table"]

# From so many rows on, laying out the trees as tables pays for itself.
TABLE_ROWS: Final = 200
# Penalties tried for the linear part, strongest first; the sum of weights is the number of rows.
_PENALTIES: Final = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
# More rows than this teach a linear model nothing more.
_MAX_LINEAR_ROWS: Final = 100_000
# Above so many rows a member that sees two thirds of them is as good as one that sees most.
_MANY_ROWS: Final = 200_000
# Fewer rows of either class, or fewer rows at all, and no tree is grown.
_MIN_CLASS: Final = 10
_MIN_ROWS: Final = 60
# Beyond so many positives a finer account of them adds nothing that they do not say themselves.
_MAX_GRADED_POSITIVE: Final = 400
# Pull of the blend toward equal shares, in units of log-likelihood.
_BLEND_PULL: Final = 4.0


@dataclass(frozen=True)
class MarginModel:
    """A fitted margin.

    Parameters
    ----------
    columns : tuple of Column
        Encodings, in the order of the input.
    basis : Basis
    intercept : float
    coefficients : array of shape (q,)
        Of the features of `basis`, weight of the blend included.
    trees : str
        LightGBM text whose prediction is the tree part; empty when there is none.
    shares : tuple of float
        Weight of the linear and of the tree part in the blend.
    """

    columns: tuple[Column, ...]
    basis: Basis
    intercept: float
    coefficients: Floats
    trees: str
    shares: tuple[float, float]

    @cached_property
    def booster(self) -> Any:
        """The trees, read; None when there are none."""
        return read(self.trees) if self.trees else None

    @cached_property
    def tables(self) -> Tabulated:
        """The trees, laid out for explaining whole tables."""
        return tabulate(self.trees)

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in {"booster", "tables"}}

    def encode(self, X: pd.DataFrame) -> Floats:
        """Encode rows."""
        return encode(X, self.columns)

    def margin(self, Z: Floats, *, num_threads: int = 1) -> Floats:
        """Return the margin of encoded rows, shape (n,)."""
        linear = self.intercept + self.basis.dot(Z, self.coefficients)
        return np.asarray(linear + self._trees(Z, num_threads))

    def _trees(self, Z: Floats, num_threads: int) -> Floats:
        if self.booster is None or not len(Z):
            return np.zeros(len(Z))
        return np.asarray(
            self.booster.predict(Z, raw_score=True, num_threads=num_threads), dtype=np.float64
        )

    def explain(self, Z: Floats, *, method: Method = "auto", num_threads: int = 1) -> Explanation:
        """Return the contributions of encoded rows; additivity is checked."""
        values = np.zeros(Z.shape)
        base = self.intercept
        if self.booster is not None and len(Z):
            if method == "table" or (method == "auto" and len(Z) >= TABLE_ROWS):
                values = self.tables.contributions(Z)
                base += self.tables.base
            else:
                values, mean = contributions_by_lightgbm(self.booster, Z, num_threads=num_threads)
                base += mean
        linear = self.intercept + self.basis.contributions(Z, self.coefficients, values)
        names = tuple(column.name for column in self.columns)
        explained = Explanation(values, np.full(len(Z), base), names)
        return explained.checked(linear + self._trees(Z, num_threads))

    def state(self) -> dict[str, Any]:
        """Return all but the trees as JSON can hold it."""
        return {
            "columns": [column.state() for column in self.columns],
            "basis": self.basis.state(),
            "intercept": self.intercept,
            "coefficients": self.coefficients.tolist(),
            "shares": list(self.shares),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], trees: str) -> MarginModel:
        """Rebuild it from `state` and the text of its trees."""
        return cls(
            tuple(Column.from_state(column) for column in state["columns"]),
            Basis.from_state(state["basis"]),
            float(state["intercept"]),
            np.asarray(state["coefficients"], dtype=np.float64),
            trees,
            (float(state["shares"][0]), float(state["shares"][1])),
        )


@dataclass(frozen=True)
class Settings:
    """How a margin is fitted; None means: chosen from the number of rows.

    Parameters
    ----------
    family : {"binary", "poisson"}
    monotone : tuple of int
    n_folds, n_repeats, num_leaves : int or None
    max_rounds : int
    learning_rate : float
    seed, num_threads : int
    """

    family: Family
    monotone: tuple[int, ...]
    n_folds: int | None
    n_repeats: int | None
    num_leaves: int | None
    max_rounds: int
    learning_rate: float
    seed: int
    num_threads: int

    def folds(self, n_rows: int) -> int:
        """Into how many folds the rows are dealt; many rows can spare more of them."""
        if self.n_folds is not None:
            return self.n_folds
        return 5 if n_rows <= _MANY_ROWS else 3

    def repeats(self, n_rows: int) -> int:
        """How often the rows are dealt into folds; few rows need more averaging."""
        if self.n_repeats is not None:
            return self.n_repeats
        return 3 if n_rows <= 6_000 else 2 if n_rows <= 20_000 else 1

    def growth(self, n_rows: int) -> Growth:
        """How the members grow on so many rows."""
        leaves = self.num_leaves or int(np.clip(4 + n_rows / 3_000, 6, 24))
        return Growth(
            self.family,
            self.monotone,
            leaves,
            self.max_rounds,
            40,
            self.learning_rate,
            self.seed,
            self.num_threads,
        )


@dataclass(frozen=True)
class FittedMargin:
    """A margin model and what it said of training rows it had not seen.

    Parameters
    ----------
    model : MarginModel
    held_out : array of shape (n,)
        Margin of each training row from the members that left it out.
    weights : array of shape (n,)
        As used: of mean one where rows were left out, as given where there were too few. Only
        their ratios matter in the first case; in the second a weight of two is a row given twice.
    is_crossed : bool
        False when there were too few rows to leave any out.
    """

    model: MarginModel
    held_out: Floats
    weights: Floats
    is_crossed: bool


def deal(y: Floats, groups: Ints | None, n_folds: int, seed: int) -> Ints:
    """Deal rows into folds, groups whole, positives evenly.

    >>> deal(np.array([1.0, 0, 0, 1]), None, 2, 0).tolist() in ([0, 0, 1, 1], [0, 1, 0, 1],
    ...     [1, 0, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [0, 0, 1, 1])
    True
    """
    owner = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total = np.bincount(owner, weights=y)
    size = np.bincount(owner)
    jitter = np.random.default_rng(seed).permutation(len(total))
    order = np.lexsort((jitter, -size, -total))
    fold = np.empty(len(total), dtype=np.int64)
    fold[order] = np.arange(len(total)) % n_folds
    return fold[owner]


def fit_margin(
    X: pd.DataFrame,
    y: Floats,
    w: Floats,
    groups: Ints | None,
    settings: Settings,
    *,
    graded: Floats | None = None,
) -> FittedMargin:
    """Fit the parts on crossing folds and blend them.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    y, w : array of shape (n,)
        Target and weights.
    groups : array of int, shape (n,), optional
        Rows of one group stay in one fold.
    settings : Settings
    graded : array of shape (n,), optional
        A finer account of the target, from 0 to 1. While positives are few, a linear and a tree
        part learned from it join the blend; how much they count, the target decides.
    """
    n_folds = _n_folds(y, groups, settings)
    if n_folds < 2:
        return _fit_whole(X, y, w, settings)
    w = w / w.mean()
    foldings = [
        deal(y, groups, n_folds, settings.seed + repeat)
        for repeat in range(settings.repeats(len(y)))
    ]
    columns, Z = fit_columns(X, y, w, foldings[0])
    basis = fit_basis(Z, w)
    targets = [y]
    if graded is not None and np.count_nonzero(y) <= _MAX_GRADED_POSITIVE:
        targets.append(graded)
    linear = [_fit_linear(basis, Z, (target, w), foldings, settings) for target in targets]
    growth = settings.growth(len(y))
    grown = [
        grow(Z, target, w, foldings, replace(growth, is_graded=target is graded))
        for target in targets
    ]
    parts = np.column_stack([held for _, held in linear] + [g.held_out for g in grown])
    blend = _blend(parts, y, w, settings.family)
    shares = np.split(blend[1:], 2)
    theta = sum(share * solution for share, (solution, _) in zip(shares[0], linear, strict=True))
    model = MarginModel(
        tuple(columns),
        basis,
        float(blend[0] + theta[0]),
        theta[1:],
        mix([(g.texts, float(share)) for g, share in zip(grown, shares[1], strict=True)]),
        (float(shares[0].sum()), float(shares[1].sum())),
    )
    held_out = blend[0] + parts @ blend[1:]
    return FittedMargin(model, np.asarray(held_out), w, is_crossed=True)


def set_level(fitted: FittedMargin, level: Level) -> FittedMargin:
    """Return the margin at another level."""
    model = replace(
        fitted.model,
        intercept=level.intercept + level.slope * fitted.model.intercept,
        coefficients=level.slope * fitted.model.coefficients,
        trees=mix([((fitted.model.trees,), level.slope)] if fitted.model.trees else []),
    )
    return replace(fitted, model=model, held_out=level.of(fitted.held_out))


def _n_folds(y: Floats, groups: Ints | None, settings: Settings) -> int:
    n_folds = settings.folds(len(y))
    units = len(y) if groups is None else len(np.unique(groups))
    positive = int((y > 0).sum())
    rare = min(positive, len(y) - positive) if settings.family == "binary" else positive
    if len(y) < _MIN_ROWS or rare < _MIN_CLASS or units < 2 * n_folds:
        return 1
    return n_folds


def _fit_whole(X: pd.DataFrame, y: Floats, w: Floats, settings: Settings) -> FittedMargin:
    columns, Z = fit_columns(X, y, w, np.zeros(len(y), dtype=np.int64))
    basis = fit_basis(Z, w)
    problem = _problem(basis, basis.transform(Z), (y, w), settings)
    theta = problem.solve(1.0)
    model = MarginModel(tuple(columns), basis, float(theta[0]), theta[1:], "", (1.0, 0.0))
    return FittedMargin(model, model.margin(Z), w, is_crossed=False)


def _problem(
    basis: Basis, features: Floats, target: tuple[Floats, Floats], settings: Settings
) -> Problem:
    y, w = target
    bounds: list[tuple[float | None, float | None]] = []
    for kind, owner in zip(basis.kinds, basis.owners, strict=True):
        direction = 0 if kind == "missing" else settings.monotone[int(owner)]
        bounds.append((0.0 if direction > 0 else None, 0.0 if direction < 0 else None))
    return Problem(settings.family, features, y, w, bounds, np.zeros(features.shape[1]))


def _fit_linear(
    basis: Basis,
    Z: Floats,
    target: tuple[Floats, Floats],
    foldings: Sequence[Ints],
    settings: Settings,
) -> tuple[Floats, Floats]:
    """Return the mean solution over the folds, and the held-out margin of each row."""
    y, w = target
    rows = np.arange(len(y))
    if len(y) > _MAX_LINEAR_ROWS:
        chosen = np.random.default_rng(settings.seed).permutation(len(y))[:_MAX_LINEAR_ROWS]
        rows = np.sort(chosen)
    features = basis.transform(Z[rows])
    whole = _problem(basis, features, (y[rows], w[rows]), settings)

    def part(folds: Ints, fold: int) -> Problem:
        kept = folds[rows] != fold
        return replace(whole, features=whole.features[kept], y=whole.y[kept], w=whole.w[kept])

    first = foldings[0]
    problems = [part(first, fold) for fold in range(int(first.max()) + 1)]
    penalty, solutions = _choose_penalty(problems, whole, first[rows])
    for folds in foldings[1:]:
        nearby = solutions[: len(problems)]
        solutions += [part(folds, k).solve(penalty, start) for k, start in enumerate(nearby)]
    total = np.zeros(len(y))
    for i, theta in enumerate(solutions):
        folds, fold = foldings[i // len(problems)], i % len(problems)
        out = np.flatnonzero(folds == fold)
        total[out] += theta[0] + basis.dot(Z[out], theta[1:])
    return np.mean(solutions, axis=0), total / len(foldings)


def _choose_penalty(
    problems: Sequence[Problem], whole: Problem, folds: Ints
) -> tuple[float, list[Floats]]:
    best: tuple[float, float, list[Floats]] | None = None
    starts: list[Floats | None] = [None] * len(problems)
    for penalty in _PENALTIES:
        solutions = [p.solve(penalty, s) for p, s in zip(problems, starts, strict=True)]
        margin = np.empty(len(folds))
        for fold, theta in enumerate(solutions):
            out = folds == fold
            margin[out] = theta[0] + whole.features[out] @ theta[1:]
        found = loss(whole.family, whole.y, margin, whole.w)
        if best is not None and found > best[0] * 1.02:
            break
        if best is None or found < best[0]:
            best = (found, penalty, solutions)
        starts = list(solutions)
    assert best is not None  # noqa: S101  the loop ran at least once
    return best[1], best[2]


def _blend(parts: Floats, y: Floats, w: Floats, family: Family) -> Floats:
    """Return intercept and the non-negative weights of the parts that fit the held-out rows."""
    n_parts = parts.shape[1]
    bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * n_parts
    even = np.full(n_parts, 1.0 / n_parts)
    problem = Problem(family, parts, y, w, bounds, even)
    return problem.solve(_BLEND_PULL, np.concatenate([[0.0], even]))


def probability(margin: Floats) -> Floats:
    """Return the probability of a log-odds."""
    return mean_of("binary", margin)
