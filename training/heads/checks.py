"""What is checked before signals are built: recipe, rules, parameters, policy, labels, tables."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from features.domain.asof import add_months
from features.errors import did_you_mean
from features.warehouse import Warehouse
from training.errors import OneClassError, RecipeError
from training.evaluation.baselines import rule_signals
from training.heads.country_history import Dates, plan
from training.heads.diversion import traces_end
from training.labels import dated_labels as labels
from training.labels.funnel import Funnel, label_funnel
from training.progress import Steps
from training.recipe import Head, Recipe


@dataclass(frozen=True)
class Checked:
    """What a training of a country goes on with.

    Parameters
    ----------
    heads : tuple of Head
        Those that the tables of the warehouse can teach.
    left_out : mapping of str to str
        Heads without a table, or without enough in it, to learn from, with the reason.
    funnel : Funnel or None
        From inspections to the labels of the shipped compliance head; None without such a head.
    """

    heads: tuple[Head, ...]
    left_out: dict[str, str]
    funnel: Funnel | None


def require_heads(recipe: Recipe, kept: Sequence[object], left_out: Mapping[str, str]) -> None:
    """Refuse a recipe of which no head is left.

    Raises
    ------
    RecipeError
        Naming what each lacks.
    """
    if not kept:
        raise RecipeError(
            f"No head of recipe {recipe.name} has enough to learn from.",
            found="; ".join(f"{name}: {why}" for name, why in left_out.items()),
            fix="ingest inspections or traces",
        )


def _nothing_counted(recipe: Recipe, head: Head, warehouse: Warehouse, dates: Dates) -> str | None:
    """Say why traces cannot teach a head; None where they may.

    Every dealer with a trace is asked, listed or not: who is listed tells the table of signals.
    """
    if not warehouse.has("traces"):
        return "the warehouse holds no traces, so there is nothing to learn from"
    traced = warehouse.read("traces", columns=["dealer"]).column("dealer").drop_null().unique()
    learned = dates.split.train_as_of
    cohort = pd.MultiIndex.from_product(
        [traced.to_pylist(), pd.DatetimeIndex([pd.Timestamp(day) for day in learned]).as_unit("s")],
        names=["dealer", "as_of"],
    )
    found = labels.diversion(
        warehouse,
        cohort.to_frame(index=False),
        country=head.country,
        known_before=dates.split.trained_on,
        records_to=traces_end(warehouse, dates.end),
        horizon_months=recipe.horizon_months,
    )
    if found.n_positive >= head.min_positive:
        return None
    return (
        f"{found.n_positive} labels of {dates.split.trained_on} or before are above zero, "
        f"{head.min_positive} are needed ({found.definition})"
    )


def check_recipe(recipe: Recipe) -> None:
    """Check rules, signals, parameters and policy of every head.

    Raises
    ------
    RecipeError
        Naming the head and what cannot be.
    PolicyError
        When the policy cannot be read or gives a head no weight.
    """
    from features.signals.registry import all_signals
    from models import RateRegressor, RiskClassifier

    known = {s.name for s in all_signals() if recipe.variant == "full" or s.restriction == "public"}
    families = {s.family for s in all_signals()}
    for head in recipe.heads:
        where = f"Recipe {recipe.name}, head {head.name}"
        for name, text in head.rules.items():
            for signal in rule_signals(text):
                if signal not in known:
                    raise RecipeError(
                        f"{where}: the rule {name} names no signal of variant {recipe.variant}"
                        f"{did_you_mean(signal, known)}",
                        found=signal,
                    )
        _require_known(f"{where}: signals", head.signals, known)
        _require_known(f"{where}: families", head.families, families)
        kind = RiskClassifier if head.kind == "probability" else RateRegressor
        allowed = set(inspect.signature(kind).parameters) - {"monotone", "random_state"}
        _require_known(f"{where}: parameters", tuple(head.parameters), allowed)
    recipe.read_policy().weights_of([head.name for head in recipe.heads])


def _require_known(what: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            raise RecipeError(
                f"{what} names '{name}', which there is not{did_you_mean(name, known, end='.')}",
                expected=f"one of {len(known)}, such as {', '.join(sorted(known)[:3])}",
            )


def check_country(recipe: Recipe, warehouse: Warehouse, steps: Steps) -> Checked:
    """Check a recipe of a whole agency against a warehouse, and say how labels come about.

    Raises
    ------
    RecipeError, PolicyError, TooFewLabelsError
    """
    check_recipe(recipe)
    dates = plan(recipe, warehouse)
    left_out: dict[str, str] = {}
    funnel = None
    for head in recipe.heads:
        if head.label == "diversion":
            why = _nothing_counted(recipe, head, warehouse, dates)
            if why is not None:
                left_out[head.name] = why
        elif head.label == "compliance":
            rule = recipe.read_policy().severe_finding
            judged, funnel = (
                label_funnel(
                    warehouse,
                    as_of,
                    rule=rule,
                    trained_on=trained_on,
                    horizon_months=recipe.horizon_months,
                )
                for as_of, trained_on in (
                    (dates.split.train_as_of, dates.split.trained_on),
                    ((*dates.split.train_as_of, *dates.split.test_as_of), dates.end),
                )
            )
            for line in funnel.lines():
                steps.say(f"  {line}")
            judged.require(n_severe=head.min_positive, what=head.name, later=funnel)
            _require_judged(recipe, warehouse, dates)
    heads = tuple(head for head in recipe.heads if head.name not in left_out)
    require_heads(recipe, heads, left_out)
    for name, why in left_out.items():
        steps.say(f"  {name} is left out: {why}")
    return Checked(heads, left_out, funnel)


def _require_judged(recipe: Recipe, warehouse: Warehouse, dates: Dates) -> None:
    """Refuse a newest window that holds nothing to tell a good order from a bad one by."""
    found = labels.compliance(
        warehouse,
        dates.split.test_as_of,
        rule=recipe.read_policy().severe_finding,
        horizon_months=recipe.horizon_months,
    )
    if 0 < found.n_positive < len(found):
        return
    day = max(dates.split.test_as_of)
    first, last = day + timedelta(days=1), add_months(day, recipe.horizon_months)
    how = "none" if not found.n_positive else "all"
    raise OneClassError(
        f"The newest window cannot judge a model: of its inspections {how} found anything severe."
        if len(found)
        else "The newest window cannot judge a model: nobody was inspected in it.",
        found=f"{len(found)} inspections opened from {first} to {last} and closed, "
        f"{found.n_positive} of them severe",
        expected="some that are severe and some that are not",
        fix="ingest the outcomes and violations of it if they are missing; else train when "
        "a later one tells, or say in the policy what is severe (severe_finding)",
    )
