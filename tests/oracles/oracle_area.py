"""The family `area` from its definitions, one dealer and one date at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pandas as pd
import pyproj

from tests.oracles.events import at_dealers
from tests.oracles.oracle_license import in_force, standing

GEOD = pyproj.Geod(ellps="WGS84")
DATA = Path(__file__).parents[2] / "features" / "reference" / "data"


@cache
def _table(name):
    return pd.read_parquet(DATA / f"{name}.parquet")


@cache
def _states():
    return pd.read_csv(DATA / "states.csv", dtype=str)


def oracle(tables: Mapping[str, pd.DataFrame], as_of: date, dealers: Sequence[str]) -> pd.DataFrame:
    _, _, last, _, listed = standing(tables["licenses"], as_of)
    people = _people(as_of)
    traces = in_force(at_dealers(tables["traces"]), as_of) if "traces" in tables else None
    out = []
    for dealer in dealers:
        found = {"dealer": dealer}
        if dealer in last:
            row = last[dealer]
            county, state = row["county_fips"], row["premises_state"]
            neighbors = [d for d in listed if last[d]["county_fips"] == county]
            in_county = people.get(county)
            prefix = _fips(state)
            in_state = sum(n for fips, n in people.items() if fips[:2] == prefix)
            found |= _of_county(county, neighbors, in_county, as_of)
            found |= _of_pawnbrokers(county, [last[d] for d in listed])
            found |= _of_state(state, in_state, as_of)
            if traces is not None:
                found |= _of_traces(dealer, state, neighbors, (in_county, in_state), traces, as_of)
        out.append(found)
    return pd.DataFrame(out).set_index("dealer")


def _fips(state):
    return dict(_states()[["state", "state_fips"]].values)[state]


@cache
def _people(as_of):
    table = _table("county_population")
    years = [y for y in table["year"].unique() if date(y + 2, 4, 1) < as_of]
    table = table[table["year"] == max(years)]
    return dict(zip(table["county_fips"], table["population"], strict=True))


def _of_county(county, neighbors, people, as_of):
    counties = _table("counties").set_index("county_fips")
    out = {}
    if people:
        out["area_dealers_per_100k"] = len(neighbors) / people * 1e5
        if county in counties.index and pd.notna(counties.loc[county, "area_km2"]):
            out["area_people_per_km2"] = people / counties.loc[county, "area_km2"]
    if as_of > date(2024, 7, 1) and county in counties.index:
        out["area_rural_code"] = counties.loc[county, "rucc"]
    return out


def _of_pawnbrokers(county, rows):
    centers = _table("counties").set_index("county_fips")[["lat", "lon"]]
    if county not in centers.index:
        return {}
    here, near = centers.loc[county], []
    for row in rows:
        if row["license_type"] in {"01", "02", "07", "08"} and row["county_fips"] in centers.index:
            there = centers.loc[row["county_fips"]]
            _, _, meters = GEOD.inv(here["lon"], here["lat"], there["lon"], there["lat"])
            if meters <= 100_000:
                near.append(row["license_type"])
    return {"area_pawnbroker_share_100km": near.count("02") / len(near)} if near else {}


@cache
def _of_state(state, people, as_of):
    names = dict(_states()[["state", "name"]].values)
    checks = _table("background_checks")
    public = checks[(pd.to_datetime(checks["month"]) + pd.DateOffset(months=2)).dt.date < as_of]
    last = sorted(public["month"].unique())[-12:]
    mine = public[public["month"].isin(last) & (public["state"] == names[state])]
    out = {}
    if len(mine) and people:
        n = mine[["handgun", "long_gun", "other", "multiple"]].fillna(0).to_numpy().sum()
        out["area_checks_per_100_people_1y"] = n / people * 100
    reports = as_of >= date(2011, 8, 14) and state in {"AZ", "CA", "NM", "TX"}
    out["area_is_demand_letter_3_state"] = float(reports)
    return out


def _of_traces(dealer, state, neighbors, people, traces, as_of):
    in_county, in_state = people
    out = {}
    recent = traces[traces["known_on"] >= as_of - timedelta(days=1095)]
    others = recent[recent["dealer"].isin(neighbors) & (recent["dealer"] != dealer)]
    if in_county:
        out["area_traces_per_100k_3y"] = len(others) / in_county * 1e5
    year = traces[traces["known_on"] >= as_of - timedelta(days=365)]
    here = year[(year["recovery_country"] == "US") & (year["recovery_state"] == state)]
    if in_state:
        out["area_recoveries_per_100k_1y"] = len(here) / in_state * 1e5
    if len(here) >= 50:
        bare = (here["serial_status"] == "none") | (here["outcome"] == "unserialized")
        out["area_unserialized_share_1y"] = bare.mean()
        out["area_share_to_purchaser_1y"] = (here["outcome"] == "purchaser").mean()
    return out
