"""Values as other programs leave them: words for nothing, marks of no date, instants."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SourceError
from features.ingest import ingest
from features.ingest.checking.advice import COUNTED
from features.reference.geography.state_codes import state_codes
from features.schema import TABLES
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import (
    TODAY,
    row,
    workbook,
    write,
)

NOTHING = ("NULL", "null", "N/A", "#N/A", "NA", "None", "-", "--", "(null)", "\\N", "NaN", "n.a.")


@pytest.mark.parametrize("form", ["csv", "parquet", "xlsx"])
def test_words_for_nothing_are_no_values(form: str, tmp_path: Path) -> None:
    rows = [
        row("traces", trace_id=f"T{n}", purchaser_token=word, dealer=word, recovery_state=word,
            caliber=word, sold_on=word, is_fifty_caliber=word, manufacturer="NA GUNS")
        for n, word in enumerate(NOTHING)
    ]  # fmt: skip
    path = tmp_path / f"traces.{form}"
    if form == "csv":
        write(tmp_path, path.name, rows)
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        workbook(path, {"Sheet1": [list(rows[0]), *(list(r.values()) for r in rows)]})
    ingest(path, tmp_path / "w", today=TODAY)
    stored = Warehouse.open(tmp_path / "w").read("traces").to_pylist()
    assert len(stored) == len(NOTHING)
    names = (
        "purchaser_token",
        "dealer",
        "recovery_state",
        "caliber",
        "sold_on",
        "is_fifty_caliber",
    )
    assert {tuple(r[name] for name in names) for r in stored} == {(None,) * 6}
    assert {r["manufacturer"] for r in stored} == {"NA GUNS"}
    assert {r["serial_status"] for r in stored} == {"legible"}


def test_a_word_that_is_a_code_or_a_name_stays(tmp_path: Path) -> None:
    named = row("licenses", business_name="NA Guns", licensee_name="NULL, JANE")
    found = row("inspections", outcome="NONE", recommended_outcome="None", office="-")
    abroad = row("traces", recovery_country="NA", recovery_state="", serial_status="None")
    for table, one in (("licenses", named), ("inspections", found), ("traces", abroad)):
        ingest(write(tmp_path, f"{table}.csv", [one]), tmp_path / "w", today=TODAY)
    warehouse = Warehouse.open(tmp_path / "w")
    (one,) = warehouse.read("licenses").to_pylist()
    assert (one["business_name"], one["licensee_name"]) == ("NA Guns", "NULL, JANE")
    (two,) = warehouse.read("inspections").to_pylist()
    assert (two["outcome"], two["recommended_outcome"], two["office"]) == ("none", "none", None)
    (three,) = warehouse.read("traces").to_pylist()
    assert (three["recovery_country"], three["serial_status"]) == ("NA", "none")


@pytest.mark.parametrize("token", ["UNKNOWN", "0000000000", "xxxx", "REDACTED", "null", "withheld"])
def test_a_word_is_no_buyer(token: str, tmp_path: Path) -> None:
    """One word in the place of a hash would make one buyer of all."""
    rows = [row("traces", trace_id=f"T{n}", purchaser_token=token) for n in range(3)]
    ingest(write(tmp_path, "traces.csv", rows), tmp_path / "w", today=TODAY)
    read = Warehouse.open(tmp_path / "w").read("traces")
    assert read["purchaser_token"].to_pylist() == [None] * 3


MARKS = ("1900-01-01", "1899-12-30", "1753-01-01", "0001-01-01", "9999-12-31", "1970-01-01",
         "1601-01-01", "0000-00-00", "00/00/0000", "1900-01-01 00:00:00")  # fmt: skip


def test_a_mark_of_no_date_is_no_date(tmp_path: Path) -> None:
    rows = [
        row("traces", trace_id=f"T{n}", sold_on=mark, recovered_on=mark, completed_on=mark)
        for n, mark in enumerate(MARKS)
    ]
    summary = ingest(write(tmp_path, "traces.csv", rows), tmp_path / "w", today=TODAY)
    stored = Warehouse.open(tmp_path / "w").read("traces").to_pylist()
    assert len(stored) == len(MARKS)
    assert {(r["sold_on"], r["recovered_on"], r["completed_on"]) for r in stored} == {(None,) * 3}
    assert {r["known_on"] for r in stored} == {date(2025, 3, 15)}  # 14 days after the request
    assert f"taken as unknown: {len(MARKS)} in completed_on" in summary.files[0].notes[0]


def test_a_required_date_that_is_a_mark_is_missing(tmp_path: Path) -> None:
    rows = [row("traces", trace_id=f"T{n}") for n in range(9)]
    rows.append(row("traces", trace_id="T9", requested_on="1900-01-01"))
    summary = ingest(write(tmp_path, "traces.csv", rows), tmp_path / "w", today=TODAY)
    assert summary.files[0].tables[0].reasons == {"missing_required": 1}


def test_an_end_that_never_comes_is_open(tmp_path: Path) -> None:
    path = write(tmp_path, "holds.csv", [row("holds", ends_on="9999-12-31")])
    ingest(path, tmp_path / "w", today=TODAY)
    assert Warehouse.open(tmp_path / "w").read("holds")["ends_on"].to_pylist() == [None]


@pytest.mark.parametrize("zone", ["UTC", "America/Chicago", "Asia/Tokyo", "+05:30"])
def test_an_instant_is_a_day_of_its_own_zone(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late in the evening and early in the morning there, whatever the machine's own zone is."""
    import time

    times = [datetime(2025, 4, 1, 0, 30), datetime(2025, 4, 1, 23, 30)]  # noqa: DTZ001 - local
    local = pa.array(times, pa.timestamp("us"))
    column = local.cast(pa.timestamp("us", zone)) if zone == "UTC" else _in_zone(times, zone)
    rows = [row("seizures", seizure_id=f"S{n}") for n in range(2)]
    table = pa.Table.from_pylist(rows)
    at = table.column_names.index("seized_on")
    pq.write_table(table.set_column(at, "seized_on", column), tmp_path / "seizures.parquet")
    made = set()
    for machine in ("UTC", "America/Los_Angeles", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", machine)
        time.tzset()
        folder = tmp_path / machine
        summary = ingest(tmp_path / "seizures.parquet", folder, today=TODAY)
        made.add(summary.fingerprint)
        read = Warehouse.open(folder).read("seizures")
        assert set(read["seized_on"].to_pylist()) == {date(2025, 4, 1)}
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert len(made) == 1


def _in_zone(times: list[datetime], zone: str) -> pa.Array:
    from datetime import timedelta, timezone
    from zoneinfo import ZoneInfo

    own = timezone(timedelta(hours=5, minutes=30)) if zone.startswith("+") else ZoneInfo(zone)
    return pa.array([t.replace(tzinfo=own) for t in times], pa.timestamp("us", zone))


@pytest.mark.parametrize(
    ("texts", "stored"),
    [
        (["1.000", "3"], None),  # a thousand, or one: nobody knows
        (["1.000", "7.0"], [1, 7]),
        (["1.000", "1.500", "7.0"], None),
        (["7.00", "3.", "1234.000"], [7, 3, 1234]),
        (["1.000.000", "3"], None),
    ],
)
def test_a_dot_among_whole_numbers_is_not_guessed(
    texts: list[str], stored: list[int] | None, tmp_path: Path
) -> None:
    rows = [row("thefts_losses", report_id=f"L{n}", n_firearms=t) for n, t in enumerate(texts)]
    path = write(tmp_path, "thefts_losses.csv", rows)
    if stored is None:
        with pytest.raises(SourceError, match=r'thousands = "[.]"'):
            ingest(path, tmp_path / "w", today=TODAY)
        return
    ingest(path, tmp_path / "w", today=TODAY)
    read = Warehouse.open(tmp_path / "w").read("thefts_losses").sort_by("report_id")
    assert read["n_firearms"].to_pylist() == stored


@pytest.mark.parametrize(
    ("setting", "text", "stored"),
    [
        ('thousands = "."', "1.000", 1000),
        ('decimal = "."', "1.000", 1),
        ('decimal = ","', "1,000", 1),
        ('thousands = ","', "1,000", 1000),
        ('thousands = ","', "1.000", 1),
        ('thousands = "\'"', "1'000", 1000),
        ('thousands = " "', "1 000", 1000),
    ],
)
def test_a_mapping_says_what_a_dot_is(setting: str, text: str, stored: int, tmp_path: Path) -> None:
    names = [name for name in row("thefts_losses") if name != "n_firearms"]
    own = tmp_path / "own.toml"
    own.write_text(
        'table = "thefts_losses"\n'
        + "".join(f'[columns.{name}]\nfrom = "{name}"\n' for name in names)
        + f'[columns.n_firearms]\nfrom = "n_firearms"\n{setting}\n'
    )
    path = write(tmp_path, "e.csv", [row("thefts_losses", n_firearms=text)])
    ingest(path, tmp_path / "w", mapping=own, today=TODAY)
    assert Warehouse.open(tmp_path / "w").read("thefts_losses")["n_firearms"].to_pylist() == [
        stored
    ]
    own.write_text(own.read_text().replace(setting, ""))
    with pytest.raises(SourceError, match="thousands = "):
        ingest(path, tmp_path / "w2", mapping=own, today=TODAY)


def test_decimals_of_a_typed_column_are_not_doubted(tmp_path: Path) -> None:
    rows = [row("thefts_losses", report_id="L1") | {"n_firearms": Decimal("1.000")}]
    path = tmp_path / "thefts_losses.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    ingest(path, tmp_path / "w", today=TODAY)
    own = tmp_path / "own.toml"
    own.write_text(
        'table = "thefts_losses"\n'
        + "".join(f'[columns.{name}]\nfrom = "{name}"\n' for name in rows[0])
    )
    ingest(path, tmp_path / "w2", mapping=own, today=TODAY)
    for home in ("w", "w2"):
        read = Warehouse.open(tmp_path / home).read("thefts_losses")
        assert read["n_firearms"].to_pylist() == [1]


def test_hours_with_a_comma_beside_them_doubt_a_dot(tmp_path: Path) -> None:
    hours = ["21.250", "12", *["5"] * 10]
    for other, n_rejected in (("7.5", 0), ('"7,5"', 2)):
        rows = [row("inspections", inspection_id=f"I{n}", hours=h) for n, h in enumerate(hours)]
        path = write(tmp_path, "inspections.csv", rows)
        path.write_text(path.read_text().replace(",12,", f",{other},"))
        summary = ingest(path, tmp_path / other.strip('"'), today=TODAY)
        assert summary.counts["rejected"] == n_rejected
    assert any("columns.hours" in note for note in summary.files[0].notes)


def test_rows_that_are_equal_in_key_and_count_are_told(tmp_path: Path) -> None:
    """They are stored once: whether each counts apart only the agency knows."""
    with_counts = {t.name for t in TABLES.values() if any(c.kind == "integer" for c in t.columns)}
    assert with_counts == {*COUNTED, "inspections"}
    ingest(write(tmp_path, "inspections.csv", [row("inspections")]), tmp_path / "w", today=TODAY)
    three = row("violations", instances="3")
    other = row("violations", citation="478.125(e)", instances="1")
    again = write(tmp_path, "violations.csv", [three, three, other, three])
    summary = ingest(again, tmp_path / "w", today=TODAY)
    told = [note for note in summary.files[0].notes if "equal to another" in note]
    assert len(told) == 1
    assert "inspection_id, citation in this file: 2, such as 'I1 478.124(c)(1)'" in told[0]
    assert "sum(instances)" in told[0]
    assert summary.counts["duplicate"] == 2
    # The same export again repeats the file, not itself.
    once = write(tmp_path, "violations.csv", [other, three])
    assert not ingest(once, tmp_path / "w", today=TODAY).files[0].notes


STATES = [
    ("US", "Texas", "TX"), ("US", "us-tx", "TX"), ("us", "tx", "TX"), ("US", "NEW MEXICO", "NM"),
    ("MX", "CHH", "MX-CHH"), ("MX", "Chih.", "MX-CHH"), ("MX", "mx-chh", "MX-CHH"),
    ("MX", "Nuevo Le\u00f3n", "MX-NLE"), ("MX", "MICHOACAN DE OCAMPO", "MX-MIC"),
    ("MX", "DIF", "MX-CMX"), ("CA", "Ontario", "ONTARIO"), ("GT", "", None),
]  # fmt: skip


def test_a_state_is_its_code_however_it_is_written(tmp_path: Path) -> None:
    traces = [
        row("traces", trace_id=f"T{n:02d}", recovery_country=country, recovery_state=text)
        for n, (country, text, _) in enumerate(STATES)
    ]
    agencies = [
        row("agencies", requester=f"A{n:02d}", country=country, state=text)
        for n, (country, text, _) in enumerate(STATES)
    ]
    for table, name, rows in (
        ("traces", "recovery_state", traces),
        ("agencies", "state", agencies),
    ):
        summary = ingest(write(tmp_path, f"{table}.csv", rows), tmp_path / "w", today=TODAY)
        assert summary.counts["rejected"] == 0
        found = Warehouse.open(tmp_path / "w").read(table).sort_by(TABLES[table].key[0])
        assert found[name].to_pylist() == [code for _, _, code in STATES]


@pytest.mark.parametrize(
    ("country", "text"), [("US", "TEXS"), ("US", "CHH"), ("MX", "US-TX"), ("MX", "north")]
)
def test_what_is_no_state_of_its_country_is_told(country: str, text: str, tmp_path: Path) -> None:
    traces = [row("traces", trace_id="T1")]
    traces.append(row("traces", trace_id="T2", recovery_country=country, recovery_state=text))
    agencies = [row("agencies"), row("agencies", requester="A2", country=country, state=text)]
    for table, rows in (("traces", traces), ("agencies", agencies)):
        path = write(tmp_path, f"{table}.csv", rows)
        summary = ingest(path, tmp_path / "w", today=TODAY, max_rejects=0.5)
        assert summary.files[0].tables[0].reasons == {"unknown_code": 1}


@pytest.mark.parametrize(("country", "text"), [("US", "MX-CHH"), ("MX", "tx")])
def test_a_state_of_the_other_country_is_unknown_and_told(
    country: str, text: str, tmp_path: Path
) -> None:
    rows = [row("traces", recovery_country=country, recovery_state=text)]
    summary = ingest(write(tmp_path, "traces.csv", rows), tmp_path / "w", today=TODAY)
    assert "states of another country than recovery_country says" in summary.files[0].notes[0]
    (found,) = Warehouse.open(tmp_path / "w").read("traces").to_pylist()
    assert (found["recovery_country"], found["recovery_state"]) == (country, None)


def test_every_state_of_both_countries_has_one_code() -> None:
    for country, n_states in (("US", 57), ("MX", 32)):
        assert len(set(state_codes(country).values())) == len(state_codes(country)) == n_states
