"""Family `violations`: what inspections found, and how the agency answered.

Only closed inspections count: what an open one will find is not known. Outcomes are steps of the
ladder (0 none, 1 report, 2 warning letter, 3 warning conference, 4 revocation); surrender and
other dispositions are no step. Compliance and recall inspections are the visits of the law's
12-month rule; traces, warrants and applications are not.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from features.arrays import Floats
from features.domain.asof import DAYS_A_YEAR, Y5
from features.engine.context import Gathered
from features.reference.legal.outcome import LADDER
from features.signals.events import violations as events
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    TOO_FEW,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
)

if TYPE_CHECKING:
    from features.engine.context import Context

_LADDER_ORDER: Final = "ATF O 5370.1 (adverse action on federal firearms licenses)"
_AUDIT: Final = "DOJ OIG I-2013-005 (2013) and 23-062 (2023) on recall and repeat violations"
_TRIGGER: Final = "ATF memorandum of 14 July 2021 (Enhanced Regulatory Enforcement Policy)"
_CITED: Final = "The Trace and USA Today, inspection reports 2015-17; 27 CFR part 478"
_LOST: Final = "ATF inspection results: firearms unaccounted for; DOJ OIG I-2013-005"
_INTERVAL: Final = "18 U.S.C. 923(g)(1)(B)(ii)(I); DOJ OIG 23-062 on dealers unseen for years"

_signal = partial(Signal, family="violations", table="inspections")
_cited = partial(Signal, family="violations", table="violations")

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal(
        name="violations_last_outcome",
        unit="step",
        definition="Ladder step of the inspection closed last of those that ended on the ladder.",
        reason="Last inspection ended at step {value} of the ladder",
        reference=_LADDER_ORDER,
        direction=1,
    ),
    _signal(
        name="violations_years_since_last_outcome",
        unit="years",
        definition="Years of 365 days since that inspection was closed.",
        reason="Last outcome {value} years ago",
        reference=_AUDIT,
    ),
    _signal(
        name="violations_worst_outcome_5y",
        unit="step",
        definition=(
            "Highest ladder step of inspections closed in the last five years. Null without one."
        ),
        reason="Worst outcome in five years: step {value} of the ladder",
        reference=_LADDER_ORDER,
        window="5y",
        direction=1,
    ),
    _signal(
        name="violations_step_due",
        unit="step",
        definition=(
            "Step that graduated action calls for if violations are found: one above the last "
            "outcome if it was closed within five years, at the most 4, else 1."
        ),
        reason="Next step of graduated action: {value}",
        reference=_LADDER_ORDER,
        direction=1,
    ),
    _cited(
        name="violations_trigger_citations_5y",
        unit="citations",
        definition=(
            "Citations of tier 1 (transfer to a prohibited person, no background check, falsified "
            "records, no answer to a trace, refused inspection) in five years. Null without a "
            "closed inspection in the five years."
        ),
        reason="{value} citations in five years that call for revocation when willful",
        reference=_TRIGGER,
        window="5y",
        direction=1,
    ),
    _cited(
        name="violations_serious_citations_5y",
        unit="citations",
        definition=(
            "Citations of tier 2 (failures that can hide a diversion) in five years. Null without "
            "a closed inspection in the five years."
        ),
        reason="{value} serious citations in five years",
        reference=_CITED,
        window="5y",
        direction=1,
    ),
    _cited(
        name="violations_record_citations_5y",
        unit="citations",
        definition=(
            "Citations of tier 3 (record-keeping and forms) in five years. Null without a closed "
            "inspection in the five years."
        ),
        reason="{value} record-keeping citations in five years",
        reference=_CITED,
        window="5y",
        direction=1,
    ),
    _cited(
        name="violations_repeated_citations_10y",
        unit="citations",
        definition=(
            "Citations in ten years of a provision cited in more than one inspection of the time. "
            "Null with fewer than two inspections."
        ),
        reason="{value} citations in ten years repeat an earlier one",
        reference=_AUDIT,
        window="10y",
        direction=1,
    ),
    _cited(
        name="violations_willful_5y",
        unit="citations",
        definition=(
            "Citations marked willful in five years. Null without an inspection in the five "
            "years, or when no citation says."
        ),
        reason="{value} citations marked willful in five years",
        reference="18 U.S.C. 923(e)",
        window="5y",
        direction=1,
    ),
    _cited(
        name="violations_log_instances_5y",
        unit="log instances",
        definition=(
            "Natural logarithm of one plus the instances of all citations in five years: counts "
            "are too heavy-tailed to add up. Null as violations_willful_5y."
        ),
        reason="Instances of violations in five years (logarithm): {value}",
        reference="ATF, National Firearms Commerce and Trafficking Assessment, volume I",
        window="5y",
        direction=1,
    ),
    _signal(
        name="violations_unaccounted_initial_5y",
        unit="firearms",
        definition=(
            "Firearms unaccounted for when inspections of five years began. Null when none was "
            "counted."
        ),
        reason="{value} firearms unaccounted for at first count in five years",
        reference=_LOST,
        window="5y",
        direction=1,
    ),
    _signal(
        name="violations_unaccounted_final_5y",
        unit="firearms",
        definition=(
            "Firearms still unaccounted for when inspections of five years ended. Null when none "
            "was counted."
        ),
        reason="{value} firearms never accounted for in five years",
        reference=_LOST,
        window="5y",
        direction=1,
    ),
    _signal(
        name="violations_years_since_inspection",
        unit="years",
        definition=(
            "Years of 365 days since the last compliance or recall inspection was closed. Null "
            "when none is on record."
        ),
        reason="Last inspected {value} years ago",
        reference=_INTERVAL,
    ),
    _signal(
        name="violations_never_inspected",
        unit="yes or no",
        definition="1 when no compliance or recall inspection is on record, else 0.",
        reason="Never inspected on record: {value}",
        reference=_INTERVAL,
    ),
    _signal(
        name="violations_inspections_5y",
        unit="inspections",
        definition="Compliance and recall inspections closed in five years.",
        reason="Inspected {value} times in five years",
        reference=_INTERVAL,
        window="5y",
    ),
    _signal(
        name="violations_inspections_10y",
        unit="inspections",
        definition="Compliance and recall inspections closed in ten years.",
        reason="Inspected {value} times in ten years",
        reference=_INTERVAL,
        window="10y",
    ),
    _signal(
        name="violations_softened_5y",
        unit="inspections",
        definition=(
            "Inspections of five years whose outcome stood lower on the ladder than what was "
            "recommended. Null when none has a recommendation."
        ),
        reason="{value} recommended actions in five years were softened",
        reference="New York Times (2018) on revocations overruled; DOJ OIG 23-062",
        window="5y",
        direction=1,
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the columns of the family, one row a cohort row."""
    if not context.has("inspections"):
        return no_source(SIGNALS, context.n_rows)
    grids = context.grids("inspections", events.of_inspections())
    values: dict[str, npt.NDArray[np.floating]] = {}
    values |= _of_inspections(grids, context.cohort.days)
    if context.has("citations"):
        cited = context.grids("citations", events.of_citations(_texts(context)))
        more, why = _of_citations(cited, grids)
    else:
        missing = no_source(tuple(s for s in SIGNALS if s.table == "violations"), context.n_rows)
        return FamilyColumns(values | dict(missing.values), dict(missing.reasons))
    return FamilyColumns(values | more, why)


def _of_inspections(grids: dict[str, Floats], days: npt.NDArray[np.int32]) -> dict[str, Floats]:
    step, step_on = grids["stepped_step"], grids["stepped_day"]
    visit_on = grids["visit_day"]
    worst = np.full(len(step), np.nan)
    for level in sorted(LADDER.values()):
        worst[grids[f"step_{level}_5y"] > 0] = level
    is_recent = (days - step_on) <= Y5.days
    values = {
        "last_outcome": step,
        "years_since_last_outcome": (days - step_on) / DAYS_A_YEAR,
        "worst_outcome_5y": worst,
        "step_due": np.where(is_recent, np.minimum(np.nan_to_num(step) + 1, 4), 1.0),
        "years_since_inspection": (days - visit_on) / DAYS_A_YEAR,
        "never_inspected": np.isnan(visit_on).astype(np.float64),
        "inspections_5y": grids["visits_5y"],
        "inspections_10y": grids["visits_10y"],
        "softened_5y": _where(grids["judged_5y"] > 0, grids["softened_5y"]),
        "unaccounted_initial_5y": _where(grids["n_initial_5y"] > 0, grids["initial_5y"]),
        "unaccounted_final_5y": _where(grids["n_final_5y"] > 0, grids["final_5y"]),
    }
    return {f"violations_{name}": column for name, column in values.items()}


def _texts(context: Context) -> list[str]:
    sql = "SELECT DISTINCT citation FROM violations"
    found: list[str] = context.gather(Gathered(sql, {"violations": "TRUE"}))["citation"].to_pylist()
    return found


def _of_citations(
    cited: dict[str, Floats], visits: dict[str, Floats]
) -> tuple[dict[str, Floats], dict[str, Reasons]]:
    was_inspected = visits["closed_5y"] > 0
    has_none = cited["all_5y"] == 0
    n_visits = visits["closed_10y"]
    values = {
        f"{tier}_citations_5y": _where(was_inspected, cited[f"{tier}_5y"])
        for tier in ("trigger", "serious", "record")
    }
    values["repeated_citations_10y"] = _where(n_visits >= 2, cited["texts_repeated_10y"])
    few = np.where(n_visits == 0, NO_EXPOSURE, TOO_FEW)
    reasons = {"repeated_citations_10y": np.where(n_visits >= 2, OBSERVED, few).astype(np.int8)}
    for name, column, known in (
        ("willful_5y", cited["willful_5y"], cited["willful_known_5y"] > 0),
        ("log_instances_5y", np.log1p(cited["instances_5y"]), cited["instances_known_5y"] > 0),
    ):
        is_said = was_inspected & (known | has_none)
        values[name] = _where(is_said, column)
        unsaid = np.where(was_inspected, NO_SOURCE, NO_EXPOSURE)
        reasons[name] = np.where(is_said, OBSERVED, unsaid).astype(np.int8)
    return (
        {f"violations_{name}": column for name, column in values.items()},
        {f"violations_{name}": column for name, column in reasons.items()},
    )


def _where(is_known: npt.NDArray[np.bool_], values: npt.NDArray[np.floating]) -> Floats:
    return np.where(is_known, values, np.nan)
