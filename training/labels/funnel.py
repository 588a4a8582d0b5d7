"""How inspections become labels, step by step, before a signal is built.

A training that ends in "too few labels" after minutes of work does not say which step lost them.
The funnel counts each, and says what would change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from features.domain.asof import add_months, is_known
from features.warehouse import Warehouse
from models.policy import SevereFinding
from training.errors import TooFewLabelsError
from training.labels import dated_labels as labels
from training.labels.weights.delays import CLOSING


@dataclass(frozen=True)
class Stage:
    """One step from inspections to labels.

    Parameters
    ----------
    name : str
        What is left after it.
    count : int
    change : str
        What would leave more.
    """

    name: str
    count: int
    change: str


@dataclass(frozen=True)
class Funnel:
    """Every step, in order.

    Parameters
    ----------
    stages : tuple of Stage
    """

    stages: tuple[Stage, ...]

    @property
    def n_severe(self) -> int:
        """Labels that are severe: the last step."""
        return self.stages[-1].count

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        width = max(len(f"{stage.count:,}") for stage in self.stages)
        return [f"{stage.count:>{width},} {stage.name}" for stage in self.stages]

    def rows(self) -> list[list[str]]:
        """Return it as rows of a report."""
        return [[stage.name, f"{stage.count:,}", stage.change] for stage in self.stages]

    def require(self, *, n_severe: int, what: str, later: Funnel | None = None) -> None:
        """Refuse to go on with fewer severe labels.

        Parameters
        ----------
        later : Funnel, optional
            The same with the window that models are judged on.

        Raises
        ------
        TooFewLabelsError
            Naming the step that lost most, or that enough came too late to learn from.
        """
        if self.n_severe >= n_severe:
            return
        fix = self._lost_most(n_severe)
        if later is not None and later.n_severe >= n_severe:
            fix = (
                f"{later.n_severe} are severe with the newest window, which judges the model and "
                "cannot teach it: train again when another has passed, or shorten the windows by "
                "horizon_months and every_months in a recipe of your own"
            )
        raise TooFewLabelsError(
            f"Too few labels to train {what}.",
            found="; ".join(line.strip() for line in self.lines()),
            expected=f"at least {n_severe} severe",
            fix=fix,
        )

    def _lost_most(self, n_severe: int) -> str:
        """Return what would change the step that lost most."""
        first, found = self.stages[0].count, self.stages[-1].count
        kept_all = found / max(self.stages[-2].count, 1) * first
        if self.stages[-2].count and kept_all < n_severe:
            # Had no inspection been lost on the way, there would be too few all the same.
            longer = self.stages[2].change if found else ""
            return "; ".join(filter(None, (longer, self.stages[-1].change)))
        kept = [
            after.count / before.count if before.count else 1.0
            for before, after in zip(self.stages, self.stages[1:], strict=False)
        ]
        # The last step is the finding itself: nothing is lost there that could be had.
        where = 0 if not self.stages[0].count else 1 + kept[:-1].index(min(kept[:-1]))
        return self.stages[where].change


def label_funnel(
    warehouse: Warehouse,
    as_of: Sequence[date],
    *,
    rule: SevereFinding,
    trained_on: date,
    horizon_months: int,
) -> Funnel:
    """Count how the inspections of a warehouse become the labels of the compliance head.

    Parameters
    ----------
    as_of : sequence of date
        As-of dates whose windows give labels.
    trained_on : date
        Only inspections closed before this day are known.
    """
    every = warehouse.read("inspections", columns=["inspection_id"]).num_rows
    closed = labels.inspections(warehouse)
    targets = labels.targets(closed)
    first = pd.Timestamp(min(as_of))
    last = pd.Timestamp(add_months(max(as_of), horizon_months))
    in_window = targets[(targets["opened_on"] > first) & (targets["opened_on"] <= last)]
    known = in_window[is_known(in_window[CLOSING], pd.Timestamp(trained_on))]
    found = labels.compliance(
        warehouse, as_of, rule=rule, known_before=trained_on, horizon_months=horizon_months
    )
    return Funnel(
        (
            Stage("inspections", every, "ingest the table inspections"),
            Stage(
                "compliance inspections that closed and follow no finding",
                len(targets),
                "only kind = compliance counts, closed, and neither kind nor selected_by = recall: "
                "look whether those columns are mapped as meant",
            ),
            Stage(
                f"opened from {first + pd.Timedelta(days=1):%Y-%m-%d} to {last:%Y-%m-%d}",
                len(in_window),
                "ingest a longer history, or ask for more as-of dates where n_as_of of the recipe "
                "leaves some of it out",
            ),
            Stage(
                f"known before {trained_on}",
                len(known),
                "inspections become known when they close: ingest closings, or train later",
            ),
            Stage(
                "labels: the first inspection of a dealer in each window",
                len(found),
                "dealers inspected twice in a window count once: shorten the windows "
                "(horizon_months and every_months in the recipe)",
            ),
            Stage(
                "severe",
                found.n_positive,
                "what is severe stands in the policy (severe_finding); see that outcomes and "
                "violations are ingested",
            ),
        )
    )
