"""What the product says of a country on a day: its order, its chances, its gates."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats
from features.signals.registry import all_signals
from features.table import FeatureTable, build_features
from features.warehouse import Warehouse
from models import Bundle
from models.bundle.profile import Profile
from models.order.restraint import RESTRAINT, restrain
from models.order.set_against_alike import Peers, set_against
from training.errors import TrainingError
from training.evaluation.gates import better_than_chance, not_worse_than_rules
from training.evaluation.metrics import LEVEL
from training.heads import country_history as country
from training.heads.ahead import Ahead
from training.heads.fit import HeadResult, inputs_of, place_signals
from training.heads.together import train_heads
from training.progress import Steps
from training.recipe import Recipe


@dataclass(frozen=True)
class Said:
    """What was said of each dealer listed on a day; arrays of shape (n,).

    Parameters
    ----------
    dealer : array of str
    priority : array
        The published order, highest first.
    chance : array
        Stated probability of a severe finding.
    interval : array of shape (n, 2)
        At the level of `LEVEL`.
    has_design : bool
        Whether any visit of known probability taught the level.
    gates : tuple of str
        What each gate found, in words; empty when nothing could be trained.
    """

    dealer: npt.NDArray[np.object_]
    priority: Floats
    chance: Floats
    interval: Floats
    has_design: bool
    gates: tuple[str, ...]


def said(recipe: Recipe, warehouse: Warehouse, today: date, steps: Steps) -> Said:
    """Train on what is known, and score every dealer as of a day.

    Raises
    ------
    TrainingError
        When there are too few findings to train on.
    """
    history = country.assemble(recipe, warehouse, steps)
    with Ahead(steps) as ahead:
        trained = train_heads(recipe, recipe.heads, warehouse, history, ahead)
        results = [told for _, told in trained if not isinstance(told, str)]
    with steps.step("score"):
        table = build_features(warehouse, [today], variant=recipe.variant)
        scored = _bundle(recipe, results, history.table, today).score(table.X)
    chance = next(r for r in results if r.head.label == "compliance")
    model = chance.estimator
    if model is None:
        raise TrainingError(f"Head {chance.head.name} has no model to rehearse with.")
    X = inputs_of(model, table.X)
    return Said(
        table.frame["dealer"].to_numpy(dtype=object),
        scored["priority"].to_numpy(dtype=np.float64),
        np.asarray(model.predict_proba(X)[:, 1], dtype=np.float64),
        np.asarray(model.predict_interval(X, LEVEL), dtype=np.float64),
        _has_design(warehouse),
        tuple(
            str(gate)
            for result in results
            for gate in (
                better_than_chance(result.head.name, result.held_out),
                not_worse_than_rules(
                    result.head.name, result.held_out, capacity=recipe.evaluation.capacity
                ),
            )
        ),
    )


def signal_of(warehouse: Warehouse, today: date, name: str) -> pd.Series:
    """Return one signal of every dealer as of a day, by dealer; missing counts zero."""
    (family,) = (signal.family for signal in all_signals() if signal.name == name)
    table = build_features(warehouse, [today], families=[family])
    return pd.Series(table.X[name].fillna(0.0).to_numpy(), index=table.frame["dealer"])


def _bundle(recipe: Recipe, results: list[HeadResult], table: FeatureTable, today: date) -> Bundle:
    """Put the heads together as they would be published, with a card that says what it is."""
    read = {name for result in results for name in result.X.columns}
    signals = [signal for signal in table.signals if signal.name in read]
    columns = [signal.name for signal in signals]
    heads = {r.head.name: r.estimator for r in results if r.estimator is not None}
    newest = (table.frame["as_of"] == table.frame["as_of"].max()).to_numpy()
    latest = table.X.loc[newest, columns]
    margins = {
        name: np.asarray(head.predict_margin(inputs_of(head, latest)), dtype=np.float64)
        for name, head in heads.items()
    }
    policy = recipe.read_policy()
    beside = set_against(latest, place_signals(results))
    manifest = {
        "name": recipe.model_name,
        "as_of": today.isoformat(),
        "restriction": "restricted",
        "data_fingerprint": table.warehouse_fingerprint,
        "git_commit": "unknown",
        RESTRAINT: restrain(policy, margins, beside, capacity=recipe.evaluation.capacity).state(),
    }
    return Bundle(
        heads,
        policy,
        [dataclasses.asdict(signal) for signal in signals],
        Profile.of(
            table.X[columns],
            margins,
            peers=None if beside.empty else Peers.of(beside, margins),
            learned=results[0].learned,
        ),
        "# A rehearsal\n",
        manifest,
    )


def _has_design(warehouse: Warehouse) -> bool:
    rows = warehouse.read("inspections", columns=["selected_by", "inclusion_probability"])
    is_random = np.isin(rows["selected_by"].to_numpy(zero_copy_only=False), ["random"])
    return bool(is_random.any()) or rows["inclusion_probability"].null_count < len(rows)
