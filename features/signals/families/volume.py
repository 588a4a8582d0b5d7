"""Family `volume`: how much the dealer sells, and how many of its buyers are denied.

Volume is exposure first: a large seller has more of everything. The denied share is the strongest
published predictor of crime guns.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from features.arrays import Floats
from features.engine.context import Context
from features.reference.geography.places import counties
from features.signals.events import volume as events
from features.signals.events.asked import Asked
from features.signals.shared.groups import by_date
from features.signals.shared.shrinkage import shrink
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
    signals_of,
)

_WINTEMUTE = "Wintemute, Cook and Wright (2005), Injury Prevention 11:357"
_signal = signals_of(
    "volume",
    direction=0,
    reference="Wintemute (2009), Injury Prevention 15:291",
    restriction="restricted",
    table="sales_volume",
    unit="background checks",
)

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal("sales_1y", "Background checks of the dealer over a year.",
            "{value} background checks in a year", window="1y"),
    _signal("sales_3y", "Background checks of the dealer over three years.",
            "{value} background checks in three years", window="3y"),
    _signal("growth_1y",
            "Checks of the last year over the yearly mean of the two before, both plus 10; null "
            "without a check in three years.",
            "Sales at {value} times the level of the two years before", unit="ratio", window="1y"),
    _signal("county_share_1y",
            "Share of the checks of the county's dealers over a year; null without a check there.",
            "{value} of the sales of its county", unit="share", window="1y"),
    _signal("denied_1y", "Denied transfers over a year.", "{value} buyers denied in a year",
            unit="denials", window="1y", direction=1, table="denials", reference=_WINTEMUTE),
    _signal("denied_share_3y",
            "Denied transfers over checks of three years, shrunk to dealers of the same license "
            "type and state; null without checks.",
            "{value} of its sales were denied", unit="share", window="3y", direction=1,
            table="denials", reference=_WINTEMUTE),
)  # fmt: skip


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    if not context.has("sales_volume"):
        return no_source(SIGNALS, context.n_rows)
    asked = events.measures(Asked(tuple(context.cohort.dates)))
    g = context.grids("sales_volume", asked["sales_volume"])
    year, three = (g[f"sales_{w}"].astype(np.float64) for w in ("1y", "3y"))
    values: dict[str, Floats] = {"sales_1y": year, "sales_3y": three}
    reasons: dict[str, Reasons] = {}
    before = (three - year) / 2
    values["growth_1y"] = np.where(three > 0, (year + 10) / (before + 10), np.nan)
    values["county_share_1y"], reasons["county_share_1y"] = _county_share(context, year)
    if context.has("denials"):
        denied = context.grids("denials", asked["denials"])
        values["denied_1y"] = denied["n_1y"]
        values["denied_share_3y"], reasons["denied_share_3y"] = shrink(
            denied["n_3y"], three, peers=context.peers, date_index=context.cohort.date_index
        )
    else:
        for name in ("denied_1y", "denied_share_3y"):
            values[name] = np.full(context.n_rows, np.nan)
            reasons[name] = np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
    return FamilyColumns(
        {f"volume_{k}": v for k, v in values.items()},
        {f"volume_{k}": v for k, v in reasons.items()},
    )


def _county_share(context: Context, year: Floats) -> tuple[Floats, Reasons]:
    county = context.listed["listed_county"]
    code = np.nan_to_num(county, nan=-1).astype(np.int64)
    group, _ = by_date(code, context.cohort.date_index)
    total = np.bincount(group, weights=year)[group]
    is_county = np.isin(county, counties().index.to_numpy(dtype=np.float64))
    is_known = (total > 0) & is_county
    share = np.divide(year, total, out=np.full(len(year), np.nan), where=is_known)
    why = np.where(is_known, OBSERVED, np.where(is_county, NO_EXPOSURE, NO_SOURCE))
    return share, why.astype(np.int8)
