from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SourceError
from features.public_records import files as public_records
from features.schema import TABLES
from features.sources.files.source_file import inspect
from features.sources.privacy import person_columns
from features.sources.publishers.listing import listed_on_from_name, normalized
from features.sources.recognition import Choices, recognize
from features.sources.rows.delimited import OddRows
from tests.test_features.ingest_samples import (
    ROWS,
    listing_2013,
    listing_later,
    listing_line,
    write,
)


@pytest.mark.parametrize("table", list(TABLES))
def test_every_table_is_known_by_its_name(table: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{table}.csv", [ROWS[table]])
    layout, names = recognize(inspect(path, path.name), Choices())
    assert (layout.name, layout.plans[0].table) == (f"canonical {table}", table)
    assert names == list(TABLES[table].names)


@pytest.mark.parametrize("table", sorted(set(TABLES) - {"violations"}))
def test_every_table_is_known_by_its_header(table: str, tmp_path: Path) -> None:
    path = write(tmp_path, "export_7.csv", [ROWS[table]])
    layout, _ = recognize(inspect(path, path.name), Choices())
    assert layout.plans[0].table == table


def test_published_layouts_are_known_by_their_headers(tmp_path: Path) -> None:
    names = [recognize(inspect(p, p.name), Choices())[0].name for p in public_records()]
    assert names == ["inspection records", "listing 2013"]
    for text, name in ((listing_2013, "listing 2013"), (listing_later, "listing")):
        path = tmp_path / "0224-ffl-list.txt"
        path.write_text(text([listing_line(1)]))
        layout, _ = recognize(inspect(path, path.name), Choices())
        assert (layout.name, layout.options["listed_on"]) == (name, "2024-02-01")


def test_a_header_that_fits_several_tables_asks_which(tmp_path: Path) -> None:
    both = ROWS["sales_volume"] | ROWS["denials"]
    path = write(tmp_path, "both.csv", [both])
    with pytest.raises(SourceError, match="sales_volume, denials"):
        recognize(inspect(path, path.name), Choices())


@pytest.mark.parametrize(
    ("name", "month"),
    [
        ("0513-ffl-list.txt", date(2013, 5, 1)),
        ("0513-ffl-list-complete.csv", date(2013, 5, 1)),
        ("folder/1223-ffl-list.txt", date(2023, 12, 1)),
        ("country.zip!0124-ffl-list.txt", date(2024, 1, 1)),
        ("atf_listing_2013-05.txt.gz", date(2013, 5, 1)),
        ("listing_2013-13.txt", None),
        ("listing.txt", None),
    ],
)
def test_the_month_of_a_listing_is_read_from_its_name(name: str, month: date | None) -> None:
    assert listed_on_from_name(name) == month


@pytest.mark.parametrize(
    "name",
    [
        "purchaser_name", "Purchaser Last Name", "BUYER_DOB", "possessorFirstName", "ssn",
        "date_of_birth", "DriversLicense", "passport no", "Name", "customer id", "full_name",
        "Individual Identifier", "maiden name", "social security number", "PURCHASERNAME",
        "BUYERLASTNAME", "Cust Name", "PURCHASER", "Buyer", "NOMBRE", "APELLIDO_PATERNO",
        "APELLIDOPATERNO", "FECHA_NACIMIENTO", "Nombre del Comprador", "CURP", "RFC",
        "Geburtsdatum", "K\u00e4ufer Name", "Pr\u00e9nom",
    ],
)  # fmt: skip
def test_names_of_columns_about_persons(name: str) -> None:
    assert person_columns([name]) == [name]


def test_no_column_of_the_contract_is_about_a_person() -> None:
    for table in set(TABLES) - {"licenses", "area_covariates"}:
        assert person_columns(TABLES[table].names) == []
    others = [
        "Manufacturer Name", "Agency Name", "FFL Number", "Recovery City", "AGENCYNAME", "FILENAME",
        "CASENUMBER", "Purchaser Is Possessor", "BUYER_STATE", "NOMBRE_DEPENDENCIA", "SERIALNO",
    ]  # fmt: skip
    assert person_columns(others) == []


def test_both_listing_headers_normalize_alike() -> None:
    assert normalized("Lic Regn") == normalized("LIC_REGN") == "lic_regn"


@given(
    widths=st.lists(st.sampled_from("ggggob"), max_size=30),
    ends=st.integers(0, 3),
    n_batches=st.integers(1, 4),
)
def test_line_numbers_stay_right_around_odd_rows(
    widths: list[str], ends: int, n_batches: int
) -> None:
    """Good rows keep their physical line whatever odd or broken rows stand between them."""
    odd = OddRows(2, 1)
    line, number, lines, numbers = 2, 2, [], []
    for kind in widths:
        if kind == "o":
            odd.take(type("Row", (), {"number": number, "actual_columns": 3, "text": "x"}))
        else:
            lines.append(line)
            numbers.append(number)
            if kind == "b":
                odd.swallowed.append((number, ends))
                line += ends
        line, number = line + 1, number + 1
    got, following = [], 2
    size = max(1, len(numbers) // n_batches)
    for start in range(0, len(numbers), size):
        part, following = odd.numbers(following, len(numbers[start : start + size]))
        got += part.tolist()
    assert got == numbers
    assert odd.lines(got).tolist() == lines
