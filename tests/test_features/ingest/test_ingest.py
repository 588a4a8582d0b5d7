from __future__ import annotations

import gzip
import unicodedata
import zipfile
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.domain.missing_values import NULL_WORDS
from features.errors import InvalidValueError, SourceError
from features.ingest import IngestSummary, ingest
from features.public_records import files as public_records
from features.schema import TABLES
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import (
    ROWS,
    TODAY,
    csv_text,
    digest,
    listing_2013,
    listing_later,
    listing_line,
    row,
    write,
)


def adds_up(summary: IngestSummary) -> bool:
    """Whether every row read was stored, left out or rejected, once."""
    return all(
        t.n_read == t.n_stored + t.n_superseded + t.n_duplicate + t.n_set_aside + t.n_rejected
        and t.n_rejected == sum(t.reasons.values())
        for file in summary.files
        for t in file.tables
    )


def load(path: Path, warehouse: Path, **options: object) -> IngestSummary:
    return ingest(path, warehouse, **({"today": TODAY} | options))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for table, good in ROWS.items():
        write(tmp_path / "country", f"{table}.csv", [good])
    return tmp_path / "country"


def test_a_folder_of_every_table_is_stored(folder: Path, tmp_path: Path) -> None:
    summary = load(folder, tmp_path / "w")
    assert summary.counts == {
        "read": 14, "stored": 14, "superseded": 0, "duplicate": 0, "set_aside": 0, "rejected": 0,
    }  # fmt: skip
    warehouse = Warehouse.open(tmp_path / "w")
    assert all(warehouse.has(table) for table in TABLES)
    known = {table: warehouse.read(table)["known_on"][0].as_py() for table in TABLES}
    assert known == {
        "licenses": date(2026, 1, 1),
        "traces": date(2025, 3, 11),
        "inspections": date(2025, 3, 10),
        "violations": date(2025, 3, 10),
        "multiple_sales": date(2025, 5, 2),
        "thefts_losses": date(2025, 5, 2),
        "sales_volume": date(2025, 5, 1),
        "denials": date(2025, 5, 1),
        "seizures": date(2025, 4, 3),
        "ballistic_leads": date(2025, 5, 5),
        "tips": date(2025, 5, 5),
        "holds": date(2025, 5, 5),
        "agencies": date(2024, 1, 1),
        "area_covariates": date(2021, 9, 1),
    }


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "zip", "bom"])
def test_every_canonical_form_stores_the_same_rows(folder: Path, tmp_path: Path, form: str) -> None:
    load(folder, tmp_path / "plain")
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(folder.iterdir()):
        if form == "csv.gz":
            (other / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        elif form == "bom":
            (other / path.name).write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        elif form == "parquet":
            texts = {c.name: "string" for c in TABLES[path.stem].columns if c.kind == "string"}
            convert = pyarrow.csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
            table = pyarrow.csv.read_csv(path, convert_options=convert)
            pq.write_table(table, other / f"{path.stem}.parquet")
        else:
            (other / path.name).write_bytes(path.read_bytes())
    if form == "zip":
        with zipfile.ZipFile(tmp_path / "country.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(other.iterdir()):
                archive.write(path, f"country/{path.name}")
        other = tmp_path / "country.zip"
    load(other, tmp_path / "w")
    plain, packed = Warehouse.open(tmp_path / "plain"), Warehouse.open(tmp_path / "w")
    skipped = {"source_line", "source_id"}
    for table in TABLES:
        columns = [n for n in plain.read(table).column_names if n not in skipped]
        expected = plain.read(table, columns=columns)
        assert packed.read(table, columns=columns).equals(expected), table


def test_the_same_file_twice_changes_nothing(folder: Path, tmp_path: Path) -> None:
    first = load(folder, tmp_path / "w")
    before = digest(tmp_path / "w")
    again = load(folder, tmp_path / "w")
    assert digest(tmp_path / "w") == before
    assert again.fingerprint == first.fingerprint
    assert not any(file.is_new for file in again.files)


def test_the_same_rows_in_another_file_are_duplicates(folder: Path, tmp_path: Path) -> None:
    first = load(folder, tmp_path / "w")
    other = write(tmp_path / "later", "traces.csv", [{**ROWS["traces"], "note": "x"}])
    again = load(other, tmp_path / "w")
    assert again.counts["duplicate"] == again.counts["read"] == 1
    assert again.fingerprint == first.fingerprint
    assert "left out: note" in again.files[0].notes[0]


BAD = [
    ("unparsed_license", "traces", {"dealer": "5-74-9000"}),
    ("unparsed_license", "licenses", {"license_number": "5-74-201-01-8F-9000"}),
    ("unparsed_license", "licenses", {"dealer": "5-74-90002"}),
    ("unknown_type", "licenses", {"license_type": "04"}),
    ("bad_date", "traces", {"sold_on": "02/20/2024"}),
    ("bad_date", "traces", {"sold_on": "2024-02-30"}),
    ("bad_date", "traces", {"sold_on": "infinity"}),
    ("future_date", "traces", {"requested_on": "2026-06-02", "completed_on": ""}),
    ("sold_after_recovery", "traces", {"sold_on": "2025-02-21"}),
    ("sold_after_recovery", "traces", {"sold_on": "2025-03-02", "recovered_on": ""}),
    ("known_before_event", "traces", {"completed_on": "2025-02-28"}),
    ("known_before_event", "multiple_sales", {"reported_on": "2025-04-30"}),
    ("known_before_event", "inspections", {"closed_on": "2025-01-09"}),
    ("missing_required", "inspections", {"closed_on": ""}),
    ("unknown_code", "traces", {"firearm_type": "cannon"}),
    ("unknown_code", "traces", {"recovery_country": "Mexico"}),
    ("unknown_code", "traces", {"is_fifty_caliber": "perhaps"}),
    ("unknown_code", "violations", {"citation": "[MISSING]"}),
    ("unknown_code", "licenses", {"premises_state": "XX"}),
    ("missing_required", "traces", {"requester": " "}),
    ("unknown_inspection", "violations", {"inspection_id": "I9"}),
    ("out_of_range", "multiple_sales", {"n_firearms": "0"}),
    ("out_of_range", "multiple_sales", {"n_firearms": "2.5"}),
    ("out_of_range", "licenses", {"latitude": "129.76"}),
    ("out_of_range", "licenses", {"longitude": "inf"}),
    ("out_of_range", "sales_volume", {"month": "2025-03-02"}),
    ("out_of_range", "traces", {"sold_on": "1824-02-20"}),
    ("out_of_range", "holds", {"ends_on": "2025-05-04"}),
    ("undecodable", "traces", {"caliber": "9\ufffdmm"}),
]


@pytest.mark.parametrize(("reason", "table", "changes"), BAD)
def test_a_bad_row_is_rejected_with_its_reason_and_the_rest_is_kept(
    reason: str, table: str, changes: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path / "in", "inspections.csv", [row("inspections")])
    key = TABLES[table].key[0]
    good = row(table) if table == "violations" else row(table, **{key: ROWS[table][key]})
    write(tmp_path / "in", f"{table}.csv", [good, row(table, **({key: "X2"} | changes))])
    if key == "dealer" and "dealer" not in changes:
        changes = {"dealer": "5-74-90001"} | changes
        write(tmp_path / "in", f"{table}.csv", [good, row(table, **changes)])
    summary = load(tmp_path / "in", tmp_path / "w", max_rejects=0.5)
    counts = next(t for f in summary.files for t in f.tables if t.table == table)
    assert counts.reasons == {reason: 1}
    assert counts.n_stored == 1
    assert adds_up(summary)
    rejects = Warehouse.open(tmp_path / "w").rejects(table)
    assert rejects is not None
    (bad,) = rejects.to_pylist()
    assert (bad["reason"], bad["source_line"]) == (reason, 3)
    assert bad["source_file"] == f"{table}.csv"
    if reason not in ("missing_required", "undecodable"):
        assert bad["value"] in {*changes.values(), "2025-02-20", "2025-01-10", "2025-05-01"}


def test_incomplete_traces_are_data_not_errors(tmp_path: Path) -> None:
    poor = row(
        "traces", dealer="", sold_on="", purchaser_token="", recovered_on="", completed_on="",
        serial_status="obliterated", outcome="incomplete", caliber="",
    )  # fmt: skip
    summary = load(write(tmp_path, "traces.csv", [poor]), tmp_path / "w")
    assert summary.counts["stored"] == 1
    stored = Warehouse.open(tmp_path / "w").read("traces").to_pylist()[0]
    assert stored["dealer"] is None
    assert stored["known_on"] == date(2025, 3, 15)  # requested 14 days before


def test_dealers_are_normalized_from_every_spelling(tmp_path: Path) -> None:
    spelled = ["5-74-90001", "57420101 8f90001", "5-74-201-01-8F-90001", "574201018F90001"]
    rows = [row("tips", tip_id=f"P{n}", dealer=text) for n, text in enumerate(spelled)]
    load(write(tmp_path, "tips.csv", rows), tmp_path / "w")
    dealers = Warehouse.open(tmp_path / "w").read("tips")["dealer"].to_pylist()
    assert dealers == ["5-74-90001"] * 4


def test_spellings_of_one_citation_are_one_row(tmp_path: Path) -> None:
    write(tmp_path / "in", "inspections.csv", [row("inspections")])
    rows = [row("violations"), row("violations", citation="27 C.F.R. § 478.124 (C)(1)")]
    write(tmp_path / "in", "violations.csv", rows)
    summary = load(tmp_path / "in", tmp_path / "w")
    assert summary.counts["duplicate"] == 1
    stored = Warehouse.open(tmp_path / "w").read("violations")
    assert stored["citation"].to_pylist() == ["478.124(c)(1)"]


@pytest.mark.parametrize("layout", [listing_2013, listing_later])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_both_listing_layouts_in_every_encoding(
    layout: object, encoding: str, tmp_path: Path
) -> None:
    lines = [
        listing_line(1, city="PEÑUELAS", state="PR", cnty="113", zip="624"),
        listing_line(2, state="DC", cnty="000", zip="20001-123"),
        listing_line(3, state="FL", cnty="025", zip="331860000"),
        listing_line(4, type="03"),
    ]
    path = tmp_path / "0513-ffl-list.txt"
    path.write_bytes(layout(lines).encode(encoding))  # type: ignore[operator]
    summary = load(path, tmp_path / "w")
    assert summary.counts == {
        "read": 4, "stored": 3, "superseded": 0, "duplicate": 0, "set_aside": 1, "rejected": 0,
    }  # fmt: skip
    stored = Warehouse.open(tmp_path / "w").read("licenses")
    assert stored["premises_city"].to_pylist() == ["PEÑUELAS", "FAIRFAX", "FAIRFAX"]
    assert stored["county_fips"].to_pylist() == ["72113", "11001", "12086"]
    assert stored["premises_zip"].to_pylist() == ["00624", "20001", "33186"]
    assert stored["mail_zip"].to_pylist() == ["22030"] * 3
    assert stored["listed_on"].to_pylist() == [date(2013, 5, 1)] * 3
    assert stored["expires_on"].to_pylist() == [date(2015, 6, 1)] * 3
    assert stored["licensee_name"].to_pylist() == ["INVENTED, ONE"] * 3


def test_phones_are_never_stored(tmp_path: Path) -> None:
    odd = [*listing_line(2), "one more"]
    path = tmp_path / "listing_2024-02.csv"
    path.write_text(listing_later([listing_line(n) for n in range(10, 20)] + [odd]))
    load(path, tmp_path / "w")
    stored = b"".join(p.read_bytes() for p in (tmp_path / "w").rglob("*.parquet"))
    warehouse = Warehouse.open(tmp_path / "w")
    assert b"7035550100" not in stored
    assert "7035550100" not in str(warehouse.read("licenses").to_pylist())
    assert "7035550100" not in str(warehouse.rejects("licenses").to_pylist())  # type: ignore[union-attr]


def test_counties_that_joined_another_are_stored_as_that_one(tmp_path: Path) -> None:
    path = tmp_path / "0513-ffl-list.txt"
    path.write_text(listing_2013([listing_line(1, city="BEDFORD", cnty="515", zip="24523")]))
    summary = load(path, tmp_path / "w")
    stored = Warehouse.open(tmp_path / "w").read("licenses")
    assert stored["county_fips"].to_pylist() == ["51019"]
    # The number is what the agency gave.
    assert stored["license_number"].to_pylist() == ["1-54-515-01-5F-00001"]
    assert summary.files[0].notes == ()


@pytest.mark.parametrize("form", ["listing", "canonical"])
def test_a_county_that_does_not_exist_is_stored_as_listed_and_told(
    form: str, tmp_path: Path
) -> None:
    path = tmp_path / "0513-ffl-list.txt"
    if form == "listing":
        path.write_text(listing_2013([listing_line(1), listing_line(2, cnty="006")]))
    else:
        rows = [row("licenses"), row("licenses", county_fips="51006", listed_on="2026-02-01")]
        path = write(tmp_path, "licenses.csv", rows)
    summary = load(path, tmp_path / "w")
    stored = Warehouse.open(tmp_path / "w").read("licenses")
    assert "51006" in stored["county_fips"].to_pylist()
    (note,) = summary.files[0].notes
    assert "in a county that does not exist (51006): 1, stored as listed" in note


def test_a_listing_whose_name_tells_no_month_asks_for_it(tmp_path: Path) -> None:
    path = tmp_path / "listing.txt"
    path.write_text(listing_2013([listing_line(1)]))
    with pytest.raises(SourceError, match="--listed-on"):
        load(path, tmp_path / "w")
    summary = load(path, tmp_path / "w", listed_on=date(2024, 2, 1))
    assert summary.counts["stored"] == 1


def test_the_public_records_that_ship(tmp_path: Path) -> None:
    summary = ingest(public_records(), tmp_path / "w", today=TODAY)
    assert adds_up(summary)
    counts = {(f.layout, t.table): t for f in summary.files for t in f.tables}
    assert counts["listing 2013", "licenses"].n_stored == 17_268
    notes = [note for f in summary.files for note in f.notes if "county" in note]
    assert [note.split(", stored")[0] for note in notes] == [
        "rows in a county that does not exist (19196, 20014): 2",
        "rows in a county that does not exist (42006): 1",
    ]
    inspections = counts["inspection records", "inspections"]
    assert (inspections.n_read, inspections.n_stored) == (1_924, 1_921)
    assert inspections.reasons == {"known_before_event": 3}
    assert counts["inspection records", "licenses"].n_stored == 1_924
    warehouse = Warehouse.open(tmp_path / "w")
    stored = warehouse.read("inspections").to_pandas()
    assert stored["outcome"].value_counts().to_dict() == {
        "warning_letter": 1772, "warning_conference": 82, "revocation": 56, "other": 6,
        "surrender": 5,
    }  # fmt: skip
    assert (stored["recommended_outcome"] == "revocation").sum() == 137
    # Five records have a disposition but no closing date: known when all were closed.
    still_open = stored[stored["closed_on"].isna()]
    assert set(still_open["known_on"]) == {date(2018, 4, 10)}
    assert len(still_open) == 5
    listed = warehouse.read("licenses").to_pandas()
    assert listed["expires_on"].isna().sum() == 93
    dealers = set(listed["dealer"])
    assert set(stored["dealer"]) <= dealers


def test_inspection_records_as_json_lines_make_the_same_rows(tmp_path: Path) -> None:
    records = pyarrow.csv.read_csv(public_records()[0]).slice(0, 40).to_pandas()
    records = records.astype(dict.fromkeys(("license_type", "ffl_zip"), "string"))
    text, lines = tmp_path / "a.csv", tmp_path / "b.jsonl"
    records.to_csv(text, index=False)
    dated = records.astype("string")
    lines.write_text(dated.to_json(orient="records", lines=True) + "\n{cut off")
    load(text, tmp_path / "w1")
    summary = load(lines, tmp_path / "w2")
    a, b = Warehouse.open(tmp_path / "w1"), Warehouse.open(tmp_path / "w2")
    columns = ["inspection_id", "dealer", "opened_on", "closed_on", "outcome", "office"]
    assert b.read("inspections", columns=columns).equals(a.read("inspections", columns=columns))
    assert b.read("violations").num_rows == a.read("violations").num_rows
    assert all(t.reasons == {"undecodable": 1} for t in summary.files[0].tables[:2])


def test_an_expiry_that_no_license_of_the_day_could_have_is_unknown(tmp_path: Path) -> None:
    """The records carry some numbers of renewals that were still to come."""
    record = pyarrow.csv.read_csv(public_records()[0]).slice(0, 1).to_pandas()
    # Assigned in July 2015, when none could expire after September 2018; 4L is of 2014, 9F of 2019
    # if not of 2009, 4A of a license that had expired for over a year.
    codes = {"5G": date(2015, 7, 1), "8J": date(2018, 9, 1), "4L": date(2014, 11, 1)}
    codes |= {"8K": None, "9F": None, "4A": None}
    rows = [
        record.assign(
            ui_number=f"{n:06d}-2015-0001", ffl_number=f"1-54-059-01-{code}-{n:05d}",
            ffl_state="VA", inspection_assign_date="2015-07-20",
            inspection_complete_date="2015-08-20",
        )
        for n, code in enumerate(codes)
    ]  # fmt: skip
    path = tmp_path / "records.csv"
    pd.concat(rows).to_csv(path, index=False)
    load(path, tmp_path / "w")
    stored = Warehouse.open(tmp_path / "w").read("licenses").sort_by("dealer")
    assert stored["expires_on"].to_pylist() == list(codes.values())


def test_tokens_of_multiple_sales_are_forgotten_after_two_years_unless_traced(
    tmp_path: Path,
) -> None:
    old = {"sold_on": "2024-05-31", "reported_on": "2024-06-01"}
    rows = [
        row("multiple_sales", report_id="M1", purchaser_token="aaaa1111", **old),
        row("multiple_sales", report_id="M2", purchaser_token="bbbb2222", **old),
        row("multiple_sales", report_id="M3", purchaser_token="cccc3333"),
    ]
    write(tmp_path / "in", "multiple_sales.csv", rows)
    write(tmp_path / "in", "traces.csv", [row("traces", purchaser_token="bbbb2222")])
    summary = load(tmp_path / "in", tmp_path / "w")
    stored = Warehouse.open(tmp_path / "w").read("multiple_sales").to_pandas()
    tokens = stored.set_index("report_id")["purchaser_token"]
    assert tokens.isna().to_dict() == {"M1": True, "M2": False, "M3": False}
    assert any("1 purchaser tokens dropped" in note for f in summary.files for note in f.notes)


def test_a_later_ingest_forgets_tokens_stored_before(tmp_path: Path) -> None:
    load(write(tmp_path, "multiple_sales.csv", [row("multiple_sales")]), tmp_path / "w")
    tips = write(tmp_path, "tips.csv", [row("tips")])
    load(tips, tmp_path / "w", today=date(2027, 5, 1))
    stored = Warehouse.open(tmp_path / "w").read("multiple_sales")
    assert stored["purchaser_token"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"as_table": "trases"}, "did you mean 'traces'"),
        ({"max_rejects": 1.5}, "between 0 and 1"),
    ],
)
def test_wrong_options_are_told(options: dict[str, object], match: str, tmp_path: Path) -> None:
    path = write(tmp_path, "traces.csv", [row("traces")])
    with pytest.raises(InvalidValueError, match=match):
        load(path, tmp_path / "w", **options)


def test_as_table_settles_what_the_header_cannot(tmp_path: Path) -> None:
    path = write(tmp_path, "export.csv", [row("multiple_sales")])
    assert load(path, tmp_path / "w", as_table="multiple_sales").counts["stored"] == 1


values = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters='",\ufffd'),
    min_size=1,
    max_size=12,
).filter(
    # Neither a word for nothing, such as a question mark, nor a letter that has a plainer spelling.
    lambda text: text.lower() not in NULL_WORDS and unicodedata.is_normalized("NFC", text)
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    places=st.lists(values, min_size=1, max_size=8),
    hours=st.floats(0, 9_000, allow_nan=False),
    sold=st.dates(date(1950, 1, 1), date(2025, 2, 20)),
)
def test_canonical_rows_round_trip(
    tmp_path_factory: pytest.TempPathFactory, places: list[str], hours: float, sold: date
) -> None:
    folder = tmp_path_factory.mktemp("round")
    rows = [
        row("traces", trace_id=f"T{n}", recovery_place=place, sold_on=sold.isoformat())
        for n, place in enumerate(places)
    ]
    (folder / "traces.csv").write_text(csv_text(rows), encoding="utf-8")
    write(folder, "inspections.csv", [row("inspections", hours=repr(hours))])
    load(folder, folder / "w")
    warehouse = Warehouse.open(folder / "w")
    stored = warehouse.read("traces").to_pylist()
    assert {r["trace_id"]: r["recovery_place"] for r in stored} == {
        f"T{n}": place for n, place in enumerate(places)
    }
    assert {r["sold_on"] for r in stored} == {sold}
    assert warehouse.read("inspections")["hours"].to_pylist() == [hours]
