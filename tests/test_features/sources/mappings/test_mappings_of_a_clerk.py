"""What a mapping can do without a program, and what it refuses to guess."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.ingest.proposals.new_mapping import propose
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, digest, row, write

COLUMNS = {
    "hold_id": 'from = "NR"', "dealer": 'from = "FFL"', "starts_on": 'from = "BEGIN"',
}  # fmt: skip


def mapping(folder: Path, top: str = "", table: str = "holds", **columns: str) -> Path:
    """Write a mapping; each entry is the body of its table."""
    entries = (COLUMNS if table == "holds" else {}) | columns
    body = "".join(f"[columns.{name}]\n{entry}\n" for name, entry in entries.items())
    path = folder / "own.toml"
    path.write_text(f'table = "{table}"\n{top}\n{body}', encoding="utf-8")
    return path


def export(folder: Path, text: str, name: str = "export.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def stored(folder: Path, table: str = "holds") -> list[dict]:
    return Warehouse.open(folder / "w").read(table).to_pylist()


def load(folder: Path, text: str, own: Path, **options: object) -> IngestSummary:
    return ingest(export(folder, text), folder / "w", mapping=own, today=TODAY, **options)  # type: ignore[arg-type]


def holds(*days: str) -> str:
    rows = "".join(f"H{n},5-74-90001,{day}\n" for n, day in enumerate(days))
    return "NR,FFL,BEGIN\n" + rows


BOTH = 'date_format = ["%m/%d/%Y", "%d/%m/%Y"]'


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (("04/05/2025", "12/31/2024"), date(2025, 4, 5)),
        (("04/05/2025", "31/12/2024"), date(2025, 5, 4)),
        (("4/5/2025", "31/12/2024", "N/A"), date(2025, 5, 4)),
    ],
)
def test_the_rows_of_a_column_settle_its_one_format(
    days: tuple[str, ...], expected: date, tmp_path: Path
) -> None:
    load(tmp_path, holds(*days), mapping(tmp_path, BOTH), max_rejects=0.5)
    assert {r["hold_id"]: r["starts_on"] for r in stored(tmp_path)}["H0"] == expected


@pytest.mark.parametrize(
    ("top", "days", "told"),
    [
        (
            BOTH,
            ("04/05/2025", "06/07/2025"),
            "'04/05/2025' is 2025-04-05 by %m/%d/%Y and 2025-05-04",
        ),
        (BOTH, ("12/31/2024", "31/12/2024"), "'12/31/2024' is a date by %m/%d/%Y alone"),
        (BOTH, ("12/31/2024", "31/12/2024", "04/05/2025"), "2025-05-04 by %d/%m/%Y"),
        ('date_format = ["%Y%m%d", "%Y%d%m"]', ("20251101", "20251002"), "by %Y%m%d and"),
        ('date_format = ["%y-%m-%d", "%d-%m-%y"]', ("24-05-06", "24-05-07"), "by %d-%m-%y"),
    ],
)
def test_two_readings_refuse_the_file_and_are_shown(
    top: str, days: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="two ways") as caught:
        load(tmp_path, holds(*days), mapping(tmp_path, top))
    assert told in caught.value.found
    assert "starts_on" in caught.value.found


@pytest.mark.parametrize("zone", ["America/Mexico_City", "Asia/Tokyo"])
def test_a_moment_with_its_zone_is_the_day_that_is_written(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    top = 'date_format = "%Y-%m-%dT%H:%M:%S%z"'
    days = ("2025-04-05T23:30:00-06:00", "2025-04-05T00:30:00+0900", "2025-04-05T12:00:00Z")
    load(tmp_path, holds(*days), mapping(tmp_path, top))
    assert {r["starts_on"] for r in stored(tmp_path)} == {date(2025, 4, 5)}


def test_dates_that_read_the_same_in_both_formats_are_no_doubt(tmp_path: Path) -> None:
    load(tmp_path, holds("05/05/2025", "04/04/2025"), mapping(tmp_path, BOTH))
    assert len(stored(tmp_path)) == 2


def test_texts_that_cannot_be_mistaken_may_stand_in_one_column(tmp_path: Path) -> None:
    top = 'date_format = ["%m/%d/%Y", "%d-%b-%Y", "%Y-%m-%d"]'
    load(tmp_path, holds("04/05/2025", "05-Apr-2025", "2025-04-05"), mapping(tmp_path, top))
    assert {r["starts_on"] for r in stored(tmp_path)} == {date(2025, 4, 5)}


def test_state_and_county_are_put_together_with_their_zeros(tmp_path: Path) -> None:
    own = mapping(
        tmp_path, table="licenses", license_number='from = "FFL"',
        license_type='from = "KIND"\npad = 2',
        listed_on='constant = "2025-01-01"', premises_city='from = "CITY"',
        premises_state='from = "PLACE"\npart = { separator = "/", number = 2 }',
        premises_zip='from = "ZIP"', county_fips='from = ["ST", "CNTY"]\npad = [2, 3]',
        latitude='from = "LAT"\ndecimal = ","', longitude='constant = "-110.97"',
        business_name='from = "SHOP"\ndefault = "UNNAMED"',
    )  # fmt: skip
    text = (
        "FFL;KIND;CITY;PLACE;ZIP;ST;CNTY;LAT;SHOP\n"
        "9-86-019-01-8F-00001;1;TUCSON;US/AZ/SOUTH;85701;4;19;32,25;L\u2019Arme\n"
        "9-86-019-01-8F-00002;1;TUCSON;US/AZ/SOUTH;85701;4;19;32,25;\n"
    )
    own.write_text('encoding = "cp1252"\n' + own.read_text())
    path = export(tmp_path, text, encoding="cp1252")
    ingest(path, tmp_path / "w", mapping=own, today=TODAY)
    one, two = sorted(stored(tmp_path, "licenses"), key=lambda r: r["dealer"])
    assert (one["county_fips"], one["premises_state"], one["license_type"]) == ("04019", "AZ", "01")
    assert (one["latitude"], one["business_name"]) == (32.25, "L\u2019Arme")
    assert two["business_name"] == "UNNAMED"


def test_two_exports_are_joined_on_a_key(tmp_path: Path) -> None:
    export(tmp_path, "CASE|FFL\nC1|5-74-90001\nC2|5-74-90002\n", "dealers.txt")
    own = mapping(
        tmp_path, '[[join]]\nfile = "dealers.txt"\nleft = "CASE_NR"\nright = "CASE"',
        hold_id='from = "CASE_NR"',
    )  # fmt: skip
    load(tmp_path, "CASE_NR,BEGIN\nC1,2025-05-05\nC2,2025-05-06\n", own)
    assert {r["hold_id"]: r["dealer"] for r in stored(tmp_path)} == {
        "C1": "5-74-90001",
        "C2": "5-74-90002",
    }
    export(tmp_path, "CASE|FFL\nC1|5-74-90001\nC1|5-74-90002\n", "dealers.txt")
    with pytest.raises(SourceError, match="more than one row of a key"):
        load(tmp_path, "CASE_NR,BEGIN\nC1,2025-05-05\n", own)


def test_bad_rows_of_a_joined_file_are_told_and_join_nothing(tmp_path: Path) -> None:
    dealers = [f"C{n}|5-74-9000{n}|PLAIN" for n in range(1, 8)]
    dealers[1] += "|more"
    dealers[2] = dealers[2].replace("PLAIN", "MU\xd1OZ")
    text = "\n".join(["CASE|FFL|NOTE", *dealers, ""])
    export(tmp_path, text, "dealers.txt", encoding="latin-1")
    own = mapping(
        tmp_path, '[[join]]\nfile = "dealers.txt"\nleft = "CASE_NR"\nright = "CASE"',
        hold_id='from = "CASE_NR"',
    )  # fmt: skip
    rows = "".join(f"C{n},2025-05-05\n" for n in range(1, 8))
    summary = load(tmp_path, "CASE_NR,BEGIN\n" + rows, own, max_rejects=0.5)
    (counts,) = summary.files[0].tables
    assert (counts.n_read, counts.n_stored) == (8, 5)
    assert any("dealers.txt that cannot be decoded: 1" in note for note in summary.files[0].notes)
    rejects = Warehouse.open(tmp_path / "w").rejects("holds")
    assert rejects is not None
    told = {(r["source_file"], r["source_line"], r["reason"]) for r in rejects.to_pylist()}
    assert told == {
        ("dealers.txt", 3, "too_many_fields"),  # so that C2 has no dealer
        ("export.csv", 3, "missing_required"),
        ("export.csv", 4, "undecodable"),
    }


def test_a_query_makes_rows_of_others(tmp_path: Path) -> None:
    query = 'query = "SELECT min(NR) AS NR, FFL, min(BEGIN) AS BEGIN FROM export GROUP BY FFL"'
    load(tmp_path, holds("2025-05-05", "2025-05-06"), mapping(tmp_path, query))
    assert [(r["hold_id"], r["starts_on"]) for r in stored(tmp_path)] == [("H0", date(2025, 5, 5))]


@pytest.mark.parametrize("query", ["DROP TABLE x", "SELECT 1; SELECT 2", "SELEC"])
def test_a_query_is_one_select(query: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="query"):
        load(tmp_path, holds("2025-05-05"), mapping(tmp_path, f'query = "{query}"'))


def test_codes_come_from_a_list_of_two_columns(tmp_path: Path) -> None:
    export(tmp_path, "theirs,ours\nP,pistol\nR,rifle\n", "codes.csv")
    cells = row("seizures")
    entries = {name: f'from = "{name}"' for name in cells}
    entries["firearm_type"] = 'from = "firearm_type"\nvalues_from = "codes.csv"\nother = "other"'
    own = mapping(tmp_path, table="seizures", **entries)
    rows = [row("seizures", seizure_id=f"S{k}", firearm_type=k) for k in ("P", "r", "X")]
    ingest(write(tmp_path, "x.csv", rows), tmp_path / "w", mapping=own, today=TODAY)
    found = {r["seizure_id"]: r["firearm_type"] for r in stored(tmp_path, "seizures")}
    assert found == {"SP": "pistol", "Sr": "rifle", "SX": "other"}
    export(tmp_path, "theirs,ours\nP,pistols\n", "codes.csv")
    with pytest.raises(SourceError, match="did you mean 'pistol'"):
        ingest(tmp_path / "x.csv", tmp_path / "w", mapping=own, today=TODAY)


def test_parquet_and_fixed_width_are_read_through_a_mapping(tmp_path: Path) -> None:
    table = pa.table({"NR": [1], "FFL": ["5-74-90001"], "BEGIN": [date(2025, 5, 5)]})
    pq.write_table(table, tmp_path / "export.parquet")
    own = mapping(tmp_path)
    ingest(tmp_path / "export.parquet", tmp_path / "w", mapping=own, today=TODAY)
    own = mapping(tmp_path, "[fixed_width]\nNR = [1, 3]\nFFL = [4, 13]\nBEGIN = [14, 23]")
    load(tmp_path, "H2 5-74-900022025-05-06\n", own)
    assert sorted((r["hold_id"], r["dealer"]) for r in stored(tmp_path)) == [
        ("1", "5-74-90001"),
        ("H2", "5-74-90002"),
    ]


def test_a_trial_shows_the_whole_load_and_changes_nothing(tmp_path: Path) -> None:
    own = mapping(tmp_path)
    load(tmp_path, holds("2025-05-05"), own)
    before = digest(tmp_path / "w")
    text = (
        "NR,FFL,BEGIN\nH1,5-74-90001,2025-06-01\nH2,nonsense,2025-06-01\nH3,nonsense,2025-06-01\n"
    )
    summary = load(tmp_path, text, own, max_rejects=1.0, is_trial=True)
    assert digest(tmp_path / "w") == before
    assert (summary.counts["stored"], summary.counts["rejected"]) == (1, 2)
    assert summary.preview is not None
    assert [r["hold_id"] for r in summary.preview.rows["holds"]] == ["H1"]
    (bad,) = summary.preview.rejected
    assert (bad.reason, bad.value, bad.n_rows, bad.first_line) == (
        "unparsed_license", "nonsense", 2, 3,
    )  # fmt: skip
    nowhere = tmp_path / "nowhere"
    ingest(
        export(tmp_path, text), nowhere, mapping=own, max_rejects=1.0, today=TODAY, is_trial=True
    )
    assert not nowhere.exists()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ('SELECT *, "FLL" AS KEY FROM export', "no column is called 'FLL'; did you mean 'FFL'"),
        ("SELECT * FROM exprt", "Table with name exprt does not exist"),
        ("SELECT NR AS NUMR, FFL, BEGIN AS BEGINN FROM export",
         "columns.hold_id reads 'NR'; did you mean 'NUMR'.*; columns.starts_on reads 'BEGIN'; did "
         "you mean 'BEGINN'"),
        ("SELECT * FROM export WHERE CAST(NR AS INTEGER) > 0", "fails on rows of .*TRY_CAST"),
    ],
)  # fmt: skip
def test_a_fault_of_a_query_is_the_mapping_s(query: str, told: str, tmp_path: Path) -> None:
    own = mapping(tmp_path, f"query = '''{query}'''")
    with pytest.raises(SourceError, match=f"(?s)The query of mapping own.toml .*{told}") as refused:
        load(tmp_path, holds("2025-05-05").replace("\nH", "\nX"), own)
    assert "is complete" not in str(refused.value)


def test_a_mapping_is_proposed_of_a_zip_whose_files_are_alike(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "months.zip", "w") as archive:
        for n in range(3):
            archive.writestr(f"{n}.csv", f"HOLD_ID,FFL,STARTS\nH{n},5-74-90001,2025-05-0{n + 1}\n")
    assert 'from = "HOLD_ID"' in propose(tmp_path / "months.zip", "holds")
    with zipfile.ZipFile(tmp_path / "months.zip", "a") as archive:
        archive.writestr("other.csv", "A,B\n1,2\n")
    with pytest.raises(SourceError, match=r"4 tables that are not alike"):
        propose(tmp_path / "months.zip", "holds")
