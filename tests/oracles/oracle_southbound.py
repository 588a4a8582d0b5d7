"""The family `southbound` from its definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.reference.tracing_from_mexico import mexico_periods
from tests.oracles import oracle_coverage, oracle_traces
from tests.oracles.events import (
    both,
    counts,
    divided,
    gap_days,
    of_each,
    peers,
    shrunk,
    standing,
    table_of,
    true,
    within,
)


def oracle(tables, as_of, dealers):
    traces = standing(tables, "traces", as_of)
    mexico = traces[traces["recovery_country"] == "MX"].copy()
    group = peers(tables, as_of, dealers)
    out = {f"traces_{w}": counts(within(mexico, as_of, w), dealers) for w in ("1y", "3y", "5y")}
    three, five = within(mexico, as_of, "3y").copy(), within(mexico, as_of, "5y")
    days = gap_days(three["recovered_on"], three["sold_on"])
    out["short_3y"] = counts(three[days.between(0, 1095)], dealers)
    three["weight"] = _weights(tables, traces, as_of, three)
    out["adjusted_3y"] = counts(three, dealers, "weight")
    all_three = counts(within(traces, as_of, "3y"), dealers)
    out["share_3y"] = shrunk(out["traces_3y"], all_three, group)
    sales = within(standing(tables, "sales_volume", as_of), as_of, "3y")
    checks = counts(sales, dealers, "n_checks")
    out["per_1000_sales_3y"] = shrunk(out["traces_3y"], checks, group, 1000)
    rifles = counts(five[true(five["is_semiautomatic_rifle"])], dealers)
    out["rifle_share_5y"] = divided(rifles, out["traces_5y"], 3)
    out["fifty_caliber_5y"] = counts(
        five[[oracle_traces.weapon(t) == "fifty_caliber" for t in _records(five)]], dealers
    )
    placed = five[five["recovery_state"].notna()]
    shares = [
        mine["recovery_state"].value_counts().to_numpy()
        for mine in of_each(placed[["dealer", "recovery_state"]], dealers)
    ]
    out["states_reached_5y"] = np.array([len(s) for s in shares], dtype=float)
    out["corridor_concentration_5y"] = np.array(
        [((s / s.sum()) ** 2).sum() if s.sum() >= 3 else np.nan for s in shares]
    )
    out["seizures_3y"] = counts(_seized(tables, traces, as_of), dealers)
    return table_of(dealers, "southbound", out)


def _weights(tables, traces, as_of, wanted):
    """One over the coverage of the state in the quarter of the request."""
    placed = traces[(traces["recovery_country"] == "MX") & traces["recovery_state"].notna()]
    asked = [(t["requester"], t["recovery_state"], t["requested_on"]) for t in _records(placed)]
    told = oracle_coverage.told(asked, _agencies(tables, as_of), as_of)
    out = []
    for trace in _records(wanted):
        day, state = trace["requested_on"], trace["recovery_state"]
        share = told.get((state, _quarter(day))) if isinstance(state, str) else None
        out.append(1 / (_national(day) if share is None else share))
    return out


def _records(frame):
    return frame.to_dict("records")


def _agencies(tables, as_of):
    rows = standing(tables, "agencies", as_of) if "agencies" in tables else []
    return [r for r in (_records(rows) if len(rows) else []) if r["country"] == "MX"]


def _quarter(day):
    return day.year * 4 + (day.month - 1) // 3


def _national(day):
    return [
        index for starts_on, index in mexico_periods() if starts_on is None or starts_on <= day
    ][-1]


def _seized(tables, traces, as_of):
    seized = standing(tables, "seizures", as_of)
    named = seized[seized["dealer"].notna()]
    led = both(
        seized[seized["dealer"].isna()].drop(columns="dealer"),
        traces[traces["dealer"].notna()][["trace_id", "dealer", "known_on"]],
        "trace_id",
    )
    return within(pd.concat([named, led]), as_of, "3y")
