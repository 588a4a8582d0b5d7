"""The tree part of a margin: LightGBM members grown in step on crossing folds, then merged.

Every member leaves one fold out. All grow one round at a time, and the number of rounds is where
the mean loss on the left-out folds is least, so no member is stopped by its own luck. The merged
model is one LightGBM text file whose prediction is the tree part of the served margin itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, Literal

import numpy as np

from features.arrays import Flags, Floats, Ints
from features.openjson import Options
from models.columns.categories import Target
from models.linear import Family
from models.margin.threads import in_turns

Shape = Literal["shallow", "deep"]

_METRIC: Final = {
    "binary": "binary_logloss", "cross_entropy": "cross_entropy", "poisson": "poisson",
}  # fmt: skip
# Deep trees are grown when their loss is at most so much of the shallow ones'.
_WORTH_GROWING: Final = 1.01
# Rounds that members grow before they are compared.
_STRIDE: Final = 5
_TREE: Final = re.compile(r"^Tree=\d+$", re.MULTILINE)
_SCALED: Final = ("leaf_value=", "internal_value=")


@dataclass(frozen=True)
class Growth:
    """How the members grow.

    Parameters
    ----------
    family : {"binary", "poisson"}
    monotone : tuple of int
        Direction of each column.
    num_leaves, max_rounds, patience : int
        Leaves of a tree; most rounds; rounds without improvement before growth stops.
    learning_rate : float
    seed, n_jobs : int
        Each member grows on one thread, `n_jobs` of them at once.
    is_graded : bool
        The target of the binary family may lie between 0 and 1.
    """

    family: Family
    monotone: tuple[int, ...]
    shape: Shape
    num_leaves: int
    max_rounds: int
    patience: int
    learning_rate: float
    seed: int
    n_jobs: int
    is_graded: bool = False

    def parameters(self, n_rows: int, member: int) -> Options:
        """Return LightGBM's parameters of one member."""
        objective = "cross_entropy" if self.is_graded else self.family
        parameters: dict[str, Any] = {
            "objective": objective,
            "metric": _METRIC[objective],
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            **self._shape(n_rows),
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "max_bin": 127,
            "min_data_in_bin": 3,
            "seed": self.seed * 1009 + member,
            "data_random_seed": self.seed,
            "deterministic": True,
            # Few leaves are found faster column by column, many row by row.
            "force_row_wise" if self.shape == "deep" else "force_col_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        if any(self.monotone):
            parameters["monotone_constraints"] = list(self.monotone)
            # The finer methods gave the same ranking at ten times the cost.
            parameters["monotone_constraints_method"] = "basic"
        return parameters

    def _shape(self, n_rows: int) -> Options:
        if self.shape == "shallow":
            return {
                "max_depth": 5,
                "min_data_in_leaf": int(np.clip(n_rows / 200, 5, 100)),
                "min_sum_hessian_in_leaf": 0.5,
                "lambda_l2": 5.0,
                "path_smooth": 2.0,
                "feature_fraction": 0.5,
            }
        return {
            "max_depth": 6,
            "min_data_in_leaf": int(np.clip(n_rows / 1000, 3, 20)),
            "min_sum_hessian_in_leaf": 0.01,
            "lambda_l2": 2.0,
            "feature_fraction": 0.7,
        }


@dataclass(frozen=True)
class Grown:
    """Members and what they say of rows they have not seen.

    Parameters
    ----------
    texts : tuple of str
        One LightGBM model each, cut at the common number of rounds.
    held_out : array of shape (n,)
        Mean margin over the members that left the row out.
    sampled : array of shape (n_foldings, n_folds, n_sampled)
        Margin of the sampled rows from each member.
    n_rounds : int
    """

    texts: tuple[str, ...]
    held_out: Floats
    sampled: Floats
    n_rounds: int


@dataclass(frozen=True)
class Binned:
    """Encoded rows in bins, made once for every shape of trees and every target.

    Parameters
    ----------
    tables : sequence of arrays, each of shape (n, p)
        One for each folding; the same one where nothing depends on it.
    foldings : sequence of int arrays, each of shape (n,)
        Several ways to deal the rows into folds.
    datasets : tuple
        LightGBM's, one for each folding.
    """

    tables: Sequence[Floats]
    foldings: Sequence[Ints]
    datasets: tuple[Any, ...]

    @classmethod
    def of(
        cls, tables: Sequence[Floats], foldings: Sequence[Ints], target: Target, growth: Growth
    ) -> Binned:
        """Bin each table once; `growth` is that of the smallest leaves."""
        parameters = growth.parameters(len(target.y), 0)
        made: list[Any] = []
        for Z in tables:
            made.append(made[0] if made and Z is tables[0] else _dataset(Z, target, parameters))
        return cls(tables, foldings, tuple(made))


@dataclass
class _Member:
    """One booster that leaves a fold out, and its held-out loss after each round."""

    make: Callable[[], Any]
    table: Floats
    out: Ints
    losses: list[float] = field(default_factory=list)

    @cached_property
    def booster(self) -> Any:
        """The booster, made when it is first asked for: not every member gets to grow."""
        return self.make()

    def grow_to(self, n_rounds: int) -> float:
        """Grow to so many rounds, if it has not yet; return the held-out loss there."""
        while len(self.losses) < n_rounds:
            self.booster.update()
            self.losses.append(float(self.booster.eval_valid()[0][2]))
        return self.losses[n_rounds - 1]


@dataclass(frozen=True)
class Crew:
    """The members of one shape on crossing folds, the first of them grown as a trial.

    Parameters
    ----------
    growth : Growth
    members : tuple
        One for each fold of each folding.
    n_foldings, n_rows : int
    trial_rounds : int
        Rounds after which the held-out loss of the first member alone is least.
    trial_loss : float
        That loss.
    """

    growth: Growth
    members: tuple[_Member, ...]
    n_foldings: int
    n_rows: int
    trial_rounds: int
    trial_loss: float

    @classmethod
    def gather(cls, binned: Binned, target: Target, growth: Growth) -> Crew:
        """Name the members, and grow the first.

        Parameters
        ----------
        binned : Binned
        target : Target
            What the members say excludes what is known of each row, and then the constant too.
        growth : Growth
        """
        # LightGBM starts from the average only where nothing is known of the rows.
        known = None if target.offset is None else target.known(target.constant())
        members: list[_Member] = []
        for Z, folds, whole in zip(binned.tables, binned.foldings, binned.datasets, strict=True):
            for fold in range(int(folds.max()) + 1):
                is_out = folds == fold
                parameters = growth.parameters(int((~is_out).sum()), len(members))
                make = partial(_booster, whole, target.y, known, is_out, parameters)
                members.append(_Member(make, Z, np.flatnonzero(is_out)))
        trial = _grow_in_step(members[:1], growth)
        return cls(growth, tuple(members), len(binned.foldings), len(target.y), *trial)

    def is_as_good_as(self, other: Crew) -> bool:
        """Whether the trial does about as well as that of another shape.

        Most tables are too noisy for deep trees, and are spared them.
        """
        return self.trial_loss <= other.trial_loss * _WORTH_GROWING

    def trial(self) -> tuple[Ints, Floats]:
        """Return the rows that the first member left out, and what it says of them."""
        first = self.members[0]
        return first.out, _said(first, first.table[first.out], self.trial_rounds)

    def grow(self, sample: Ints) -> Grown:
        """Grow all members, and ask each about the rows it left out and the sampled ones."""
        n_rounds, _ = _grow_in_step(self.members, self.growth)
        total = np.zeros(self.n_rows)
        sampled = np.empty((len(self.members), len(sample)))

        def ask(k: int) -> None:
            member = self.members[k]
            out = member.out
            said = _said(member, member.table[np.concatenate([out, sample])], n_rounds)
            sampled[k] = said[len(out) :]
            answers[k] = said[: len(out)]

        answers: list[Floats] = [np.empty(0)] * len(self.members)
        in_turns(ask, range(len(self.members)), self.growth.n_jobs, prepare=quiet)
        for member, said in zip(self.members, answers, strict=True):
            total[member.out] += said
        texts = tuple(m.booster.model_to_string(num_iteration=n_rounds) for m in self.members)
        by_folding = sampled.reshape(self.n_foldings, -1, len(sample))
        return Grown(texts, total / self.n_foldings, by_folding, n_rounds)


def _said(member: _Member, rows: Floats, n_rounds: int) -> Floats:
    return np.asarray(
        member.booster.predict(rows, raw_score=True, num_iteration=n_rounds, num_threads=1)
    )


def _dataset(table: Floats, target: Target, parameters: dict[str, Any]) -> Any:
    import lightgbm as lgb

    return lgb.Dataset(table, label=target.y, weight=target.w, params=parameters).construct()


def _booster(
    whole: Any, y: Floats, known: Floats | None, is_out: Flags, parameters: dict[str, Any]
) -> Any:
    """Return a booster of the rows that are not out, which is told of its loss on those that are.

    Subsets share the bins, so missing values are treated alike by every member.
    """
    import lightgbm as lgb

    def part(is_in: Flags) -> Any:
        rows = np.flatnonzero(is_in)
        made = whole.subset(rows.tolist(), params=parameters).construct()
        made.set_label(y[rows])
        if known is not None:
            made.set_init_score(known[rows])
        return made

    booster = lgb.Booster(parameters, part(~is_out))
    return booster.add_valid(part(is_out), "held_out")


def quiet() -> None:
    """Keep LightGBM from talking in this thread: it takes its loudness from the last parameters."""
    import lightgbm as lgb

    lgb.Dataset(np.zeros((2, 1)), params={"verbosity": -1}).construct()


def _grow_in_step(members: Sequence[_Member], growth: Growth) -> tuple[int, float]:
    """Return how many rounds are best, and the mean held-out loss there."""
    best, best_round, step = np.inf, 1, 0
    while step < growth.max_rounds:
        # A stride at a time: the threads meet seldom, and the best round is looked for in between.
        reached = min(step + _STRIDE, growth.max_rounds)
        in_turns(partial(_Member.grow_to, n_rounds=reached), members, growth.n_jobs, prepare=quiet)
        for now in range(step + 1, reached + 1):
            mean = float(np.mean([member.losses[now - 1] for member in members]))
            if mean < best - 1e-7:
                best, best_round = mean, now
            elif now - best_round >= growth.patience:
                return best_round, float(best)
        step = reached
    return best_round, float(best)


def merge(texts: Sequence[str], weight: float) -> str:
    """Merge models into one whose prediction is `weight` times the mean of theirs.

    >>> merge([], 1.0)
    ''
    """
    if not texts:
        return ""
    header = texts[0][: texts[0].index("Tree=0\n")]
    kept = [
        line
        for line in header.splitlines()
        if line and not line.startswith(("tree_sizes=", "objective="))
    ]
    factor = weight / len(texts)
    scaled = [_scaled(block, factor) for text in texts for block in blocks(text)]
    trees = [f"Tree={i}{block}" for i, block in enumerate(scaled)]
    sizes = "tree_sizes=" + " ".join(str(len(tree.encode())) for tree in trees)
    return "\n".join([*kept, sizes, "", ""]) + "".join(trees) + "end of trees\n\n"


def mix(parts: Sequence[tuple[Sequence[str], float]]) -> str:
    """Merge several ensembles into one whose prediction is the weighted sum of their means.

    >>> mix([((), 1.0), ((), 0.5)])
    ''
    """
    merged = [merge(texts, weight) for texts, weight in parts if texts and weight > 0]
    return merge(merged, float(len(merged)))


def blocks(text: str) -> list[str]:
    """Return the text of each tree, without its number."""
    body = text[text.index("Tree=0\n") : text.index("end of trees")]
    return _TREE.split(body)[1:]


def _scaled(block: str, factor: float) -> str:
    lines = block.split("\n")
    for i, line in enumerate(lines):
        if line.startswith(_SCALED):
            name, _, numbers = line.partition("=")
            scaled = " ".join(repr(float(v) * float(factor)) for v in numbers.split())
            lines[i] = f"{name}={scaled}"
    return "\n".join(lines)


def read(text: str) -> Any:
    """Read a LightGBM model from its text."""
    import lightgbm as lgb

    return lgb.Booster(model_str=text)
