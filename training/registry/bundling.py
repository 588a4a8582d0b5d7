"""Turn fitted heads into a bundle: the signals they read, the profile, and the model card."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.openjson import Json
from features.table import FeatureTable
from models import Bundle
from models.bundle.card import Card
from models.bundle.profile import Profile
from models.order.restraint import RESTRAINT, Restraint, restrain
from models.order.set_against_alike import Peers, set_against
from training.heads.fit import HeadResult, place_signals
from training.pages.report import format_interval
from training.recipe import Recipe

UNKNOWN_COMMIT = "unknown"


def assemble_bundle(
    recipe: Recipe, kept: Sequence[HeadResult], table: FeatureTable, evaluation: Mapping[str, Any]
) -> Bundle:
    """Assemble the bundle of the heads that passed.

    Parameters
    ----------
    kept : sequence of HeadResult
        At least one; the first one's rows make the profile, and support is told by those whose
        labels it learned from.
    table : FeatureTable
        Holds the signals of every head.
    """
    read = {name for result in kept for name in result.X.columns}
    signals = [signal for signal in table.signals if signal.name in read]
    columns = [signal.name for signal in signals]
    newest = table.frame["as_of"].max()
    latest = table.X.loc[(table.frame["as_of"] == newest).to_numpy(), columns]
    heads = {result.head.name: result.estimator for result in kept if result.estimator is not None}
    margins = {
        name: np.asarray(head.predict_margin(latest[list(head.columns_)]), dtype=np.float64)
        for name, head in heads.items()
    }
    beside = set_against(latest, place_signals(kept))
    peers = None if beside.empty else Peers.of(beside, margins)
    rows = _rows(kept[0], table)
    profile = Profile.of(
        table.X.iloc[rows][columns], margins, peers=peers, learned=_learned(kept[0], rows)
    )
    policy = recipe.read_policy()
    restraint = restrain(policy, margins, beside, capacity=recipe.evaluation.capacity)
    is_restricted = any(signal.restriction == "restricted" for signal in signals)
    manifest = {
        "name": recipe.model_name,
        "as_of": f"{newest:%Y-%m-%d}",
        "trained_on": evaluation["trained_on"],
        "restriction": "restricted" if is_restricted else "public",
        "variant": recipe.variant,
        "license_types": list(recipe.license_types),
        "data_fingerprint": evaluation["data_fingerprint"],
        "git_commit": evaluation["git_commit"],
        "policy": policy.stated(),
        RESTRAINT: restraint.state(),
    }
    described = [dataclasses.asdict(signal) for signal in signals]
    card = model_card(
        recipe,
        evaluation,
        n_signals=len(signals),
        as_of=date.fromisoformat(evaluation["trained_on"]),
        restriction=str(manifest["restriction"]),
        restraint=restraint,
    )
    return Bundle(heads, policy, described, profile, card, manifest)


def _rows(result: HeadResult, table: FeatureTable) -> npt.NDArray[np.int64]:
    return np.arange(len(table)) if result.rows is None else result.rows


def _learned(result: HeadResult, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Where among some rows of the table those stand that a head learned from; None for all."""
    return None if result.learned is None else np.flatnonzero(np.isin(rows, result.learned))


def model_card(
    recipe: Recipe,
    evaluation: Mapping[str, Any],
    *,
    n_signals: int,
    as_of: date,
    restriction: str,
    restraint: Restraint | None = None,
) -> str:
    """Write the card: what it is for, what it was judged on, what it cannot say."""
    heads = evaluation["heads"]
    kept = evaluation["bundle_heads"]
    card = Card(
        name=recipe.title,
        as_of=as_of,
        restriction=restriction,
        heads={name: heads[name]["definition"] for name in kept},
        data={
            "labels known before": evaluation["trained_on"],
            "data fingerprint": evaluation["data_fingerprint"],
            "code": evaluation["git_commit"],
            "seed": recipe.seed,
            "signals": f"{n_signals}, variant {recipe.variant}",
            "never inputs": "investigator, office, division, buyer identity, race, sex, age",
        },
        metrics={
            **_order_measures(evaluation.get("order"), recipe.evaluation.capacity),
            **{
                f"{name}, ordered by this head alone": _measures(
                    heads[name], recipe.evaluation.capacity
                )
                for name in kept
            },
        },
        limits=(*recipe.cannot_say, *_refusals(heads)),
        restraint=restraint or Restraint(),
    )
    return card.markdown(recipe.read_policy())


def _order_measures(
    order: Mapping[str, Any] | None, capacity: float
) -> Mapping[str, Mapping[str, object]]:
    """Say how well the published order did, simple rules and each head alone beside it."""
    if order is None:
        return {}
    found: dict[str, object] = {
        "rows, positive": f"{order['n']}, {order['n_positive']}",
        "AUC": format_interval(order["model"]["auc"]),
        f"found in the first {capacity:.0%}": format_interval(order["model"]["recall"]),
    }
    for rule, figures in order["rules"].items():
        found[f"found by {rule.replace('_', ' ')}"] = format_interval(figures["recall"])
    for size in order.get("sizes", ()):
        found[f"list share, dealers by sales, {size['size']}"] = (
            f"{size['listed']['published']:.1%} ({size['expected']:.1%} of findings expected)"
        )
    return {"the published order": found}


def _measures(entry: Mapping[str, Any], capacity: float) -> Json:
    found: dict[str, object] = {
        "judged on": entry["judged_on"],
        "rows, positive": f"{entry['n']}, {entry['n_positive']}",
        "AUC": format_interval(entry["model"]["auc"]),
        f"found in the first {capacity:.0%}": format_interval(entry["model"]["recall"]),
        "Brier score": entry["calibration"]["brier"],
        "calibration error": entry["calibration"]["ece"],
    }
    for rule, figures in entry["rules"].items():
        found[f"found by {rule.replace('_', ' ')}"] = format_interval(figures["recall"])
    return found


def _refusals(heads: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{name.replace('_', ' ')}: refused and not in this bundle. {entry['refusal']}"
        for name, entry in heads.items()
        if not entry["is_in_bundle"]
    ]


_ROOT = Path(__file__).resolve().parents[2]


def source_commit(root: Path = _ROOT) -> str:
    """Return the commit the code was checked out at, or ``unknown`` outside its own repository.

    An installed copy may lie inside of somebody else's repository, whose commit says nothing of it.
    """
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--show-toplevel", "HEAD"],  # noqa: S607 - where the user has it
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN_COMMIT
    top, commit = found.stdout.splitlines()
    return commit if Path(top).resolve() == root else UNKNOWN_COMMIT
