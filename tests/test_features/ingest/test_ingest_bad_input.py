"""Each bad input ends in a clear message and an unchanged warehouse."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import FeatureError, SourceError
from features.ingest import ingest
from features.sources.files import archive
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


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "w"
    ingest(write(tmp_path / "first", "tips.csv", [row("tips")]), path, today=TODAY)
    return path


@pytest.fixture
def refused(warehouse: Path) -> Callable[..., str]:
    """Return a function that ingests, expects a refusal and an unchanged warehouse."""

    def refuse(path: Path, **options: object) -> str:
        before = digest(warehouse)
        with pytest.raises(FeatureError) as caught:
            ingest(path, warehouse, today=TODAY, **options)  # type: ignore[arg-type]
        assert digest(warehouse) == before
        assert caught.value.exit_code == 3
        return str(caught.value)

    return refuse


def test_a_listing_cut_off_mid_row_keeps_the_rest_and_says_so(tmp_path: Path) -> None:
    for name, text in (
        ("0513-ffl-list.txt", listing_2013([listing_line(n) for n in range(9)])),
        ("0624-ffl-list.txt", listing_later([listing_line(n) for n in range(9)])),
    ):
        path = tmp_path / name
        path.write_text(text[: text.rindex("SAMPLE ST")])
        summary = ingest(path, tmp_path / "w", today=TODAY)
        (counts,) = summary.files[0].tables
        assert (counts.n_read, counts.n_stored, counts.reasons) == (9, 8, {"missing_required": 1})
        assert "cut off in its last row" in summary.files[0].notes[-1]
        rejects = Warehouse.open(tmp_path / "w").rejects("licenses")
        assert rejects is not None
        assert "fields instead of 17" in rejects["value"].to_pylist()[-1]


def test_a_listing_cut_off_inside_a_quoted_name(tmp_path: Path) -> None:
    text = listing_2013([listing_line(n) for n in range(9)])
    path = tmp_path / "0513-ffl-list.txt"
    path.write_text(text[: text.rindex(", ONE")])
    (counts,) = ingest(path, tmp_path / "w", today=TODAY).files[0].tables
    assert (counts.n_stored, counts.n_rejected) == (8, 1)


def test_a_wrong_header_shows_what_is_missing_and_the_nearest_name(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    renamed = {("requestedon" if k == "requested_on" else k): v for k, v in ROWS["traces"].items()}
    message = refused(write(tmp_path, "traces.csv", [renamed]))
    assert "requested_on (nearest: requestedon)" in message
    del renamed["requestedon"], renamed["trace_id"]
    message = refused(write(tmp_path, "unknown.csv", [renamed]))
    assert "traces, the nearest" in message
    assert "trace_id" in message


def test_a_listing_without_a_column_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "0624-ffl-list.txt"
    path.write_text(listing_later([listing_line(1)]).replace("LIC_SEQN", "LIC_SEQ_NO"))
    assert "lic_seqn (nearest: lic_seq_no)" in refused(path).lower()


def test_a_row_of_forty_fields_is_rejected_alone(tmp_path: Path) -> None:
    lines = [listing_line(n) for n in range(9)]
    lines.insert(4, [*listing_line(99), *("x" for _ in range(23))])
    path = tmp_path / "0624-ffl-list.txt"
    path.write_text(listing_later(lines))
    summary = ingest(path, tmp_path / "w", today=TODAY)
    assert summary.files[0].tables[0].reasons == {"too_many_fields": 1}
    (bad,) = Warehouse.open(tmp_path / "w").rejects("licenses").to_pylist()  # type: ignore[union-attr]
    assert (bad["source_line"], bad["value"]) == (6, "40 fields instead of 17")


def test_license_numbers_of_wrong_length_are_rejected(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    lines = [listing_line(n) for n in range(9)] + [listing_line(9, seqn="1234")]
    path = tmp_path / "0624-ffl-list.txt"
    path.write_text(listing_later(lines))
    summary = ingest(path, tmp_path / "new", today=TODAY)
    assert summary.files[0].tables[0].reasons == {"unparsed_license": 1}
    path.write_text(listing_later([listing_line(n, seqn="1234") for n in range(9)]))
    assert "such as '1-54-059-01-5F-1234'" in refused(path)


def test_dates_in_three_formats_are_told_and_can_be_mapped(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    days = ["2025-04-01", "04/01/2025", "20250401"]
    rows = [row("seizures", seizure_id=f"S{n}", seized_on=day) for n, day in enumerate(days)]
    path = write(tmp_path, "seizures.csv", rows)
    message = refused(path)
    assert "2 bad_date in seized_on, such as '04/01/2025' (first in line 3)" in message
    assert "--mapping" in message
    mapping = tmp_path / "own.toml"
    columns = "".join(f'[columns.{name}]\nfrom = "{name}"\n' for name in rows[0])
    formats = '["%Y-%m-%d", "%m/%d/%Y", "%Y%m%d"]'
    mapping.write_text(f'table = "seizures"\ndate_format = {formats}\n{columns}')
    ingest(path, tmp_path / "new", mapping=mapping, today=TODAY)
    stored = Warehouse.open(tmp_path / "new").read("seizures")["seized_on"].to_pylist()
    assert {day.isoformat() for day in stored} == {"2025-04-01"}


def bomb(path: Path, *, declared: int, content: bytes) -> Path:
    """Write a zip whose member declares `declared` bytes and unpacks to `content`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("tips.csv", content)
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.index(signature) + offset
        raw[at : at + 4] = struct.pack("<I", declared)
    path.write_bytes(raw)
    return path


def test_a_zip_that_declares_two_gigabytes_is_not_unpacked(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = bomb(tmp_path / "country.zip", declared=2 << 30, content=b"x" * 100)
    assert "2,048 MB out of 1 kB" in refused(path)


def test_a_zip_that_holds_more_than_it_declares_is_stopped(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = bomb(tmp_path / "country.zip", declared=100, content=b"x" * (5 << 20))
    assert "country.zip" in refused(path)


def test_a_gzip_that_unpacks_beyond_all_measure_is_stopped(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "tips.csv.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(80):
            stream.write(b"0" * (1 << 20))
    assert "beyond all measure" in refused(path)


@pytest.mark.parametrize("declared", [None, 100])
@pytest.mark.parametrize("member", ["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"])
def test_a_workbook_that_unpacks_beyond_all_measure_is_not_read(
    tmp_path: Path, refused: Callable[..., str], member: str, declared: int | None
) -> None:
    """Its parts are read whole: what they hold is counted first, whatever they declare."""
    path = tmp_path / "tips.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", "<workbook/>")
        packed.writestr(member, bytes(80 << 20))
    if declared is not None:
        raw = bytearray(path.read_bytes())
        for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            at = raw.rindex(signature) + offset
            raw[at : at + 4] = struct.pack("<I", declared)
        path.write_bytes(raw)
    assert "beyond all measure" in refused(path)


def test_a_file_that_claims_a_kind_at_length_is_not_read_whole(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "tips.ods"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mimetype", bytes(80 << 20))
    tracemalloc.start()
    try:
        assert "no workbook" in refused(path)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name", ["../tips.csv", "/etc/tips.csv", "a/../../tips.csv", "C:/tips.csv", "..\\tips.csv"]
)
def test_zip_members_that_point_outside_are_refused(
    name: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "country.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(name, csv_text([row("tips")]))
    assert "points outside the archive" in refused(path)
    assert not (tmp_path.parent / "tips.csv").exists()


def test_links_doubles_and_strangers_in_a_zip_are_refused(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "country.zip"
    link = zipfile.ZipInfo("tips.csv")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert "a link" in refused(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("tips.csv", "a")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("tips.csv", "b")
    assert "two of the same name" in refused(path)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("readme.md", "no table")
    assert "holds no table" in refused(path)


def test_a_zip_larger_than_the_disk_is_not_unpacked(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "country.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("tips.csv", csv_text([row("tips")]))
    usage = archive.shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: usage)
    assert "does not fit the disk" in refused(path)


def parquet_bytes() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"tip_id": ["P1"]}), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("tips.csv", b"", "is empty"),
        ("tips.csv.gz", b"tip_id,dealer\n", "not the format its name claims"),
        ("tips.parquet", b"tip_id,dealer\n", "not the format its name claims"),
        ("tips.parquet", parquet_bytes()[:-20], "damaged or cut off"),
        (
            "tips.csv.gz",
            gzip.compress(csv_text([ROWS["tips"]]).encode(), mtime=0)[:-12],
            "cut off or dam",
        ),
        ("tips.csv", "tip_id,dealer\n".encode("utf-16"), "lacks columns"),
        ("tips.csv", b"tip_id\0,dealer\n", "not text in a supported encoding"),
        ("country.zip", b"PK\x03\x04 and nonsense", "damaged or cut off"),
        ("tips.csv", b"tip_id,tip_id,dealer\n1,2,3\n", "lacks columns|two columns"),
        ("lines.jsonl", b'{"a": 1}\n', "the header of lines.jsonl is that of no known file"),
        ("lines.jsonl", b'{"a": \n1}\n', "no line of it is a record"),
    ],
)
def test_files_that_are_not_what_they_claim(
    name: str, content: bytes, match: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = refused(path)
    assert any(part.lower() in message.lower() for part in match.split("|"))


def test_paths_without_data_are_told(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "does not exist" in refused(tmp_path / "nowhere.csv")
    (tmp_path / "empty").mkdir()
    assert "holds no table" in refused(tmp_path / "empty")


def test_one_refused_file_stops_the_whole_command(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    write(tmp_path / "in", "traces.csv", [row("traces")])
    write(tmp_path / "in", "seizures.csv", [row("seizures", agency="nobody")])
    assert "seizures.csv is refused: 100.0% of its 1 rows" in refused(tmp_path / "in")


def test_bytes_that_are_not_utf8_reject_their_row_alone(tmp_path: Path) -> None:
    rows = [row("traces", trace_id=f"T{n}") for n in range(9)]
    rows.append(row("traces", trace_id="T9", recovery_place="JU\u00c1REZ"))
    path = tmp_path / "traces.csv"
    path.write_bytes(csv_text(rows).encode("latin-1"))
    summary = ingest(path, tmp_path / "w", today=TODAY)
    assert summary.files[0].tables[0].reasons == {"undecodable": 1}
    assert summary.counts["stored"] == 9


def test_empty_lines_are_no_rows_and_line_numbers_stay_right(tmp_path: Path) -> None:
    header, good = csv_text([row("tips")]).splitlines()
    bad = good.replace("public", "nobody").replace("P1", "P2")
    path = tmp_path / "tips.csv"
    path.write_text("\n".join([header, "", good, "", "1,2", bad, ""]))
    ingest(path, tmp_path / "w", today=TODAY, max_rejects=1.0)
    rejects = Warehouse.open(tmp_path / "w").rejects("tips").to_pylist()  # type: ignore[union-attr]
    assert [(r["source_line"], r["reason"]) for r in rejects] == [
        (5, "missing_required"),
        (6, "unknown_code"),
    ]


def test_a_quote_left_open_rejects_its_row_and_swallows_nothing_silently(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    rows = [row("tips", tip_id=f"P{n}") for n in range(30)]
    rows.append(row("tips", tip_id="P30", dealer="nonsense"))
    path = tmp_path / "tips.csv"
    # Opened in the row of line 5, closed in that of line 8: four lines are one field.
    text = csv_text(rows).replace("P3,5-74-90001", 'P3,"5-74-90001')
    path.write_text(text.replace("P6,5-74-90001", 'P6,5-74-90001"'))
    summary = ingest(path, tmp_path / "new", today=TODAY)
    assert summary.counts["read"] == 31
    assert summary.files[0].tables[0].reasons == {"undecodable": 4, "unparsed_license": 1}
    rejects = Warehouse.open(tmp_path / "new").rejects("tips").to_pylist()  # type: ignore[union-attr]
    assert [r["source_line"] for r in rejects] == [5, 6, 7, 8, 32]
    # Never closed: it swallows most of the file, so the file is refused.
    path.write_text(csv_text(rows).replace("P3,5-74-90001", 'P3,"5-74-90001'))
    assert "tips.csv is refused" in refused(path)


@pytest.mark.parametrize("column", ["purchaser_name", "Buyer DOB", "PurchaserSSN", "last name"])
@pytest.mark.parametrize("table", ["traces", "multiple_sales"])
def test_columns_about_persons_are_refused_by_name(
    column: str, table: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = write(tmp_path, f"{table}.csv", [row(table) | {column: "x"}])
    message = refused(path)
    assert repr(column.lower()) in message.lower()
    assert "18 USC" not in message or "registry" in message


@pytest.mark.parametrize("value", ["John_Smith", "123-45-6789", "1980-01-02", "DOE JANE", "Smith"])
def test_readable_purchaser_tokens_are_refused_and_never_shown(
    value: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = write(tmp_path, "traces.csv", [row("traces", purchaser_token=value)])
    message = refused(path)
    assert "purchaser_token" in message
    assert value not in message


def test_source_errors_are_feature_errors() -> None:
    assert issubclass(SourceError, FeatureError)


@pytest.mark.parametrize("table", ["traces", "agencies"])
def test_a_code_that_is_no_country_is_named_with_its_line(
    table: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    """Two letters are not enough: ZZ and UK are codes of nothing, NA is Namibia."""
    column = "recovery_country" if table == "traces" else "country"
    key = "trace_id" if table == "traces" else "requester"
    codes = ["US", "MX", "GT", "NA", "XK", "AN", "ZZ", "UK"]
    rows = [row(table, **{key: f"K{n}", column: code}) for n, code in enumerate(codes)]
    path = write(tmp_path / "in", f"{table}.csv", rows)
    summary = ingest(path, tmp_path / "w", today=TODAY, max_rejects=0.5)
    assert summary.files[0].tables[0].reasons == {"unknown_code": 2}
    rejects = Warehouse.open(tmp_path / "w").rejects(table).to_pylist()  # type: ignore[union-attr]
    assert [(r["column_name"], r["value"], r["source_line"]) for r in rejects] == [
        (column, "ZZ", 8), (column, "UK", 9),
    ]  # fmt: skip
    bad = write(tmp_path / "bad", f"{table}.csv", [rows[-1]])
    assert f"unknown_code in {column}, such as 'UK' (first in line 2)" in refused(bad)
