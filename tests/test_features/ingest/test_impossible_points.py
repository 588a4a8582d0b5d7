"""A point that cannot be where its row says is unknown, told, and the ZIP code stands in."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from features.ingest import ingest
from features.reference.geography.places import counties, states, zip_places
from features.reference.geography.state_boxes import in_state_sql
from features.table import build_features
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write

TEXAS = (29.76, -95.37)
NOWHERE = [("0", "0"), ("29.76", "95.37"), ("-95.37", "29.76"), ("29.76", ""), ("", "-95.37"),
           ("-29.76", "-95.37"), ("40.7", "-74.0")]  # fmt: skip


def stored(folder: Path, table: str, *points: tuple[str, str], **place: str) -> list[tuple]:
    """Points of rows as they are stored."""
    key = {"licenses": "dealer", "seizures": "seizure_id"}[table]
    rows = [
        row(table, latitude=lat, longitude=lon, **place)
        | {key: f"5-74-{n:05d}" if key == "dealer" else f"S{n}"}
        | ({"license_number": ""} if key == "dealer" else {})
        for n, (lat, lon) in enumerate(points)
    ]
    summary = ingest(write(folder, f"{table}.csv", rows), folder / "w", today=TODAY)
    told = [note for note in summary.files[0].notes if "points that cannot be" in note]
    read = Warehouse.open(folder / "w").read(table).sort_by(key)
    found = list(zip(read["latitude"].to_pylist(), read["longitude"].to_pylist(), strict=True))
    n_unknown = sum(f == (None, None) and p != ("", "") for f, p in zip(found, points, strict=True))
    assert len(told) == (n_unknown > 0)
    assert not told or told[0].endswith(f"taken as unknown: {n_unknown}")
    return found


def test_points_of_licenses_that_cannot_be_are_unknown_and_others_are_kept(tmp_path: Path) -> None:
    found = stored(tmp_path, "licenses", ("29.76", "-95.37"), ("", ""), *NOWHERE)
    assert found == [TEXAS, (None, None), *[(None, None)] * len(NOWHERE)]


@pytest.mark.parametrize(
    ("state", "county", "kept", "gone"),
    [
        ("AK", "02016", ("52.9", "172.9"), ("61.2", "149.9")),  # Attu; Anchorage without a minus
        ("AK", "02020", ("61.2", "-149.9"), ("0", "0")),
        ("HI", "15003", ("21.3", "-157.9"), ("21.3", "157.9")),
        ("GU", "66010", ("13.5", "144.8"), ("13.5", "-144.8")),
        ("MP", "69110", ("15.2", "145.7"), ("-15.2", "145.7")),
        ("AS", "60050", ("-14.3", "-170.7"), ("14.3", "-170.7")),
        ("PR", "72127", ("18.4", "-66.1"), ("18.4", "66.1")),
    ],
)
def test_far_states_and_territories_have_their_points(
    state: str, county: str, kept: tuple[str, str], gone: tuple[str, str], tmp_path: Path
) -> None:
    place = {"premises_state": state, "county_fips": county, "premises_zip": ""}
    found = stored(tmp_path, "licenses", kept, gone, **place)
    assert found == [(float(kept[0]), float(kept[1])), (None, None)]


def test_seizures_may_lie_in_any_state_and_nowhere_else(tmp_path: Path) -> None:
    found = stored(tmp_path, "seizures", ("27.5", "-99.5"), ("13.5", "144.8"), ("40.7", "-74.0"),
                   ("0", "0"), ("27.5", "99.5"), ("-99.5", "27.5"), ("27.5", ""))  # fmt: skip
    assert found == [(27.5, -99.5), (13.5, 144.8), (40.7, -74.0), *[(None, None)] * 4]


def test_every_county_and_zip_code_lies_in_its_state() -> None:
    import duckdb

    for places in (counties().reset_index(), zip_places().reset_index()):
        known = places[["state", "lat", "lon"]].dropna()
        known = known[known["state"].isin(states()["state"])]
        con = duckdb.connect()
        con.register("known", known)
        inside = in_state_sql("state", "lat", "lon")
        assert con.sql("FROM known").filter(f"NOT {inside}").fetchall() == []


def test_the_zip_code_stands_in_for_a_point_that_cannot_be(tmp_path: Path) -> None:
    points = (("", ""), ("0", "0"), ("29.76", ""))
    rows = [
        row("licenses", dealer=f"5-74-9000{n}", license_number="", latitude=lat, longitude=lon)
        for n, (lat, lon) in enumerate(points)
    ]
    ingest(write(tmp_path, "licenses.csv", rows), tmp_path / "w", today=TODAY)
    table = build_features(Warehouse.open(tmp_path / "w"), date(2026, 5, 1), families=("border",))
    names = [name for name in table.frame if name.startswith("border_km")]
    for name in names:
        values = table.frame[name]
        assert values.nunique(dropna=False) == 1
        assert values.iloc[0] < 2_500
