"""What a bundle knows of the rows that its heads learned from."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.signals.registry import SIGNALS
from features.table import FeatureTable
from training.heads.fit import HeadResult
from training.recipe import load_recipe
from training.registry import bundling

KM = "border_km_to_mexico_line"


@pytest.mark.parametrize(("learned", "is_marked"), [(np.arange(200), True), (None, False)])
def test_support_is_told_by_the_rows_whose_labels_were_learned_from(
    monkeypatch, learned, is_marked
):
    """Half of the dealers are far from the border, and none of them was inspected."""
    frame = pd.DataFrame({"dealer": [f"d{i}" for i in range(400)]})
    frame = frame.assign(as_of=pd.Timestamp("2024-01-01"))
    X = pd.DataFrame({KM: np.r_[np.linspace(1, 50, 200), np.linspace(900, 950, 200)]})
    (signal,) = (one for one in SIGNALS if one.name == KM)
    table = FeatureTable(frame.assign(**X), X, (signal,), "full", "", "")
    model = SimpleNamespace(columns_=(KM,), predict_margin=lambda Z: np.zeros(len(Z)))
    recipe = load_recipe("country")
    result = HeadResult(
        recipe.head("compliance"), "", "", pd.DataFrame(), model, X, learned=learned
    )
    monkeypatch.setattr(bundling, "Bundle", lambda *parts: SimpleNamespace(profile=parts[3]))
    monkeypatch.setattr(bundling, "model_card", lambda *_parts, **_named: "")
    evaluation = {"trained_on": "2024-01-01", "data_fingerprint": "", "git_commit": ""}
    profile = bundling.assemble_bundle(recipe, [result], table, evaluation).profile
    support = profile.support(X)
    assert np.median(support[:200]) > 0.05
    assert bool(np.median(support[200:]) < 0.005) is is_marked
