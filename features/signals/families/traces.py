"""Family `traces`: how often firearms sold by the dealer are traced, and how requests end.

A trace is neither proof of a crime nor of a fault of the dealer; the counts follow sales and the
habits of those who trace, so rates and comparisons with peers stand beside them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.arrays import Floats
from features.domain.asof import D90, Y1, Y3, Y5, from_day
from features.engine.context import Context
from features.reference import law
from features.reference.destinations import destination_label
from features.reference.legal.law import is_in_force
from features.reference.weapons import class_label
from features.signals.events import traces as events
from features.signals.events.asked import CHECKS, Asked
from features.signals.events.traces import APART, CLASSES
from features.signals.shared.shrinkage import prior, shrink
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
    rate,
    signals_of,
)

_TRACED = "National Tracing Center, firearms trace requests"
_MIN = 5  # requests below which a share is null


_DESTINATIONS: Final = "GAO-21-322 (2021) and Double Fix (2023) on Mexico and Central America"


def _in_words(name: str) -> str:
    label = destination_label(name)
    return f"the {label}" if name == "caribbean" else label


_signal = signals_of(
    "traces",
    direction=1,
    reference=_TRACED,
    restriction="restricted",
    table="traces",
    unit="firearms",
)

SIGNALS: Final[tuple[Signal, ...]] = (
    *(
        _signal(
            f"n_{w.name}",
            f"Firearms sold by the dealer and traced, over {words}.",
            f"{{value}} firearms traced in {words}",
            window=w.name,
        )
        for w, words in ((D90, "90 days"), (Y1, "a year"), (Y3, "three years"), (Y5, "five years"))
    ),
    _signal(
        "same_state_3y",
        "Of those of three years, recovered in the state of the premises as then listed.",
        "{value} of them recovered in the same state in three years",
        window="3y",
    ),
    _signal(
        "other_state_3y",
        "Of those of three years, recovered in another state.",
        "{value} recovered in other states in three years",
        window="3y",
        reference="ATF, source and recovery states 2010-2017",
    ),
    _signal(
        "latin_america_3y",
        "Of those of three years, recovered in Latin America other than Mexico.",
        "{value} recovered in Latin America other than Mexico in three years",
        window="3y",
    ),
    *(
        _signal(
            f"{name}_3y",
            f"Of those of three years, recovered in {_in_words(name)}.",
            f"{{value}} recovered in {_in_words(name)} in three years",
            window="3y",
            reference=_DESTINATIONS,
        )
        for name in APART
    ),
    _signal(
        "canada_3y",
        "Of those of three years, recovered in Canada.",
        "{value} recovered in Canada in three years",
        window="3y",
    ),
    *(
        _signal(
            f"class_{name}_3y",
            f"Of those of three years, of the class {name.replace('_', ' ')} "
            "(reference/weapon_classes.toml).",
            f"{{value}} traced in three years: {class_label(name)}",
            window="3y",
            direction=0,
            reference="Double Fix (2023), recommendation 4; reference/weapon_classes.toml",
        )
        for name in CLASSES
    ),
    _signal(
        "lawful_exports_3y",
        "Firearms that left lawfully, by export or to a government, and were traced to the dealer "
        "over three years; they count in no other signal.",
        "{value} traced in three years had left by lawful export or to a government",
        window="3y",
        direction=0,
        reference="End-use records of lawful exports (traces.acquisition_route)",
    ),
    _signal(
        "per_1000_sales_3y",
        "Traces of three years over background checks of three years, times 1,000, shrunk to "
        "dealers of the same license type and state; null without checks.",
        "{value} traces for each 1,000 sales in three years",
        unit="per 1,000 sales",
        window="3y",
        reference="Wintemute, Cook and Wright (2005)",
    ),
    _signal(
        "over_expected_3y",
        "Traces of three years over those expected of the dealer's background checks at the rate "
        "of its license type and state, both plus 0.5; null without checks.",
        "{value} times the traces expected of its sales",
        unit="ratio",
        window="3y",
        reference="Wintemute (2009) on disproportionate sellers",
    ),
    _signal(
        "trend_1y",
        "Traces of the last year over the yearly mean of the two before, both plus 0.5; null when "
        "the dealer has no trace in three years.",
        "Traces at {value} times the level of the two years before",
        unit="ratio",
        window="1y",
    ),
    _signal(
        "unanswered_3y",
        "Trace requests that the dealer did not answer, over three years.",
        "{value} trace requests not answered in three years",
        unit="requests",
        window="3y",
        reference="27 CFR 478.25a; ATF demand letter 1",
    ),
    _signal(
        "answer_share_3y",
        "Share of the requests of three years that reached the dealer and were answered; null "
        f"below {_MIN} requests.",
        "{value} of trace requests answered",
        unit="share",
        window="3y",
        direction=-1,
        reference="27 CFR 478.25a",
    ),
    _signal(
        "obliterated_share_3y",
        f"Share of the traces of three years with an obliterated serial; null below {_MIN}.",
        "{value} of traced firearms had the serial obliterated",
        unit="share",
        window="3y",
        reference="ATF, National Firearms Commerce and Trafficking Assessment, volume II",
    ),
    _signal(
        "other_possessor_share_3y",
        "Share of the traces of three years whose possessor was not the purchaser, of those where "
        f"that is known; null below {_MIN}.",
        "{value} of traced firearms were found with someone other than the buyer",
        unit="share",
        window="3y",
        reference="Wright, Wintemute and Webster (2010)",
    ),
    _signal(
        "short_last_calendar_year",
        "Traces with a time-to-crime of three years or less known in the last full calendar year.",
        "{value} traces at three years or less in the last calendar year",
        window="last calendar year",
        reference="ATF Form 5300.5 (OMB 1140-0024), demand letter 2",
    ),
    _signal(
        "demand_letter_2_met",
        "1 when the last full calendar year reached the threshold of demand letter 2 then in "
        "force (10 before 2018, 25 after); null where the program was not in force.",
        "Reached the demand letter threshold in the last calendar year: {value}",
        unit="yes or no",
        window="last calendar year",
        reference="ATF Form 5300.5 (OMB 1140-0024), demand letter 2",
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("traces"):
        return no_source(SIGNALS, context.n_rows)
    asked = events.measures(Asked(tuple(context.cohort.dates)))
    g = context.grids("traces_home", asked["traces_home"])
    values: dict[str, Floats] = {f"n_{w.name}": g[f"n_{w.name}"] for w in (D90, Y1, Y3, Y5)}
    reasons: dict[str, Reasons] = {}
    values["same_state_3y"], values["other_state_3y"] = g["same_state_3y"], g["other_state_3y"]
    values["latin_america_3y"], values["canada_3y"] = g["latin_3y"], g["canada_3y"]
    values |= {f"{name}_3y": g[f"{name}_3y"] for name in APART}
    values |= {f"class_{name}_3y": g[f"class_{name}_3y"] for name in CLASSES}
    values["lawful_exports_3y"] = context.grids("lawful_exports", asked["lawful_exports"])["n_3y"]
    n = g["n_3y"].astype(np.float64)
    values["obliterated_share_3y"], reasons["obliterated_share_3y"] = rate(
        g["obliterated_3y"], n, at_least=_MIN
    )
    values["other_possessor_share_3y"], reasons["other_possessor_share_3y"] = rate(
        g["other_possessor_3y"], g["possessor_known_3y"], at_least=_MIN
    )
    asked = g["unanswered_3y"] + g["answered_3y"]
    values["unanswered_3y"] = g["unanswered_3y"]
    values["answer_share_3y"], reasons["answer_share_3y"] = rate(
        g["answered_3y"], asked, at_least=_MIN
    )
    before = (n - g["n_1y"]) / 2
    values["trend_1y"] = np.where(n > 0, (g["n_1y"] + 0.5) / (before + 0.5), np.nan)
    _per_sales(context, n, values, reasons)
    _calendar(context, g, values, reasons)
    named = {f"traces_{k}": v for k, v in values.items()}
    return FamilyColumns(named, {f"traces_{k}": v for k, v in reasons.items()})


def _per_sales(
    context: Context, n: Floats, values: dict[str, Floats], reasons: dict[str, Reasons]
) -> None:
    names = ("per_1000_sales_3y", "over_expected_3y")
    if not context.has("sales_volume"):
        for name in names:
            values[name] = np.full(context.n_rows, np.nan)
            reasons[name] = np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
        return
    sales = context.grids("sales_volume", [CHECKS])["checks_3y"]
    exposure = sales.astype(np.float64)
    index = context.cohort.date_index
    values[names[0]], reasons[names[0]] = shrink(
        n, exposure, peers=context.peers, date_index=index, times=1000.0
    )
    mean, _ = prior(n, exposure, peers=context.peers, date_index=index)
    is_known = exposure > 0
    values[names[1]] = np.where(is_known, (n + 0.5) / (mean * exposure + 0.5), np.nan)
    reasons[names[1]] = np.where(is_known, OBSERVED, NO_EXPOSURE).astype(np.int8)


def _calendar(
    context: Context,
    g: dict[str, Floats],
    values: dict[str, Floats],
    reasons: dict[str, Reasons],
) -> None:
    """Short time-to-crime traces of the last full calendar year, against the threshold then."""
    short = np.zeros(context.n_rows)
    met = np.full(context.n_rows, np.nan)
    why = np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
    for k, day in enumerate(context.cohort.as_of):
        is_here = context.cohort.date_index == k
        last_day = from_day(int(day)).replace(month=1, day=1)
        year = last_day.year - 1
        short[is_here] = g[f"short_{year}_2y"][is_here]
        end = last_day.replace(year=year, month=12, day=31)
        if is_in_force("demand_letter_2_min_traces", end):
            met[is_here] = short[is_here] >= float(law("demand_letter_2_min_traces", end))
            why[is_here] = OBSERVED
    values["short_last_calendar_year"] = short
    values["demand_letter_2_met"], reasons["demand_letter_2_met"] = met, why
