"""What a training tells the tracker: its name, data, recipe, parameters in force, and figures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from features.openjson import Json
from training.evaluation.head_evaluation import flat_metrics
from training.heads.fit import HeadResult
from training.recipe import Recipe

_LONGEST: Final = 500  # signs of a parameter that a tracking server is sure to take


def training_run(
    recipe: Recipe, evaluation: Mapping[str, Any], results: Sequence[HeadResult]
) -> Json:
    """Describe a training, as `training.registry.mlflow_api` logs it."""
    policy = recipe.read_policy()
    return {
        "experiment": recipe.model_name,
        "name": f"{recipe.name} as of {evaluation['trained_on']}",
        "params": _params(recipe, evaluation, results),
        "metrics": flat_metrics(evaluation["heads"]),
        "tags": _tags(recipe, evaluation),
        "datasets": _datasets(evaluation),
        "texts": {
            "recipe.json": json.dumps(recipe.model_dump(mode="json"), indent=1) + "\n",
            "policy.toml": policy.text,
        },
    }


def sha256_of(bundle: Path) -> str:
    """Return the hash by which the service names a bundle: that of its manifest."""
    return hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def _datasets(evaluation: Mapping[str, Any]) -> list[Json]:
    known = {"known_before": evaluation["trained_on"]}
    return [
        {
            "name": "warehouse",
            "digest": evaluation["data_fingerprint"],
            "context": "source",
            "tags": {"sha256": evaluation["data_fingerprint"], **known},
        },
        {
            "name": f"signals, variant {evaluation['variant']}",
            "digest": evaluation["table_fingerprint"],
            "context": "training",
            "tags": {"sha256": evaluation["table_fingerprint"], **known},
        },
    ]


def _params(
    recipe: Recipe, evaluation: Mapping[str, Any], results: Sequence[HeadResult]
) -> dict[str, str]:
    """Parameters of the recipe, and of every estimator as it was fitted, defaults included."""
    out = {
        "recipe": recipe.name,
        "seed": str(recipe.seed),
        "variant": recipe.variant,
        "trained_on": str(evaluation["trained_on"]),
        "policy": str(evaluation["policy"])[:_LONGEST],
    }
    for result in results:
        name = result.head.name
        out[f"{name}.n_signals"] = str(result.X.shape[1])
        if result.estimator is not None:
            given = result.estimator.get_params(deep=False)
            given["monotone"] = f"{len(given.get('monotone') or ())} signals"
            out |= {f"{name}.{key}": str(value)[:_LONGEST] for key, value in given.items()}
    return out


def _tags(recipe: Recipe, evaluation: Mapping[str, Any]) -> dict[str, str]:
    heads = evaluation["heads"]
    return {
        "kind": "training",
        "recipe": recipe.name,
        "trained_on": str(evaluation["trained_on"]),
        "data_fingerprint": evaluation["data_fingerprint"],
        "table_fingerprint": evaluation["table_fingerprint"],
        "git_commit": evaluation["git_commit"],
        "heads": ", ".join(evaluation["bundle_heads"]),
        "refused": ", ".join(n for n, entry in heads.items() if not entry["is_in_bundle"]),
    }
