"""What the family `traces` asks."""

from __future__ import annotations

from datetime import date
from typing import Final

from features.domain.asof import D90, Y1, Y2, Y3, Y5
from features.engine.measures import Sum
from features.reference.destinations import LATIN_AMERICA, is_in_sql
from features.reference.legal.law import is_in_force, law
from features.reference.legal.short_time_to_crime import short_sql
from features.reference.weapons import class_names, is_class_sql
from features.signals.events.asked import CHECKS, CHECKS_BEHIND, Asked, Measures

# Destinations counted apart; Mexico has a family of its own.
APART: Final = ("guatemala", "honduras", "el_salvador", "caribbean")
# Classes that a dealer answers for: a firearm without a serial number counts toward nobody.
CLASSES: Final = tuple(name for name in class_names() if name not in {"unserialized", "other"})

_US: Final = "recovery_country = 'US'"
_N: Final = "traces_home.n_3y"
_LETTER: Final = "traces_home.short_{year}_2y"

BEHIND: Final = {
    "latin_america_3y": ("traces_home.latin_3y",),
    "lawful_exports_3y": ("lawful_exports.n_3y",),
    "per_1000_sales_3y": (_N, CHECKS_BEHIND),
    "over_expected_3y": (_N, CHECKS_BEHIND),
    "trend_1y": (_N,),
    "answer_share_3y": ("traces_home.answered_3y", "traces_home.unanswered_3y"),
    "obliterated_share_3y": ("traces_home.obliterated_3y",),
    "other_possessor_share_3y": ("traces_home.other_possessor_3y",),
    "short_last_calendar_year": (_LETTER,),
    "demand_letter_2_met": (_LETTER,),
}


def measures(asked: Asked) -> Measures:
    """Return what is asked of each view."""
    years = sorted({when.year - 1 for when in asked.dates})
    return {
        "traces_home": (
            Sum("n", (D90, Y1, Y3, Y5)),
            Sum("same_state", (Y3,), f"{_US} AND recovery_state = home_state"),
            Sum("other_state", (Y3,), f"{_US} AND recovery_state <> home_state"),
            Sum("latin", (Y3,), is_in_sql(*LATIN_AMERICA)),
            *(Sum(name, (Y3,), is_in_sql(name)) for name in APART),
            *(Sum(f"class_{name}", (Y3,), is_class_sql(name)) for name in CLASSES),
            Sum("canada", (Y3,), "recovery_country = 'CA'"),
            Sum("unanswered", (Y3,), "outcome = 'no_dealer_answer'"),
            Sum("answered", (Y3,), "outcome IN ('purchaser', 'dealer')"),
            Sum("obliterated", (Y3,), "serial_status = 'obliterated'"),
            Sum("possessor_known", (Y3,), "is_purchaser_possessor IS NOT NULL"),
            Sum("other_possessor", (Y3,), "NOT is_purchaser_possessor"),
            # Two years reach back to the first day of the year before from any day of a year.
            *(Sum(f"short_{y}", (Y2,), f"{_letter(y)} AND year(known_on) = {y}") for y in years),
        ),
        "lawful_exports": (Sum("n", (Y3,)),),
        "sales_volume": (CHECKS,),
    }


def _letter(year: int) -> str:
    """Return the condition of a trace that counts toward the demand letter of a calendar year."""
    end = date(year, 12, 31)
    name = "demand_letter_2_max_days_to_crime"
    return short_sql(at_most=int(law(name, end)) if is_in_force(name, end) else None)
