"""Explain one dealer: exact contributions, the records behind them, and the way off the list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.domain.number_words import counted
from features.errors import did_you_mean
from serving.contract.records.dealers import (
    ChangeRecord,
    ContributionRecord,
    ExplanationDocument,
    WayOffRecord,
)
from serving.contract.records.scores import RowScoreRecord, RowScoresDocument
from serving.dealers.source_records import merged, named_records, said
from serving.errors import InvalidRequestError, ServingError
from serving.scores.snapshot import Snapshot
from serving.scores.visible_dealers import Scope, View, eligible_rows
from serving.scores.words.reason_sentences import measured_first, rounded

if TYPE_CHECKING:
    from features.engine.named_rows import Named
    from features.warehouse.own_rows import OwnRows

# Contributions are sums of doubles over a few thousand trees.
ADDITIVITY_TOLERANCE: Final = 1e-6
_MOST_CHANGES: Final = 8
_MEDIAN: Final = 50


def frame_of(snapshot: Snapshot, values: npt.NDArray[np.float32]) -> pd.DataFrame:
    """Return rows of signals as the bundle takes them."""
    return pd.DataFrame(values, columns=[signal["name"] for signal in snapshot.bundle.signals])


def explain(
    scope: Scope, row: int, *, k: int, warehouse: Path | OwnRows | None
) -> ExplanationDocument:
    """Return the explanation of a row, ready for the contract's `Explanation`.

    Without a warehouse no records are named: who shows none need not wait for them.

    Raises
    ------
    ServingError
        When the contributions do not add up to the priority: such an explanation is not shown.
    """
    view, snapshot = scope.view, scope.view.snapshot
    explanations = snapshot.bundle.explain(frame_of(snapshot, snapshot.inputs[[row]]))
    whole = explanations["priority"]
    values = np.asarray(whole.values[0], dtype=np.float64)
    base = float(np.ravel(whole.base)[0])
    priority = float(snapshot.columns["priority"][row])
    error = abs(base + float(values.sum()) - priority)
    if error > ADDITIVITY_TOLERANCE * max(1.0, abs(priority)):
        raise ServingError(
            "The contributions do not add up to the priority.", found=f"off by {error:.3g}"
        )
    named = {} if warehouse is None else records(snapshot, row, warehouse)
    contributions = [
        _contribution(view, row, j, values[j], explanations=explanations, named=named)
        for j in np.argsort(-np.abs(values), kind="stable").tolist()
    ]
    contributions = measured_first(contributions)
    by_family: dict[str, float] = {}
    for item in contributions:
        by_family[item["family"]] = by_family.get(item["family"], 0.0) + item["contribution"]
    return {
        "basis": snapshot.basis,
        "score": view.score(row, with_reasons=True),
        "base": base,
        "additivity_error": error,
        "contributions": contributions,
        "by_family": {name: rounded(v) for name, v in by_family.items()},
        "records": sorted(said(merged(named.values())), key=lambda one: one["table"]),
        "way_off": way_off(scope, row, values, k=k),
        "disclaimers": snapshot.disclaimers,
    }


def _contribution(
    view: View,
    row: int,
    j: int,
    value: float,
    *,
    explanations: Mapping[str, Any],
    named: Mapping[str, Named],
) -> ContributionRecord:
    snapshot = view.snapshot
    reason = snapshot.sentences.reason(
        j,
        float(snapshot.inputs[row, j]),
        float(value),
        license_type=snapshot.columns["license_type"][row],
        missing=int(snapshot.missing[row, j]),
        row=snapshot.inputs[row],
    )
    return {
        **reason,
        "by_head": {
            head: rounded(float(explanations[head].values[0][j])) for head in snapshot.heads
        },
        "missing": snapshot.sentences.missing(int(snapshot.missing[row, j])),
        "records": said(named.get(snapshot.bundle.signals[j]["name"], {})),
    }


def records(snapshot: Snapshot, row: int, warehouse: Path | OwnRows) -> dict[str, Named]:
    """Return the source records about a dealer that each signal of the bundle counted, by name."""
    dealer = str(snapshot.columns["dealer"][row])
    return named_records(warehouse, snapshot.bundle.signals, dealer, snapshot.as_of_row(row))


def way_off(scope: Scope, row: int, values: npt.NDArray[np.float64], *, k: int) -> WayOffRecord:
    """Return the fewest signals, strongest first, whose peer medians take the dealer off the list.

    The list is the office's first `k` eligible dealers. Signals move together in life; this says
    what the model would answer, not what a dealer could do. Only what can change is offered.
    """
    view, snapshot = scope.view, scope.view.snapshot
    columns = snapshot.columns
    ranked = view.order[eligible_rows(view)[view.order]]
    office = ranked[columns["office"][ranked] == columns["office"][row]]
    # Off the list is who comes after the first dealer that is not on it.
    successor = int(office[k]) if len(office) > k else None
    said: WayOffRecord = {
        "is_on_list": row in office[:k],
        "threshold": float(columns["priority"][office[k - 1]]) if len(office) >= k else None,
        "successor_priority": None if successor is None else float(columns["priority"][successor]),
        "changes": [],
        "is_enough": False,
    }
    if not said["is_on_list"] or successor is None:
        return said
    raising = [j for j in np.argsort(-values, kind="stable").tolist() if values[j] > 0]
    raising = [j for j in raising if _can_change(snapshot, j, row)][:_MOST_CHANGES]
    if not raising:
        return said
    trial = np.repeat(snapshot.inputs[[row]], len(raising), axis=0)
    for step, j in enumerate(raising):
        trial[step:, j] = _median(snapshot, j, row)
    found = snapshot.bundle.score(frame_of(snapshot, trial))["priority"].to_numpy()
    turns, cut = snapshot.places.turns, columns["priority"][successor]
    below = (found < cut) | ((found == cut) & (turns[row] > turns[successor]))
    n_needed = int(np.argmax(below)) + 1 if below.any() else len(raising)
    steps = [_step(snapshot, row, j) for j in raising[:n_needed]]
    return {**said, "changes": steps, "is_enough": bool(below.any())}


_OF_OTHERS: Final = frozenset(
    {
        "network_component_traces_2y", "network_traces_within_10km_3y",
        "network_traces_within_50km_3y",
    }
)  # fmt: skip


def _median(snapshot: Snapshot, j: int, row: int) -> float:
    license_type = snapshot.columns["license_type"][row]
    name = snapshot.bundle.signals[j]["name"]
    quantiles = snapshot.sentences.peers.quantiles(name, license_type)
    return float("nan") if quantiles is None else float(quantiles[_MEDIAN])


def _can_change(snapshot: Snapshot, j: int, row: int) -> bool:
    """Whether a signal can come to the peers' median in the life of this dealer.

    What is counted over a window fades, and an inspection can follow another. Where a dealer
    stands, what it is licensed as, what other dealers do and what is not known do not change by
    anything that it does or leaves.
    """
    signal = snapshot.bundle.signals[j]
    if signal["family"] == "area" or signal["name"] in _OF_OTHERS:
        return False
    is_history = bool(signal.get("window")) or signal["family"] == "violations"
    if not is_history or signal.get("is_category") or not snapshot.sentences.is_own(j):
        return False
    median, value = _median(snapshot, j, row), float(snapshot.inputs[row, j])
    return bool(np.isfinite(median) and np.isfinite(value)) and median != value


def _step(snapshot: Snapshot, row: int, j: int) -> ChangeRecord:
    value, median = float(snapshot.inputs[row, j]), _median(snapshot, j, row)
    return {
        "signal": snapshot.bundle.signals[j]["name"],
        "sentence": "If instead: "
        + snapshot.sentences.sentence(
            j, median, license_type=snapshot.columns["license_type"][row]
        ),
        "from_value": rounded(value) if np.isfinite(value) else None,
        "to_value": rounded(median),
    }


def score_rows(snapshot: Snapshot, rows: Sequence[Mapping[str, float | None]]) -> RowScoresDocument:
    """Score what-if rows, ready for the contract's `FeaturesAnswer`."""
    values = row_values(snapshot, rows)
    return rows_answer(snapshot, values, scores_of(snapshot, values))


def row_values(
    snapshot: Snapshot, rows: Sequence[Mapping[str, float | None]]
) -> npt.NDArray[np.float64]:
    """Return what-if rows as numbers in the bundle's order, shape (n, p).

    Raises
    ------
    InvalidRequestError
        When a row has a column that the bundle does not know, or lacks one that it needs.
    """
    names = snapshot.bundle.columns
    known = set(names)
    for n, row in enumerate(rows):
        if row.keys() == known:
            continue
        unknown, lacking = sorted(row.keys() - known), sorted(known - row.keys())
        if unknown:
            shown = unknown[0][:80].encode("ascii", "backslashreplace").decode()
            raise InvalidRequestError(
                f"Row {n} has {counted(len(unknown), 'column')} that the bundle does not know.",
                found=shown + did_you_mean(shown, names),
                fix="leave out what the bundle does not read",
            )
        if lacking:
            raise InvalidRequestError(
                f"Row {n} lacks {len(lacking)} of the bundle's {len(names)} signals.",
                found="missing: " + ", ".join(lacking[:20]),
                fix="give null where a value is not known",
            )
    values = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    if (
        not np.isfinite(values[~np.isnan(values)]).all()
        or (np.abs(values[~np.isnan(values)]) > np.finfo(np.float32).max).any()
    ):
        raise InvalidRequestError("A value is too large to be a signal.", expected="|value| < 3e38")
    return values


def scores_of(snapshot: Snapshot, values: npt.NDArray[np.float64]) -> list[RowScoreRecord]:
    """Return what the bundle says of rows of signals, one entry a row."""
    # In single precision, as the table has them.
    found = snapshot.bundle.score_numbers(values.astype(np.float32).astype(np.float64))
    scores = {name: column.tolist() for name, column in found.items()}
    return [
        {
            "heads": {
                head: {
                    "value": float(scores[head][n]),
                    "lower": float(scores[f"{head}_lower"][n]),
                    "upper": float(scores[f"{head}_upper"][n]),
                }
                for head in snapshot.heads
            },
            "priority": float(scores["priority"][n]),
            "support": float(scores["support"][n]),
        }
        for n in range(len(values))
    ]


def rows_answer(
    snapshot: Snapshot, values: npt.NDArray[np.float64], scores: list[RowScoreRecord]
) -> RowScoresDocument:
    """Return the answer about rows that were scored."""
    return {
        "basis": snapshot.basis,
        "scores": scores,
        "out_of_range": _out_of_range(snapshot, values),
        "disclaimers": snapshot.disclaimers,
    }


def _out_of_range(snapshot: Snapshot, values: npt.NDArray[np.float64]) -> list[str]:
    """Return the signals of which some row has a value that no dealer of the table has."""
    names = snapshot.bundle.columns
    low, high = snapshot.sentences.peers.ranges(tuple(names))
    is_beyond = ((values < low) | (values > high)).any(axis=0)  # a missing value is not
    return [names[j] for j in np.flatnonzero(is_beyond)]
