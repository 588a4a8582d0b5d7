"""The linear part of a margin: ridge regression on signed logs, ranks and missing flags.

With a few thousand labels, a few per cent of them positive, a penalized linear model on
log-transformed signals is hard to beat; the trees of `boosting` are blended with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Final, Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from features.arrays import Floats, Ints
from models.stable_json import State

Family = Literal["binary", "poisson"]

N_KNOTS: Final = 33
_CLIP: Final = 6.0
# So few rows are ranked in all columns at once.
_FEW_ROWS: Final = 64
_CHUNK_ROWS: Final = 50_000
# A solution is found when a step gains no more of the loss. What it is from the best one is then
# some thousandth of what it would be from that of another sample.
_SETTLED: Final = 1e-7
# What others must still say of a row, as a share, and rows of a group that are left out at once.
_LEAST_LEFT: Final = 0.05
_MANY_TOGETHER: Final = 200
# A log-rate above this is never served; it keeps exp() finite while a fit is under way.
_MAX_LOG_RATE: Final = 30.0


@dataclass(frozen=True)
class Basis:
    """Turns an encoded table into standardized features, each owned by one column.

    Parameters
    ----------
    kinds : tuple of {"log", "rank", "missing", "plain"}
        What each feature is; plain ones are in log-odds or log-rate already.
    owners : array of int, shape (q,)
        Column that each feature belongs to; ascending.
    means, scales : array of shape (q,)
        Weighted mean and standard deviation on the training rows.
    knots : mapping of int to array
        Quantiles of the columns that have a rank feature.
    """

    kinds: tuple[str, ...]
    owners: Ints
    means: Floats
    scales: Floats
    knots: Mapping[int, Floats]

    @cached_property
    def _places(self) -> dict[str, Ints]:
        """Where the features of each kind are."""
        kinds = np.array(self.kinds, dtype=np.str_)
        return {kind: np.flatnonzero(kinds == kind) for kind in ("log", "rank", "missing", "plain")}

    @cached_property
    def _laid_out(self) -> tuple[Floats, Floats]:
        """Knots of the rank features side by side, filled up, and the rank at each; (k, 33)."""
        ranks = self._places["rank"]
        knots = np.full((len(ranks), N_KNOTS), np.inf)
        grids = np.ones((len(ranks), N_KNOTS))
        for i, k in enumerate(ranks):
            own = self.knots[int(self.owners[k])]
            knots[i, : len(own)] = own
            grids[i, : len(own)] = _grid(len(own))
        return knots, grids

    def transform(self, Z: Floats) -> Floats:
        """Return the features, shape (n, q); a missing value has the mean's feature, zero."""
        features = np.empty((len(Z), len(self.kinds)), dtype=np.float64)
        logs, flags, plain = (self._places[kind] for kind in ("log", "missing", "plain"))
        features[:, logs] = _signed_log(Z[:, self.owners[logs]])
        features[:, plain] = Z[:, self.owners[plain]]
        features[:, flags] = np.isnan(Z[:, self.owners[flags]])
        ranks = self._places["rank"]
        if len(Z) <= _FEW_ROWS and len(ranks):
            features[:, ranks] = _ranks_of_few(Z[:, self.owners[ranks]], *self._laid_out)
        else:
            for k in ranks:
                owner = int(self.owners[k])
                features[:, k] = _rank(Z[:, owner], self.knots[owner])
        features -= self.means
        features /= self.scales
        np.clip(features, -_CLIP, _CLIP, out=features)
        features[np.isnan(features)] = 0.0
        return features

    def dot(self, Z: Floats, coefficients: Floats) -> Floats:
        """Return features times coefficients, shape (n,), holding few rows of features at once."""
        total = np.empty(len(Z))
        for start in range(0, len(Z), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            # Row by row, and not by BLAS: one row has the same bits alone as among many.
            total[part] = (self.transform(Z[part]) * coefficients).sum(axis=1)
        return total

    def product(self, Z: Floats, coefficients: Floats) -> Floats:
        """Return features times several columns of coefficients, shape (n, k)."""
        starts = range(0, len(Z), _CHUNK_ROWS)
        return np.concatenate(
            [self.transform(Z[i : i + _CHUNK_ROWS]) @ coefficients for i in starts]
        )

    def contributions(self, Z: Floats, coefficients: Floats, values: Floats) -> Floats:
        """Add each feature's share to its owner's column of `values`; return what `dot` returns."""
        total = np.empty(len(Z))
        # The features of one column stand together, so each run of owners is summed at once.
        present, starts = np.unique(self.owners, return_index=True)
        for start in range(0, len(Z), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            features = self.transform(Z[part])
            features *= coefficients
            total[part] = features.sum(axis=1)
            if len(present):
                values[part, present] += np.add.reduceat(features, starts, axis=1)
        return total

    def with_plain(self, owner: int) -> Basis:
        """Return it with a column that is added as it is."""
        return Basis(
            (*self.kinds, "plain"),
            np.append(self.owners, owner),
            np.append(self.means, 0.0),
            np.append(self.scales, 1.0),
            self.knots,
        )

    def taken(self, order: Ints) -> Basis:
        """Return its features in another order."""
        kinds = tuple(self.kinds[k] for k in order)
        return Basis(kinds, self.owners[order], self.means[order], self.scales[order], self.knots)

    def state(self) -> State:
        """Return it as JSON can hold it."""
        return {
            "kinds": list(self.kinds),
            "owners": self.owners.tolist(),
            "means": self.means.tolist(),
            "scales": self.scales.tolist(),
            "knots": {str(j): knots.tolist() for j, knots in self.knots.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Basis:
        """Rebuild it from `state`."""
        return cls(
            tuple(state["kinds"]),
            np.asarray(state["owners"], dtype=np.int64),
            np.asarray(state["means"], dtype=np.float64),
            np.asarray(state["scales"], dtype=np.float64),
            {int(j): np.asarray(k, dtype=np.float64) for j, k in state["knots"].items()},
        )


def _signed_log(values: Floats) -> Floats:
    return np.asarray(np.copysign(np.log1p(np.abs(values)), values))


def _rank(values: Floats, knots: Floats) -> Floats:
    return np.interp(values, knots, _grid(len(knots)))


def _ranks_of_few(values: Floats, knots: Floats, grids: Floats) -> Floats:
    """Return what `_rank` returns, of all columns at once; shape (n, k).

    The arithmetic is numpy's own, so the two agree to the last bit.
    """
    below = (values[:, :, None] >= knots).sum(axis=2)  # a missing value is below none
    columns = np.arange(len(knots))
    n_own = np.isfinite(knots).sum(axis=1)
    low = np.clip(below - 1, 0, n_own - 2)
    x0, x1 = knots[columns, low], knots[columns, low + 1]
    y0, y1 = grids[columns, low], grids[columns, low + 1]
    found = (y1 - y0) / (x1 - x0) * (values - x0) + y0
    found = np.where(below == 0, 0.0, found)
    found = np.where(below >= n_own, 1.0, found)
    return np.asarray(np.where(np.isnan(values), np.nan, found))


@cache
def _grid(n: int) -> Floats:
    return np.linspace(0.0, 1.0, n)


def fit_basis(Z: Floats, w: Floats, is_code: Sequence[bool]) -> Basis:
    """Choose and standardize the features of each column; constant ones are left out."""
    kinds: list[str] = []
    owners: list[int] = []
    means: list[float] = []
    scales: list[float] = []
    knots: dict[int, Floats] = {}
    for j in range(Z.shape[1]):
        values = Z[:, j]
        missing = np.isnan(values)
        distinct = np.unique(weighted_quantiles(values[~missing], w[~missing], N_KNOTS))
        candidates = {"missing": missing.astype(np.float64)}
        if is_code[j]:
            candidates["plain"] = values
        elif not missing.all():
            candidates["log"] = _signed_log(values)
        if len(distinct) > 2 and not is_code[j]:
            knots[j] = distinct
            candidates["rank"] = _rank(values, distinct)
        for kind, raw in candidates.items():
            there = ~np.isnan(raw)
            if not there.any():
                continue
            mean = float(np.average(raw[there], weights=w[there]))
            scale = float(np.sqrt(np.average((raw[there] - mean) ** 2, weights=w[there])))
            if scale > 1e-9 * max(1.0, abs(mean)):
                kinds.append(kind)
                owners.append(j)
                means.append(mean)
                scales.append(scale)
            elif kind == "rank":
                del knots[j]
    return Basis(
        tuple(kinds),
        np.asarray(owners, dtype=np.int64),
        np.asarray(means, dtype=np.float64),
        np.asarray(scales, dtype=np.float64),
        knots,
    )


def weighted_quantiles(values: Floats, w: Floats, n: int) -> Floats:
    """Return `n` evenly spaced quantiles, inverse of the weighted distribution function."""
    if not values.size:
        return np.empty(0, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(w[order])
    wanted = np.linspace(0.0, 1.0, n) * mass[-1]
    return np.asarray(values[order][np.searchsorted(mass, wanted - 1e-9 * mass[-1])])


def losses(family: Family, y: Floats, margin: Floats) -> Floats:
    """Return each row's negative log-likelihood of a margin, up to a constant."""
    if family == "binary":
        return np.asarray(np.logaddexp(0.0, margin) - y * margin)
    return np.asarray(np.exp(np.minimum(margin, _MAX_LOG_RATE)) - y * margin)


def loss(family: Family, y: Floats, margin: Floats, w: Floats) -> float:
    """Return the weighted mean negative log-likelihood of a margin, up to a constant."""
    return float(np.average(losses(family, y, margin), weights=w))


def mean_of(family: Family, margin: Floats) -> Floats:
    """Return the probability or rate that a margin stands for."""
    if family == "binary":
        return np.asarray(expit(margin))
    return np.asarray(np.exp(np.minimum(margin, _MAX_LOG_RATE)))


def link_of(family: Family, mean: float) -> float:
    """Return the margin of an average."""
    if family == "binary":
        mean = min(max(mean, 1e-9), 1 - 1e-9)
        return float(np.log(mean / (1.0 - mean)))
    return float(np.log(max(mean, 1e-9)))


@dataclass(frozen=True)
class Problem:
    """A penalized generalized linear regression.

    Parameters
    ----------
    family : {"binary", "poisson"}
    features : array of shape (n, q)
    y, w : array of shape (n,)
    bounds : sequence of (lower, upper), length q
        Signs the coefficients must have.
    center : array of shape (q,)
        Coefficients the penalty pulls toward.
    offset : array of shape (n,), optional
        Part of each row's margin that is known and not to be learned.
    """

    family: Family
    features: Floats
    y: Floats
    w: Floats
    bounds: Sequence[tuple[float | None, float | None]]
    center: Floats
    offset: Floats | None = None

    def of(self, rows: Ints) -> Problem:
        """Return the problem of some of its rows."""
        offset = None if self.offset is None else self.offset[rows]
        features = np.take(self.features.T, rows, axis=1).T
        return replace(self, features=features, y=self.y[rows], w=self.w[rows], offset=offset)

    def _curve(self, margin: Floats) -> Floats:
        """Weighted curvature of each row's loss at its margin."""
        mean = mean_of(self.family, margin)
        return self.w * (mean * (1.0 - mean) if self.family == "binary" else mean)

    def _margin(self, theta: Floats) -> Floats:
        known = 0.0 if self.offset is None else self.offset
        return np.asarray(theta[0] + self.features @ theta[1:] + known)

    def information(self, theta: Floats, penalty: float) -> Floats:
        """Return the curvature of the penalized loss at a solution, (q + 1, q + 1)."""
        curve = self._curve(self._margin(theta))
        out = np.diag(np.append(1e-9, np.full(len(theta) - 1, penalty)))
        for start in range(0, len(self.features), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            design = _with_ones(self.features[part])
            out += (design * curve[part, None]).T @ design
        return np.asarray(out)

    def variance(self, theta: Floats, penalty: float, rows: Ints) -> Floats:
        """Return the variance of the margin of some rows at a solution (Laplace's), (n_rows,)."""
        design = _with_ones(self.features[rows])
        solved = np.linalg.solve(self.information(theta, penalty), design.T)
        return np.asarray(np.einsum("ij,ji->i", design, solved))

    def evidence(self, theta: Floats, penalty: float) -> float:
        """Return the log-likelihood of all rows with the coefficients averaged over (Laplace's).

        A weak penalty pays for every direction that it leaves open, so that few rows, and noise,
        ask for a strong one; none need be left out, and a weight of two is a row given twice.
        """
        pulled = theta[1:] - self.center
        fit = -loss(self.family, self.y, self._margin(theta), self.w) * float(self.w.sum())
        _, volume = np.linalg.slogdet(self.information(theta, penalty))
        prior = 0.5 * len(pulled) * np.log(penalty) - 0.5 * penalty * float(pulled @ pulled)
        return float(fit + prior - 0.5 * volume)

    def left_out(self, theta: Floats, penalty: float, groups: Ints | None) -> Floats:
        """Return each row's margin by the rows of other groups, to first order, (n,).

        What is known of each row is not in it. Groups of many rows are left out row by row.
        """
        margin = self._margin(theta)
        gradient = self.w * (mean_of(self.family, margin) - self.y)
        curve = self._curve(margin)
        design = _with_ones(self.features)
        solved = np.linalg.solve(self.information(theta, penalty), design.T)
        reach = np.einsum("ij,ji->i", design, solved)
        moved = reach * gradient / np.maximum(1.0 - reach * curve, _LEAST_LEFT)
        owner = np.arange(len(margin)) if groups is None else groups
        order = np.argsort(owner, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
            if 1 < len(rows) <= _MANY_TOGETHER:
                own = design[rows] @ solved[:, rows]
                apart = np.eye(len(rows)) * (1.0 + 1e-9) - own * curve[rows]
                moved[rows] = np.linalg.solve(apart, own @ gradient[rows])
        return np.asarray(theta[0] + self.features @ theta[1:] + moved)

    def solve(self, penalty: float, start: Floats | None = None) -> Floats:
        """Return (intercept, coefficients), shape (q + 1,); `start` is a solution nearby."""
        q = self.features.shape[1]
        if start is None:
            average = float(np.average(self.y, weights=self.w))
            start = np.concatenate([[link_of(self.family, average)], self.center])
        lower = [(-_MAX_LOG_RATE, _MAX_LOG_RATE), *self.bounds]
        mass = float(self.w.sum())
        known = 0.0 if self.offset is None else self.offset

        def cost(theta: Floats) -> tuple[float, Floats]:
            margin = theta[0] + self.features @ theta[1:] + known
            pulled = theta[1:] - self.center
            value = loss(self.family, self.y, margin, self.w)
            value += 0.5 * penalty * float(pulled @ pulled) / mass
            slope = self.w * (mean_of(self.family, margin) - self.y) / mass
            gradient = np.empty(q + 1)
            gradient[0] = slope.sum()
            gradient[1:] = slope @ self.features + penalty * pulled / mass
            return value, gradient

        found = minimize(
            cost,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=lower,
            options={"maxiter": 300, "ftol": _SETTLED, "gtol": 1e-6, "maxcor": 20},
        )
        return np.asarray(found.x, dtype=np.float64)


def _with_ones(features: Floats) -> Floats:
    return np.column_stack([np.ones(len(features)), features])
