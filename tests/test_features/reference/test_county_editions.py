"""Two dealers of one street are in one area, whichever edition their county's code is of."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from features.domain.county import AREA_OF
from features.ingest import ingest
from features.reference import counties, county_population, urban_rural
from features.reference.geography.areas import area_of, area_sql, connecticut_zips
from features.table import build_features
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import row, write

WHEN = date(2026, 5, 15)
PLACES = (
    ("CT", "06103", "09110", "09003"),  # Hartford
    ("CT", "06066", "09110", "09013"),  # Vernon: the rest of the region
    ("CT", "06604", "09120", "09001"),
    ("CT", "06795", "09140", "09005"),  # Watertown
    ("CT", "06510", "09170", "09009"),
    ("AK", "99686", "02261", "02063"),
    ("AK", "99573", "02261", "02066"),
    ("SD", "57770", "46113", "46102"),
    ("AK", "99604", "02270", "02158"),
    ("VA", "24523", "51515", "51019"),
)  # fmt: skip
SIGNALS = ("area_rural_code", "area_people_per_km2", "area_dealers_per_100k",
           "area_pawnbroker_share_100km")  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A pair of dealers in each place, and one in each city that is a county of its own."""
    folder = tmp_path_factory.mktemp("editions")
    cities = [("VA", "24450", c, c) for c in ("51678", "51610", "51685")]
    rows = []
    for n, (state, zip_code, *codes) in enumerate([*PLACES, *cities]):
        for k, code in enumerate(codes):
            key = f"{n:02d}{k}00"
            rows.append(
                row("licenses", dealer=f"1-06-{key}", license_number="", premises_state=state,
                    premises_zip=zip_code, county_fips=code, latitude="", longitude="",
                    premises_street=f"{key} ELM ST")
            )  # fmt: skip
    ingest(write(folder, "licenses.csv", rows), folder / "w", today=date(2026, 6, 1))
    frame = build_features(Warehouse.open(folder / "w"), WHEN, families=("license", "area")).frame
    return frame.set_index("dealer")


@pytest.mark.parametrize("n", range(len(PLACES)))
def test_both_editions_give_the_same_values(n: int, built: pd.DataFrame) -> None:
    one, two = (built.loc[f"1-06-{n:02d}{k}00", list(SIGNALS)].astype(float) for k in (0, 1))
    assert one.notna().all()
    pd.testing.assert_series_equal(one, two, check_names=False)


def test_counties_of_one_place_are_counted_together(built: pd.DataFrame) -> None:
    people = county_population(WHEN)["02261"]
    dealers = built.loc["1-06-05000", "area_dealers_per_100k"]
    assert dealers * people / 1e5 == pytest.approx(
        4, rel=1e-3
    )  # two of Chugach, two of Copper River


def test_a_city_that_is_a_county_has_an_area(built: pd.DataFrame) -> None:
    assert built.loc["1-06-10000", "area_people_per_km2"] == pytest.approx(1100, rel=0.05)
    assert (built.loc[["1-06-11000", "1-06-12000"], "area_people_per_km2"] > 1000).all()


def test_every_area_is_known_to_every_table() -> None:
    areas = set(AREA_OF.values())
    known = counties().loc[sorted(areas)]
    assert known[["rucc", "area_km2", "lat", "lon"]].notna().all().all()
    assert areas <= set(county_population(WHEN).index)
    assert not areas & set(AREA_OF)
    assert urban_rural(WHEN).loc[["09003", "02261"], "rucc"].tolist() == [1, 9]


def test_people_are_neither_lost_nor_counted_twice() -> None:
    for year, state in ((2015, "46"), (2022, "02"), (2012, "51")):
        people = county_population(date(year + 2, 1, 1))
        of_state = people[people.index.str[:2] == state]
        assert not set(of_state.index) & set(AREA_OF)


def test_text_and_sql_agree() -> None:
    zips = connecticut_zips()
    rows = pd.DataFrame(
        {"c": ["09110"] * len(zips) + list(AREA_OF), "z": [*zips.index, *[None] * len(AREA_OF)]}
    )
    with duckdb.connect() as con:
        con.register("rows", rows)
        found = con.table("rows").project(area_sql("c", "z")).fetchall()
    assert [a for (a,) in found] == area_of(rows["c"], rows["z"]).tolist()


def test_a_code_of_before_is_stored_as_that_of_today(tmp_path: Path) -> None:
    path = write(tmp_path, "licenses.csv", [row("licenses", county_fips=" 46113 ")])
    ingest(path, tmp_path / "w", today=WHEN)
    assert Warehouse.open(tmp_path / "w").read("licenses")["county_fips"].to_pylist() == ["46102"]
