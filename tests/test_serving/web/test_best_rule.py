"""The measures and the model page answer "is it better than a simple rule?" by one figure."""

from __future__ import annotations

import json
from datetime import date
from types import SimpleNamespace

import pytest

from features.insight.measures.figures import Period
from features.insight.measures.measure import measure, registry
from serving.insight.best_rule import best_rule
from serving.insight.measures import added_figures
from serving.web.oversight import model


def head(gain: tuple[float, float] | None, *, apart: bool) -> dict:
    """A head that finds 33% where its best rule finds 31%, their own intervals apart or not."""

    def found(value: float, half: float) -> dict[str, float]:
        return {"value": value, "low": value - half, "high": value + half}

    half = 0.005 if apart else 0.06
    best = {"recall": found(0.31, half)}
    if gain is not None:
        best["recall_gain"] = {"value": 0.02, "low": gain[0], "high": gain[1]}
    rules = {"logistic": best, "random": {"recall": found(0.1, 0.0)}}
    return {"model": {"recall": found(0.33, half)}, "rules": rules, "years": ["2024-01-01"]}


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(
    ("gain", "is_better"), [((0.004, 0.036), True), ((-0.01, 0.05), False), (None, False)]
)
def test_measures_and_model_page_agree(tmp_path, monkeypatch, gain, is_better, apart):
    entry = head(gain, apart=apart)
    folder = tmp_path / "candidates/000001"
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps({"heads": {"compliance": entry}}))
    (tmp_path / "champion.json").write_text(json.dumps({"candidate": "000001"}))
    own = [one for one in registry() if one.name == "hit_rate_over_rule"]
    period = Period.year(2024)
    (found,) = measure(
        own, added_figures(tmp_path, period, None, today=date(2025, 3, 1)), period
    ).measures
    assert (found.verdict == "met") == is_better
    monkeypatch.setattr(model, "_bearers", lambda _: ())
    table = SimpleNamespace(manifest={})
    runtime = SimpleNamespace(snapshot=SimpleNamespace(table=table))
    said = model._answers(SimpleNamespace(runtime=runtime), {"compliance": entry}, {})
    (text,) = said[0].said
    assert (", better than the best simple rule, logistic regression, with 31%" in text) == (
        is_better
    )
    assert ("not shown to be better" in text) != is_better


def test_the_best_rule_is_the_one_that_finds_most():
    best = best_rule(head((0.004, 0.036), apart=True))
    assert (best.name, best.model, best.rule, best.gain_low) == ("logistic", 0.33, 0.31, 0.004)
    assert best_rule({"model": {}, "rules": {}}) is None
