"""Family `network`: who a dealer shares purchasers with, and who trades near it.

Purchasers are opaque tokens: the family counts dealers that share one and never says who. A
component is a set of dealers joined by shared tokens, directly or through one another. The token of
a multiple sale counts from the day on which a trace with the same token was known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.arrays import Floats
from features.domain.asof import NEVER, Y2, day_sql, number_sql
from features.engine.context import Gathered
from features.signals.events import network as events
from features.signals.events.asked import Asked
from features.signals.families.border import stage_points
from features.signals.shared import graph
from features.signals.shared.listings import Listings, Slice, listings, slices
from features.signals.shared.masses import trace_masses
from features.signals.shared.nearness import sums_within
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
)

if TYPE_CHECKING:
    from features.engine.context import Context

MIN_TRACES: Final = 5  # traces below which no share and no concentration is given
RADII_KM: Final = (10, 50)

_POINTS: Final = "Pierce, Braga, Hyatt and Koper (2004) on point and diffuse sources of crime guns"
_CHAIN: Final = "Double Fix (2023): follow the guns from maker to dealer to recovery"
_NEAR: Final = "Anselin (1988), spatial lag; Koper (2014) on dealers in or near cities"

_signal = partial(Signal, family="network", table="traces", restriction="restricted")

SIGNALS: Final[tuple[Signal, ...]] = (
    _signal(
        name="network_degree_2y",
        unit="dealers",
        definition=(
            "Other dealers that saw a purchaser of this one, in traces and multiple sales of two "
            "years."
        ),
        reason="Shares purchasers with {value} other dealers in two years",
        reference=_POINTS,
        window="2y",
        direction=1,
    ),
    _signal(
        name="network_shared_purchasers_2y",
        unit="purchasers",
        definition=(
            "Purchasers of the dealer that another dealer saw too, in traces and multiple sales "
            "of two years."
        ),
        reason="{value} purchasers in two years also bought from another dealer",
        reference=_POINTS,
        window="2y",
        direction=1,
    ),
    _signal(
        name="network_component_2y",
        unit="dealers",
        definition=(
            "Dealers joined to this one by shared purchasers of two years, directly or through "
            "others, itself included; 1 when it shares with nobody."
        ),
        reason="Stands in a group of {value} dealers joined by shared purchasers",
        reference=_POINTS,
        window="2y",
        direction=1,
    ),
    _signal(
        name="network_component_traces_2y",
        unit="traces",
        definition="Traces of two years to the other dealers of that group.",
        reason="{value} traces in two years to dealers joined by shared purchasers",
        reference=_POINTS,
        window="2y",
        direction=1,
    ),
    _signal(
        name="network_share_shared_2y",
        unit="share",
        definition=(
            "Share of the dealer's traces of two years that name a purchaser whom another dealer "
            "saw too. Null below 5 such traces."
        ),
        reason="{value} of its traced purchasers also bought from another dealer",
        reference=_POINTS,
        window="2y",
        direction=1,
    ),
    *(
        _signal(
            name=f"network_traces_within_{radius}km_3y",
            unit="traces",
            definition=(
                f"Traces of three years to other listed dealers within {radius} km, the dealer's "
                "own left out."
            ),
            reason=f"{{value}} traces in three years to other dealers within {radius} km",
            reference=_NEAR,
            window="3y",
            direction=1,
        )
        for radius in RADII_KM
    ),
    _signal(
        name="network_flow_concentration_5y",
        unit="index",
        definition=(
            "Sum of squared shares of the dealer's traces of five years over maker, country and "
            "state of recovery: 1 when one maker's firearms go to one place. Null below 5 traces."
        ),
        reason="Concentration of its traces on one maker and place: {value} (1 is all)",
        reference=_CHAIN,
        window="5y",
    ),
)


def build(context: Context) -> FamilyColumns:
    """Return the columns of the family, one row a cohort row."""
    if not (context.has("licenses") and context.has("traces")):
        return no_source(SIGNALS, context.n_rows)
    stage = listings(context)
    values = {s.name: np.full(context.n_rows, np.nan, dtype=np.float32) for s in SIGNALS}
    reasons: dict[str, Reasons] = {
        s.name: np.full(context.n_rows, NO_SOURCE, dtype=np.int8) for s in SIGNALS
    }
    traced = context.grids("traces", events.measures(Asked(tuple(context.cohort.dates)))["traces"])
    columns = [
        _shared(context, stage, traced["tokened_2y"]),
        _near(context, stage),
        _flows(traced["n_5y"], traced["cells_squares_5y"]),
    ]
    for part in slices(context, stage):
        for source in columns:
            for name, (column, reason) in source(part).items():
                values[f"network_{name}"][part.rows] = column
                reasons[f"network_{name}"][part.rows] = reason
    return FamilyColumns(values, reasons)


Columns = dict[str, tuple[Floats, Reasons]]
Source = Callable[[Slice], Columns]

# A purchaser of a multiple sale is kept beyond two years only if a trace carries the same token, so
# that a token in an old report tells that a trace was still to come. It therefore counts from the
# day on which such a trace was known, and never before.
# Dealers are numbers and tokens hashes here: equality is all that is needed of them.
_SHARED_SQL: Final = """
WITH sold AS (
         SELECT dealer, hash(purchaser_token) AS token, known_on, superseded_on
         FROM multiple_sales
         WHERE purchaser_token IS NOT NULL AND known_on BETWEEN {first} AND {last}),
     traced AS (
         SELECT t.token, min(t.known_on) AS traced_on
         FROM (SELECT hash(purchaser_token) AS token, known_on FROM traces
               WHERE purchaser_token IS NOT NULL) t SEMI JOIN sold USING (token)
         GROUP BY ALL),
     events AS (
         SELECT d.place, hash(t.purchaser_token) AS token, t.known_on, t.superseded_on,
                t.known_on AS seen_on, 1 AS is_trace
         FROM traces t JOIN listed_dealers d ON d.dealer = t.dealer
         WHERE t.purchaser_token IS NOT NULL AND t.known_on BETWEEN {first} AND {last}
         UNION ALL
         SELECT d.place, t.token, m.known_on, m.superseded_on,
                greatest(m.known_on, t.traced_on), 0
         FROM sold m JOIN listed_dealers d ON d.dealer = m.dealer
         JOIN traced t ON t.token = m.token),
     shared AS (SELECT token FROM events GROUP BY token HAVING min(place) < max(place))
SELECT e.place AS at, e.token, e.is_trace, {seen} AS seen,
       least({known} + {days},
             coalesce({superseded}, {never})) AS until
FROM events e JOIN shared USING (token)
"""


def _shared(context: Context, stage: Listings, n_traces: Floats) -> Source:
    """Measures of shared purchasers, as of each date."""
    events = _shared_events(context, stage)
    mass = trace_masses(context, stage)["traces_2y"]
    n_dealers = len(stage.rows.dealers)

    def joined(date: int) -> tuple[graph.SharedPurchasers, npt.NDArray[np.int64]]:
        day = stage.as_of[date]
        is_in = (events["seen"] < day) & (day <= events["until"])
        is_in &= stage.has(date)[events["at"]]  # listed by then, not only later
        dealer, token = events["at"][is_in], events["token"][is_in]
        found = graph.share_purchasers(dealer, token, n_dealers)
        is_counted = found.is_shared & (events["is_trace"][is_in] == 1)
        return found, np.bincount(dealer[is_counted], minlength=n_dealers)

    def at(part: Slice) -> Columns:
        if len(stage.as_of) == 1:  # of many dates it would be held for all at once
            found, n_shared = context.made_of(
                "purchasers", (events, stage), lambda: joined(part.date)
            )
        else:
            found, n_shared = joined(part.date)
        others = graph.mass_of_others(found.label, mass[part.date].astype(np.float64))
        shared = part.take(n_shared)
        return {
            "degree_2y": _observed(part, found.degree),
            "shared_purchasers_2y": _observed(part, found.n_shared),
            "component_2y": _observed(part, found.component),
            "component_traces_2y": _observed(part, others),
            "share_shared_2y": rate(
                np.nan_to_num(shared), n_traces[part.rows], at_least=MIN_TRACES
            ),
        }

    return at


def _shared_events(context: Context, stage: Listings) -> dict[str, npt.NDArray[np.int64]]:
    """Events of purchasers that more than one dealer ever saw, by the days they count."""
    numbers = pa.array(np.arange(len(stage.rows.dealers)))
    names = pa.array(stage.rows.dealers, pa.string())
    ends = (int(stage.as_of[0]) - Y2.days, int(stage.as_of[-1]) - 1)
    first, last = (day_sql(day) for day in ends)
    sql = _SHARED_SQL.format(
        days=Y2.days,
        never=int(NEVER),
        first=first,
        last=last,
        **{n: number_sql(f"e.{n}_on") for n in ("seen", "known", "superseded")},
    )
    named = dict.fromkeys(("traces", "multiple_sales"), "purchaser_token IS NOT NULL")
    found = context.gather(
        Gathered(sql, named, is_additive=False),
        listed_dealers=pa.table({"dealer": names, "place": numbers}),
    )

    def numbered() -> dict[str, npt.NDArray[np.int64]]:
        columns = {
            name: found[name].to_numpy().astype(np.int64)
            for name in ("at", "is_trace", "seen", "until")
        }
        token, _ = pd.factorize(found["token"].to_numpy())
        return columns | {"token": token.astype(np.int64)}

    return context.made_of("purchasers' events", (found, stage), numbered)


def _near(context: Context, stage: Listings) -> Source:
    """Trace mass of the neighbors, as of each date."""
    mass = trace_masses(context, stage)["traces_3y"]
    points, position = stage_points(stage)
    n_dates = len(stage.as_of)
    point = np.where(stage.last >= 0, position[stage.last], -1)
    own = np.where(stage.is_listed & (point >= 0), mass.T, 0).astype(np.int64)
    at_point = np.zeros((len(points), n_dates), dtype=np.int64)
    dealer, date = np.nonzero(own)
    np.add.at(at_point, (point[dealer, date], date), own[dealer, date])
    bears = at_point.any(axis=1)
    sums = sums_within(points, points[bears], at_point[bears], RADII_KM)

    def at(part: Slice) -> Columns:
        j = part.date
        columns = {}
        for radius, total in zip(RADII_KM, sums, strict=True):
            lag = np.append(total[:, j].astype(np.float64), np.nan)[point[:, j]] - own[:, j]
            taken = part.take(lag)
            why = np.where(np.isnan(taken), NO_EXPOSURE, OBSERVED).astype(np.int8)
            columns[f"traces_within_{radius}km_3y"] = (taken, why)
        return columns

    return at


def _flows(n_traces: Floats, squares: Floats) -> Source:
    """Concentration of each dealer's traces over maker and place of recovery."""

    def at(part: Slice) -> Columns:
        n = n_traces[part.rows].astype(np.float64)
        is_known = (n >= MIN_TRACES) & (part.dealer >= 0)
        why = np.where(n > 0, TOO_FEW, NO_EXPOSURE)
        values = np.where(is_known, squares[part.rows] / np.maximum(n, 1) ** 2, np.nan)
        reasons = np.where(is_known, OBSERVED, why).astype(np.int8)
        return {"flow_concentration_5y": (values, reasons)}

    return at


def _observed(
    part: Slice, by_dealer: npt.NDArray[np.integer | np.floating]
) -> tuple[Floats, Reasons]:
    taken = part.take(by_dealer)
    return taken, np.where(np.isnan(taken), NO_EXPOSURE, OBSERVED).astype(np.int8)
