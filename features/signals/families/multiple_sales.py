"""Family `multiple_sales`: two or more handguns, or certain rifles, to one buyer within days.

Reports are routine; what raises risk is their rate, the same buyer again, and firearms of such
sales that are traced soon. Buyers are opaque tokens and are only counted.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.arrays import Floats
from features.domain.asof import Y1, Y3
from features.engine.context import Context
from features.signals.events import multiple_sales as events
from features.signals.events.asked import Asked
from features.signals.shared.sales_rate import per_1000_sales
from features.signals.signal import (
    NO_SOURCE,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
    rate,
    signals_of,
)

_FORMS = "ATF Forms 3310.4 and 3310.12; 18 USC 923(g)(3)"
_KOPER = "Koper (2005), multiple sales as a risk factor"
_MIN = 5
_signal = signals_of(
    "multiple_sales",
    direction=1,
    reference=_FORMS,
    restriction="restricted",
    table="multiple_sales",
    unit="reports",
)

SIGNALS: Final[tuple[Signal, ...]] = (
    *(
        _signal(
            f"{kind}_{w.name}",
            f"Reports of multiple {kind} sales over {words}.",
            f"{{value}} reports of multiple {kind} sales in {words}",
            window=w.name,
            direction=0,
        )
        for kind in ("handgun", "rifle")
        for w, words in ((Y1, "a year"), (Y3, "three years"))
    ),
    _signal("firearms_3y", "Firearms in multiple-sale reports over three years.",
            "{value} firearms in multiple sales in three years", unit="firearms", window="3y",
            direction=0),
    _signal("per_1000_sales_3y",
            "Reports over background checks of three years, times 1,000, shrunk to dealers of the "
            "same license type and state; null without checks.",
            "{value} multiple-sale reports for each 1,000 sales", unit="per 1,000 sales",
            window="3y"),
    _signal("repeat_buyers_2y",
            "Reports whose buyer appears in another of them and in a trace of the dealer; both "
            "known, the later within two years.",
            "{value} multiple-sale reports name a buyer who comes back and was traced", window="2y",
            reference="DOJ OIG I-2013-005 (April 2013): many multiple sales to one person"),
    _signal("traced_3y",
            "Reports with a trace that led back to buyer and days of the sale, known in the "
            "three years.",
            "{value} multiple sales had a firearm traced since", window="3y", reference=_KOPER),
    _signal("traced_share_3y",
            f"Share of the reports of three years traced since; null below {_MIN} reports.",
            "{value} of its multiple sales had a firearm traced since", unit="share", window="3y",
            reference=_KOPER),
    _signal("traced_within_1y_3y",
            "Reports of three years with a firearm recovered within a year of the sale.",
            "{value} multiple sales had a firearm recovered within a year", window="3y",
            reference=_KOPER),
)  # fmt: skip


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("multiple_sales"):
        return no_source(SIGNALS, context.n_rows)
    asked = events.measures(Asked(tuple(context.cohort.dates)))
    g = context.grids("multiple_sales", asked["multiple_sales"])
    names = ("handgun_1y", "handgun_3y", "rifle_1y", "rifle_3y", "firearms_3y")
    values: dict[str, Floats] = {name: g[name] for name in names}
    reasons: dict[str, Reasons] = {}
    _traced(context, g["reports_3y"], values, reasons)
    values["per_1000_sales_3y"], reasons["per_1000_sales_3y"] = per_1000_sales(
        context, g["reports_3y"]
    )
    return FamilyColumns(
        {f"multiple_sales_{k}": v for k, v in values.items()},
        {f"multiple_sales_{k}": v for k, v in reasons.items()},
    )


def _traced(
    context: Context,
    reports: Floats,
    values: dict[str, Floats],
    reasons: dict[str, Reasons],
) -> None:
    names = ("traced_3y", "traced_within_1y_3y", "traced_share_3y", "repeat_buyers_2y")
    if not context.has("multiple_sales_traced"):
        for name in names:
            values[name] = np.full(context.n_rows, np.nan)
            reasons[name] = np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
        return
    asked = events.measures(Asked(tuple(context.cohort.dates)))
    found = context.grids("multiple_sales_traced", asked["multiple_sales_traced"])
    buyers = context.grids("multiple_sales_buyers", asked["multiple_sales_buyers"])
    values["repeat_buyers_2y"] = buyers["any_repeated_2y"]
    values["traced_3y"], values["traced_within_1y_3y"] = found["any_3y"], found["soon_3y"]
    # A report known more than three years ago may be traced since, so the share is cut at 1.
    share, why = rate(found["any_3y"], reports, at_least=_MIN)
    values["traced_share_3y"], reasons["traced_share_3y"] = np.minimum(share, 1.0), why
