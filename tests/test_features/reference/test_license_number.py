from __future__ import annotations

from datetime import date

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.domain.license_number import (
    MONTH_LETTERS,
    LicenseNumber,
    dealer_sql,
    expires_on_sql,
    number_sql,
    parse,
    parse_column,
)
from features.errors import InvalidValueError

digits = st.sampled_from("0123456789")
numbers = st.builds(
    LicenseNumber,
    region=st.sampled_from("123456789"),
    district=st.text(digits, min_size=2, max_size=2),
    county=st.text(digits, min_size=3, max_size=3),
    license_type=st.sampled_from(["01", "02", "03", "06", "07", "08", "09", "10", "11"]),
    expiry_code=st.builds(str.__add__, digits, st.sampled_from(MONTH_LETTERS)),
    sequence=st.text(digits, min_size=5, max_size=5),
)
days = st.dates(date(1990, 1, 1), date(2060, 12, 31))


def spellings(number: LicenseNumber) -> list[str]:
    compact = number.text.replace("-", "")
    return [number.text, compact, f"{compact[:8]} {compact[8:]}", number.text.lower()]


@given(numbers)
def test_every_spelling_reads_as_the_same_number(number: LicenseNumber) -> None:
    assert {parse(text) for text in spellings(number)} == {number}
    assert parse(f"  {number.text} ").dealer == number.dealer


@pytest.mark.slow
@given(numbers)
def test_printed_number_round_trips_in_a_column_and_in_sql(number: LicenseNumber) -> None:
    texts = [*spellings(number), "nonsense", None]
    column = parse_column(texts)
    expected = [number.text] * 4 + [None, None]
    assert column["text"].to_pylist() == expected
    assert column["dealer"].to_pylist() == [number.dealer] * 4 + [None, None]
    assert column["county"].to_pylist() == [number.county] * 4 + [None, None]
    table = pa.table({"x": pa.array(texts, pa.string())})
    with duckdb.connect() as con:
        con.register("t", table)
        rows = con.table("t").project(f"{number_sql('x')}, {dealer_sql('x')}").fetchall()
        key = con.execute(f"SELECT {dealer_sql('$1')}", [number.dealer.lower()]).fetchone()
    assert [r[0] for r in rows] == expected
    assert [r[1] for r in rows] == column["dealer"].to_pylist()
    assert key == (number.dealer,)


@pytest.mark.slow
@given(numbers, days)
def test_expiry_keeps_its_digit_and_month_and_lies_in_one_decade(
    number: LicenseNumber, reference: date
) -> None:
    expiry = number.expires_on(reference)
    assert expiry.year % 10 == int(number.expiry_code[0])
    assert MONTH_LETTERS[expiry.month - 1] == number.expiry_code[1]
    assert expiry.day == 1
    ahead = (expiry.year - reference.year) * 12 + expiry.month - reference.month
    assert -72 <= ahead <= 48
    with duckdb.connect() as con:
        sql = f"SELECT {expires_on_sql('$1', 'CAST($2 AS DATE)')}"
        (in_sql,) = con.execute(sql, [number.expiry_code, reference]).fetchone()  # type: ignore[misc]
    assert in_sql == expiry


@pytest.mark.parametrize(
    ("code", "reference", "expiry"),
    [
        ("4L", date(2013, 5, 1), date(2014, 11, 1)),
        ("6A", date(2013, 5, 1), date(2016, 1, 1)),
        ("2M", date(2013, 5, 1), date(2012, 12, 1)),
        ("8E", date(2013, 5, 1), date(2008, 5, 1)),
        ("0A", date(2019, 12, 31), date(2020, 1, 1)),
    ],
)
def test_expiry_code_is_read_relative_to_a_day_of_use(
    code: str, reference: date, expiry: date
) -> None:
    assert parse(f"1-56-059-01-{code}-21093").expires_on(reference) == expiry


@pytest.mark.parametrize(
    "text",
    [
        "1-56-059-01-6F-2109",  # too short
        "1-56-059-01-6F-210934",  # too long
        "1-56-059-01-6I-21093",  # no month I
        "0-56-059-01-6F-21093",  # no region 0
        "1-56-059-01-FF-21093",
        "",
    ],
)
def test_wrong_numbers_are_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(InvalidValueError, match="R-DD-CCC-TT-YM-SSSSS"):
        parse(text)
    assert parse_column([text])["text"].to_pylist() == [None]


def test_the_message_says_how_long_a_number_of_wrong_length_is() -> None:
    with pytest.raises(InvalidValueError, match="14 letters and digits"):
        parse("1-56-059-01-6F-2109")


def test_columns_of_pandas_and_arrow_are_read_alike() -> None:
    texts = ["15605901 6F21093", None]
    expected = parse_column(texts)
    assert parse_column(pd.Series(texts)).equals(expected)
    assert parse_column(pa.chunked_array([texts])).equals(expected)
