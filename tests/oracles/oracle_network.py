"""The family `network` from its definitions, one dealer and one date at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd

from tests.oracles.events import at_dealers
from tests.oracles.oracle_border import km, point
from tests.oracles.oracle_license import in_force, standing


def oracle(tables: Mapping[str, pd.DataFrame], as_of: date, dealers: Sequence[str]) -> pd.DataFrame:
    _, _, last, _, listed = standing(tables["licenses"], as_of)
    traces = in_force(at_dealers(tables["traces"]), as_of)
    sales = in_force(tables["multiple_sales"], as_of)
    points = {d: point(row) for d, row in last.items()}
    two, three, five = (as_of - timedelta(days=365 * n) for n in (2, 3, 5))
    recent = traces[traces["known_on"] >= two]
    # A purchaser of a multiple sale counts once a trace known by then carries the same token.
    sales = sales[sales["purchaser_token"].isin(traces["purchaser_token"].dropna())]
    seen = pd.concat([recent, sales[sales["known_on"] >= two]])[["dealer", "purchaser_token"]]
    seen = seen.dropna()
    seen = seen[seen["dealer"].isin(last)]
    buyers = {d: set(g["purchaser_token"]) for d, g in seen.groupby("dealer")}
    mass = traces[traces["known_on"] >= three]["dealer"].value_counts()
    out = []
    for dealer in dealers:
        found = {"dealer": dealer}
        if dealer in last:
            found |= _shared(dealer, buyers, recent)
            found |= _near(dealer, points, listed, mass)
            mine = traces[(traces["dealer"] == dealer) & (traces["known_on"] >= five)]
            if len(mine) >= 5:
                cells = mine[["manufacturer", "recovery_country", "recovery_state"]].fillna("")
                shares = cells.value_counts() / len(mine)
                found["network_flow_concentration_5y"] = (shares**2).sum()
        out.append(found)
    return pd.DataFrame(out).set_index("dealer")


def _shared(dealer, buyers, recent):
    def friends(one):
        own = buyers.get(one, set())
        return {d for d, tokens in buyers.items() if d != one and own & tokens}

    group, todo = {dealer}, [dealer]
    while todo:
        for other in friends(todo.pop()) - group:
            group.add(other)
            todo.append(other)
    of_others = set().union(*(t for d, t in buyers.items() if d != dealer))
    mine = recent[(recent["dealer"] == dealer) & recent["purchaser_token"].notna()]
    out = {
        "network_degree_2y": len(friends(dealer)),
        "network_shared_purchasers_2y": len(buyers.get(dealer, set()) & of_others),
        "network_component_2y": len(group),
        "network_component_traces_2y": recent["dealer"].isin(group - {dealer}).sum(),
    }
    if len(mine) >= 5:
        out["network_share_shared_2y"] = mine["purchaser_token"].isin(of_others).mean()
    return out


def _near(dealer, points, listed, mass):
    here = points[dealer]
    if np.isnan(here[0]):
        return {}
    out = {"network_traces_within_10km_3y": 0, "network_traces_within_50km_3y": 0}
    for other in listed:
        if other == dealer or np.isnan(points[other][0]):
            continue
        lat, lon = (np.array([x]) for x in points[other])
        for radius in (10, 50):
            if km(here, lat, lon)[0] <= radius:
                out[f"network_traces_within_{radius}km_3y"] += mass.get(other, 0)
    return out
