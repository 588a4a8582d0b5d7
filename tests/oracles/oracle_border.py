"""The family `border` from its definitions, one dealer and one date at a time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from pyproj import Geod

from tests.oracles.oracle_license import standing

DATA = Path(__file__).parents[2] / "features" / "reference" / "data"
GEOD = Geod(ellps="WGS84")


@cache
def _table(name):
    return pd.read_parquet(DATA / f"{name}.parquet")


@cache
def _indexed(name, key):
    return _table(name).set_index(key)


def point(row):
    """Point of a listing row: as listed, else of its ZIP code, else of its county."""
    if pd.notna(row["latitude"]) and pd.notna(row["longitude"]):
        return row["latitude"], row["longitude"]
    zips = _indexed("zip_places", "zip")
    zip_code = row["premises_zip"][:5]
    if zip_code in zips.index and pd.notna(zips.loc[zip_code, "lat"]):
        return zips.loc[zip_code, "lat"], zips.loc[zip_code, "lon"]
    counties = _indexed("counties", "county_fips")
    if row["county_fips"] in counties.index:
        return counties.loc[row["county_fips"], "lat"], counties.loc[row["county_fips"], "lon"]
    return np.nan, np.nan


def km(here, lat, lon):
    """Geodesic distances from a point to many."""
    n = len(lat)
    return GEOD.inv(np.full(n, here[1]), np.full(n, here[0]), lon, lat)[2] / 1000


@cache
def _line():
    features = json.loads((DATA / "border_mexico.geojson").read_text())["features"]
    out = []
    for feature in features:
        corners = feature["geometry"]["coordinates"]
        for a, b in itertools.pairwise(corners):
            share = np.linspace(0, 1, 60)[:, None]
            out.append(np.array(a) + share * (np.array(b) - np.array(a)))
    return np.vstack(out)


@cache
def _one(here, as_of):
    line = _line()
    to_line = km(here, line[:, 1], line[:, 0]).min()
    ports = pd.read_csv(DATA / "ports_mexico.csv", dtype={"port_code": str})
    to_ports = km(here, ports["lat"].to_numpy(), ports["lon"].to_numpy())
    out = {
        "border_km_to_mexico_line": to_line,
        "border_km_to_port": to_ports.min(),
        "border_zone": sum(bool(to_line <= limit) for limit in (25, 100, 300)),
    }
    # A year of crossings is public on 1 July after it, an estimate of people 15 months after.
    crossings = _table("port_crossings")
    years = [y for y in crossings["year"].unique() if date(y + 1, 7, 1) < as_of]
    traffic = crossings[crossings["year"] == max(years)].set_index("port_code")
    gravity = 0.0
    for code, distance in zip(ports["port_code"], to_ports, strict=True):
        if distance <= 600 and code in traffic.index:
            row = traffic.loc[code]
            vehicles = row["personal_vehicles"] + row["trucks"] + row["buses"]
            gravity += vehicles / 1e6 * np.exp(-distance / 100)
    out["border_port_gravity"] = gravity

    people = _table("county_population")
    years = [y for y in people["year"].unique() if date(y + 2, 4, 1) < as_of]
    people = people[people["year"] == max(years)].set_index("county_fips")["population"]
    counties = _table("counties")
    counties = counties[counties["state"].isin(["AZ", "CA", "NM", "TX"])]
    away = km(here, counties["lat"].to_numpy(), counties["lon"].to_numpy())
    near = away <= 240
    inhabitants = people.reindex(counties["county_fips"]).to_numpy()[near]
    out["border_hub_exposure"] = np.nansum(inhabitants * np.exp(-away[near] / 40)) / 1e6

    if as_of > date(2017, 12, 22):
        killed = _table("mexico_homicides")
        month = pd.to_datetime(killed["month"])
        public = killed[(month + pd.DateOffset(months=2)).dt.date < as_of]
        last = sorted(public["month"].unique())[-12:]
        state = ports["mexico_state"].iloc[to_ports.argmin()]
        of_year = public[public["month"].isin(last) & (public["state_code"] == state)]
        victims = of_year["firearm_homicide_victims"].sum()
        out["border_mexico_demand_1y"] = victims * np.exp(-to_ports.min() / 300)
    return out


def oracle(tables: Mapping[str, pd.DataFrame], as_of: date, dealers: Sequence[str]) -> pd.DataFrame:
    last = standing(tables["licenses"], as_of)[2]
    out = []
    for dealer in dealers:
        found = {"dealer": dealer}
        if dealer in last and pd.notna(point(last[dealer])[0]):
            found |= _one(tuple(point(last[dealer])), as_of)
        out.append(found)
    return pd.DataFrame(out).set_index("dealer")
