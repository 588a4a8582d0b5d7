"""Geography, offices and the day each reference series was public."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
import shapely
from pyproj import Geod

from features import reference
from features.errors import InvalidValueError
from features.reference.files import read_toml
from features.reference.geography.border_distances import earth_centered, wgs84

EL_PASO, TUCSON, NEW_YORK = (31.7587, -106.4869), (32.2226, -110.9747), (40.7128, -74.0060)


def _slow_km_to_line(lat, lon):
    """Geodesic to the line by shapely's own densification and every vertex in turn."""
    line = shapely.segmentize(reference.border_line("MX"), 0.0001)
    coordinates = shapely.get_coordinates(line)
    geod = Geod(ellps="WGS84")
    n = len(coordinates)
    return (
        geod.inv(np.full(n, lon), np.full(n, lat), coordinates[:, 0], coordinates[:, 1])[2].min()
        / 1000
    )


@pytest.mark.parametrize("point", [EL_PASO, TUCSON, NEW_YORK, (25.9, -97.5), (21.3, -157.8)])
def test_distance_to_the_line_is_the_shortest_geodesic(point):
    km = reference.km_to_mexico_line([point[0]], [point[1]])[0]
    assert km == pytest.approx(_slow_km_to_line(*point), abs=0.02)


def test_distance_moves_no_faster_than_the_point():
    """The distance to a set is 1-Lipschitz: moving d km changes it by at most d km."""
    generator = np.random.default_rng(7)
    lat, lon = generator.uniform(26, 48, 200), generator.uniform(-120, -70, 200)
    azimuth, step_m = generator.uniform(0, 360, 200), generator.uniform(100, 50_000, 200)
    lon2, lat2, _ = wgs84().fwd(lon, lat, azimuth, step_m)
    moved = reference.km_to_mexico_line(lat2, lon2) - reference.km_to_mexico_line(lat, lon)
    assert (np.abs(moved) <= step_m / 1000 + 0.006).all()


def test_nearest_port_is_the_nearest_of_all():
    table = reference.ports()
    lat, lon = (
        np.array([p[0] for p in (EL_PASO, TUCSON, NEW_YORK)]),
        np.array([p[1] for p in (EL_PASO, TUCSON, NEW_YORK)]),
    )
    km, code = reference.km_to_port(lat, lon)
    for i in range(3):
        n = len(table)
        each = wgs84().inv(np.full(n, lon[i]), np.full(n, lat[i]), table["lon"], table["lat"])[2]
        assert km[i] == pytest.approx(each.min() / 1000)
        assert code[i] == table.index[each.argmin()]
    assert code[0] == "2402"


def test_missing_points_stay_missing():
    assert np.isnan(reference.km_to_mexico_line([np.nan, 30.0], [-100.0, np.nan])).all()
    km, code = reference.km_to_port([np.nan], [np.nan])
    assert np.isnan(km[0])
    assert code[0] is None


def test_only_the_mexican_line_ships():
    with pytest.raises(InvalidValueError, match="No border line"):
        reference.border_line("CA")


def test_earth_centered_points_stand_on_the_ellipsoid():
    x, y, z = earth_centered([0.0, 90.0], [0.0, 0.0]).T
    assert np.hypot(x, y)[0] == pytest.approx(6378.137)
    assert z[1] == pytest.approx(6356.752, abs=1e-3)


def test_every_county_with_a_point_has_an_office():
    table = reference.county_office()
    located = reference.counties().dropna(subset=["lat"])
    assert set(table["county_fips"]) == set(located.index)
    assert table[["office", "division"]].notna().all().all()
    assert set(table["office"]) <= set(reference.offices().index)
    divisions = reference.offices()["division"]
    assert (divisions.reindex(table["office"]).to_numpy() == table["division"]).all()


def test_seen_counties_keep_their_office_and_visitors_are_set_aside():
    table = reference.county_office().set_index("county_fips")
    assert table.loc["12086", ["office", "is_filled"]].tolist() == ["764035", False]
    # One visit in Suffolk, Virginia was made from Newark.
    assert table.loc["51800", "division"] == "768"
    assert table.loc["51800", "is_filled"]


def test_unseen_county_takes_the_nearest_seen_county_of_its_state():
    table = reference.county_office().merge(
        reference.counties()[["state", "lat", "lon"]], left_on="county_fips", right_index=True
    )
    for _, row in table[table["is_filled"]].sample(20, random_state=3).iterrows():
        seen = table[~table["is_filled"]]
        near = seen[seen["state"] == row["state"]]
        near = near if len(near) else seen
        n = len(near)
        km = wgs84().inv(np.full(n, row["lon"]), np.full(n, row["lat"]), near["lon"], near["lat"])[
            2
        ]
        assert near.iloc[km.argmin()]["office"] == row["office"]


def test_series_show_only_what_was_public():
    for name, entry in read_toml("publication.toml").items():
        if entry["period"] == "edition":
            continue
        first = entry["first_known_on"]
        assert reference.known_before(name, first).empty
    assert reference.latest_year("county_population", date(2013, 4, 1)) == 2010
    assert reference.latest_year("county_population", date(2013, 4, 2)) == 2011


def test_homicides_by_the_new_method_begin_when_it_was_published():
    first = date(2017, 12, 22)
    assert reference.known_before("mexico_homicides", first).empty
    after = reference.known_before("mexico_homicides", first + timedelta(days=1))
    assert after["month"].max() == date(2017, 10, 1)
    assert after["month"].min() == date(2015, 1, 1)


def test_later_as_of_never_shows_less():
    days = [date(2011, 1, 1) + timedelta(days=97 * i) for i in range(50)]
    for name in ("county_population", "port_crossings", "background_checks"):
        rows = [len(reference.known_before(name, day)) for day in days]
        assert rows == sorted(rows)


def test_population_and_codes_as_of_a_date():
    assert reference.county_population(date(2010, 12, 31)).empty
    people = reference.county_population(date(2013, 5, 1))
    assert people["48201"] == pytest.approx(4_025_409, rel=0.02)  # Harris County, 2007-2011
    assert reference.urban_rural(date(2013, 5, 1)).empty
    assert reference.urban_rural(date(2025, 1, 1)).loc["48201", "rucc"] == 1


def test_mexican_coverage_never_falls():
    days = np.arange(10_000, 21_000, 30)
    share = reference.mexico_coverage(days)
    assert (np.diff(share) >= 0).all()
    assert share.min() > 0
    assert share.max() <= 1


def test_unknown_series_is_refused():
    with pytest.raises(InvalidValueError, match="did you mean 'port_crossings'"):
        reference.publication("port_crossing")


def test_every_shipped_file_has_its_source():
    from features.reference.files import DATA, FOLDER

    listed = {line.split(",")[0] for line in (FOLDER / "SOURCES.csv").read_text().splitlines()[1:]}
    assert {f"data/{path.name}" for path in DATA.iterdir()} == listed
