"""History of a whole agency: signals at many as-of dates, and the split that judges them.

Time runs one way. With ``T`` the last as-of date whose label window has ended, models judged at
``T`` learn only from labels known before ``T``; the model that is shipped is then fitted again on
everything known by the end of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import DAYS_A_YEAR, add_months
from features.engine.population import first_listing
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from models.order.set_against_alike import EXPOSURE
from training.errors import TooFewLabelsError
from training.evaluation.head_evaluation import size_of
from training.labels import dated_labels as labels
from training.labels.cohort import as_of_dates, places
from training.labels.splits import Split, rolling
from training.labels.weights.delays import CLOSING
from training.progress import Steps
from training.recipe import Recipe

# Records of so many days stand before the first list: signals count over a year and more.
_BEFORE: Final = DAYS_A_YEAR
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class CountryHistory:
    """Everything the heads of a country share.

    Parameters
    ----------
    table : FeatureTable
        Every dealer at every as-of date.
    split : Split
        What may be learnt from, and what is judged.
    end : date
        First day after the last one with data.
    where : DataFrame
        Places of the rows of the table.
    splits : tuple of Split
        Every judged year, oldest first; `split` is the last.
    corrected_to : date, optional
        First day after the last correction; `end` where none came later.
    """

    table: FeatureTable
    split: Split
    end: date
    where: pd.DataFrame
    splits: tuple[Split, ...] = ()
    corrected_to: date | None = None

    @property
    def known_before(self) -> date:
        """Everything known before this day may teach what is shipped, corrections included."""
        return max(self.end, self.corrected_to or self.end)

    @property
    def rows(self) -> pd.DataFrame:
        """``dealer`` and ``as_of`` of each row."""
        return self.table.frame[["dealer", "as_of"]]

    @property
    def cohort(self) -> pd.DataFrame:
        """The same with the place of each row (`training.labels.cohort.places`)."""
        return pd.concat([self.rows, self.where.set_index(self.rows.index)], axis=1)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """The groups that each row is in, who are asked whether a list treats them alike.

        ``size`` is the third by sales, where those are among the signals.
        """
        found = self.where[["state", "rurality", "license_type"]].set_index(self.rows.index)
        if EXPOSURE not in self.table.X:
            return found
        sales = self.table.X[EXPOSURE].set_axis(self.rows.index)
        return found.assign(size=size_of(sales, self.rows["as_of"]))

    def is_at(self, dates: tuple[date, ...]) -> npt.NDArray[np.bool_]:
        """Which rows stand at one of these as-of dates, shape (n,)."""
        wanted = pd.DatetimeIndex([pd.Timestamp(d) for d in dates])
        return np.asarray(self.rows["as_of"].isin(wanted), dtype=np.bool_)


@dataclass(frozen=True)
class Dates:
    """The days of a training, known before anything is built.

    Parameters
    ----------
    as_of : tuple of date
        Every as-of date.
    splits : tuple of Split
        Every judged year, oldest first.
    end : date
        First day after the last one with data.
    """

    as_of: tuple[date, ...]
    splits: tuple[Split, ...]
    end: date

    @property
    def split(self) -> Split:
        """The last judged year."""
        return self.splits[-1]


def plan(recipe: Recipe, warehouse: Warehouse) -> Dates:
    """Choose the as-of dates and the splits that judge them.

    Raises
    ------
    TooFewLabelsError
        When the inspections known do not reach far enough back to learn from and to judge by.
    """
    first, end = known_range(warehouse)
    listed = first_listing(warehouse)
    # Nobody can be described before a listing names the dealers.
    begins = [first + timedelta(days=_BEFORE)] + ([] if listed is None else [listed + _DAY])
    dates = as_of_dates(
        max(begins),
        end,
        every_months=recipe.every_months,
        n_dates=recipe.n_as_of,
        horizon_months=recipe.horizon_months,
    )
    if not any(add_months(day, recipe.horizon_months) <= max(dates) for day in dates):
        raise _too_short(recipe, first, end, listed)
    splits = rolling(
        dates, horizon_months=recipe.horizon_months, n_tests=recipe.evaluation.n_judged
    )
    return Dates(tuple(dates), tuple(splits), end)


def _too_short(recipe: Recipe, first: date, end: date, listed: date | None) -> TooFewLabelsError:
    """Say how long a history is, and how long it must be for what."""
    window = recipe.horizon_months
    apart = -(-window // recipe.every_months) * recipe.every_months
    return TooFewLabelsError(
        "The records reach over too short a time to learn from and to judge by.",
        found=f"inspections closed from {first} to {end - timedelta(days=1)}, "
        f"{_months(first, end)} months"
        + ("" if listed is None else f"; dealers are listed from {listed} on"),
        expected=f"{12 + apart + window} months and the rest of one that has begun: 12 before the "
        f"first day that is learned from, {apart} from there to the day that is judged, {window} "
        "in which it is judged; and a listing of the dealers before the first of them",
        fix="ingest inspections and license listings of earlier years, or shorten the windows by "
        "horizon_months and every_months in a recipe of your own",
    )


def _months(first: date, end: date) -> int:
    return (end.year - first.year) * 12 + end.month - first.month - (end.day < first.day)


def assemble(recipe: Recipe, warehouse: Warehouse, steps: Steps) -> CountryHistory:
    """Build signals at every as-of date and the split that judges them."""
    days = plan(recipe, warehouse)
    dates = list(days.as_of)
    with steps.counted(f"signals as of {len(dates)} dates") as told:
        table = build_features(warehouse, dates, variant=recipe.variant, progress=told)
    with steps.step("places"):
        where = places(warehouse, table.frame)
    corrected_to = labels.inspections(warehouse)["known_on"].max().date() + _DAY
    return CountryHistory(table, days.split, days.end, where, days.splits, corrected_to)


def known_range(warehouse: Warehouse) -> tuple[date, date]:
    """First day on which an inspection was known to have closed, and the first day after the last.

    A correction is no closing: a full export that comes again, with the day of the export, neither
    shortens the history nor lengthens it.
    """
    known = labels.inspections(warehouse)[CLOSING]
    if known.empty:
        raise TooFewLabelsError(
            "The warehouse holds no closed inspection.",
            fix="ingest inspections, or train the recipe public_records",
        )
    return known.min().date(), known.max().date() + timedelta(days=1)
