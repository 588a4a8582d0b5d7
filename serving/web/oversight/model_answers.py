"""What a supervisor asks of the model in force, answered from what was judged of its order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from serving.api.callers import Caller
from serving.insight.best_rule import ALONE, BestRule, best_rule, judged_order
from serving.scores.words.wording import RATES, head_label, percent
from serving.statements import NOT_EVIDENCE
from serving.web.lists.pages import license_types
from serving.web.rendering import rule_label, upper_first

_LEAST_SHARE: Final = 0.03
# A third of the dealers that gets less than this part of the places due to it is said to starve.
_STARVED: Final = 0.5
NOT_JUDGED: Final = (
    "The order of the list itself was not judged; what follows is of its parts, each alone."
)


@dataclass(frozen=True)
class Answer:
    """What a supervisor asks of a model, and what was measured."""

    question: str
    said: tuple[str, ...]


def answers(
    caller: Caller, heads: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> list[Answer]:
    """Answer in a few sentences: is it better, is it right, who bears it, what is it not for."""
    manifest = caller.runtime.snapshot.table.manifest
    unknown = ("It was not measured on this machine.",)
    limits = manifest.get("limits", ())
    right = _right(heads, manifest.get("judged"), caller.runtime.snapshot.judged)
    return [
        Answer("Is it better than a simple rule?", _better(heads, evaluation) or unknown),
        Answer("Is it right?", right or unknown),
        Answer("Who bears it?", (*_sizes(evaluation), *_bearers(caller))),
        Answer("What may it not be used for?", (NOT_EVIDENCE, *limits[1:3])),
    ]


def order_label(rule: str) -> str:
    """Return what an order beside the published one is called: a simple rule, or one head.

    >>> order_label("compliance_alone"), order_label("points")
    ('chance of a severe finding, ordered by this head alone', 'the table of points')
    """
    if rule.endswith(ALONE):
        return f"{head_label(rule.removesuffix(ALONE))}, ordered by this head alone"
    return rule_label(rule)


def _better(heads: Mapping[str, Any], evaluation: Mapping[str, Any]) -> tuple[str, ...]:
    """Say what the published order finds beside the best simple rule, and then each head alone."""
    share = percent(float(evaluation.get("capacity", 0.1)))
    order, said = judged_order(evaluation), []
    if order is not None:
        said.append(_found("The list", order, share))
        best = best_rule(order)
        if best is not None and best.is_as_good:
            said.append(f"A simple rule is as good here: {rule_label(best.name)}.")
    elif heads:
        said.append(NOT_JUDGED)
    said += [
        _found(f"{upper_first(head_label(name))}, ordered by this head alone", entry, share)
        for name, entry in heads.items()
    ]
    return tuple(said)


def _found(what: str, entry: Mapping[str, Any], share: str) -> str:
    found = entry["model"]["recall"]
    text = (
        f"{what}: visiting {share} of the dealers finds {found['value']:.0%} of what there is"
        f" ({found['low']:.0%} to {found['high']:.0%})"
    )
    best = best_rule(entry)
    if best is not None:
        verdict = "better than" if best.is_beaten else "not shown to be better than"
        text += f", {verdict} the best simple rule, {rule_label(best.name)}, {_gained(best)}"
    return text + "."


def _right(
    heads: Mapping[str, Any], judged: Mapping[str, Any] | None, said: str
) -> tuple[str, ...]:
    """Say how far what is stated came true, and what the gates could not tell of it."""
    kept = judged or {}
    unsaid = {one["head"] for one in kept.get("unsaid", ()) if one["gate"] == "calibration"}
    out = [said] if said else []
    if said and kept.get("accepted"):
        out.append(f"That was accepted when it was put in force, because: {kept['accepted']}.")
    for name, entry in heads.items():
        error = entry.get("calibration", {}).get("ece")
        if error is None or name in RATES:
            continue
        out.append(
            f"{upper_first(head_label(name))}: whether what is stated comes true cannot be said."
            if name in unsaid
            else f"{upper_first(head_label(name))}: what is stated and what came true differ by"
            f" {100 * error:.1f} points on average."
        )
    return tuple(out)


def _gained(best: BestRule) -> str:
    """Say what the best rule finds, and how far apart the two are on the same dealers."""
    text = f"with {best.rule:.0%}"
    if best.gain_low is None or best.gain_high is None:
        return text
    points = [100 * one for one in (best.model - best.rule, best.gain_low, best.gain_high)]
    said = [f"{one:+.1f}".replace("-", "\N{MINUS SIGN}") for one in points]
    return f"{text}; the difference is {said[0]} points ({said[1]} to {said[2]})"


def _sizes(evaluation: Mapping[str, Any]) -> tuple[str, ...]:
    """Say how the places of a list fall to dealers of few and of many sales, as it was judged."""
    rows: Sequence[Mapping[str, Any]] = (judged_order(evaluation) or {}).get("sizes") or ()
    total = sum(row["dealers"] for row in rows)
    out, starved = [], []
    for row in rows:
        listed, expected = row["listed"]["published"], row["expected"]
        out.append(
            f"Dealers by sales, {row['size']}: {percent(row['dealers'] / total)} of all dealers,"
            f" {percent(expected)} of the findings expected, {percent(listed)} of the list."
        )
        if listed < _STARVED * expected:
            starved.append(row["size"])
    if starved:
        out.append(
            f"By sales, {' and '.join(starved)} get fewer than half of the places due to what is"
            " expected of them: the list goes by who stands out, and where little is known of"
            " dealers, few do. The random share looks at them."
        )
    return tuple(out)


def _bearers(caller: Caller) -> tuple[str, ...]:
    """Say which license types stand in the first tenth more often than among all."""
    view = caller.runtime.scope(caller.principal).view
    types = view.snapshot.columns["license_type"][view.order].astype(str)
    if not len(types):
        return ("No dealer is in force.",)
    first = types[: max(len(types) // 10, 1)]
    names = dict(license_types())
    out = []
    for code in np.unique(types):
        among, ahead = float((types == code).mean()), float((first == code).mean())
        if among >= _LEAST_SHARE or ahead >= _LEAST_SHARE:
            out.append((ahead - among, code, among, ahead))
    return tuple(
        f"{names.get(code, 'type ' + code).capitalize()} (type {code}): {percent(among)} of all"
        f" dealers, {percent(ahead)} of the first tenth."
        for _, code, among, ahead in sorted(out, reverse=True)
    )
