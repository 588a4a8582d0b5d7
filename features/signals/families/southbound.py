"""Family `southbound`: firearms sold by the dealer and recovered in Mexico or on the way there.

Until 2021 one Mexican agency submitted traces; growth in submissions is not growth in risk, so a
count adjusted for the coverage of each state by its agencies (see `shared.coverage`) stands
beside the plain one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.arrays import Floats
from features.domain.asof import NEVER, Y1, Y3, Y5, day_sql, is_known, known_sql, number_sql
from features.engine.context import Cohort, Context, Gathered
from features.signals.events import southbound as events
from features.signals.events.asked import Asked
from features.signals.shared import coverage
from features.signals.shared.sales_rate import per_1000_sales
from features.signals.shared.shrinkage import shrink
from features.signals.signal import (
    NO_EXPOSURE,
    NO_SOURCE,
    OBSERVED,
    TOO_FEW,
    FamilyColumns,
    Reasons,
    Signal,
    no_source,
    rate,
    signals_of,
)

_MIN = 3  # Mexican traces below which a share among them is null
_GAO = "GAO-21-322 (2021), firearms recovered in Mexico"
_signal = signals_of(
    "southbound",
    direction=1,
    reference=_GAO,
    restriction="restricted",
    table="traces",
    unit="firearms",
)

SIGNALS: Final[tuple[Signal, ...]] = (
    *(
        _signal(
            f"traces_{w.name}",
            f"Firearms sold by the dealer and recovered in Mexico, over {words}.",
            f"{{value}} firearms recovered in Mexico in {words}",
            window=w.name,
        )
        for w, words in ((Y1, "a year"), (Y3, "three years"), (Y5, "five years"))
    ),
    _signal(
        "short_3y",
        "Of those of three years, recovered within three years of the sale.",
        "{value} recovered in Mexico within three years of the sale",
        window="3y",
    ),
    _signal(
        "adjusted_3y",
        "Mexican traces of three years, each divided by the share of the recoveries of its state "
        "that the agencies of the time submitted (`ffl-risk completeness`), at least 0.05; by the "
        "national index where the state does not tell.",
        "{value} recoveries in Mexico when missing submitters are allowed for",
        unit="firearms, adjusted",
        window="3y",
    ),
    _signal(
        "per_1000_sales_3y",
        "Mexican traces of three years over background checks of three years, times 1,000, shrunk "
        "to dealers of the same license type and state; null without checks.",
        "{value} Mexican traces for each 1,000 sales",
        unit="per 1,000 sales",
        window="3y",
    ),
    _signal(
        "share_3y",
        "Share of the traces of three years recovered in Mexico, shrunk to dealers of the same "
        "license type and state; null without a trace.",
        "{value} of its traced firearms were recovered in Mexico",
        unit="share",
        window="3y",
    ),
    _signal(
        "rifle_share_5y",
        f"Share of semi-automatic rifles among Mexican traces of five years; null below {_MIN}.",
        "{value} of its firearms recovered in Mexico are semi-automatic rifles",
        unit="share",
        window="5y",
    ),
    _signal(
        "fifty_caliber_5y",
        "Rifles of .50 caliber among Mexican traces of five years.",
        "{value} rifles of .50 caliber recovered in Mexico in five years",
        window="5y",
    ),
    _signal(
        "states_reached_5y",
        "Distinct Mexican states in which its firearms were recovered in five years.",
        "Its firearms reached {value} Mexican states",
        unit="states",
        window="5y",
    ),
    _signal(
        "corridor_concentration_5y",
        "Herfindahl index of Mexican traces of five years over Mexican states, 1 when all go to "
        f"one; null below {_MIN}.",
        "Concentration of its recoveries over Mexican states: {value}",
        unit="index",
        window="5y",
        direction=0,
        reference="US Department of Justice (2025) on trafficking corridors",
    ),
    _signal(
        "seizures_3y",
        "Firearms sold by the dealer and seized on their way to the border, over three years.",
        "{value} of its firearms seized on their way to the border",
        window="3y",
        table="seizures",
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the family's columns; see `features.signals.signal`."""
    values: dict[str, Floats] = {}
    reasons: dict[str, Reasons] = {}
    if context.has("traces"):
        _from_traces(context, values, reasons)
    else:
        missing = no_source(SIGNALS, context.n_rows)
        values |= {
            k.removeprefix("southbound_"): v.astype(np.float64) for k, v in missing.values.items()
        }
        reasons |= {k.removeprefix("southbound_"): v for k, v in missing.reasons.items()}
    if context.has("seizures"):
        asked = events.measures(Asked(tuple(context.cohort.dates)))
        found = context.grids("seizures_known", asked["seizures_known"])
        values["seizures_3y"] = found["n_3y"]
        reasons.pop("seizures_3y", None)
    else:
        values["seizures_3y"] = np.full(context.n_rows, np.nan)
        reasons["seizures_3y"] = np.full(context.n_rows, NO_SOURCE, dtype=np.int8)
    return FamilyColumns(
        {f"southbound_{k}": v for k, v in values.items()},
        {f"southbound_{k}": v for k, v in reasons.items()},
    )


def _from_traces(context: Context, values: dict[str, Floats], reasons: dict[str, Reasons]) -> None:
    g = context.grids("traces", events.measures(Asked(tuple(context.cohort.dates)))["traces"])
    for window in ("1y", "3y", "5y"):
        values[f"traces_{window}"] = g[f"mexico_{window}"]
    values["short_3y"], values["adjusted_3y"] = g["short_3y"], _adjusted(context)
    values["fifty_caliber_5y"], values["states_reached_5y"] = g["fifty_5y"], g["states_5y"]
    values["rifle_share_5y"], reasons["rifle_share_5y"] = rate(
        g["rifles_5y"], g["mexico_5y"], at_least=_MIN
    )
    values["share_3y"], reasons["share_3y"] = shrink(
        g["mexico_3y"], g["all_3y"], peers=context.peers, date_index=context.cohort.date_index
    )
    placed = g["placed_5y"].astype(np.float64)
    is_enough = placed >= _MIN
    values["corridor_concentration_5y"] = np.where(
        is_enough, g["states_squares_5y"] / np.maximum(placed, 1) ** 2, np.nan
    )
    why = np.where(placed > 0, TOO_FEW, NO_EXPOSURE)
    reasons["corridor_concentration_5y"] = np.where(is_enough, OBSERVED, why).astype(np.int8)
    values["per_1000_sales_3y"], reasons["per_1000_sales_3y"] = per_1000_sales(
        context, g["mexico_3y"]
    )


_PARTS: Final = 65_536  # weights are whole numbers of this part, so that no order of adding shows


def _adjusted(context: Context) -> Floats:
    """Mexican traces of three years, each over the coverage of its state when it was requested."""
    days = context.cohort.as_of
    before = int(days[-1])
    own = context.gather(
        Gathered(_own_sql(int(days[0]) - Y3.days, before), {"traces": events.MEXICO})
    )
    placed = {"traces": f"{events.MEXICO} AND recovery_state IS NOT NULL"}
    requests = context.gather(Gathered(coverage.requests_sql(before), placed))
    agencies = context.gather(Gathered(coverage.AGENCIES_SQL, {"agencies": "TRUE"}))

    def covered() -> list[coverage.Coverage]:
        tables = requests.to_pandas(), agencies.to_pandas()
        return [coverage.estimate(*tables, day) for day in days.tolist()]

    found = context.made_of("coverage", (requests, agencies), covered)
    return context.made_of("adjusted", (own, found), lambda: _over(context.cohort, own, found))


def _over(cohort: Cohort, own: pa.Table, found: list[coverage.Coverage]) -> Floats:
    """Sum over each dealer's Mexican traces one over the coverage, as of each date."""
    names = pa.array(cohort.dealers, pa.string())
    place = pc.fill_null(pc.index_in(own["dealer"], value_set=names), -1).to_numpy()
    state = own["state"].combine_chunks().dictionary_encode()
    states = np.array([*state.dictionary.to_pylist(), None], dtype=object)
    code = pc.fill_null(state.indices, len(states) - 1).to_numpy(zero_copy_only=False)
    requested, known, until = (
        own[name].to_numpy().astype(np.int64) for name in ("requested", "known", "until")
    )
    out = np.zeros(len(cohort))
    for k, (day, covered) in enumerate(zip(cohort.as_of.tolist(), found, strict=True)):
        seen = (place >= 0) & is_known(known, day) & (day <= until) & (known >= day - Y3.days)
        share = covered.at(states, requested[seen], code=code[seen])
        parts = np.rint(_PARTS / share)
        summed = np.bincount(place[seen], parts, minlength=len(cohort.dealers)) / _PARTS
        is_here = cohort.date_index == k
        out[is_here] = summed[cohort.dealer[is_here]]
    return out


def _own_sql(first: int, before: int) -> str:
    """Return the query for Mexican traces that count toward a dealer, known between two days."""
    return f"""
        SELECT dealer, recovery_state AS state, {number_sql("requested_on")} AS requested,
               {number_sql("known_on")} AS known,
               coalesce({number_sql("superseded_on")}, {int(NEVER)}) AS until
        FROM traces
        WHERE recovery_country = 'MX' AND dealer IS NOT NULL
          AND known_on >= {day_sql(first)} AND {known_sql(day_sql(before))}
    """
