"""`ffl-risk train`: from a recipe to a registered candidate with its report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.openjson import Json
from features.table import FeatureTable
from features.warehouse import Warehouse
from training.errors import RecipeError
from training.evaluation.candidate import Candidate, commit, stage
from training.evaluation.gates import better_than_chance, not_worse_than_rules
from training.evaluation.head_evaluation import contribution_summary
from training.evaluation.judge import judge
from training.evaluation.metrics import Interval
from training.evaluation.promotion_verdict import REFUSED, UNSAID, Verdict
from training.heads.checks import Checked, check_country, check_recipe, require_heads
from training.heads.fit import HeadResult, sample_rows
from training.heads.published_order import MAX_LATEST, Order, judge_order
from training.pages.page import words
from training.pages.report import write_report
from training.progress import Steps
from training.recipe import Recipe
from training.registry.bundling import assemble_bundle, source_commit
from training.registry.runs import sha256_of, training_run
from training.registry.tracker import Tracker

N_SAMPLE = 256
N_EXPLAINED = 2000


@contextmanager
def train_candidate(
    recipe: Recipe, warehouse: Warehouse, folder: Path, steps: Steps
) -> Iterator[tuple[Candidate, Tracker]]:
    """Train, judge and register a candidate; the tracker stays open for a promotion.

    Parameters
    ----------
    folder : Path
        State folder.
    """
    train = _checked(recipe, warehouse, steps)
    with Tracker(folder) as tracker:
        trained = train()
        with steps.step("judge the published order"):
            order = judge_order(recipe, trained.results, trained.table)
        if order is not None:
            _say_order(order, recipe, steps)
        evaluation = _evaluation(recipe, trained, order)
        staged = stage(folder)
        try:
            _keep_order(trained, order, staged)
            candidate = _register(recipe, trained, evaluation, staged, tracker, steps)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        page = write_report(
            candidate.evaluation, folder / "reports", stem=f"{recipe.name}-{candidate.number}"
        )
        steps.say(f"Report: {page}")
        yield candidate, tracker


@dataclass(frozen=True)
class Trained:
    """Every head of a recipe, and what it was trained on.

    Parameters
    ----------
    results : list of HeadResult
    table : FeatureTable
    trained_on : date
        Labels known before this day were used.
    left_out : mapping of str to str
        Heads that the tables cannot teach, with the reason.
    funnel : list of list of str
        How inspections became labels: step, count, what would leave more.
    """

    results: list[HeadResult]
    table: FeatureTable
    trained_on: date
    left_out: dict[str, str] = field(default_factory=dict)
    funnel: list[list[str]] = field(default_factory=list)


def _checked(recipe: Recipe, warehouse: Warehouse, steps: Steps) -> Callable[[], Trained]:
    """Refuse what cannot be trained before anything is started, and return how it is trained."""
    kinds = {head.label for head in recipe.heads}
    if kinds <= {"later_penalized", "severity"}:
        check_recipe(recipe)
        return partial(_train_public_records, recipe, warehouse, steps)
    if kinds <= {"compliance", "diversion"}:
        checked = check_country(recipe, warehouse, steps)
        return partial(_train_country, recipe, checked, warehouse, steps)
    raise RecipeError(
        f"Recipe {recipe.name} mixes labels that are judged in different ways.",
        found=", ".join(sorted(kinds)),
        expected="later_penalized and severity, or compliance and diversion",
    )


def _train_public_records(recipe: Recipe, warehouse: Warehouse, steps: Steps) -> Trained:
    from training.heads import public_records

    results: list[HeadResult] = []
    table: FeatureTable | None = None
    for head in recipe.heads:
        if head.label == "later_penalized":
            result, table = public_records.later_penalized(recipe, head, warehouse, steps)
        else:
            result = public_records.severity(recipe, head, warehouse, steps)
        results.append(_gate(result, recipe, steps))
    if table is None:
        raise RecipeError(f"Recipe {recipe.name} has no head that ranks a listing.")
    return Trained(results, table, public_records.records_complete_on(warehouse))


def _train_country(recipe: Recipe, checked: Checked, warehouse: Warehouse, steps: Steps) -> Trained:
    from training.heads import country_history as country
    from training.heads.ahead import Ahead
    from training.heads.together import train_heads

    history = country.assemble(recipe, warehouse, steps)
    results, left_out = list[HeadResult](), dict(checked.left_out)
    with Ahead(steps) as ahead:
        for head, told in train_heads(recipe, checked.heads, warehouse, history, ahead):
            if isinstance(told, str):
                left_out[head.name] = told
            else:
                results.append(_gate(told, recipe, steps))
    require_heads(recipe, results, left_out)
    funnel = [] if checked.funnel is None else checked.funnel.rows()
    return Trained(results, history.table, history.known_before, left_out, funnel)


def _gate(result: HeadResult, recipe: Recipe, steps: Steps) -> HeadResult:
    """Decide whether a head may enter the bundle, and say so."""
    name = result.head.name
    verdicts: list[Verdict] = [
        better_than_chance(name, result.held_out, auc=Interval(**result.entry["model"]["auc"])),
        not_worse_than_rules(name, result.held_out, capacity=recipe.evaluation.capacity),
    ]
    # A head that the recipe can do without must show what it is good for.
    is_owed = result.head.is_required
    failed = [
        v
        for i, v in enumerate(verdicts)
        if v.outcome == REFUSED or (v.outcome == UNSAID and i == 0 and not is_owed)
    ]
    unsaid = [v for v in verdicts if v.outcome == UNSAID and v not in failed]
    entry = result.entry
    recall = entry["model"]["recall"]
    steps.say(
        f"  {name}: AUC {entry['model']['auc']['value']:.3f} "
        f"({entry['model']['auc']['low']:.3f} to {entry['model']['auc']['high']:.3f}), finds "
        f"{recall['value']:.1%} ({recall['low']:.1%} to {recall['high']:.1%}) in the first "
        f"{recipe.evaluation.capacity:.0%}"
    )
    for rule, figures in entry["rules"].items():
        steps.say(
            f"    {rule.replace('_', ' ')}: AUC {figures['auc']['value']:.3f}, "
            f"{figures['recall']['value']:.1%}"
        )
    for rule, signals in entry.get("absent", {}).items():
        missing = ", ".join(signals)
        steps.say(f"    {words(rule)} counts as zero, being absent or constant: {missing}")
    for verdict in (*failed, *unsaid):
        steps.say(f"  {verdict}")
    entry["is_in_bundle"] = not failed and result.estimator is not None
    entry["refusal"] = "; ".join(f"{v.measured}, wanted {v.wanted}." for v in failed)
    entry["unsaid"] = "; ".join(f"{v.measured}, wanted {v.wanted}." for v in unsaid)
    entry["label"] = result.head.label
    entry["definition"], entry["judged_on"] = result.definition, result.judged_on
    entry.setdefault("sections", [])
    return result


def _say_order(order: Order, recipe: Recipe, steps: Steps) -> None:
    """Say what the published order finds, and each simple rule and each part beside it."""
    figures, offices = order.entry, order.entry["at_offices"]
    rows = [("published order", figures["model"], offices["published"])]
    rows += [(words(name), entry, offices[name]) for name, entry in figures["rules"].items()]
    steps.say(f"  the first {recipe.evaluation.capacity:.0%} find, and at offices' own capacity:")
    for name, entry, at_office in rows:
        recall = entry["recall"]
        steps.say(
            f"    {name}: {recall['value']:.1%} ({recall['low']:.1%} to {recall['high']:.1%}), "
            f"{at_office:.1%}"
        )
    best = max((e["recall"]["value"], n) for n, e in figures["rules"].items() if "alone" not in n)
    if best[0] >= figures["model"]["recall"]["value"]:
        steps.say(f"    A simple rule is as good here: {words(best[1])}.")


def _keep_order(trained: Trained, order: Order | None, staged: Path) -> None:
    """Keep judged rows and signals, so that later a champion can be judged on the same."""
    if order is not None:
        order.rows.to_parquet(staged / "order.parquet", index=False)
        judged, latest = order.X, order.latest
    else:
        shipped = [r for r in trained.results if r.entry["is_in_bundle"]] or trained.results
        judged = _signals_of(shipped[0].held_out, trained.table)
        latest = judged.iloc[:MAX_LATEST]
    judged.to_parquet(staged / "judged.parquet", index=False)
    latest.to_parquet(staged / "latest.parquet", index=False)


def _signals_of(held_out: pd.DataFrame, table: FeatureTable) -> pd.DataFrame:
    """Return the signals of a head's judged rows, in their order."""
    keys = ["dealer", "as_of"]
    places = table.frame[keys].assign(place=np.arange(len(table.frame)))
    found = held_out[keys].merge(places, on=keys, how="left", validate="many_to_one")
    return table.X.iloc[found["place"].to_numpy(dtype=np.int64)]


def _evaluation(recipe: Recipe, trained: Trained, order: Order | None) -> Json:
    results, table = trained.results, trained.table
    for result in results:
        if result.entry["is_in_bundle"] and result.estimator is not None:
            chosen = sample_rows(result.X, n=N_EXPLAINED, seed=recipe.seed)
            X = result.X.iloc[chosen]
            explained = result.estimator.explain(X)
            result.entry["contributions"] = contribution_summary(
                np.asarray(explained.values), list(explained.columns), X
            )
    return {
        "recipe": recipe.name,
        "title": recipe.title,
        "model_name": recipe.model_name,
        "seed": recipe.seed,
        "variant": recipe.variant,
        "capacity": recipe.evaluation.capacity,
        "gates": recipe.gates.model_dump(),
        "cannot_say": list(recipe.cannot_say),
        "trained_on": trained.trained_on.isoformat(),
        "data_fingerprint": table.warehouse_fingerprint,
        "table_fingerprint": table.fingerprint,
        "git_commit": source_commit(),
        "heads": {r.head.name: r.entry for r in results},
        "order": None if order is None else order.entry,
        "left_out": trained.left_out,
        "funnel": trained.funnel,
        "policy": recipe.read_policy().stated(),
        "max_dependence": recipe.read_policy().strictness.max_dependence,
        "bundle_heads": [r.head.name for r in results if r.entry["is_in_bundle"]],
        "verdicts": [],
        "version": "",
    }


def _register(
    recipe: Recipe,
    trained: Trained,
    evaluation: dict[str, Any],
    staged: Path,
    tracker: Tracker,
    steps: Steps,
) -> Candidate:
    """Write bundle and held-out rows, judge them alone, register, and commit the candidate."""
    results = trained.results
    kept = [r for r in results if r.entry["is_in_bundle"]]
    for result in results:
        result.held_out.to_parquet(staged / f"held_out_{result.head.name}.parquet", index=False)
    run = training_run(recipe, evaluation, results)
    if not kept:
        with steps.step("register"):
            tracker.ask("log_run", run=run, children=[])
        return commit(staged, evaluation)
    with steps.step("bundle"):
        bundle = assemble_bundle(recipe, kept, trained.table, evaluation)
        bundle.save(staged / "bundle")
        sample = _sample(kept, recipe.seed)
        sample.to_parquet(staged / "sample.parquet", index=False)
    with steps.step("gates without a champion"):
        verdicts = judge(Candidate(staged, evaluation), None, recipe.gates)
        evaluation["verdicts"] = [v.as_dict() for v in verdicts]
    with steps.step("report"):
        write_report(evaluation, staged / "report", stem="report")
    example = sample.iloc[:5]
    with steps.step("register"):
        registered = tracker.ask(
            "register",
            run={**run, "tags": {**run["tags"], "bundle_sha256": sha256_of(staged / "bundle")}},
            name=recipe.model_name,
            bundle=str((staged / "bundle").absolute()),
            artifacts=str((staged / "report").absolute()),
            sample={
                "example": {str(c): _plain(example[c]) for c in example},
                "scores": bundle.score(example).to_dict("list"),
            },
        )
    evaluation["version"], evaluation["run_id"] = registered["version"], registered["run_id"]
    steps.say(f"Registered {recipe.model_name} version {registered['version']} as challenger")
    candidate = commit(staged, evaluation)
    tags = {"candidate": candidate.number}
    tracker.ask("tag", name=recipe.model_name, version=candidate.version, tags=tags)
    return candidate


def _sample(kept: list[HeadResult], seed: int) -> pd.DataFrame:
    """Rows of signals of every head, for checks that need input."""
    parts = []
    for result in kept:
        chosen = sample_rows(result.X, n=N_SAMPLE, seed=seed)
        parts.append(result.X.iloc[chosen].reset_index(drop=True))
    joined = pd.concat(parts, axis=1)
    return joined.loc[:, ~joined.columns.duplicated()]


def _plain(column: pd.Series) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in column.to_numpy(dtype=np.float64)]
