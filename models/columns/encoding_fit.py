"""Learn how each column becomes numbers, and encode the training rows by their other folds.

What a level adds to the average is shrunk as far as the held-out rows ask for. Training rows get
the figure of the *other* folds, so that no row's own label is in what describes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from features.arrays import Floats, Ints
from models.columns.categories import Target
from models.columns.dates import days
from models.columns.encoding import MONTH, WEEKDAY, Column, Kind, kind_of, numbers, part_of
from models.columns.extras import fit_identities, fit_pairs
from models.columns.levels import Levels, read_levels

# A category of fewer levels tells trees apart by its code alone; more get their size too.
_MIN_COUNTED_LEVELS: Final = 10
# With so many rows of the rarer class for each level, no row need be kept from its own code.
_MIN_RARE_PER_LEVEL: Final = 30
# Levels of a category that may be set right one by one after the fit.
_MAX_SURPLUS_LEVELS: Final = 200


@dataclass(frozen=True)
class Encoded:
    """Fitted columns and the training rows they encode.

    Parameters
    ----------
    columns : tuple of Column
    tables : tuple of arrays, each of shape (n, q)
        One for each way the rows were dealt into folds; the same one where nothing depends on it.
    surplus : mapping of int to Levels
        Columns kept free, still all zero, for what levels have above the fitted margin.
    """

    columns: tuple[Column, ...]
    tables: tuple[Floats, ...]
    surplus: dict[int, Levels]


def fit_columns(
    X: pd.DataFrame, target: Target, foldings: Sequence[Ints], *, monotone: Sequence[int | None]
) -> Encoded:
    """Learn each column's encoding, and encode the training rows.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
    target : Target
    foldings : sequence of int arrays, each of shape (n,)
        Fold of each row: its category statistics come from the other folds.
    monotone : sequence of int or None
        Direction of each column; one that has any is a number, and neither a name nor in a pair.
    """
    columns: list[Column] = []
    features: list[list[Floats]] = []  # of each column, one array for each folding
    levels: dict[str, Levels] = {}
    for j, name in enumerate(X.columns):
        values = X.iloc[:, j]
        kind = kind_of(values)
        if kind == "category":
            levels[str(name)] = found = read_levels(values)
            made = _fit_category(str(name), found, target, foldings)
        else:
            read = numbers(values) if kind == "number" else days(values)
            made = [(c, [f] * len(foldings)) for c, f in _fit_number(str(name), kind, read)]
        columns += [column for column, _ in made]
        features += [each for _, each in made]
    free = [str(name) for name, way in zip(X.columns, monotone, strict=True) if way is None]
    extras = fit_identities(X[free], levels, target, foldings)
    extras += fit_pairs(X[free], levels, target, foldings)
    for column, each in extras:
        columns.append(column)
        features.append(each)
    surplus: dict[int, Levels] = {}
    for name in (name for name in free if name in levels):
        if 2 <= levels[name].size <= _MAX_SURPLUS_LEVELS:
            surplus[len(columns)] = levels[name]
            columns.append(_free_column(name, levels[name]))
            features.append([np.zeros(len(X))] * len(foldings))
    is_crossed = any(column.is_code for column in columns)
    tables = [
        np.column_stack([each[i] for each in features])
        for i in range(len(foldings) if is_crossed else 1)
    ]
    tables = tables if is_crossed else tables * len(foldings)
    return Encoded(tuple(columns), tuple(tables), surplus)


def _free_column(name: str, levels: Levels) -> Column:
    codes = (0.0,) * levels.size
    return Column(name, "category", levels.names, codes, 0.0, unseen=0.0, part="surplus")


def _fit_number(name: str, kind: Kind, read: Floats) -> list[tuple[Column, Floats]]:
    if kind == "number":
        return [(Column(name, "number", fill=_fill_for(read)), read)]
    parts = [
        (Column(name, "date", part=part), part_of(read, part)) for part in ("", MONTH, WEEKDAY)
    ]
    kept = [parts[0]] + [(c, f) for c, f in parts[1:] if len(np.unique(f[~np.isnan(f)])) > 1]
    return [(replace(column, fill=_fill_for(feature)), feature) for column, feature in kept]


def _fill_for(read: Floats) -> float | None:
    return None if np.isnan(read).any() else float(np.median(read))


def _fit_category(
    name: str, levels: Levels, target: Target, foldings: Sequence[Ints]
) -> list[tuple[Column, list[Floats]]]:
    by_folding = [target.sums(levels, folds) for folds in foldings]
    pull = target.choose_pull(levels, by_folding[0], target.constant(), foldings[0])
    crossed = [
        target.added(sums, pull)[folds, levels.codes]
        for sums, folds in zip(by_folding, foldings, strict=True)
    ]
    together = np.zeros(len(levels.codes), dtype=np.int64)
    whole = target.added(target.sums(levels, together), pull)[0, : levels.size]
    if target.n_rare >= _MIN_RARE_PER_LEVEL * levels.size:
        # What a row tells its own level is nothing here, and one code a level is easier to split.
        crossed = [np.append(whole, 0.0)[levels.codes]] * len(foldings)
    has_missing = bool((levels.codes < 0).any())
    gap = np.nan if has_missing else 0.0
    code = Column(
        name,
        "category",
        levels.names,
        tuple(whole.tolist()),
        None if has_missing else 0.0,
        unseen=0.0,
    )
    made = [(code, [np.where(levels.codes < 0, gap, each) for each in crossed])]
    if levels.size >= _MIN_COUNTED_LEVELS:
        rows = np.bincount(levels.codes[levels.codes >= 0], minlength=levels.size)
        rows = rows.astype(np.float64)
        size = replace(code, codes=tuple(rows.tolist()), fill=0.0, part="size")
        counted = np.append(rows, 0.0)[levels.codes]
        made.append((size, [counted] * len(foldings)))
    return made
