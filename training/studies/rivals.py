"""Inspectors as rivals of the model: what their overrides would have found.

Inspectors accept a listed dealer or override it with a reason, and the service keeps both. Some
reasons doubt the dealer's risk and make a rival order of the same list, with these dealers last;
others (closed, unsafe, visited lately) say nothing of risk and move nobody. Once inspections have
closed, both orders are judged on the same visits.

An overridden dealer is rarely visited, and not at random: its rate has bounds beside the estimate,
and a comparison speaks only of decided dealers that somebody visited after all.
"""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.errors import did_you_mean
from features.warehouse import Warehouse
from models.policy import Policy, SevereFinding
from models.severity import VIOLATIONS, severe
from training.errors import DecisionsError
from training.evaluation import efficacy
from training.evaluation.gates import recall_differences
from training.evaluation.head_evaluation import ORDERED_ON
from training.evaluation.metrics import LEVEL
from training.labels import dated_labels as labels
from training.studies.documents import RangeRecord, ReasonFigures, RivalRecord, RivalsDocument

ACCEPT: Final = "accept"
OVERRIDE: Final = "override"
# Reasons that doubt the risk: the dealer is known to be low, or another one matters more. The
# other reasons say nothing of it.
DOUBTS: Final = frozenset({"known_low_risk", "local_knowledge_higher_risk"})
COLUMNS: Final = ("dealer", "decision", "reason", "priority", "at")
MIN_EACH: Final = 10
N_BANDS: Final = 3
_Z: Final = NormalDist().inv_cdf((1 + LEVEL) / 2)


def judge_decisions(
    path: Path, warehouse: Warehouse, *, horizon_months: int, policy: Policy | None = None
) -> RivalsDocument:
    """Read decisions, join what inspections found, and judge both orders.

    Parameters
    ----------
    policy : Policy, optional
        Says what is severe; the one that ships by default.
    """
    read = read_decisions(path)
    rule = (policy or Policy.read()).severe_finding
    return rivals(outcomes(read, warehouse, rule, horizon_months=horizon_months))


def read_decisions(path: Path) -> pd.DataFrame:
    """Read decisions as the service keeps them, from CSV or Parquet.

    Parameters
    ----------
    path : Path
        Columns `COLUMNS`, and ``list_id`` if there are several lists; other columns are left out.

    Returns
    -------
    DataFrame
        The last decision on each dealer of each list.

    Raises
    ------
    DecisionsError
        When the file is missing, lacks a column, or says something unknown.
    """
    if not path.is_file():
        raise DecisionsError(f"There is no file {path}.", fix="name a CSV or Parquet file")
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        known = [str(name) for name in frame.columns]
        raise DecisionsError(
            f"{path.name} lacks {len(missing)} columns of a decision.",
            found=", ".join(f"{m}{did_you_mean(m, known)}" for m in missing),
            expected=", ".join(COLUMNS),
        )
    if "list_id" not in frame.columns:
        frame["list_id"] = ""
    unknown = sorted(set(frame["decision"].astype(str)) - {ACCEPT, OVERRIDE})
    if unknown:
        raise DecisionsError(
            f"{path.name} holds decisions that are neither {ACCEPT} nor {OVERRIDE}.",
            found=", ".join(unknown[:5]),
        )
    out = frame[["list_id", *COLUMNS]].copy()
    out["at"] = pd.to_datetime(out["at"], utc=True, errors="coerce", format="ISO8601")
    out["priority"] = pd.to_numeric(out["priority"], errors="coerce")
    bad = out["at"].isna() | out["priority"].isna() | out["dealer"].isna()
    if bad.any():
        raise DecisionsError(
            f"{int(bad.sum())} decisions have no day, no priority or no dealer.",
            found=f"first in row {int(np.flatnonzero(bad)[0]) + 1}",
            fix="export them again; a decision without them cannot be judged",
        )
    out["at"] = out["at"].dt.tz_localize(None).dt.normalize().astype("datetime64[s]")
    out["reason"] = out["reason"].astype("object").fillna("").astype(str)
    out = out.sort_values("at", kind="stable").drop_duplicates(["list_id", "dealer"], keep="last")
    return out.reset_index(drop=True)


def outcomes(
    decisions: pd.DataFrame, warehouse: Warehouse, rule: SevereFinding, *, horizon_months: int
) -> pd.DataFrame:
    """Join each decision with the first inspection opened within the horizon after it.

    Returns
    -------
    DataFrame
        The decisions with ``is_inspected``, ``is_random`` and ``y``; follow-ups do not count.
    """
    visits = labels.targets(labels.inspections(warehouse))
    violations = warehouse.read("violations", columns=list(VIOLATIONS)).to_pandas()
    visits["y"] = severe(visits, violations, rule)
    found = pd.merge_asof(
        decisions.assign(row=np.arange(len(decisions))).sort_values("at", kind="stable"),
        visits[["dealer", "opened_on", "selected_by", "y"]].sort_values("opened_on", kind="stable"),
        left_on="at",
        right_on="opened_on",
        by="dealer",
        direction="forward",
        allow_exact_matches=False,
    ).sort_values("row", ignore_index=True)
    is_within = found["opened_on"] <= found["at"] + pd.DateOffset(months=horizon_months)
    return decisions.assign(
        is_inspected=is_within.to_numpy(),
        is_random=(is_within & (found["selected_by"] == "random")).to_numpy(),
        y=found["y"].where(is_within, 0.0).to_numpy(dtype=np.float64),
    )


def rivals(decided: pd.DataFrame) -> RivalsDocument:
    """Judge decisions with their outcomes.

    Parameters
    ----------
    decided : DataFrame
        What `outcomes` returned.

    Returns
    -------
    dict
        ``reasons``: per reason how many were decided, inspected and severe, the rate with its
        interval, its bounds, and the rate of accepted dealers of like priority; ``rival``: both
        orders on the same visits, None when they say too little.
    """
    is_override = decided["decision"] == OVERRIDE
    reason = decided["reason"].where(is_override, ACCEPT)
    bands = _bands(decided["priority"].to_numpy(dtype=np.float64))
    accepted = _rate_by_band(decided, bands, (~is_override).to_numpy())
    return {
        "n_decisions": len(decided),
        "n_overrides": int(is_override.sum()),
        "n_inspected": int(decided["is_inspected"].sum()),
        "n_random": int(decided["is_random"].sum()),
        "reasons": [
            {
                **_of_reason(decided[reason == name], bands[(reason == name).to_numpy()], accepted),
                "reason": str(name),
                "is_doubt": str(name) in DOUBTS,
            }
            for name in sorted(reason.unique(), key=lambda r: (r != ACCEPT, str(r)))
        ],
        "rival": _rival(decided),
    }


def rival_order(decided: pd.DataFrame) -> Floats:
    """Score of the inspectors' order: each list's own, with the doubted dealers last.

    Examples
    --------
    >>> rival_order(pd.DataFrame({"decision": ["accept", "override", "override"],
    ...     "reason": ["", "known_low_risk", "out_of_business"],
    ...     "priority": [1.0, 3.0, 2.0]})).argsort()[::-1].tolist()
    [2, 0, 1]
    """
    is_doubted = decided["reason"].isin(DOUBTS) & (decided["decision"] == OVERRIDE)
    rank = decided.groupby(_lists(decided))["priority"].rank(pct=True)
    return np.asarray(rank - 2.0 * is_doubted, dtype=np.float64)


def _lists(decided: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the list of each decision, as a code: priorities of two lists are of two days."""
    if "list_id" not in decided:
        return np.zeros(len(decided), dtype=np.int64)
    return pd.factorize(decided["list_id"].astype(str))[0].astype(np.int64)


def _rival(decided: pd.DataFrame) -> RivalRecord | None:
    order = rival_order(decided)
    is_seen = decided["is_inspected"].to_numpy()
    seen = decided[is_seen]
    y = seen["y"].to_numpy(dtype=np.float64)
    if not MIN_EACH <= y.sum() <= len(y) - MIN_EACH:
        return None
    clusters = np.unique(seen["dealer"].astype(str), return_inverse=True)[1].astype(np.int64)
    own = seen["priority"].to_numpy(dtype=np.float64)
    weight = np.ones(len(y))
    lists = _lists(seen)
    model, rival = (efficacy.auc(s, y, weight, within=lists) for s in (own, order[is_seen]))
    if not np.isfinite(model.value):
        return None  # No list holds both kinds.
    # As many visits as the inspectors would have made.
    share = float(np.clip((order[is_seen] >= 0).mean(), 0.05, 0.95))
    rows = pd.DataFrame({"y": y, "weight": weight, "cluster": clusters, ORDERED_ON: lists})
    rows = rows.assign(score=order[is_seen], list=own)
    gain = recall_differences(rows, ["list"], capacity=share)["list"]
    return {
        "n": len(y),
        "n_severe": int(y.sum()),
        "share_kept": share,
        "auc_list": model.share_interval(clusters).as_dict(),
        "auc_inspectors": rival.share_interval(clusters).as_dict(),
        "auc_gain": (rival - model).interval(clusters).as_dict(),
        "recall_gain": {"value": gain.value, "low": gain.low, "high": gain.high},
    }


def _bands(priority: Floats) -> npt.NDArray[np.int64]:
    """Cut the priority into thirds, so that like is compared with like."""
    edges = np.quantile(priority, np.linspace(0, 1, N_BANDS + 1)[1:-1])
    return np.searchsorted(edges, priority, side="right").astype(np.int64)


def _rate_by_band(
    decided: pd.DataFrame, bands: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]
) -> Floats:
    used = chosen & decided["is_inspected"].to_numpy()
    y = decided["y"].to_numpy(dtype=np.float64)
    n = np.bincount(bands[used], minlength=N_BANDS)
    found = np.bincount(bands[used], weights=y[used], minlength=N_BANDS)
    return np.where(n > 0, found / np.maximum(n, 1), np.nan)


def _of_reason(own: pd.DataFrame, bands: npt.NDArray[np.int64], accepted: Floats) -> ReasonFigures:
    is_seen = own["is_inspected"].to_numpy()
    n, n_seen, n_severe = len(own), int(is_seen.sum()), int(own["y"][is_seen].sum())
    like = accepted[bands[is_seen]]
    return {
        "n": n,
        "n_inspected": n_seen,
        "n_severe": n_severe,
        "rate": wilson(n_severe, n_seen) if n_seen else None,
        "bounds": {"low": n_severe / n, "high": (n_severe + n - n_seen) / n},
        "rate_of_accepted": float(like.mean()) if n_seen and np.isfinite(like).all() else None,
    }


def wilson(n_found: int, n: int) -> RangeRecord:
    """Return a share with Wilson's interval, which holds with few visits and no finding too.

    >>> {k: round(v, 3) for k, v in wilson(0, 20).items()}
    {'value': 0.0, 'low': 0.0, 'high': 0.161}
    """
    p, z = n_found / n, _Z
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return {"value": p, "low": max(0.0, middle - reach), "high": min(1.0, middle + reach)}
