"""Labels, each with the day it became known.

A label for `as_of` looks at the half-open window ``(as_of, as_of + horizon]`` and is known when the
inspection it rests on closed (or, for a count over the whole window, when the window ended). A
training on day ``D`` may use only labels known before ``D``: `Labels.known_before` cuts them and
`Labels.require_known` proves it.

Follow-ups leak: a recall inspection after a bad finding is no independent event. They are never the
target of a label (`models.severity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.asof import add_months, is_known
from features.domain.office_names import one_spelling
from features.reference.attribution import COLUMNS, counts_toward_dealer
from features.reference.destinations import countries_of, destination_label
from features.reference.legal.outcome import LADDER, policy_regime
from features.reference.legal.short_time_to_crime import is_short
from features.warehouse import Warehouse
from models.policy import SevereFinding
from models.severity import VIOLATIONS, independent, severe
from training.errors import FutureLabelError, TooFewLabelsError
from training.evaluation.metrics import require_two_classes
from training.labels.weights import sample_design
from training.labels.weights.delays import (
    CLOSING,
    delay_weights,
    first_closings,
    first_traced,
    told_share,
)

# How many visits a label stands for, as others are still open (`training.labels.weights.delays`).
DELAY_WEIGHT: Final = "delay_weight"

_INSPECTION_COLUMNS: Final = (
    "inspection_id", "dealer", "kind", "opened_on", "closed_on", "selected_by", "hours",
    "investigator_token", "office", "outcome", "recommended_outcome",
    "firearms_unaccounted_final", "known_on", *sample_design.COLUMNS,
)  # fmt: skip


@dataclass(frozen=True)
class Labels:
    """One label per row, with what is needed to weigh, group and date it.

    Parameters
    ----------
    frame : DataFrame
        ``dealer``, ``as_of``, ``y`` and ``known_on``; labels that rest on an inspection carry its
        id, dates, ``selected_by``, ``office``, ``investigator``, ``hours``, ordinal, graded,
        `DELAY_WEIGHT`, regime, and the design: ``why`` and ``probability`` (see
        `training.labels.weights.sample_design`).
    definition : str
        The label in one sentence, as it stands in reports and the model card.
    horizon_months : int
        Length of the window after `as_of`.
    """

    frame: pd.DataFrame
    definition: str
    horizon_months: int

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def y(self) -> npt.NDArray[np.float64]:
        """The labels, shape (n,)."""
        return self.frame["y"].to_numpy(dtype=np.float64)

    @property
    def n_positive(self) -> int:
        """How many labels are above zero."""
        return int((self.y > 0).sum())

    def known_before(self, trained_on: date) -> Labels:
        """Return only the labels known before the training day."""
        is_told = is_known(self.frame["known_on"], pd.Timestamp(trained_on))
        frame = self.frame[is_told].reset_index(drop=True)
        if DELAY_WEIGHT in frame:
            visits = frame.drop_duplicates("inspection_id")
            weight = pd.Series(
                delay_weights(visits, pd.Timestamp(trained_on)), visits["inspection_id"]
            )
            frame[DELAY_WEIGHT] = frame["inspection_id"].map(weight).to_numpy()
        return replace(self, frame=frame)

    def at(self, as_of: Sequence[date]) -> Labels:
        """Return only the labels of these as-of dates."""
        wanted = pd.DatetimeIndex([pd.Timestamp(d) for d in as_of])
        is_wanted = self.frame["as_of"].isin(wanted)
        return replace(self, frame=self.frame[is_wanted].reset_index(drop=True))

    def require_known(self, trained_on: date) -> None:
        """Prove that no label comes from the future of the training day.

        Raises
        ------
        FutureLabelError
            Naming the first label that was not known yet.
        """
        late = self.frame[~is_known(self.frame["known_on"], pd.Timestamp(trained_on))]
        if len(late):
            first = late.iloc[0]
            raise FutureLabelError(
                f"{len(late)} labels were not known on the training day {trained_on}.",
                found=f"dealer {first['dealer']} as of {first['as_of']:%Y-%m-%d}, "
                f"known on {first['known_on']:%Y-%m-%d}",
                expected=f"every label known before {trained_on}",
                fix="cut the labels with Labels.known_before, or train later",
            )

    def require_enough(self, *, n_positive: int, what: str) -> None:
        """Refuse to train on too little.

        Raises
        ------
        OneClassError
            When every label is the same.
        TooFewLabelsError
            When fewer than `n_positive` labels are positive.
        """
        if len(self):
            require_two_classes((self.y > 0).astype(np.float64), what=what)
        if self.n_positive < n_positive:
            raise TooFewLabelsError(
                f"Too few labels to train {what}.",
                found=f"{self.n_positive} positive of {len(self)}",
                expected=f"at least {n_positive} positive",
                fix="ingest a longer history of inspections",
            )


def inspections(warehouse: Warehouse, *, known_before: date | None = None) -> pd.DataFrame:
    """Read the inspections that had closed, with dates as datetimes.

    Beside ``known_on`` of the version read stands `CLOSING`, the day its closing was first known.
    """
    table = warehouse.read("inspections", as_of=known_before, columns=list(_INSPECTION_COLUMNS))
    frame = _frame(table).rename(columns={"investigator_token": "investigator"})
    frame["office"] = one_spelling(frame["office"])
    corrected = first_closings(warehouse)
    first = frame["inspection_id"].map(dict(corrected)).astype("datetime64[s]")
    frame[CLOSING] = first.fillna(frame["known_on"])
    return frame.sort_values(["opened_on", "inspection_id"], ignore_index=True)


def targets(visits: pd.DataFrame) -> pd.DataFrame:
    """Return the visits a label may rest on: compliance inspections that follow no finding."""
    is_closed = visits["closed_on"].notna().to_numpy()
    return visits[independent(visits) & is_closed].reset_index(drop=True)


def graded(visits: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Grade how bad each visit was, from 0 to 1, shape (n,): a finer account of a severe finding.

    A quarter each for a report of violations or worse, a warning letter or worse, any firearm
    unaccounted for, and a severe finding (`severe`, in ``y``).
    """
    ladder = visits["outcome"].map(LADDER).fillna(-1).to_numpy(dtype=np.float64)
    missing = visits["firearms_unaccounted_final"].fillna(0).to_numpy(dtype=np.float64)
    steps = (
        ladder >= LADDER["report"],
        ladder >= LADDER["warning_letter"],
        missing >= 1,
        visits["y"].to_numpy(dtype=np.float64) > 0,
    )
    return np.asarray(np.mean(steps, axis=0), dtype=np.float64)


def compliance(
    warehouse: Warehouse,
    as_of: Sequence[date],
    *,
    rule: SevereFinding,
    known_before: date | None = None,
    records_to: date | None = None,
    horizon_months: int = 12,
) -> Labels:
    """Label the dealers inspected in the window after each as-of date by whether it was severe.

    Parameters
    ----------
    as_of : sequence of date
        As-of dates; a dealer's first target inspection in ``(as_of, as_of + horizon]`` decides.
    known_before : date, optional
        Read the warehouse as it was known then (corrections included, later ones not).
    records_to : date, optional
        First day of which no closing can be known, where records end before `known_before`: how
        long visits have been open is counted to it.
    """
    visits = targets(inspections(warehouse, known_before=known_before))
    violations = _frame(warehouse.read("violations", as_of=known_before, columns=list(VIOLATIONS)))
    visits["y"] = severe(visits, violations, rule)
    visits["ordinal"] = (
        visits["outcome"].map(LADDER).astype("Float64").to_numpy(np.float64, na_value=np.nan)
    )
    visits["graded"] = graded(visits)
    until = records_to or known_before
    visits[DELAY_WEIGHT] = delay_weights(
        visits,
        visits[CLOSING].max() + pd.Timedelta(days=1) if until is None else pd.Timestamp(until),
    )
    visits[sample_design.PROBABILITY] = sample_design.probabilities(
        visits, told=told_share(visits[DELAY_WEIGHT].to_numpy(dtype=np.float64))
    )
    visits["regime"] = _regimes(visits["closed_on"])
    parts = [first_in_window(visits, when, horizon_months) for when in sorted(set(as_of))]
    return Labels(
        _stack(parts, visits),
        f"severe finding ({rule.outcome_at_least.replace('_', ' ')} or worse, "
        f"{rule.tier_1_citations_at_least} or more tier-1 citations, or "
        f"{rule.unaccounted_firearms_at_least} or more firearms unaccounted for) at a compliance "
        f"inspection opened within {horizon_months} months",
        horizon_months,
    )


def first_in_window(visits: pd.DataFrame, as_of: date, horizon_months: int) -> pd.DataFrame:
    """Return each dealer's first visit opened in ``(as_of, as_of + horizon]``."""
    opened = visits["opened_on"]
    start, end = pd.Timestamp(as_of), pd.Timestamp(add_months(as_of, horizon_months))
    chosen = visits[(opened > start) & (opened <= end)].drop_duplicates("dealer", keep="first")
    return chosen.assign(as_of=start.as_unit("s"))


def diversion(
    warehouse: Warehouse,
    cohort: pd.DataFrame,
    *,
    country: str | None = None,
    known_before: date | None = None,
    records_to: date | None = None,
    horizon_months: int = 12,
) -> Labels:
    """Count, for each dealer and as-of date, firearms traced at three years or less afterwards.

    Firearms without a serial number and lawful exports count toward no dealer
    (`features.reference.attribution`). A trace counts in the window in which it became known first,
    whatever was corrected since, so a
    label is complete, and known, on the last day of its window. Windows that end after
    `known_before` or `records_to` are left out.

    Parameters
    ----------
    cohort : DataFrame
        ``dealer`` and ``as_of``: every dealer, inspected or not.
    country : str, optional
        Only recoveries in this country (``MX``) or destination (``caribbean``,
        `features.reference.destinations`).
    records_to : date, optional
        First day that the records of traces do not reach.
    """
    ends = [pd.Timestamp(day) for day in (known_before, records_to) if day is not None]
    columns = [
        "trace_id", "dealer", "sold_on", "recovered_on", "recovery_country", "known_on", *COLUMNS
    ]  # fmt: skip
    traces = _frame(warehouse.read("traces", as_of=known_before, columns=columns))
    days = (traces["recovered_on"] - traces["sold_on"]).dt.days
    soon = is_short(days) & traces["dealer"].notna() & counts_toward_dealer(traces)
    if country is not None:
        soon &= traces["recovery_country"].isin(countries_of(country))
    traces = traces[soon].reset_index(drop=True)
    first = first_traced(warehouse, traces["trace_id"]).rename("first_on").reset_index()
    first = traces[["trace_id", "dealer"]].merge(first, on=["trace_id", "dealer"], how="left")
    became_known = first["first_on"].fillna(traces["known_on"])
    parts = []
    for when, rows in cohort.groupby("as_of", sort=True):
        start = pd.Timestamp(cast(Any, when))
        end = pd.Timestamp(add_months(start.date(), horizon_months))
        if end > min(ends, default=end):
            continue
        in_window = (became_known >= start) & is_known(became_known, end)
        counts = traces.loc[in_window, "dealer"].value_counts()
        y = rows["dealer"].map(counts).fillna(0).to_numpy(dtype=np.float64)
        parts.append(
            rows[["dealer", "as_of"]].assign(
                y=y, known_on=(end - pd.Timedelta(days=1)).as_unit("s")
            )
        )
    where = "" if country is None else f" recovered in {destination_label(country)} and"
    return Labels(
        _stack(parts, cohort[["dealer", "as_of"]].assign(y=0.0, known_on=cohort["as_of"])),
        f"firearms{where} traced at three years or less in the {horizon_months} months after",
        horizon_months,
    )


def later_penalized(warehouse: Warehouse, cohort: pd.DataFrame, as_of: date) -> Labels:
    """Label listed dealers by whether published records name them as penalized later.

    It mixes who is visited with what is found: a dealer that was never visited is a zero like one
    that was visited and found clean. All labels are known once the records are complete.
    """
    visits = inspections(warehouse)
    later = visits[visits["opened_on"] > pd.Timestamp(as_of)]
    if later.empty:
        raise TooFewLabelsError(
            f"No penalized inspection after {as_of} is in the warehouse.",
            fix="ingest the published inspection records of 2015-17",
        )
    complete = later["known_on"].max()
    first = later.drop_duplicates("dealer").set_index("dealer")
    frame = cohort[["dealer", "as_of"]].assign(
        y=cohort["dealer"].isin(first.index).to_numpy(dtype=np.float64),
        known_on=complete,
        opened_on=cohort["dealer"].map(first["opened_on"]).to_numpy(),
    )
    months = (complete.year - as_of.year) * 12 + complete.month - as_of.month + 1
    return Labels(
        frame.reset_index(drop=True),
        f"named in the published penalized inspections of {later['opened_on'].min():%Y-%m} to "
        f"{later['opened_on'].max():%Y-%m}",
        months,
    )


def severity(warehouse: Warehouse, *, known_before: date | None = None) -> Labels:
    """Label each penalized inspection, as of its opening, by whether it was serious.

    Serious is: revocation warranted, or outcome warning conference or worse.

    Parameters
    ----------
    known_before : date, optional
        Read the warehouse as it was known then.
    """
    visits = targets(inspections(warehouse, known_before=known_before))
    ladder = visits["outcome"].map(LADDER).fillna(-1)
    is_serious = (ladder >= LADDER["warning_conference"]) | (
        visits["recommended_outcome"] == "revocation"
    )
    frame = visits.assign(
        as_of=visits["opened_on"],
        y=is_serious.to_numpy(dtype=np.float64),
        regime=_regimes(visits["closed_on"]),
    )
    frame = frame.drop_duplicates(["dealer", "as_of"], keep="first")
    return Labels(
        frame.sort_values(["as_of", "dealer"], ignore_index=True),
        "revocation warranted, or warning conference or worse, at a penalized inspection",
        0,
    )


def _regimes(closed_on: pd.Series) -> list[str]:
    """Name of the adverse-action policy in force at each closing; each month is asked once."""
    days = closed_on.dt.date
    names = {day: policy_regime(day) for day in days.unique()}
    return [names[day] for day in days]


def _frame(table: object) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)  # type: ignore[attr-defined]
    dates = frame.select_dtypes("datetime").columns
    return frame.astype(dict.fromkeys(dates, "datetime64[s]"))


def _stack(parts: list[pd.DataFrame], like: pd.DataFrame) -> pd.DataFrame:
    kept = [part for part in parts if len(part)]
    if not kept:
        return like.iloc[:0].assign(as_of=pd.Series(dtype="datetime64[s]"))
    return pd.concat(kept).sort_values(["as_of", "dealer"], ignore_index=True)
