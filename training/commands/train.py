"""`ffl-risk train`: from a recipe to a registered candidate with its report."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.table import FeatureTable
from features.warehouse import Warehouse
from training.errors import RecipeError
from training.evaluation.candidate import Candidate, commit, stage
from training.evaluation.evaluation import contribution_summary, flat_metrics
from training.evaluation.gates import Verdict, better_than_chance, judge, not_worse_than_rules
from training.heads.fit import HeadResult, sample_rows
from training.pages.report import write_report
from training.progress import Steps
from training.recipe import Head, Recipe
from training.registry.bundling import assemble_bundle, source_commit
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
    with Tracker(folder) as tracker:
        results, table, trained_on = _train_heads(recipe, warehouse, steps)
        evaluation = _evaluation(recipe, results, table, trained_on)
        staged = stage(folder)
        try:
            candidate = _register(recipe, results, table, evaluation, staged, tracker, steps)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        page = write_report(
            candidate.evaluation, folder / "reports", stem=f"{recipe.name}-{candidate.number}"
        )
        steps.say(f"Report: {page}")
        yield candidate, tracker


def _train_heads(
    recipe: Recipe, warehouse: Warehouse, steps: Steps
) -> tuple[list[HeadResult], FeatureTable, date]:
    kinds = {head.label for head in recipe.heads}
    if kinds <= {"later_penalized", "severity"}:
        return _train_public_records(recipe, warehouse, steps)
    if kinds <= {"compliance", "diversion"}:
        return _train_country(recipe, warehouse, steps)
    raise RecipeError(
        f"Recipe {recipe.name} mixes labels that are judged in different ways.",
        found=", ".join(sorted(kinds)),
        expected="later_penalized and severity, or compliance and diversion",
    )


def _train_public_records(
    recipe: Recipe, warehouse: Warehouse, steps: Steps
) -> tuple[list[HeadResult], FeatureTable, date]:
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
    return results, table, public_records.records_complete_on(warehouse)


def _train_country(
    recipe: Recipe, warehouse: Warehouse, steps: Steps
) -> tuple[list[HeadResult], FeatureTable, date]:
    from training.heads import checks, country, diversion, severe

    checked = checks.check_country(recipe, warehouse, steps)
    history = country.assemble(recipe, warehouse, steps)
    rule = recipe.read_policy().severe_finding
    results = []
    for head in checked.heads:
        if head.label == "compliance":
            result = severe.train(recipe, head, warehouse, history, rule, steps)
        else:
            result = diversion.train(recipe, head, warehouse, history, steps)
        results.append(_gate(result, recipe, steps))
    return results, history.table, history.end


def _gate(result: HeadResult, recipe: Recipe, steps: Steps) -> HeadResult:
    """Decide whether a head may enter the bundle, and say so."""
    name = result.head.name
    verdicts: list[Verdict] = [
        better_than_chance(name, result.held_out),
        not_worse_than_rules(name, result.held_out, capacity=recipe.evaluation.capacity),
    ]
    failed = [v for v in verdicts if not v.is_passed]
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
    for verdict in failed:
        steps.say(f"  {verdict}")
    entry["is_in_bundle"] = not failed and result.estimator is not None
    entry["refusal"] = "; ".join(f"{v.measured}, wanted {v.wanted}." for v in failed)
    entry["definition"], entry["judged_on"] = result.definition, result.judged_on
    entry.setdefault("sections", [])
    return result


def _evaluation(
    recipe: Recipe, results: list[HeadResult], table: FeatureTable, trained_on: date
) -> dict[str, Any]:
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
        "trained_on": trained_on.isoformat(),
        "data_fingerprint": table.warehouse_fingerprint,
        "table_fingerprint": table.fingerprint,
        "git_commit": source_commit(),
        "heads": {r.head.name: r.entry for r in results},
        "bundle_heads": [r.head.name for r in results if r.entry["is_in_bundle"]],
        "verdicts": [],
        "version": "",
    }


def _register(
    recipe: Recipe,
    results: list[HeadResult],
    table: FeatureTable,
    evaluation: dict[str, Any],
    staged: Path,
    tracker: Tracker,
    steps: Steps,
) -> Candidate:
    """Write bundle and held-out rows, judge them alone, register, and commit the candidate."""
    kept = [r for r in results if r.entry["is_in_bundle"]]
    for result in results:
        result.held_out.to_parquet(staged / f"held_out_{result.head.name}.parquet", index=False)
    run: dict[str, Any] = {
        "experiment": recipe.model_name,
        "params": _params(recipe, evaluation),
        "metrics": flat_metrics(evaluation["heads"]),
        "tags": _tags(evaluation, kept),
    }
    if not kept:
        with steps.step("register"):
            tracker.ask("log_refused", **run)
        return commit(staged, evaluation)
    with steps.step("bundle"):
        bundle = assemble_bundle(recipe, kept, table, evaluation)
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
            **run,
            name=recipe.model_name,
            bundle=str((staged / "bundle").absolute()),
            artifacts=str((staged / "report").absolute()),
            example={str(c): _plain(example[c]) for c in example},
            scores=bundle.score(example).select_dtypes("float").to_dict("list"),
        )
    evaluation["version"], evaluation["run_id"] = registered["version"], registered["run_id"]
    steps.say(f"Registered {recipe.model_name} version {registered['version']} as challenger")
    return commit(staged, evaluation)


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


def _params(recipe: Recipe, evaluation: dict[str, Any]) -> dict[str, str]:
    out = {
        "recipe": recipe.name,
        "seed": str(recipe.seed),
        "variant": recipe.variant,
        "trained_on": evaluation["trained_on"],
    }
    for head in recipe.heads:
        out[f"{head.name}.signals"] = str(len(head.signals) or "all")
        out |= {f"{head.name}.{k}": str(v) for k, v in head.parameters.items()}
    return out


def _tags(evaluation: dict[str, Any], kept: list[HeadResult]) -> dict[str, str]:
    heads: list[Head] = [r.head for r in kept]
    refused = [n for n, e in evaluation["heads"].items() if not e["is_in_bundle"]]
    return {
        "data_fingerprint": evaluation["data_fingerprint"],
        "table_fingerprint": evaluation["table_fingerprint"],
        "git_commit": evaluation["git_commit"],
        "heads": ", ".join(h.name for h in heads),
        "refused": ", ".join(refused),
    }
