"""What a list yields per investigator-hour: findings, citations, firearms, days of hazard averted.

Hours, not visits, are what an office has. Large dealers take longer, so a list that finds more per
visit may find less per hour; both are shown. Figures rest on inspections that took place, weighted
for who was chosen; a visit without recorded hours is left out and counted.

A severe finding averts the days that it would have gone on: until an inspection would have come
anyway, as often as dealers like this one have been inspected. That the problem would have lasted so
long is an assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, cast

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.reference.legal.citation import is_cited, normalize_column
from features.warehouse import Warehouse
from models.severity import VIOLATIONS
from training.evaluation.documents import HoursRecord
from training.evaluation.head_evaluation import RULE, ranking
from training.evaluation.metrics import Ranking, bootstrap
from training.labels import dated_labels as labels

SHARES: Final = np.round(np.linspace(0.02, 1.0, 50), 2)
PER_HOURS: Final = 1000.0
# Columns of `visits`, with the words they go by.
VALUES: Final = {
    "severe": "severe findings",
    "citations_tier_1": "tier-1 citations",
    "citations_tier_2": "tier-2 citations",
    "citations_tier_3": "other citations",
    "firearms_accounted_for": "firearms accounted for",
    "hazard_days": "expected days of hazard averted",
}
# Column of a held-out table: how long an inspection would have been waited for.
WAIT_DAYS: Final = "wait_days"
# No problem is taken to last longer than this.
MAX_WAIT_DAYS: Final = 3_652.0


def wait_days(probability: Floats, *, horizon_months: int) -> Floats:
    """Return the expected days by which an inspection comes sooner than it would have, shape (n,).

    Parameters
    ----------
    probability : array of shape (n,)
        Of being inspected within the horizon.

    Examples
    --------
    >>> wait_days(np.array([1.0, 0.5, 0.0]), horizon_months=12).round().tolist()
    [0.0, 365.0, 3652.0]
    """
    horizon = 365.25 * horizon_months / 12
    odds_against = (1.0 - probability) / np.maximum(probability, 1e-12)
    return np.asarray(np.minimum(horizon * odds_against, MAX_WAIT_DAYS))


def visits(warehouse: Warehouse, rows: pd.DataFrame, *, horizon_months: int) -> pd.DataFrame:
    """Return hours and findings of the inspection behind each judged row, in the same order.

    Parameters
    ----------
    rows : DataFrame
        A held-out table: ``dealer``, ``as_of``, ``y`` and `WAIT_DAYS`.

    Returns
    -------
    DataFrame
        ``hours`` (missing where none were recorded) and the columns of `VALUES`; firearms accounted
        for are missing where nobody counted in the end.
    """
    targets = labels.targets(labels.inspections(warehouse))
    days: Sequence[date] = [when.date() for when in rows["as_of"].drop_duplicates()]
    first = pd.concat([labels.first_in_window(targets, day, horizon_months) for day in days])
    joined = rows[["dealer", "as_of", "y"]].merge(
        first[["dealer", "as_of", "inspection_id", "hours"]],
        on=["dealer", "as_of"],
        how="left",
        validate="one_to_one",
    )
    out = pd.DataFrame(
        {"hours": joined["hours"].astype("Float64").to_numpy(np.float64, na_value=np.nan)}
    )
    out["severe"] = (joined["y"] > 0).to_numpy(dtype=np.float64)
    cited = _citations(warehouse)
    for tier in (1, 2, 3):
        n = cited[cited["tier"] == tier].groupby("inspection_id").size()
        out[f"citations_tier_{tier}"] = (
            joined["inspection_id"].map(n).fillna(0).to_numpy(np.float64)
        )
    out["firearms_accounted_for"] = (
        joined["inspection_id"].map(_accounted_for(warehouse)).to_numpy(np.float64)
    )
    out["hazard_days"] = out["severe"] * rows[WAIT_DAYS].to_numpy(dtype=np.float64)
    return out


def _citations(warehouse: Warehouse) -> pd.DataFrame:
    table = warehouse.read("violations", columns=list(VIOLATIONS)).to_pandas()
    table = table[is_cited(table)]
    tier = normalize_column(table["citation"])["tier"].fillna(3)
    out: pd.DataFrame = table.assign(tier=tier.to_numpy(dtype=np.int64))
    return out


def _accounted_for(warehouse: Warehouse) -> pd.Series:
    """Firearms missing when the inspection began and found by its end, by inspection.

    Missing where some were missing at first and nobody counted again: it is not known.
    """
    names = ["inspection_id", "firearms_unaccounted_initial", "firearms_unaccounted_final"]
    table = warehouse.read("inspections", columns=names).to_pandas().set_index("inspection_id")
    found = (table[names[1]].fillna(0) - table[names[2]].fillna(0)).clip(lower=0)
    is_open = table[names[2]].isna() & (table[names[1]].fillna(0) > 0)
    out = found.astype(np.float64).mask(is_open)
    return cast("pd.Series", out.groupby(level=0).nth(-1))


def per_hour(
    rows: pd.DataFrame, found: pd.DataFrame, *, capacity: float, n_resamples: int, seed: int
) -> HoursRecord:
    """Value per 1,000 hours of the first rows by each scoring of a held-out table.

    Parameters
    ----------
    rows, found : DataFrame of n rows
        A held-out table, and `visits` of it.

    Returns
    -------
    dict
        ``figures``: by scoring and value, at capacity, with intervals; ``per_visit``: severe
        findings and hours per visit; ``curves``: severe findings per 1,000 hours by share of
        dealers; ``n`` and ``n_without_hours``.
    """
    is_timed = (found["hours"] > 0).to_numpy()
    kept, timed = rows[is_timed], found[is_timed]
    names = ["score", *(c for c in rows.columns if c.startswith(RULE))]
    out: HoursRecord = {
        "n": int(is_timed.sum()),
        "n_without_hours": int((~is_timed).sum()),
        "capacity": capacity,
        "shares": SHARES.tolist(),
        "figures": {},
        "per_visit": {},
        "curves": {},
    }
    if not len(kept):
        return out
    weight = kept["weight"].to_numpy(dtype=np.float64)
    hours = timed["hours"].to_numpy(dtype=np.float64)
    values = [timed[name].to_numpy(dtype=np.float64) for name in VALUES]
    # Visits of which a value is not known count neither with it nor with their hours.
    told = [(np.nan_to_num(v), np.where(np.isnan(v), 0.0, hours)) for v in values]
    for name in names:
        order = ranking(kept, name)

        def statistic(drawn: Floats, order: Ranking = order) -> Floats:
            w = drawn * weight
            spent = order.captured(hours, share=capacity, weight=w)
            got, taken = (
                np.array([order.captured(one[k], share=capacity, weight=w) for one in told])
                for k in (0, 1)
            )
            visits = capacity * w.sum()
            rates = PER_HOURS * got / np.maximum(taken, 1e-12)
            return np.array([*rates, got[0] / visits, spent / visits])

        intervals = bootstrap(statistic, kept["cluster"], n_resamples=n_resamples, seed=seed)
        key = name.removeprefix(RULE)
        out["figures"][key] = {
            value: i.as_dict() for value, i in zip(VALUES, intervals, strict=False)
        }
        out["per_visit"][key] = {
            "severe": intervals[-2].as_dict(), "hours": intervals[-1].as_dict()
        }  # fmt: skip
        out["curves"][key] = [
            PER_HOURS * order.captured(values[0], share=s, weight=weight)
            / order.captured(hours, share=s, weight=weight)
            for s in SHARES
        ]  # fmt: skip
    return out
