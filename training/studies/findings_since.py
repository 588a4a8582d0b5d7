"""What visits since a bundle was trained have found, against what it said of the same dealers.

Signals and scores may stay where they were while what goes with findings moves. So the visits
opened after the day of training are set against the probabilities that the bundle gives for that
day. Those who choose visits know more than the signals: a level is judged by visits of known
probability where they found enough, and of others only the order is. What actual inspectors find is
set against what the average one would: a level asks for something only beyond what that leaves.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.openjson import Json
from features.table import build_features
from features.warehouse import Warehouse
from models import Bundle
from training.evaluation import few_findings as few
from training.evaluation.calibration_gate import LEVEL_TOLERANCE, MANY_FINDINGS
from training.evaluation.gates import NO_GAIN
from training.evaluation.metrics import Interval, Ranking, bootstrap, weighted_share
from training.heads.compliance.compliance import place_labels
from training.labels import dated_labels as labels
from training.labels.dated_labels import Labels

Advice = Literal["none", "watch", "train again"]
HEAD: Final = "compliance"
# Fewer findings tell neither a level nor an order.
MIN_FINDINGS: Final = 10
# Inspectors as they are find more than the average one, about a tenth (`docs/decisions/0006`), and
# who of them looked since may differ: a level within this factor is none that moved.
INSPECTORS: Final = 1.15
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
        level = _level(y, p, known, dealer)
    is_sure = not few.are_few(y) or few.ranks_beyond_chance(
        pd.DataFrame({"score": p, "y": y}), is_higher=False
    )
    advice, says = _judged(level, auc, is_sure=is_sure)
    return FindingsSince(day.isoformat(), int(seen.sum()), int(y.sum()), level, auc, advice, says)


def _level(y: Floats, p: Floats, weight: Floats, dealer: npt.NDArray[np.str_]) -> Interval:
    """Return findings over what was served; of few, no narrower than an exact interval."""
    (found,) = bootstrap(
        lambda d: np.array([(d * weight) @ y / max(float((d * weight) @ p), 1e-12)]),
        dealer,
        n_resamples=_N_RESAMPLES,
    )
    if np.count_nonzero((weight > 0) & (y > 0)) >= MANY_FINDINGS:
        return found
    exact, served = weighted_share(y, weight, dealer), float(np.average(p, weights=weight))
    low, high = min(found.low, exact.low / served), max(found.high, exact.high / served)
    return replace(found, low=low, high=high)


def _judged(level: Interval | None, auc: Interval, *, is_sure: bool) -> tuple[Advice, str]:
    if auc.high < NO_GAIN and is_sure:
        return "train again", f"Train again: the order of the visits since has an AUC of {auc}."
    if level is None:
        return "none", (
            f"The order of the visits since has an AUC of {auc}; too few of them were of known "
            "probability to say whether the level still holds."
        )
    is_off = level.low > INSPECTORS or level.high < 1 / INSPECTORS
    far = LEVEL_TOLERANCE * INSPECTORS
    is_far = not 1 / far <= level.value <= far
    if is_off and is_far:
        return "train again", f"Train again: visits since found {level} times what was served."
    if is_off:
        return "watch", f"Watch the level: visits since found {level} times what was served."
    if level.excludes(1.0):
        return "none", (
            f"Visits since found {level} times what was served, with an AUC of {auc}; that "
            "inspectors differ accounts for as much."
        )
    return "none", f"Visits since found {level} times what was served, with an AUC of {auc}."


def _nothing(day: date, found: Labels | None = None) -> FindingsSince:
    n, severe = (0, 0) if found is None else (len(found), found.n_positive)
    return FindingsSince(
        day.isoformat(), n, severe, None, None, "none",
        f"Since {day} {n} visits are known, with {severe} severe findings; {MIN_FINDINGS} are "
        "needed to say whether what was learned still holds.",
    )  # fmt: skip
