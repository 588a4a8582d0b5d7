"""How far the world has moved from what a bundle learned, and what is to be done about it.

New signals and scores are compared with the profile that travels in the bundle: population
stability index over the training deciles, missing values a bin of their own. A new column of few
rows differs from the profile by chance; only what is beyond chance counts.

References
----------
Siddiqi (2006): below 0.1 stable, 0.1 to 0.25 watch, above 0.25 act; Yurdakul (2018), the index of
two samples of one distribution is near a multiple of a chi-squared variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from features.arrays import Floats
from features.table import build_features
from features.warehouse import Warehouse
from models import Bundle
from models.bundle.profile import Profile, SignalProfile, share_below
from training.errors import NotTrainedError
from training.labels.cohort import places, require_types
from training.progress import Steps
from training.registry.promotion import read_champion
from training.studies.documents import DriftDocument, DriftSummary
from training.studies.findings_since import FindingsSince, findings_since

WATCH: Final = 0.1
ACT: Final = 0.25
# Sources: a share of values gone missing, or of codes never seen in training.
MISSING: Final = 0.2
UNSEEN: Final = 0.005
# A whole table is suspect when this share of its signals is.
TABLE_SHARE: Final = 0.5
Advice = Literal["none", "watch", "check the source", "train again"]
_ORDER: Final[tuple[Advice, ...]] = ("check the source", "train again", "watch", "none")


@dataclass(frozen=True)
class Drift:
    """How far one signal or head has moved.

    Parameters
    ----------
    name : str
    kind : {"signal", "head"}
    stability_index : float
        Population stability index; zero is no change.
    by_chance : float
        What the index stays below in 99 of 100 samples of an unchanged world.
    share_missing_then, share_missing_now : float
    share_unseen : float
        Share of values, or codes, that training never saw: beyond its range, or a new category.
    advice : str
        What to do.
    table : str
        Table a signal is read from, empty when unknown.
    """

    name: str
    kind: Literal["signal", "head"]
    stability_index: float
    by_chance: float
    share_missing_then: float
    share_missing_now: float
    share_unseen: float
    advice: Advice
    table: str = ""


def stability_index(then: Floats, now: Floats) -> float:
    """Return the population stability index of two distributions over the same bins.

    >>> stability_index(np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """
    a, b = np.maximum(then, 1e-4), np.maximum(now, 1e-4)
    a, b = a / a.sum(), b / b.sum()
    return float(((b - a) * np.log(b / a)).sum())


def drift(bundle: Bundle, X: pd.DataFrame) -> list[Drift]:
    """Compare new rows with the rows a bundle was trained on, worst first.

    Parameters
    ----------
    X : DataFrame of shape (n, p)
        Signals of every dealer as of a day; a signal the bundle reads and the table lacks raises.
    """
    inputs = bundle.inputs(X)
    about = {str(signal["name"]): signal for signal in bundle.signals}
    found = [
        _of_signal(signal, inputs[signal.name], about[signal.name], bundle.profile)
        for signal in bundle.profile.signals
    ]
    for name, quantiles in bundle.profile.scores.items():
        head = bundle.heads[name]
        margin = np.asarray(head.predict_margin(inputs[list(head.columns_)]), dtype=np.float64)
        found.append(_of_head(name, quantiles, margin, bundle.profile.n_rows))
    return sorted(found, key=lambda d: (_ORDER.index(d.advice), -d.stability_index))


def drift_as_of(folder: Path, warehouse: Warehouse, as_of: date, steps: Steps) -> DriftDocument:
    """Compare a warehouse as of a day with the champion.

    Parameters
    ----------
    folder : Path
        State folder.

    Raises
    ------
    NotTrainedError
        When there is no champion.
    """
    champion = read_champion(folder)
    if champion is None:
        raise NotTrainedError("There is no champion to compare with.", fix="promote a candidate")
    bundle = Bundle.load(folder / "champion" / champion.bundle)
    with steps.step(f"signals as of {as_of}"):
        table = build_features(warehouse, as_of, variant=bundle.manifest["variant"])
        is_member = require_types(
            places(warehouse, table.frame), bundle.manifest.get("license_types", ())
        )
    X = table.X[is_member]
    if X.empty:
        raise NotTrainedError(
            f"No dealer is listed before {as_of}.",
            fix="ingest a license listing, or name a later day",
        )
    with steps.step("drift"):
        read = sorted({str(s["table"]) for s in bundle.signals if s.get("table")})
        absent = [name for name in read if not warehouse.has(name)]
        since = findings_since(bundle, warehouse, as_of)
        found = summary(drift(bundle, X), absent=absent, since=since)
    return {
        "as_of": as_of.isoformat(),
        "bundle": champion.bundle,
        "name": champion.name,
        "version": champion.version,
        "trained_as_of": bundle.manifest["as_of"],
        "n_dealers": len(X),
        **found,
    }


def _of_signal(
    signal: SignalProfile, values: pd.Series, about: Mapping[str, Any], profile: Profile
) -> Drift:
    bins = np.bincount(signal.bins(values), minlength=len(signal.shares))
    index = stability_index(signal.shares, bins / max(len(values), 1))
    chance = _by_chance(len(signal.shares), len(values), profile.n_rows)
    missing = float(values.isna().mean())
    unseen = _share_unseen(signal, values, bins)
    is_category = bool(signal.levels) or bool(about.get("is_category"))
    # A signal alone trains nothing again: what counts is whether the scores follow it.
    advice: Advice = "none" if _advice(index, chance) == "none" else "watch"
    # Numbers grow beyond their range in any world; a code that grows is a new category.
    is_new = is_category and unseen > UNSEEN
    # Values that were missing in training and are there now are a longer history, not a fault.
    if missing - signal.share_missing > MISSING or is_new:
        advice = "check the source"
    return Drift(
        signal.name,
        "signal",
        index,
        chance,
        signal.share_missing,
        missing,
        unseen,
        advice,
        str(about.get("table", "")),
    )


def _share_unseen(signal: SignalProfile, values: pd.Series, bins: npt.NDArray[np.int64]) -> float:
    """Share of rows with a value beyond the training range, or a level it did not have."""
    if signal.levels:
        return float((bins[-1] - values.isna().sum()) / max(len(values), 1))
    if not len(signal.quantiles):
        return float(values.notna().mean())
    number = values.to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):
        is_beyond = (number < signal.quantiles[0]) | (number > signal.quantiles[-1])
    return float(is_beyond.mean())


def _of_head(name: str, quantiles: Floats, margin: Floats, n_then: int) -> Drift:
    # Both days by the same rule: many dealers can have one margin.
    edges = np.unique(quantiles[10:-1:10])
    of_now = np.quantile(margin, np.linspace(0.0, 1.0, len(quantiles)))
    then, now = (
        np.diff(np.concatenate([[0.0], share_below(one, edges), [1.0]]))
        for one in (quantiles, of_now)
    )
    index = stability_index(then, now)
    chance = _by_chance(len(then), len(margin), n_then)
    return Drift(name, "head", index, chance, 0.0, 0.0, 0.0, _advice(index, chance))


def _by_chance(n_bins: int, n_now: int, n_then: int) -> float:
    per_bin = 1.0 / max(n_now, 1) + 1.0 / max(n_then, 1)
    return float(per_bin * stats.chi2.ppf(0.99, max(n_bins - 1, 1)))


def _advice(index: float, chance: float) -> Advice:
    if index <= chance:
        return "none"
    return "train again" if index > ACT else "watch" if index > WATCH else "none"


def summary(
    found: Sequence[Drift], *, absent: Sequence[str] = (), since: FindingsSince | None = None
) -> DriftSummary:
    """Return what moved and the one thing to do.

    Parameters
    ----------
    absent : sequence of str
        Tables the bundle's signals are read from that the warehouse lacks altogether.
    since : FindingsSince, optional
        What visits since the day of training found.

    Returns
    -------
    dict
        ``advice`` for the whole, ``what_to_do`` in sentences, ``tables`` under suspicion,
        ``drift``, an entry for each signal and head, and ``findings``, what visits since found.
    """
    far = [d for d in found if d.kind == "signal" and d.stability_index > ACT]
    votes: list[Advice] = [d.advice for d in found if d.kind == "head"]
    votes += [d.advice for d in found if d.advice == "check the source"]
    votes += ["watch" for d in far if d.advice == "watch"]
    votes += ["check the source" for _ in absent]
    votes += [since.advice] if since is not None else []
    overall: Advice = min(votes, key=_ORDER.index, default="none")
    tables = _suspect_tables(found)
    return {
        "advice": overall,
        "what_to_do": _what_to_do(found, overall, tables, absent, since),
        "findings": None if since is None else since.entry(),
        "absent_tables": list(absent),
        "tables": tables,
        "drift": [asdict(d) for d in found],
    }


def _suspect_tables(found: Sequence[Drift]) -> dict[str, dict[str, int]]:
    """Count, per table, its signals and those that point to a fault of the source."""
    out: dict[str, dict[str, int]] = {}
    for d in found:
        if d.kind == "signal" and d.table:
            entry = out.setdefault(d.table, {"n_signals": 0, "n_suspect": 0})
            entry["n_signals"] += 1
            entry["n_suspect"] += d.advice == "check the source"
    return {table: entry for table, entry in sorted(out.items()) if entry["n_suspect"]}


def _what_to_do(
    found: Sequence[Drift],
    overall: Advice,
    tables: Mapping[str, Mapping[str, int]],
    absent: Sequence[str],
    since: FindingsSince | None,
) -> list[str]:
    heads = [d for d in found if d.kind == "head"]
    out = [
        f"The warehouse has no table {table}: ingest it before a list is published."
        for table in absent
    ]
    out += [
        f"Check the table {table}: {n['n_suspect']} of {n['n_signals']} signals read from it are "
        "missing, or hold codes, unlike training. Ingest it again before a list is published."
        for table, n in tables.items()
        if n["n_suspect"] >= TABLE_SHARE * n["n_signals"] and table not in absent
    ]
    single = [
        d
        for d in found
        if d.advice == "check the source"
        and (
            d.table not in tables
            or tables[d.table]["n_suspect"] < TABLE_SHARE * tables[d.table]["n_signals"]
        )
    ]
    out += [_check(d) for d in single[:5]]
    if len(single) > 5:
        out.append(f"Check {len(single) - 5} more signals; see the table.")
    moved = [d for d in heads if d.advice == "train again"]
    if moved:
        names = ", ".join(f"{d.name} (index {d.stability_index:.2f})" for d in moved)
        after = " once the sources are mended" if overall == "check the source" else ""
        out.append(f"Train again{after}: the scores of {names} have moved.")
    if since is not None and since.advice != "none":
        out.append(since.says)
    watched = [d.name for d in heads if d.advice == "watch"]
    if watched:
        out.append(f"Watch the scores of {', '.join(watched)}: look again at the next publication.")
    far = [d for d in found if d.kind == "signal" and d.stability_index > ACT]
    beyond = [d.name for d in far if d.advice == "watch"]
    if beyond:
        names = ", ".join(beyond[:5]) + (" and more" if len(beyond) > 5 else "")
        out.append(
            f"Watch what moved far ({names}): such values were rare in "
            "training. A signal that only grows with the calendar asks for training once a year."
        )
    return out or ["Nothing is to be done: scores and sources are as they were in training."]


def _check(d: Drift) -> str:
    if d.share_missing_now - d.share_missing_then > MISSING:
        return (
            f"Check {d.name}: missing for {d.share_missing_now:.0%} of dealers, for "
            f"{d.share_missing_then:.0%} in training."
        )
    return f"Check {d.name}: {d.share_unseen:.1%} of dealers have a code that training never saw."
