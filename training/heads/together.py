"""Train the heads of a country side by side, and judge them one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features.warehouse import Warehouse
from training.heads import diversion
from training.heads.ahead import Ahead
from training.heads.compliance import training as compliance_training
from training.heads.country_history import CountryHistory
from training.heads.fit import HeadResult
from training.recipe import Head, Recipe


def train_heads(
    recipe: Recipe,
    heads: Sequence[Head],
    warehouse: Warehouse,
    history: CountryHistory,
    ahead: Ahead,
) -> Iterator[tuple[Head, HeadResult | str]]:
    """Return each head in order, as it was trained and judged, or why it is left out.

    Models of all heads are under way before the first is judged.

    Parameters
    ----------
    heads : sequence of Head
        Of the labels ``compliance`` and ``diversion``.
    """
    rule = recipe.read_policy().severe_finding
    finish = [
        compliance_training.begin(recipe, head, warehouse, history, rule, ahead)
        if head.label == "compliance"
        else diversion.begin(recipe, head, warehouse, history, ahead)
        for head in heads
    ]
    for head, finished in zip(heads, finish, strict=True):
        yield head, finished()
