"""Turn fitted heads into a bundle: the signals they read, the profile, and the model card."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.table import FeatureTable
from models import Bundle
from models.policy import Policy
from models.profile import Profile
from training.fit import HeadResult
from training.recipe import Recipe
from training.report import format_interval

UNKNOWN_COMMIT = "unknown"


def assemble_bundle(
    recipe: Recipe, kept: Sequence[HeadResult], table: FeatureTable, evaluation: Mapping[str, Any]
) -> Bundle:
    """Assemble the bundle of the heads that passed.

    Parameters
    ----------
    kept : sequence of HeadResult
        At least one; the first one's training rows make the profile.
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
    profile = Profile.of(table.X.iloc[_rows(kept[0], table)][columns], margins)
    is_restricted = any(signal.restriction == "restricted" for signal in signals)
    manifest = {
        "name": recipe.model_name,
        "as_of": f"{newest:%Y-%m-%d}",
        "restriction": "restricted" if is_restricted else "public",
        "variant": recipe.variant,
        "license_types": list(recipe.license_types),
        "data_fingerprint": evaluation["data_fingerprint"],
        "git_commit": evaluation["git_commit"],
    }
    described = [dataclasses.asdict(signal) for signal in signals]
    card = model_card(recipe, evaluation, n_signals=len(signals), as_of=manifest["as_of"])
    return Bundle(heads, Policy.read(), described, profile, card, manifest)


def _rows(result: HeadResult, table: FeatureTable) -> npt.NDArray[np.int64]:
    return np.arange(len(table)) if result.rows is None else result.rows


def model_card(recipe: Recipe, evaluation: Mapping[str, Any], *, n_signals: int, as_of: str) -> str:
    """Write the card: what it is for, what it was judged on, what it cannot say."""
    lines = [
        f"# {recipe.title}",
        "",
        "It orders dealers for compliance inspection. A score is not evidence of a violation, and",
        "it never justifies letting a suspect sale go on.",
        "",
        f"- Signals: {n_signals}, variant {recipe.variant}; newest as-of date {as_of}",
        f"- Labels known before {evaluation['trained_on']}; data "
        f"{evaluation['data_fingerprint'][:12]}; code {evaluation['git_commit'][:12]}; seed "
        f"{recipe.seed}",
        "- Never inputs: investigator, office, division, buyer identity, race, sex, age",
        "",
        "## What it cannot say",
        "",
        *(f"- {sentence}" for sentence in recipe.cannot_say),
    ]
    for name, entry in evaluation["heads"].items():
        lines += ["", *_head_card(name, entry, recipe.evaluation.capacity)]
    return "\n".join(lines) + "\n"


def _head_card(name: str, entry: Mapping[str, Any], capacity: float) -> list[str]:
    model = entry["model"]
    lines = [
        f"## {name.replace('_', ' ')}",
        "",
        f"{entry['definition']}; {entry['judged_on']}.",
        "",
    ]
    if not entry["is_in_bundle"]:
        return [*lines, f"**Refused, not in this bundle.** {entry['refusal']}"]
    lines += [
        f"| scoring | AUC | recall in the first {capacity:.0%} |",
        "| --- | --- | --- |",
        f"| model | {format_interval(model['auc'])} | {format_interval(model['recall'])} |",
    ]
    lines += [
        f"| {rule.replace('_', ' ')} | {format_interval(f['auc'])} | "
        f"{format_interval(f['recall'])} |"
        for rule, f in entry["rules"].items()
    ]
    calibration = entry["calibration"]
    lines += [
        "",
        f"Judged on {entry['n']} rows with {entry['n_positive']} positive; Brier score "
        f"{calibration['brier']:.4f}, calibration error {calibration['ece']:.4f}.",
    ]
    return lines


def source_commit() -> str:
    """Return the commit the code was checked out at, or ``unknown`` outside a repository."""
    here = Path(__file__).resolve().parent
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - git is where the user has it
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN_COMMIT
    return found.stdout.strip()
