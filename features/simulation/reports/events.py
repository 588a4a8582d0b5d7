"""Tips, holds, southbound seizures and ballistic leads of a month."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from features.reference.geography.border_distances import ports
from features.reference.legal.short_time_to_crime import is_short
from features.simulation.country.world import World
from features.simulation.files.columns import coded, days, numbered, table_of
from features.simulation.reports import mexico
from features.simulation.reports.trace_rows import KINDS, Rows
from features.simulation.visits.inspections import Inspectorate

_TIPS: Final = 2600.0  # a year in the full country
_SELF_REPORTS: Final = 1400.0
_HOLDS: Final = 60.0
_SEIZURES: Final = 1700.0
_SEIZED_AND_TRACED: Final = 0.45
_LEADS: Final = 0.035  # of traced firearms recovered at home within three years of the sale


def tips(world: World, office: Inspectorate, month: int, rng: np.random.Generator) -> pa.Table:
    """Return the tips of a month; the field remembers them for about four months."""
    dealers = world.dealers
    active = dealers.is_active(month) & (world.recent_volume > 1)
    reach = np.sqrt(world.recent_volume) * active
    about = reach * np.exp(0.45 * dealers.diversion - 0.40 * np.clip(dealers.care, -3, 3))
    own = reach * np.exp(0.5 * np.clip(dealers.care, -3, 3))
    parts = []
    for weight, yearly in ((about, _TIPS), (own, _SELF_REPORTS)):
        mean = weight * yearly / 12 * world.scale / max(weight.sum(), 1e-9)
        parts.append(np.repeat(np.arange(len(dealers)), rng.poisson(mean)))
    dealer = np.concatenate(parts)
    n = len(dealer)
    is_own = np.arange(n) >= len(parts[0])
    office.memory.tips *= 0.7
    np.add.at(office.memory.tips, dealer[~is_own], 1.0)
    source = np.where(is_own, 0, rng.choice(3, n, p=[0.15, 0.40, 0.45]))
    burdened = 1 / (1 + np.exp(-(0.6 * dealers.diversion - 0.5 * dealers.care)))[dealer]
    is_true = rng.random(n) < np.where(is_own, 0.7, 0.15 + 0.4 * burdened)
    unknown = rng.random(n) < 0.25
    return table_of(
        "tips",
        {
            "tip_id": numbered("P", world.take_ids("tip", n)),
            "dealer": coded(dealer, dealers.keys),
            "received_on": days(world.first_day(month) + rng.integers(0, 28, n)),
            "source": coded(source, ["industry", "public", "agency"]),
            "is_self_report": is_own,
            "is_substantiated": pa.array(is_true, mask=unknown),
        },
    )


def holds(world: World, month: int, rng: np.random.Generator) -> pa.Table:
    """Return the deconfliction holds that start in a month: dealers under investigation."""
    dealers = world.dealers
    weight = world.recent_volume * np.exp(0.9 * dealers.diversion) * dealers.is_active(month)
    mean = weight * _HOLDS / 12 * world.scale / max(weight.sum(), 1e-9)
    dealer = np.flatnonzero(rng.poisson(mean))
    starts = world.first_day(month) + rng.integers(0, 28, len(dealer))
    ends = starts + rng.integers(60, 540, len(dealer))
    return table_of(
        "holds",
        {
            "hold_id": numbered("H", world.take_ids("hold", len(dealer))),
            "dealer": coded(dealer, dealers.keys),
            "starts_on": days(starts),
            "ends_on": days(ends, rng.random(len(dealer)) < 0.15),
        },
    )


def seizures(world: World, rows: Rows, month: int, rng: np.random.Generator) -> pa.Table:
    """Return firearms seized on their way south; some are firearms of the month's traces."""
    year = world.options.month(month).year
    n = int(rng.poisson(_SEIZURES / 12 * world.scale * (0.35 if year < 2020 else 1.0)))
    dealers = world.dealers
    lag = rows.recovered - rows.sold
    named = (rows.dealer >= 0) & (rows.dealer < len(dealers)) & (rows.country == 0)
    soon = np.flatnonzero(named & rows.has_sale & is_short(lag))
    weight = mexico.weights(dealers, world.recent_volume)[rows.dealer[soon]]
    sold = np.maximum(world.recent_volume[rows.dealer[soon]], 1e-9)
    weight = np.divide(weight, sold)
    n_traced = min(int(rng.binomial(n, _SEIZED_AND_TRACED)), int((weight > 0).sum()))
    at = soon[:0]
    if n_traced:
        at = np.sort(rng.choice(soon, n_traced, replace=False, p=weight / weight.sum()))
    rest = n - n_traced
    day = np.concatenate([rows.recovered[at], world.first_day(month) + rng.integers(0, 28, rest)])
    kind = np.concatenate([rows.kind[at] % len(KINDS), rng.choice(6, rest, p=_MIX)])
    reported = day + rng.integers(1, 30, n)
    traced = np.arange(n) < n_traced
    table = ports()
    port = rng.integers(0, len(table), n)
    ids = np.concatenate([rows.ids[at], np.zeros(rest, np.int64)])
    trace_id = pa.array(numbered("T", ids).to_pylist(), mask=~traced)
    owner = np.concatenate([rows.dealer[at], np.full(rest, -1)])
    keep = np.flatnonzero(reported < world.first_day(world.options.n_months))
    place = {name: table[name].to_numpy(np.float64)[port] for name in ("lat", "lon")}
    is_rifle = kind == 2
    return table_of(
        "seizures",
        {
            "seizure_id": numbered("S", world.take_ids("seizure", n)),
            "seized_on": days(day),
            "reported_on": days(reported),
            "agency": coded(
                rng.choice(4, n, p=[0.5, 0.35, 0.1, 0.05]), ["CBP", "HSI", "ATF", "other"]
            ),
            "port_code": coded(port, table.index.to_list(), rng.random(n) < 0.2),
            "latitude": place["lat"],
            "longitude": place["lon"],
            "firearm_type": coded(kind, KINDS),
            "is_semiautomatic_rifle": is_rifle & (rng.random(n) < 0.8),
            "dealer": coded(owner, dealers.keys),
            "trace_id": trace_id,
        },
    ).take(keep)


_MIX: Final = [0.45, 0.07, 0.40, 0.05, 0.01, 0.02]


def ballistic_leads(world: World, rows: Rows, month: int, rng: np.random.Generator) -> pa.Table:
    """Return hits on firearms recovered at home soon after their sale."""
    lag = rows.recovered - rows.sold
    soon = (rows.country == 0) & rows.has_sale & is_short(lag)
    at = np.flatnonzero(soon & (rng.random(len(rows)) < _LEADS))
    lead_on = np.maximum(rows.completed[at], rows.recovered[at]) + rng.integers(3, 120, len(at))
    at = at[keep := lead_on < world.first_day(world.options.n_months)]
    return table_of(
        "ballistic_leads",
        {
            "lead_id": numbered("B", world.take_ids("lead", len(at))),
            "trace_id": numbered("T", rows.ids[at]),
            "lead_on": days(lead_on[keep]),
            "n_linked_events": 1 + rng.poisson(0.6, len(at)),
        },
    )
