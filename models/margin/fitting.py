"""Fit a margin: parts on crossing folds, blended by what they say of rows they have not seen.

The parts are a penalized linear model, shallow trees, and deep trees where those do as well. What
remains between the blend and the held-out rows of a category's level is added at the end, so that
no type or region is systematically scored too high or too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats, Ints
from models.columns.categories import Target
from models.columns.encoding_fit import Encoded, fit_columns
from models.linear import Basis, Problem, fit_basis, losses
from models.margin.folds import deal, n_folds_of, n_rare
from models.margin.level import Level
from models.margin.lightgbm_trees import Binned, Crew, Growth, Shape, mix
from models.margin.margin import FittedMargin, MarginModel
from models.margin.settings import Settings
from models.margin.threads import go_on, in_turns
from models.margin.whole import MAX_SAMPLED, PENALTIES, fit_whole, problem_of

# Weaker penalties are slow to solve, and are spared where the last one lost so much.
_WORSE: Final = 0.005
# A count's loss may be below zero. There a weaker penalty must gain so much to be taken: what it
# gains on other dealers of the same days it loses on later ones, whose counts it halved.
_WON_BY_COUNTS: Final = 0.02
# With fewer rows than this the strongest penalty that may be as good as the best is taken: a choice
# among penalties by few rows errs toward the weak (one standard error; Breiman and others, 1984).
_FEW_LINEAR_ROWS: Final = 4_000
# More rows than this teach a linear model nothing more.
_MAX_LINEAR_ROWS: Final = 100_000
# So many rows, two folds of them, are enough to choose the penalty by.
_MANY_LINEAR_ROWS: Final = 10_000
# Beyond so many positives a finer account of them adds nothing that they do not say themselves.
_MAX_GRADED_POSITIVE: Final = 400
# With so many rows of the rarer class, a second shape of trees is grown only if it adds such a
# share to what the blend tells beyond the average.
_MANY_RARE: Final = 1_000
_WORTH_BOTH: Final = 0.002
# Pull of the blend toward equal shares, in units of log-likelihood.
_BLEND_PULL: Final = 4.0
# Log-likelihood on held-out rows that setting a category's levels right must gain.
_MIN_SURPLUS: Final = 0.8
# What one member alone would add to the standard error of the margin, as a share of it.
_FEW_MEMBERS: Final = 0.6


def fit_margin(
    X: pd.DataFrame,
    y: Floats,
    w: Floats,
    groups: Ints | None,
    settings: Settings,
    *,
    graded: Floats | None = None,
    offset: Floats | None = None,
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
    offset : array of shape (n,), optional
        Part of each row's margin that is known, such as the strictness of who looked: the margin
        is fitted beside it and served without it.
    """
    n_folds = n_folds_of(y, groups, settings)
    if n_folds < 2 and groups is not None and n_folds_of(y, None, settings) > 1:
        # Groups so few, or so like the target, that none can be left out say nothing.
        groups = None
        n_folds = n_folds_of(y, None, settings)
    if n_folds < 2:
        return fit_whole(X, y, w, groups, settings, offset)
    target = Target(settings.family, y, w / w.mean(), offset)
    foldings = [
        deal(y, groups, n_folds, settings.seed + repeat)
        for repeat in range(settings.repeats(len(y), n_rare(y, settings.family)))
    ]
    targets = [target]
    if graded is not None and np.count_nonzero(y) <= _MAX_GRADED_POSITIVE:
        targets.append(replace(target, y=graded))
    encoded = fit_columns(X, target, foldings, monotone=settings.monotone)
    ways = settings.ways(encoded.columns, list(X.columns))
    return _Crossing(encoded, foldings, settings, ways).fit(targets)


@dataclass(frozen=True)
class _Part:
    """What one part says: of held-out rows, and of sampled rows by each member."""

    held_out: Floats
    sampled: Floats
    theta: Floats | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Crossing:
    """Encoded rows, dealt into folds, and how to fit them."""

    encoded: Encoded
    foldings: Sequence[Ints]
    settings: Settings
    ways: tuple[int, ...]

    def fit(self, targets: Sequence[Target]) -> FittedMargin:
        """Fit every part to every target, and blend them for the first."""
        target, w = targets[0], targets[0].w
        sample = np.random.default_rng(self.settings.seed).permutation(len(w))[:MAX_SAMPLED]
        sample.sort()
        basis = fit_basis(self.encoded.tables[0], w, [c.is_code for c in self.encoded.columns])
        parts = [self._linear(basis, each, sample) for each in targets]
        beside = parts[0].held_out
        binned = Binned.of(self.encoded.tables, self.foldings, target, self._growth("deep", len(w)))
        for each in targets:
            parts += self._trees(binned, each, sample, None if each is not target else beside)
        held_out = np.column_stack([part.held_out for part in parts])
        blend = _blend(held_out, target)
        shares = blend[1:]
        theta = sum(
            share * part.theta
            for share, part in zip(shares, parts, strict=True)
            if part.theta is not None
        )
        n_linear = len(targets)
        model = MarginModel(
            self.encoded.columns,
            basis,
            float(blend[0] + theta[0]),
            theta[1:],
            mix([(part.texts, float(s)) for s, part in zip(shares, parts, strict=True)]),
            (float(shares[:n_linear].sum()), float(shares[n_linear:].sum())),
        )
        model, margin = self._set_right(model, blend[0] + held_out @ shares, target)
        members = np.tensordot(shares, np.stack([part.sampled for part in parts]), 1)
        own = np.stack([folds[sample] for folds in self.foldings])
        return FittedMargin(model, margin, w, sample, _variance(members, own))

    def _linear(self, basis: Basis, target: Target, sample: Ints) -> _Part:
        """Fit the linear part; its solution is the mean over the folds."""
        n = len(target.y)
        rows = np.arange(n)
        if n > _MAX_LINEAR_ROWS:
            rows = np.random.default_rng(self.settings.seed).permutation(n)[:_MAX_LINEAR_ROWS]
            rows.sort()
        kept = target.taken(rows)
        penalty, nearby = 0.0, list[Floats]()
        solutions: list[Floats] = []
        said: list[list[Floats]] = []
        held_out = np.zeros(n)
        tables = self.encoded.tables
        for i, (Z, folds) in enumerate(zip(tables, self.foldings, strict=True)):
            if i == 0 or Z is not tables[0]:
                whole = problem_of(basis, basis.transform(Z[rows]), kept, self.ways)
            problems = [_without(whole, folds[rows] == k) for k in range(int(folds.max()) + 1)]
            if i == 0:
                penalty, nearby = _choose_penalty(problems, whole, folds[rows])
            ready = list(zip(problems, [penalty] * len(problems), nearby, strict=True))
            found = in_turns(lambda each: each[0].solve(*each[1:]), ready, self.settings.n_jobs)
            # What all say of all rows, in one pass; where only some were fitted, the rest is read.
            margins = np.column_stack(found)
            spoken = (
                whole.features @ margins[1:] if len(rows) == n else basis.product(Z, margins[1:])
            ) + margins[0]
            held_out += spoken[np.arange(n), folds]
            said.append(spoken[sample].T)
            solutions += found
        held_out /= len(self.foldings)
        return _Part(held_out, np.asarray(said), theta=np.mean(solutions, axis=0))

    def _growth(self, shape: Shape, n_rows: int) -> Growth:
        return self.settings.growth(n_rows, shape, self.ways)

    def _trees(
        self, binned: Binned, target: Target, sample: Ints, beside: Floats | None
    ) -> list[_Part]:
        """Grow shallow trees, deep ones, or both: what is worth it beside the linear part.

        A finer account of the target, which stands `beside` nothing, is for shallow ones.
        """
        n = len(target.y)
        shallow = replace(self._growth("shallow", n), is_graded=beside is None)
        crews = [Crew.gather(binned, target, shallow)]
        if beside is not None:
            deep = Crew.gather(binned, target, self._growth("deep", n))
            crews = worth_growing(crews[0], deep, beside, target)
        grown = [crew.grow(sample) for crew in crews]
        return [_Part(g.held_out, g.sampled, texts=g.texts) for g in grown]

    def _set_right(
        self, model: MarginModel, margin: Floats, target: Target
    ) -> tuple[MarginModel, Floats]:
        """Add to each level of a category what its held-out rows have above the blend."""
        folds = self.foldings[0]
        columns, basis = list(model.columns), model.basis
        n_added = 0
        for j, levels in self.encoded.surplus.items():
            offsets = np.broadcast_to(margin, (int(folds.max()) + 1, len(margin)))
            sums = target.sums(levels, folds, offsets)
            pull = target.choose_pull(levels, sums, margin, folds)
            added = margin + target.added(sums, pull)[folds, levels.codes]
            if len(margin) * (target.loss(margin) - target.loss(added)) < _MIN_SURPLUS:
                continue
            together = np.zeros(len(folds), dtype=np.int64)
            whole = target.added(target.sums(levels, together, margin[None]), pull)[0]
            columns[j] = replace(columns[j], codes=tuple(whole[: levels.size].tolist()))
            basis = basis.with_plain(j)
            margin = added
            n_added += 1
        coefficients = np.append(model.coefficients, np.ones(n_added))
        order = np.argsort(basis.owners, kind="stable")
        model = replace(
            model,
            columns=tuple(columns),
            basis=basis.taken(order),
            coefficients=coefficients[order],
        )
        return model, margin


def set_level(fitted: FittedMargin, level: Level) -> FittedMargin:
    """Return the margin at another level."""
    model = replace(
        fitted.model,
        intercept=level.intercept + level.slope * fitted.model.intercept,
        coefficients=level.slope * fitted.model.coefficients,
        trees=mix([((fitted.model.trees,), level.slope)] if fitted.model.trees else []),
    )
    return replace(fitted, model=model, held_out=level.of(fitted.held_out))


def worth_growing(shallow: Crew, deep: Crew, beside: Floats, target: Target) -> list[Crew]:
    """Return the shapes of trees that are worth their time, going by the first member of each.

    Where findings are few, a second shape steadies the first, unless it is clearly worse. Many
    tell whether a blend with both fits better than with one, and mostly it does not.
    """
    if target.n_rare < _MANY_RARE:
        return [shallow, deep] if deep.is_as_good_as(shallow) else [shallow]
    out, said = shallow.trial()
    told = target.taken(out)
    parts = np.column_stack([beside[out], said, deep.trial()[1]])

    def loss_of(*columns: int) -> float:
        kept = parts[:, columns]
        theta = _blend(kept, told)
        return told.loss(theta[0] + kept @ theta[1:])

    both = loss_of(0, 1, 2)
    alone, crew = min((loss_of(0, 1), 0), (loss_of(0, 2), 1))
    adds = alone - both > _WORTH_BOTH * (told.loss(told.constant()) - both)
    return [shallow, deep] if adds else [(shallow, deep)[crew]]


def _variance(members: Floats, own: Ints) -> Floats:
    """Return the jackknife variance of each sampled row's margin, (n_sampled,).

    Only members that learned from the row are compared: the one that left it out differs from
    them by the row's own label too, which no new row has.

    Parameters
    ----------
    members : array of shape (n_foldings, n_folds, n_sampled)
    own : array of int, shape (n_foldings, n_sampled)
        Fold of each row, whose member left it out.
    """
    n_folds = members.shape[1]
    learned = np.arange(n_folds)[None, :, None] != own[:, None, :]
    if n_folds < 3:
        learned[:] = True
    count = learned.sum(axis=1, keepdims=True)
    mean = np.where(learned, members, 0.0).sum(axis=1, keepdims=True) / count
    squares = np.where(learned, (members - mean) ** 2, 0.0).sum(axis=1) / (count[:, 0] - 1)
    # Few members leave more to the chance of how the rows were dealt.
    few = 1.0 + _FEW_MEMBERS / (members.shape[0] * n_folds)
    return np.asarray(squares.mean(axis=0) * (n_folds - 1) ** 2 / n_folds * few**2)


def _without(whole: Problem, is_out: npt.NDArray[np.bool_]) -> Problem:
    return whole.of(np.flatnonzero(~is_out))


def _choose_penalty(
    problems: Sequence[Problem], whole: Problem, folds: Ints
) -> tuple[float, list[Floats]]:
    """Return the penalty with the least held-out loss, and where to start each fold's solution.

    A penalty is worth as many rows whatever their number, so of many rows some are asked, and two
    folds of them are enough.
    """
    tried: Sequence[Problem] = problems
    if len(folds) > _MANY_LINEAR_ROWS:
        some = np.linspace(0, len(folds) - 1, _MANY_LINEAR_ROWS).astype(np.int64)
        whole, folds = whole.of(some), folds[some]
        tried = [_without(whole, folds == k) for k in range(2)]
    out = folds < len(tried)
    found: list[tuple[float, float, Floats, list[Floats]]] = []
    starts: list[Floats | None] = [None] * len(tried)
    margin = np.empty(len(folds))
    known = np.zeros(len(folds)) if whole.offset is None else whole.offset
    for penalty in PENALTIES:
        go_on()
        solutions = [p.solve(penalty, s) for p, s in zip(tried, starts, strict=True)]
        for fold, theta in enumerate(solutions):
            held = folds == fold
            margin[held] = theta[0] + whole.features[held] @ theta[1:]
        each = losses(whole.family, whole.y[out], margin[out] + known[out])
        mean = float(np.average(each, weights=whole.w[out]))
        least = min((one[0] for one in found), default=None)
        if least is not None and mean > least * (1 + (_WORSE if least > 0 else _WON_BY_COUNTS)):
            break
        found.append((mean, penalty, each, solutions))
        starts = list(solutions)
    best = min(found, key=lambda one: one[0])
    if len(folds) < _FEW_LINEAR_ROWS:
        best = next(one for one in found if _may_be_as_good(one[2], best[2], whole.w[out]))
    _, penalty, _, solutions = best
    if tried is not problems:
        nearby = problems[0].solve(penalty, solutions[0])
        solutions = [nearby] * len(problems)
    return penalty, solutions


def _may_be_as_good(each: Floats, best: Floats, w: Floats) -> bool:
    """Whether losses exceed the best ones by no more than a standard error of the difference."""
    excess = w * (each - best) / w.mean()
    return bool(excess.mean() <= excess.std() / np.sqrt(len(excess)))


def _blend(parts: Floats, target: Target) -> Floats:
    """Return intercept and the non-negative weights of the parts that fit the held-out rows."""
    n_parts = parts.shape[1]
    bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * n_parts
    even = np.full(n_parts, 1.0 / n_parts)
    problem = Problem(target.family, parts, target.y, target.w, bounds, even, target.offset)
    return problem.solve(_BLEND_PULL, np.concatenate([[0.0], even]))
