"""Fit a linear part alone, where rows or findings are too few to leave any out."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats, Ints
from models.columns.categories import Target
from models.columns.encoding_fit import fit_columns
from models.linear import Basis, Problem, fit_basis
from models.margin.folds import MIN_ROWS, deal, n_rare
from models.margin.margin import FittedMargin, MarginModel
from models.margin.settings import Settings

# Penalties tried for the linear part, strongest first; the sum of weights is the number of rows.
PENALTIES: Final = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
# Folds that keep a row from the code of its own level, where rows are so few.
_FEW_FOLDS: Final = 5
# Log-likelihood by which a weaker penalty must be likelier than the strongest one, there.
_SHOWN: Final = 2.0
# So many rows tell how much the margins vary.
MAX_SAMPLED: Final = 3_000


def fit_whole(
    X: pd.DataFrame,
    y: Floats,
    w: Floats,
    groups: Ints | None,
    settings: Settings,
    offset: Floats | None,
) -> FittedMargin:
    """Fit a linear part alone, where there are too few rows to choose anything by some left out.

    The penalty is the one under which the rows are likeliest, the coefficients averaged over: what
    few findings do not tell stays the average.
    """
    if len(y) >= MIN_ROWS:
        w = w / w.mean()
    target = Target(settings.family, y, w, offset)
    rare = n_rare(y, settings.family)
    folds = np.zeros(len(y), dtype=np.int64)
    if rare >= 2:
        folds = deal(y, groups, min(rare, _FEW_FOLDS), settings.seed)
    encoded = fit_columns(X, target, [folds], monotone=settings.monotone)
    ways = settings.ways(encoded.columns, list(X.columns))
    Z = encoded.tables[0]
    basis = fit_basis(Z, w, [c.is_code for c in encoded.columns])
    # Counts that vary by more than chance are worth fewer rows than they are.
    worth = replace(target, w=w / _dispersion(target))
    problem = problem_of(basis, basis.transform(Z), worth, ways)
    solutions, start = dict[float, Floats](), None
    for penalty in PENALTIES:
        start = solutions[penalty] = problem.solve(penalty, start)
    told = {each: problem.evidence(theta, each) for each, theta in solutions.items()}
    penalty = next(each for each in PENALTIES if told[each] >= max(told.values()) - _SHOWN)
    theta = solutions[penalty]
    model = MarginModel(encoded.columns, basis, float(theta[0]), theta[1:], "", (1.0, 0.0))
    sample = np.arange(len(y))[:MAX_SAMPLED]
    variance = problem.variance(theta, penalty, sample)
    return FittedMargin(model, problem.left_out(theta, penalty, groups), w, sample, variance)


def _dispersion(target: Target) -> float:
    """Return by how much counts vary beyond chance around their average; one for labels."""
    if target.family == "binary":
        return 1.0
    mean = np.exp(target.known(target.constant()))
    return max(1.0, float(np.average((target.y - mean) ** 2 / mean, weights=target.w)))


def problem_of(basis: Basis, features: Floats, target: Target, ways: tuple[int, ...]) -> Problem:
    """Return the regression on some features; `ways` are the directions of their columns."""
    bounds: list[tuple[float | None, float | None]] = []
    for kind, owner in zip(basis.kinds, basis.owners, strict=True):
        direction = 0 if kind == "missing" else ways[int(owner)]
        bounds.append((0.0 if direction > 0 else None, 0.0 if direction < 0 else None))
    center = np.zeros(features.shape[1])
    # Column by column a product takes two thirds of the time.
    features = np.asfortranarray(features)
    return Problem(target.family, features, target.y, target.w, bounds, center, target.offset)
