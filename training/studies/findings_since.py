"""What visits since a bundle was trained have found, against what it said of the same dealers.

Signals and scores may stay where they were while what goes with findings moves. So the visits
opened after the day of training are set against the probabilities that the bundle gives for that
day. Those who choose visits know more than the signals: a level is judged by visits of known
probability where they found enough, and of others only the order is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Final, Literal

import numpy as np
import pandas as pd

from features.arrays import Floats
from features.openjson import Json
from features.table import build_features
from features.warehouse import Warehouse
from models import Bundle
from training.evaluation.gates import LEVEL_TOLERANCE, NO_GAIN
from training.evaluation.metrics import Interval, Ranking, bootstrap
from training.heads.compliance import place_labels
from training.labels import dated_labels as labels
from training.labels.dated_labels import Labels

Advice = Literal["none", "watch", "train again"]
HEAD: Final = "compliance"
# Fewer findings tell neither a level nor an order.
MIN_FINDINGS: Final = 10
_N_RESAMPLES: Final = 300
_HORIZON_MONTHS: Final = 12


@dataclass(frozen=True)
class FindingsSince:
    """What was found since the day of training.

    Parameters
    ----------
    since : str
        Day of training.
    n_visits, n_findings : int
        Closed visits of the twelve months after it that are known, and severe findings.
    found_over_served : Interval or None
        Findings over what was served, among visits of known probability; None when these found
        too little.
    auc : Interval or None
        Of the order, among all visits.
    advice : {"none", "watch", "train again"}
        What to do.
    says : str
        The same in a sentence.
    """

    since: str
    n_visits: int
    n_findings: int
    found_over_served: Interval | None
    auc: Interval | None
    advice: Advice
    says: str

    def entry(self) -> Json:
        """Return it for a report."""
        return asdict(self)


def findings_since(bundle: Bundle, warehouse: Warehouse, as_of: date) -> FindingsSince | None:
    """Set visits since the day of training against what the bundle says of that day.

    Returns
    -------
    FindingsSince or None
        None for a bundle without a compliance head, or that does not know its day of training.
    """
    since = bundle.manifest.get("trained_on")
    if HEAD not in bundle.heads or since is None or not warehouse.has("inspections"):
        return None
    day = date.fromisoformat(str(since))
    if day >= as_of:
        return _nothing(day)
    found = labels.compliance(
        warehouse,
        (day,),
        rule=bundle.policy.severe_finding,
        known_before=as_of,
        horizon_months=_HORIZON_MONTHS,
    )
    if found.n_positive < MIN_FINDINGS:
        return _nothing(day, found)
    table = build_features(warehouse, day, variant=bundle.manifest["variant"])
    model = bundle.heads[HEAD]
    inputs = bundle.inputs(table.X)[list(model.columns_)]
    served = np.asarray(model.from_margin(model.predict_margin(inputs))[0], dtype=np.float64)
    return against(table.frame[["dealer", "as_of"]], served, found, day)


def against(rows: pd.DataFrame, served: Floats, found: Labels, day: date) -> FindingsSince:
    """Compare served probabilities of dealers with what was found among them.

    Parameters
    ----------
    rows : DataFrame of shape (n, 2)
        ``dealer`` and ``as_of``.
    served : array of shape (n,)
    found : Labels
        Of the same as-of date.
    """
    looked = place_labels(rows.astype({"dealer": str, "as_of": "datetime64[s]"}), found)
    seen = looked.is_inspected
    y, p, dealer = looked.y[seen], served[seen], rows["dealer"].to_numpy(dtype=str)[seen]
    if y.sum() < MIN_FINDINGS:
        return _nothing(day, found)
    w, ranking = looked.delay_weight[seen], Ranking(p)
    (auc,) = bootstrap(lambda d: ranking.auc(y, weight=d * w), dealer, n_resamples=_N_RESAMPLES)
    known, level = looked.level_weight[seen], None
    if ((known > 0) & (y > 0)).sum() >= MIN_FINDINGS:
        (level,) = bootstrap(
            lambda d: np.array([(d * known) @ y / max(float((d * known) @ p), 1e-12)]),
            dealer,
            n_resamples=_N_RESAMPLES,
        )
    advice, says = _judged(level, auc)
    return FindingsSince(day.isoformat(), int(seen.sum()), int(y.sum()), level, auc, advice, says)


def _judged(level: Interval | None, auc: Interval) -> tuple[Advice, str]:
    if auc.high < NO_GAIN:
        return "train again", f"Train again: the order of the visits since has an AUC of {auc}."
    if level is None:
        return "none", (
            f"The order of the visits since has an AUC of {auc}; too few of them were of known "
            "probability to say whether the level still holds."
        )
    is_off = level.excludes(1.0)
    is_far = not 1 / LEVEL_TOLERANCE <= level.value <= LEVEL_TOLERANCE
    if is_off and is_far:
        return "train again", f"Train again: visits since found {level} times what was served."
    if is_off:
        return "watch", f"Watch the level: visits since found {level} times what was served."
    return "none", f"Visits since found {level} times what was served, with an AUC of {auc}."


def _nothing(day: date, found: Labels | None = None) -> FindingsSince:
    n, severe = (0, 0) if found is None else (len(found), found.n_positive)
    return FindingsSince(
        day.isoformat(), n, severe, None, None, "none",
        f"Since {day} {n} visits are known, with {severe} severe findings; {MIN_FINDINGS} are "
        "needed to say whether what was learned still holds.",
    )  # fmt: skip
