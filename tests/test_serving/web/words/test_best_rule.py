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
from serving.statements import judged_sentence
from serving.web.oversight import model, model_answers


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
    (folder / "evaluation.json").write_text(json.dumps({"order": entry}))
    (tmp_path / "champion.json").write_text(json.dumps({"candidate": "000001"}))
    own = [one for one in registry() if one.name == "hit_rate_over_rule"]
    period = Period.year(2024)
    (found,) = measure(
        own, added_figures(tmp_path, period, None, today=date(2025, 3, 1)), period
    ).measures
    assert (found.verdict == "met") == is_better
    monkeypatch.setattr(model_answers, "_bearers", lambda _: ())
    (text,) = answers_of({}, {"order": entry})[0].said
    assert (", better than the best simple rule, logistic regression, with 31%" in text) == (
        is_better
    )
    assert ("not shown to be better" in text) != is_better


def answers_of(heads: dict, evaluation: dict, manifest: dict | None = None) -> list:
    table = SimpleNamespace(manifest=manifest or {})
    judged = judged_sentence(table.manifest.get("judged"))
    runtime = SimpleNamespace(snapshot=SimpleNamespace(table=table, judged=judged))
    return model_answers.answers(SimpleNamespace(runtime=runtime), heads, evaluation)


def lost(**more: dict) -> dict:
    """An order that finds less than its points, and one head that alone finds nearly all."""
    entry = head((-0.05, 0.01), apart=False)
    entry["rules"]["points"] = {**entry["rules"]["logistic"], "recall": {"value": 0.34}}
    entry["rules"]["diversion_alone"] = {"recall": {"value": 0.95}}
    return entry | more


def test_the_first_answer_is_of_the_published_order_and_heads_are_its_parts(monkeypatch):
    """The page answered by the head that finds most, which nobody lists by."""
    monkeypatch.setattr(model_answers, "_bearers", lambda _: ())
    alone = head((0.004, 0.036), apart=True)
    sizes = [
        {"size": "fewest sales", "dealers": 40, "expected": 0.2, "listed": {"published": 0.01}},
        {"size": "most sales", "dealers": 60, "expected": 0.8, "listed": {"published": 0.99}},
    ]
    judged = {
        "n_gates": 19, "unsaid": [{"gate": "calibration", "head": "compliance"}],
        "accepted": "a first list", "waived": [], "heads": ["compliance"],
    }  # fmt: skip
    alone["calibration"] = {"ece": 0.028}
    said = answers_of({"compliance": alone}, {"order": lost(sizes=sizes)}, {"judged": judged})
    better, right, bearers = (one.said for one in said[:3])
    assert better[0].startswith("The list: visiting 10%")
    assert "not shown to be better than the best simple rule, the table of points" in better[0]
    assert better[1] == "A simple rule is as good here: the table of points."
    assert "ordered by this head alone" in better[2]
    assert right[0].startswith("Not all was judged: 1 of 19 gates cannot say")
    assert "because: a first list" in right[1]
    assert right[2].endswith("whether what is stated comes true cannot be said.")
    assert len(right) == 3
    assert "40% of all dealers, 20% of the findings expected, 1% of the list" in bearers[0]
    assert bearers[-1].startswith("By sales, fewest sales get fewer than half")


def test_an_evaluation_without_an_order_says_nothing_of_the_list(monkeypatch):
    monkeypatch.setattr(model_answers, "_bearers", lambda _: ())
    alone = head((0.004, 0.036), apart=True)
    better = answers_of({"compliance": alone}, {"heads": {"compliance": alone}})[0].said
    assert better[0] == model_answers.NOT_JUDGED
    assert not any(line.startswith("The list") for line in better)
    assert answers_of({}, {})[0].said == ("It was not measured on this machine.",)


def test_charts_and_tables_say_which_order_they_are_of():
    entry = lost(curves={"score": [0.3, 1.0], "points": [0.4, 1.0], "diversion_alone": [0.9, 1.0]})
    for figures in (entry["model"], *entry["rules"].values()):
        figures["auc"] = {"value": 0.6}
        figures["recall"] = {"low": 0.2, "high": 0.4} | figures["recall"]
    listed, alone = model._gain("", entry), model._gain("compliance", entry)
    assert "the first tenth of the list holds 30%" in listed.title
    assert "best simple rule: the table of points" in {line.name for line in listed.lines}
    assert "of the list" not in alone.title + alone.help
    assert "ordered by this head alone" in alone.title
    table = model._rules("", entry, 0.1)
    assert table.rows[0][0] == "the list, as published"
    assert "A simple rule is as good here: the table of points." in table.help
    assert table.rows[1][0].endswith("ordered by this head alone")


def test_each_baseline_has_a_figure_and_a_measure_of_its_own(tmp_path):
    """One head's figures stood under the words "by the list", and the best rule alone beside."""
    entry = lost(years=["2024-01-01"])
    alone = {**head((0.1, 0.2), apart=True), "years": ["2024-01-01"]}
    folder = tmp_path / "candidates/000001"
    folder.mkdir(parents=True)
    kept = {"order": entry, "heads": {"compliance": alone}}
    (folder / "evaluation.json").write_text(json.dumps(kept))
    (tmp_path / "champion.json").write_text(json.dumps({"candidate": "000001"}))
    period = Period.year(2024)
    figures = added_figures(tmp_path, period, None, today=date(2025, 3, 1))
    assert (figures["recall_points"], figures["recall_logistic"]) == (0.34, 0.31)
    found = {m.definition.name: m for m in measure(registry(), figures, period).measures}
    assert found["hit_rate_over_rule"].value == pytest.approx(0.33 / 0.34)
    assert found["hit_rate_over_points"].value == pytest.approx(0.33 / 0.34)
    assert found["hit_rate_over_logistic"].value == pytest.approx(0.33 / 0.31)
    assert found["hit_rate_over_random"].value == pytest.approx(3.3)
    assert found["hit_rate_over_most_traces_first"].verdict == "cannot be said"
    (folder / "evaluation.json").write_text(json.dumps({"heads": {"compliance": alone}}))
    figures = added_figures(tmp_path, period, None, today=date(2025, 3, 1))
    assert figures["recall_at_capacity"] is None


def test_the_best_rule_is_the_one_that_finds_most():
    best = best_rule(head((0.004, 0.036), apart=True))
    assert (best.name, best.model, best.rule, best.gain_low) == ("logistic", 0.33, 0.31, 0.004)
    assert best_rule({"model": {}, "rules": {}}) is None
