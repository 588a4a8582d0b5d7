"""What the family `violations` asks; the tier of each distinct citation is looked up once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from features.domain.asof import EVER, Y5, Y10, number_sql
from features.engine.measures import Distinct, Last, Measure, Sum
from features.reference.legal.citation import tier_of
from features.reference.legal.outcome import LADDER
from features.signals.events.asked import Asked, Measures
from features.sql import literal

_AT_STEPS: Final = tuple(f"inspections.step_{step}_5y" for step in sorted(LADDER.values()))

BEHIND: Final = {
    "last_outcome": ("inspections.stepped_step",),
    "years_since_last_outcome": ("inspections.stepped_step",),
    "worst_outcome_5y": _AT_STEPS,
    "step_due": ("inspections.stepped_step",),
    "trigger_citations_5y": ("citations.trigger_5y",),
    "serious_citations_5y": ("citations.serious_5y",),
    "record_citations_5y": ("citations.record_5y",),
    "repeated_citations_10y": ("citations.texts_repeated_10y",),
    "log_instances_5y": ("citations.instances_5y",),
    "unaccounted_initial_5y": ("inspections.n_initial_5y",),
    "unaccounted_final_5y": ("inspections.n_final_5y",),
    "years_since_inspection": ("inspections.visit_day",),
    "never_inspected": ("inspections.visit_day",),
    "inspections_5y": ("inspections.visits_5y",),
    "inspections_10y": ("inspections.visits_10y",),
}


def _step_sql(column: str) -> str:
    steps = " ".join(f"WHEN '{name}' THEN {step}" for name, step in LADDER.items())
    return f"CASE {column} {steps} END"


_STEP: Final = _step_sql("outcome")
_RECOMMENDED: Final = _step_sql("recommended_outcome")
_CLOSED: Final = "closed_on IS NOT NULL"
_DAY: Final = number_sql("closed_on")
_VISIT: Final = f"{_CLOSED} AND kind IN ('compliance', 'recall')"


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    return {"inspections": of_inspections(), "citations": of_citations(asked.citations)}


def of_inspections() -> list[Measure]:
    """Return what is asked of inspections."""

    def lost(which: str) -> list[Sum]:
        column = f"firearms_unaccounted_{which}"
        counted = f"{_CLOSED} AND {column} IS NOT NULL"
        return [Sum(which, (Y5,), counted, column), Sum(f"n_{which}", (Y5,), counted)]

    at_step = [
        Sum(f"step_{step}", (Y5,), f"{_CLOSED} AND outcome = '{name}'")
        for name, step in LADDER.items()
    ]
    judged = f"{_CLOSED} AND {_RECOMMENDED} IS NOT NULL AND {_STEP} IS NOT NULL"
    return [
        # By the day it was closed: what is corrected later was not closed later.
        Last(
            "stepped",
            EVER,
            {"step": _STEP, "day": _DAY},
            f"{_CLOSED} AND {_STEP} IS NOT NULL",
            by=_DAY,
        ),
        Last("visit", EVER, {"day": _DAY}, _VISIT, by=_DAY),
        *at_step,
        Sum("visits", (Y5, Y10), _VISIT),
        Sum("closed", (Y5, Y10), _CLOSED),
        *lost("initial"),
        *lost("final"),
        Sum("judged", (Y5,), judged),
        Sum("softened", (Y5,), f"{judged} AND {_STEP} < {_RECOMMENDED}"),
    ]


def of_citations(texts: Sequence[str]) -> list[Measure]:
    """Return what is asked of citations, of which there are some texts."""
    tiers: dict[int, list[str]] = {1: [], 2: []}
    for text in sorted(set(texts)):
        tiers.setdefault(tier_of(text), []).append(literal(text))
    first, second = (f"citation IN ({', '.join(tiers[t]) or 'NULL'})" for t in (1, 2))
    record = f"NOT coalesce({first}, FALSE) AND NOT coalesce({second}, FALSE)"
    conditions = {
        "trigger": first,
        "serious": second,
        "record": record,
        "all": "TRUE",
        "willful": "is_willful",
        "willful_known": "is_willful IS NOT NULL",
        "instances_known": "instances IS NOT NULL",
    }
    counts = [Sum(name, (Y5,), f"{_CLOSED} AND {sql}") for name, sql in conditions.items()]
    instances = Sum("instances", (Y5,), f"{_CLOSED} AND instances IS NOT NULL", "instances")
    return [*counts, instances, Distinct("texts", (Y10,), "citation", _CLOSED)]
