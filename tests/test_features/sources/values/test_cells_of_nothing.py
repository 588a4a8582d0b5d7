"""What a cell says before it is a value: nothing, a code cut by a tool, a day in a name."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SourceError
from features.ingest import ingest
from features.schema import TABLES
from features.sources.publishers.listing import listed_on_from_name
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import (
    TODAY,
    listing_later,
    listing_line,
    row,
    write,
)
from tests.test_features.sources.mappings.test_mappings_of_a_clerk import mapping, stored

CELLS = ("Y", "n", "q", "", "N/A", "NULL", None)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ('other = "false"', (True, False, False, None, None, None, None)),
        ('other = "false"\ndefault = "true"', (True, False, False, True, True, True, True)),
        ("", (True, False)),
    ],
)
def test_any_other_value_is_no_empty_cell(
    rest: str, expected: tuple[bool | None, ...], form: str, tmp_path: Path
) -> None:
    cells = CELLS[: len(expected)]
    entries = {name: f'from = "{name}"' for name in row("traces")}
    entries["is_purchaser_possessor"] = (
        f'from = "is_purchaser_possessor"\nvalues = {{ Y = "true", N = "false" }}\n{rest}'
    )
    rows = [
        row("traces", trace_id=f"T{n}") | {"is_purchaser_possessor": cell}
        for n, cell in enumerate(cells)
    ]
    path = tmp_path / f"export.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        pd.DataFrame(rows).to_csv(path, index=False)
    own = mapping(tmp_path, table="traces", **entries)
    ingest(path, tmp_path / "w", mapping=own, today=TODAY)
    found = {r["trace_id"]: r["is_purchaser_possessor"] for r in stored(tmp_path, "traces")}
    assert [found[f"T{n}"] for n in range(len(cells))] == list(expected)


def test_a_word_for_nothing_that_is_told_as_a_code_is_one(tmp_path: Path) -> None:
    entries = {name: f'from = "{name}"' for name in row("traces")}
    entries["caliber"] = 'from = "caliber"\nvalues = { "N/A" = "not measured" }\nother = "known"'
    own = mapping(tmp_path, table="traces", **entries)
    rows = [row("traces", trace_id=f"T{n}", caliber=c) for n, c in enumerate(("N/A", "9mm", "-"))]
    ingest(write(tmp_path, "x.csv", rows), tmp_path / "w", mapping=own, today=TODAY)
    found = {r["trace_id"]: r["caliber"] for r in stored(tmp_path, "traces")}
    assert found == {"T0": "not measured", "T1": "known", "T2": None}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_collectors_are_set_aside_however_their_type_is_written(form: str, tmp_path: Path) -> None:
    """A type with a hole in the column is a float in many programs."""
    types = ("1.0", "3.0", "7.0") if form == "csv" else (1.0, 3.0, 7.0)
    rows = [
        row("licenses", dealer=f"5-74-9000{n}", license_number="") | {"license_type": kind}
        for n, kind in enumerate(types)
    ]
    path = tmp_path / f"licenses.{form}"
    frame = pd.DataFrame(rows).drop(columns="license_number")
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    (counts,) = ingest(path, tmp_path / "w", today=TODAY).files[0].tables
    assert (counts.n_stored, counts.n_set_aside, counts.n_rejected) == (2, 1, 0)


@pytest.mark.parametrize("slip", ["030", "037", "3.7"])
def test_a_slip_of_the_pen_is_no_collector(slip: str, tmp_path: Path) -> None:
    rows = [row("licenses"), row("licenses", dealer="5-74-90002", license_type=slip)]
    rows[1]["license_number"] = ""
    path = write(tmp_path, "licenses.csv", rows)
    (counts,) = ingest(path, tmp_path / "w", today=TODAY, max_rejects=0.5).files[0].tables
    assert (counts.n_set_aside, counts.reasons) == (0, {"unknown_type": 1})


def test_a_county_that_is_too_long_is_not_cut(tmp_path: Path) -> None:
    lines = [listing_line(1), listing_line(2, cnty="0591")]
    header, *rest = listing_later(lines).splitlines()
    at = header.split(",").index("LIC_XPRDTE")  # of the half year without one
    text = "\n".join(
        ",".join(f for n, f in enumerate(_fields(r)) if n != at) for r in (header, *rest)
    )
    path = tmp_path / "0614-ffl-list.csv"
    path.write_text(text + "\n")
    (counts,) = ingest(path, tmp_path / "w", today=TODAY, max_rejects=0.5).files[0].tables
    assert (counts.n_stored, counts.reasons) == (1, {"out_of_range": 1})


def _fields(line: str) -> list[str]:
    return line.replace('"INVENTED, ONE"', "INVENTED ONE").split(",")


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("20240615-ffl.csv", date(2024, 6, 15)),
        ("ffl-list-2024-06-15.csv", date(2024, 6, 15)),
        ("2024_06_01.txt", date(2024, 6, 1)),
        ("ffl 2024.06.csv", date(2024, 6, 1)),
        ("2024-06-1.csv", date(2024, 6, 1)),
        ("0624-ffl-list_20240615.csv", date(2024, 6, 15)),
    ],
)
def test_a_day_in_a_name_is_the_day(name: str, day: date) -> None:
    assert listed_on_from_name(name) == day


@pytest.mark.parametrize("name", ["ffl-2024-02-30.csv", "2024-06-15_2024-06-16.csv"])
def test_a_name_without_one_day_is_asked_about(name: str) -> None:
    with pytest.raises(SourceError, match="--listed-on"):
        listed_on_from_name(name)


def test_two_listings_of_a_month_stand_side_by_side(tmp_path: Path) -> None:
    for day, name in (("01", "ONE"), ("15", "TWO")):
        path = tmp_path / f"202406{day}-ffl.csv"
        path.write_text(listing_later([listing_line(1, business=name)]))
        ingest(path, tmp_path / "w", today=TODAY)
    warehouse = Warehouse.open(tmp_path / "w")
    assert sorted(warehouse.read("licenses")["business_name"].to_pylist()) == ["ONE", "TWO"]
    early = warehouse.read("licenses", as_of=date(2024, 6, 5))
    assert early["business_name"].to_pylist() == ["ONE"]


def test_a_name_of_another_month_than_was_given_is_told(tmp_path: Path) -> None:
    for name, is_told in (("0524-ffl-list.csv", True), ("0624-ffl-list.csv", False)):
        path = tmp_path / name
        path.write_text(listing_later([listing_line(1)]))
        told = ingest(path, tmp_path / name[:4], listed_on=date(2024, 6, 3), today=TODAY)
        assert any("its name tells of May 2024" in n for n in told.files[0].notes) == is_told


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_name_that_a_program_took_for_a_float_finds_its_own(form: str, tmp_path: Path) -> None:
    """A column of whole numbers with a hole in it is one of floats in many programs."""

    def told(table: str, *rows: dict[str, object]) -> Path:
        path = tmp_path / f"{table}.{form}"
        frame = pd.DataFrame(rows)
        frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
        return path

    for path in (
        write(tmp_path, "traces.csv", [row("traces", trace_id="123")]),
        write(tmp_path, "inspections.csv", [row("inspections", inspection_id="45")]),
        told("seizures", row("seizures") | {"trace_id": 123.0},
             row("seizures", seizure_id="S2") | {"trace_id": None}),
        told("ballistic_leads", row("ballistic_leads") | {"trace_id": 123.0}),
        told("violations", row("violations") | {"inspection_id": 45.0}),
    ):  # fmt: skip
        summary = ingest(path, tmp_path / "w", today=TODAY)
        assert summary.counts["rejected"] == 0
    warehouse = Warehouse.open(tmp_path / "w")
    assert warehouse.read("seizures").sort_by("seizure_id")["trace_id"].to_pylist() == ["123", None]
    assert warehouse.read("ballistic_leads")["trace_id"].to_pylist() == ["123"]
    assert warehouse.read("violations")["inspection_id"].to_pylist() == ["45"]


def test_a_name_with_a_dot_in_it_stays(tmp_path: Path) -> None:
    names = ["1.2", "A.0", "1.00", ".0"]
    rows = [row("traces", trace_id=name) for name in names]
    ingest(write(tmp_path, "traces.csv", rows), tmp_path / "w", today=TODAY)
    found = Warehouse.open(tmp_path / "w").read("traces")["trace_id"].to_pylist()
    assert sorted(found) == sorted(names)


def test_a_float_that_is_no_number_is_nothing(tmp_path: Path) -> None:
    """Programs that know no other hole in a column of numbers write it."""
    hole = float("nan")
    visits = row("inspections") | {"hours": hole, "office": hole, "inspection_id": 7.0}
    visits |= {"firearms_unaccounted_final": hole, "inclusion_probability": hole}
    seizure = row("seizures") | {"trace_id": hole, "latitude": hole, "longitude": hole}
    for table, one in (("inspections", visits), ("seizures", seizure)):
        path = tmp_path / f"{table}.parquet"
        pq.write_table(pa.Table.from_pylist([one]), path)
        assert ingest(path, tmp_path / "w", today=TODAY).counts["rejected"] == 0
        (stored_row,) = Warehouse.open(tmp_path / "w").read(table).to_pylist()
        assert all(stored_row[name] is None for name, cell in one.items() if cell is hole)
        assert stored_row["agency" if table == "seizures" else "inspection_id"] in ("CBP", "7")


@pytest.mark.parametrize("is_joined", [False, True])
def test_texts_that_a_program_wrote_as_bytes_are_texts(is_joined: bool, tmp_path: Path) -> None:
    rows = [
        row("traces", trace_id="T1", recovery_place=" N/A ", manufacturer=" MU\u00d1OZ "),
        row("traces", trace_id="T2", caliber="9mm"),
        row("traces", trace_id="T3"),
    ]
    table = pa.Table.from_pylist([{k: v.encode() for k, v in one.items()} for one in rows])
    broken = pa.array([b"A", b"B", b"MU\xd1OZ"])
    table = table.set_column(table.schema.get_field_index("crime_code"), "crime_code", broken)
    path, own = tmp_path / "traces.parquet", None
    if is_joined:
        keys = pa.table({"NR": ["T1", "T2", "T3"]})
        pq.write_table(table, tmp_path / "other.parquet")
        path = tmp_path / "export.parquet"
        join = '[[join]]\nfile = "other.parquet"\nleft = "NR"\nright = "trace_id"'
        pq.write_table(keys, path)
        entries = {name: f'from = "{name}"' for name in rows[0]} | {"trace_id": 'from = "NR"'}
        own = mapping(tmp_path, join, table="traces", **entries)
    else:
        pq.write_table(table, path)
    summary = ingest(path, tmp_path / "w", mapping=own, today=TODAY, max_rejects=0.5)
    assert summary.files[0].tables[0].reasons == {"undecodable": 1}
    one, two = sorted(stored(tmp_path, "traces"), key=lambda r: r["trace_id"])
    assert (one["manufacturer"], one["recovery_place"]) == ("MU\u00d1OZ", None)
    assert (two["trace_id"], two["caliber"]) == ("T2", "9mm")


@pytest.mark.parametrize("filled", ["999999", "99999999", "999999999", "2147483647"])
def test_a_count_filled_up_is_out_of_range(filled: str, tmp_path: Path) -> None:
    """What programs write where a count is unknown would weigh more than all dealers together."""
    # A ship's load can be stolen, and one inspection cite every line of the books of years.
    can_be = {("thefts_losses", "n_firearms")}
    if filled == "999999":
        can_be.add(("violations", "instances"))
    wanted = [
        (table.name, column.name)
        for table in TABLES.values()
        for column in table.columns
        if column.kind == "integer" and (table.name, column.name) not in can_be
    ]
    assert len(wanted) >= 8
    visit = write(tmp_path, "inspections.csv", [row("inspections", inspection_id="I0")])
    ingest(visit, tmp_path / "w", today=TODAY)
    for table, column in wanted:
        link = {"inspection_id": "I0"} if table == "violations" else {}
        path = write(tmp_path / column, f"{table}.csv", [row(table, **link, **{column: filled})])
        summary = ingest(path, tmp_path / "w", today=TODAY, max_rejects=1.0)
        assert summary.files[0].tables[0].reasons == {"out_of_range": 1}, column
