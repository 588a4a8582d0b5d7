"""Where invented dealers stand: real counties and ZIP codes, a point within the ZIP code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.spatial import cKDTree

from features.arrays import Floats, Ints
from features.reference import files
from features.reference.geography import places
from features.reference.geography.border_distances import border_line, earth_centered
from features.simulation.country.options import Options

Texts = npt.NDArray[np.object_]

# Interior metropolitan areas and border cities that supply Mexico: lat, lon, weight. The weights
# order them as the counts by city of 2015-22 do (Houston, Tucson, Phoenix, El Paso, San Antonio).
HUBS: Final = np.array(
    [
        (29.76, -95.37, 1.6),
        (32.22, -110.97, 3.0),
        (33.45, -112.07, 1.0),
        (31.76, -106.49, 5.5),
        (29.42, -98.49, 1.6),
        (26.20, -98.23, 5.0),
        (32.78, -96.80, 0.7),
        (32.72, -117.16, 1.5),
    ]
)
# A number that no real listing holds: its sequence opens with a letter of this block.
RESERVED_LETTERS: Final = "QRSTUVWXYZ"
_TERRITORY_DISTRICTS: Final = {"PR": ("1", "66"), "VI": ("1", "66"), "DC": ("1", "54")}


@dataclass(frozen=True)
class Places:
    """ZIP codes that may hold dealers, with what the generator asks of them; arrays of shape (z,).

    Parameters
    ----------
    frame : DataFrame
        ``state``, ``county_fips``, ``zip``, ``city``, ``lat``, ``lon``, ``office``.
    weight : ndarray
        Chance that a dealer stands there, summing to one.
    state, office : ndarray of int
        Codes into `states` and `offices`.
    districts : tuple of ndarray of int
        First district code and number of districts of each state, into `district_names`.
    km : ndarray
        Distance to the US-Mexico line, km.
    is_urban : ndarray of bool
        In a large or medium metropolitan county.
    city_crime : ndarray
        How readily the firearms sold there are recovered and traced; mean one.
    pull : ndarray
        Draw of Mexican demand: nearness to the line and to the hubs.
    """

    frame: pd.DataFrame
    weight: Floats
    state: Ints
    states: Texts
    office: Ints
    offices: Texts
    districts: tuple[Ints, Ints]
    district_names: Texts
    km: Floats
    is_urban: npt.NDArray[np.bool_]
    city_crime: Floats
    pull: Floats


@lru_cache(maxsize=2)
def known_places(year: int) -> Places:
    """Return the places of the country, weighted by the dealers counted there in a year."""
    counted = files.read_table("dealers_by_county")
    year = int(np.clip(year, counted["year"].min(), counted["year"].max()))
    weight = counted[counted["year"] == year].set_index("county_fips")["n_dealers"]
    office = places.county_office().set_index("county_fips")["office"]
    zips = places.zip_places().reset_index().dropna(subset=["county_fips", "lat", "lon"])
    zips = zips.assign(county_fips=_old_counties(zips))
    is_used = zips["county_fips"].isin(weight.index[weight > 0])
    zips = zips[is_used & zips["county_fips"].isin(office.index)]
    zips = zips.sort_values(["county_fips", "zip"], ignore_index=True)
    n_zips = zips.groupby("county_fips")["zip"].transform("size")
    p = zips["county_fips"].map(weight).to_numpy(np.float64) / n_zips.to_numpy(np.float64)
    nchs = places.counties()["nchs"].reindex(zips["county_fips"]).fillna(6).to_numpy(np.int64)
    lat, lon = zips["lat"].to_numpy(np.float64), zips["lon"].to_numpy(np.float64)
    km = _km_to_line(lat, lon)
    state, states = pd.factorize(zips["state"].astype(object), sort=True)
    office_code, offices = pd.factorize(zips["county_fips"].map(office).astype(object), sort=True)
    first, n, names = _districts(np.asarray(states, dtype=object))
    return Places(
        zips[["county_fips", "zip", "city", "lat", "lon"]].assign(
            state=zips["state"].astype(object)
        ),
        p / p.sum(),
        state.astype(np.int64),
        np.asarray(states, dtype=object),
        office_code.astype(np.int64),
        np.asarray(offices, dtype=object),
        (first, n),
        names,
        km,
        nchs <= 3,
        np.array([0.0, 1.9, 1.25, 1.1, 0.8, 0.5, 0.35])[nchs],
        _pull(lat, lon, km),
    )


def _km_to_line(lat: Floats, lon: Floats) -> Floats:
    """Distance to the US-Mexico line to about a kilometer: enough to draw demand by."""
    line = np.asarray(border_line("MX").segmentize(0.02).coords)
    tree = cKDTree(earth_centered(line[:, 1], line[:, 0]))
    return np.asarray(tree.query(earth_centered(lat, lon))[0], dtype=np.float64)


def _old_counties(zips: pd.DataFrame) -> Texts:
    """Return counties, Connecticut's as the listing has them: the nearest of its old counties."""
    county = zips["county_fips"].to_numpy(object).copy()
    old = places.counties()
    old = old[(old["state"] == "CT") & (old.index.str[2:].astype(int) < 100)]
    is_ct = (zips["state"] == "CT").to_numpy()
    tree = cKDTree(old[["lat", "lon"]].to_numpy())
    county[is_ct] = old.index.to_numpy(object)[tree.query(zips.loc[is_ct, ["lat", "lon"]])[1]]
    return county


def _districts(states: Texts) -> tuple[Ints, Ints, Texts]:
    """Return the first district and number of districts of each state, and ``R-DD`` names."""
    table = pd.read_csv(files.DATA / "license_districts.csv", dtype=str).dropna(subset=["state"])
    first, n = [], []
    names: list[str] = []
    for state in states:
        rows = table[table["state"] == state]
        found = [f"{r}-{d}" for r, d in zip(rows["lic_regn"], rows["lic_dist"], strict=True)]
        if not found:  # a district shared with another state or territory
            found = ["-".join(_TERRITORY_DISTRICTS.get(state, ("9", "98")))]
        first.append(names.index(found[0]) if found[0] in names else len(names))
        n.append(len(found))
        names += [name for name in found if name not in names]
    return np.array(first), np.array(n), np.array(names, dtype=object)


def _pull(lat: Floats, lon: Floats, km: Floats) -> Floats:
    east = (lon[:, None] - HUBS[:, 1]) * np.cos(np.radians(lat))[:, None]
    away = 111.2 * np.hypot(lat[:, None] - HUBS[:, 0], east)
    hubs = (HUBS[:, 2] * np.exp(-away / 40.0)).sum(axis=1)
    return np.asarray(0.05 + 4.0 * np.exp(-km / 80.0) + 2.2 * hubs, dtype=np.float64)


def draw(rng: np.random.Generator, n: int, options: Options) -> Ints:
    """Draw the places of `n` dealers, as indices into the known places."""
    known = known_places(options.end.year)
    return rng.choice(len(known.weight), n, p=known.weight).astype(np.int64)
