"""Splits that cannot leak: whole counties held out, or later as-of dates after the horizon.

A rolling split trains on labels known on its training day and is judged on later as-of dates.
`check_split` proves the gap; a split that overlaps raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import add_months, is_known
from training.errors import SplitOverlapError, TooFewLabelsError


def group_folds(groups: npt.ArrayLike, *, n_folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Assign each row a fold so that a group (a county) is never in two.

    Groups are shuffled and dealt out in turn; the same seed gives the same folds whatever the
    order of the rows.

    Examples
    --------
    >>> folds = group_folds(["a", "b", "a", "c"], n_folds=3, seed=0)
    >>> bool(folds[0] == folds[2])
    True
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < n_folds:
        raise TooFewLabelsError(
            f"{n_folds} folds need at least as many groups.",
            found=f"{len(names)} groups",
            fix="ask for fewer folds or a longer period",
        )
    dealt = np.random.default_rng(seed).permutation(len(names)) % n_folds
    return np.asarray(dealt[codes], dtype=np.int64)


@dataclass(frozen=True)
class Split:
    """One training day and what it is judged on.

    Parameters
    ----------
    trained_on : date
        Only labels known before this day are used.
    train_as_of : tuple of date
        As-of dates whose labels may be used.
    test_as_of : tuple of date
        As-of dates it is judged on; none before `trained_on`.
    horizon_months : int
        Length of the window a label looks at, after its as-of date.
    """

    trained_on: date
    train_as_of: tuple[date, ...]
    test_as_of: tuple[date, ...]
    horizon_months: int

    def __post_init__(self) -> None:
        check_split(self)


def check_split(split: Split) -> None:
    """Prove that the gap covers the horizon.

    Raises
    ------
    SplitOverlapError
        When a training window ends after the training day, or a test as-of date lies before it.
    """
    for when in split.train_as_of:
        ends = add_months(when, split.horizon_months)
        if ends > split.trained_on:
            raise SplitOverlapError(
                f"The label window of {when} reaches past the training day {split.trained_on}.",
                found=f"window ends {ends}",
                expected=f"at least {split.horizon_months} months between them",
                fix="drop that as-of date from the training side or train later",
            )
    for when in split.test_as_of:
        if when < split.trained_on:
            raise SplitOverlapError(
                f"The test as-of date {when} lies before the training day {split.trained_on}.",
                expected="every test date on or after the training day",
                fix="move the test date later or train earlier",
            )


def rolling(
    as_of: Sequence[date], *, horizon_months: int, n_tests: int, first_test: date | None = None
) -> list[Split]:
    """Return rolling as-of splits, one a test date, oldest first.

    Parameters
    ----------
    as_of : sequence of date
        Every as-of date at hand.
    horizon_months : int
        A training as-of date must lie at least this far before the test date.
    n_tests : int
        How many of the last as-of dates are judged.
    """
    ordered = sorted(set(as_of))
    tests = [d for d in ordered if first_test is None or d >= first_test][-n_tests:]
    splits = []
    for test in tests:
        train = tuple(d for d in ordered if add_months(d, horizon_months) <= test)
        if train:
            splits.append(Split(test, train, (test,), horizon_months))
    if not splits:
        raise TooFewLabelsError(
            "No as-of date lies a whole label horizon before a test date.",
            found=f"{len(ordered)} as-of dates from {ordered[0]} to {ordered[-1]}"
            if ordered
            else "no as-of dates",
            expected=f"more than {horizon_months} months of history",
            fix="ingest a longer history",
        )
    return splits


def known_before(known_on: pd.Series, trained_on: date) -> npt.NDArray[np.bool_]:
    """Whether each label was known before the training day."""
    return np.asarray(is_known(known_on, pd.Timestamp(trained_on)), dtype=np.bool_)


def require_disjoint(train: npt.ArrayLike, test: npt.ArrayLike, *, what: str) -> None:
    """Raise when a group stands on both sides.

    Raises
    ------
    SplitOverlapError
        Naming the first few groups found on both sides.
    """
    both = np.intersect1d(np.asarray(train, dtype=str), np.asarray(test, dtype=str))
    if len(both):
        raise SplitOverlapError(
            f"On both sides of a split stand {what}: {len(both):,} of them.",
            found=", ".join(both[:5]),
            expected="none",
            fix="split by whole groups",
        )
