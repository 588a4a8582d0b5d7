"""Plan a trial: the lot, what it can show, and when it may be read."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pandas as pd

from features.domain.asof import add_months
from serving.errors import InvalidRequestError
from serving.trials import design
from serving.trials.assignments import Look, Trial, wait
from serving.trials.design import power_of
from serving.trials.visits import past_cells

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")


@dataclass(frozen=True)
class Asked:
    """What a trial is to answer.

    Parameters
    ----------
    trial_id, question, arm_a, arm_b : str
    starts_on : date
    difference : float
        The difference in severe findings a visit (or place) that one wants to be able to see.
    seed : int
        Of the lot.
    """

    trial_id: str
    question: str
    arm_a: str
    arm_b: str
    starts_on: date
    difference: float
    seed: int

    @classmethod
    def by_lot(
        cls, trial_id: str, question: str, arms: tuple[str, str], starts_on: date, difference: float
    ) -> Asked:
        """Ask with a new seed of the lot."""
        seed = secrets.randbits(53)
        return cls(trial_id, question, *arms, starts_on, difference, seed)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.trial_id):
            raise InvalidRequestError(
                "The name of the trial cannot be used.",
                found=self.trial_id[:40],
                expected="up to 40 letters, digits and dashes, a letter first",
            )
        if not 0 < self.difference < 1:
            raise InvalidRequestError(
                "The difference to see is out of range.",
                found=f"{self.difference:g}",
                expected="severe findings a visit, above 0 and below 1",
            )


def by_office_and_period(
    asked: Asked,
    visits: pd.DataFrame,
    *,
    offices: Sequence[str],
    months: int,
    n_pairs: int,
    n_looks: int = 1,
) -> Trial:
    """Plan a comparison of offices with themselves.

    Parameters
    ----------
    visits : DataFrame
        Past visits (`serving.trials.visits.independent_visits`).
    months : int
        Length of a period.
    n_pairs, n_looks : int
        Pairs of periods, and planned readings, the last at the end.
    """
    if not 1 <= n_looks <= n_pairs:
        raise InvalidRequestError(
            "There are more readings planned than pairs of periods.",
            found=f"{n_looks} readings of {n_pairs} pairs",
            expected="one after a whole pair, at the most",
        )
    names = sorted(set(offices))
    cells = design.by_office_and_period(
        names, starts_on=asked.starts_on, months=months, n_pairs=n_pairs, seed=asked.seed
    )
    rates, counts = past_cells(visits, names, before=asked.starts_on, months=months)
    error = design.error_by_period(
        rates, counts, n_pairs=n_pairs, n_visits=float(np.nanmean(np.nan_to_num(counts)))
    )
    rate = float(np.nansum(rates * counts) / np.nansum(counts))
    more, df = design.precision(cells)
    levels = design.look_levels(n_looks)
    pairs = [round(n_pairs * (i + 1) / n_looks) for i in range(n_looks)]
    ends = [add_months(asked.starts_on, 2 * months * pair) for pair in pairs]
    return Trial(
        asked.trial_id, asked.question, "office_by_period", asked.arm_a, asked.arm_b,
        asked.starts_on, ends[-1],
        tuple(Look(wait(end), level) for end, level in zip(ends, levels, strict=True)),
        asked.seed,
        power_of(rate, error * np.sqrt(more), df, asked.difference, level=levels[-1]),
        cells=tuple(cells),
    )  # fmt: skip


def interleaved(
    asked: Asked,
    visits: pd.DataFrame,
    *,
    list_a: Sequence[str],
    list_b: Sequence[str],
    ends_on: date,
) -> Trial:
    """Plan a comparison of two lists of the same length by a list made of both."""
    if ends_on <= asked.starts_on:
        raise InvalidRequestError(
            "The trial ends before it starts.", found=f"{asked.starts_on} to {ends_on}"
        )
    places = design.interleaved(list_a, list_b, seed=asked.seed)
    n = {side: sum(p.is_drawn for p in places if p.side == side) for side in ("a", "b")}
    closed = visits[visits["is_closed"]]
    if not closed["y"].any():
        raise InvalidRequestError(
            "No severe finding is known from the past: what a trial can show cannot be foreseen.",
            fix="ingest the inspections of the years before",
        )
    rate = float(closed["y"].mean())
    share = sum(p.side == "a" for p in places) / len(list_a)
    error = design.error_interleaved(rate, n["a"], n["b"], share=share)
    return Trial(
        asked.trial_id, asked.question, "interleaved", asked.arm_a, asked.arm_b, asked.starts_on,
        ends_on, (Look(wait(ends_on), 1.0 - design.ALPHA),), asked.seed,
        power_of(rate, error, float(n["a"] + n["b"] - 2), asked.difference), places=tuple(places),
    )  # fmt: skip
