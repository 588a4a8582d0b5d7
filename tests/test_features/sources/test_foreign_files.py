"""Files as other programs leave them: each kind of change, in several forms of it."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.sources.publishers.listing import listed_on_from_name
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import (
    LISTING_2013,
    LISTING_LATER,
    ROWS,
    TODAY,
    csv_text,
    listing_2013,
    listing_later,
    listing_line,
    row,
    workbook,
    write,
)

LINES = [listing_line(n) for n in range(8)]


def listed(folder: Path, name: str, content: str | bytes) -> tuple[IngestSummary, list[dict]]:
    """Ingest a listing; return the summary and the rows stored."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    summary = ingest(path, folder / "w", today=TODAY)
    return summary, Warehouse.open(folder / "w").read("licenses").to_pylist()


def joined(sign: str, lines: Iterable[list[str]], header: str = LISTING_LATER) -> str:
    """Return a listing with another sign between its fields."""
    head = header.replace(",", sign).replace("\t", sign)
    rows = [[value.replace(",", " ") for value in line] for line in lines]
    return "\n".join([head, *(sign.join(line) for line in rows)]) + "\n"


def fixed_width(lines: Iterable[list[str]]) -> str:
    """Return a listing as members download it: no header, fields of fixed width."""
    widths = (1, 2, 3, 2, 2, 5, 50, 50, 50, 30, 2, 9, 50, 30, 2, 9, 10)
    rows = ("".join(v.ljust(w) for v, w in zip(x, widths, strict=True)) for x in lines)
    return "".join(f"{text}{'':17}\n" for text in rows)


RULE = "\t".join("-" * 8 for _ in range(17))
LAYOUTS = {
    "tabs, no rule": joined("\t", LINES),
    "tabs, rule": listing_2013(LINES),
    "blanks in names, no rule": joined("\t", LINES, LISTING_2013),
    "underscores, rule": listing_2013(LINES).replace(
        LISTING_2013, LISTING_LATER.replace(",", "\t")
    ),
    "commas, rule": listing_later(LINES).replace("\n", "\n" + RULE.replace("\t", ",") + "\n", 1),
    "rule of equal signs": listing_2013(LINES).replace("-" * 8, "=" * 8),
    "rule above and below": RULE + "\n" + listing_2013(LINES),
    "rule in the end as well": listing_2013(LINES) + RULE + "\n",
    "one dash a field": listing_2013(LINES).replace("-" * 8, "-"),
    "semicolons": joined(";", LINES),
    "bars": joined("|", LINES),
    "byte order mark": "\ufeff" + joined(";", LINES),
    "sep=,": "sep=,\r\n" + listing_later(LINES).replace("\n", "\r\n"),
    "sep=;": "sep=;\n" + joined(";", LINES),
    "a title first": "Federal Firearms Listing\n\n" + listing_later(LINES),
    "a client's last words": joined("\t", LINES) + "\n(8 rows affected)\n",
    "blank lines": listing_later(LINES).replace("\n", "\n\n"),
    "carriage returns alone": listing_later(LINES).replace("\n", "\r"),
    "mixed line ends": listing_later(LINES).replace("\n", "\r\n", 3).replace("\n", "\r", 6),
    "a tab in every end": "".join(f"{line}\t\n" for line in joined("\t", LINES).splitlines()),
    "fixed width, no header": fixed_width(LINES),
    "bars, no header": joined("|", LINES).split("\n", 1)[1],
    "state in lower case": listing_later(LINES).replace(",VA,", ",va,"),
    "names in camel case": joined(",", LINES).replace("LIC_REGN", "licRegn"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_every_license(layout: str, tmp_path: Path) -> None:
    """A rule line is neither a license nor a bad row, and the first license is never one."""
    summary, rows = listed(tmp_path, "0924-ffl-list-complete.txt", LAYOUTS[layout])
    (counts,) = summary.files[0].tables
    assert (counts.n_read, counts.n_stored) == (8, 8)
    assert sorted(r["dealer"] for r in rows) == [f"1-54-0000{n}" for n in range(8)]
    assert {(r["premises_state"], r["premises_zip"], r["county_fips"]) for r in rows} == {
        ("VA", "22030", "51059")
    }


def test_utf16_and_packed_texts_are_read(tmp_path: Path) -> None:
    text = joined("\t", LINES)
    for n, (name, content) in enumerate(
        {
            "0924-ffl-list.txt": text.encode("utf-16"),
            "0924-ffl-list.csv.bz2": bz2.compress(text.encode()),
            "0924-ffl-list.csv.xz": lzma.compress(text.encode()),
            "0924-ffl-list.csv.zst": pa.compress(text.encode(), "zstd", asbytes=True),
            "20240901-ffl.txt": text.encode("utf-16-le"),
            "2024_09_listing.txt": text.encode("utf-16-be"),
        }.items()
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        assert len(listed(folder, name, content)[1]) == 8


def test_a_listing_without_expiry_keeps_its_dealers(tmp_path: Path) -> None:
    """Half a year of 2014 came without the expiry code, in two ways: no column, and no value."""
    gone = [line[:4] + line[5:] for line in LINES]
    header = LISTING_LATER.replace("LIC_XPRDTE,", "")
    for n, text in enumerate(
        (joined(",", gone, header), joined(",", [_without(x) for x in LINES]))
    ):
        folder = tmp_path / str(n)
        folder.mkdir()
        summary, rows = listed(folder, "0314-ffl-list.csv", text)
        assert summary.counts["stored"] == 8
        assert {(r["license_number"], r["expires_on"]) for r in rows} == {(None, None)}
        assert min(r["dealer"] for r in rows) == "1-54-00000"


def _without(line: list[str]) -> list[str]:
    return [*line[:4], "NULL", *line[5:]]


@pytest.mark.parametrize(
    ("parts", "number"),
    [
        (("6", "6", "1", "1", "7F", "100"), "6-06-001-01-7F-00100"),
        (("6", "6", "1", "10", "7F", "100"), "6-06-001-10-7F-00100"),
        (("1", "54", "59", "1", "7F", "7"), "1-54-059-01-7F-00007"),
        (("6.0", "6.0", "1.0", "1.0", "7F", "100.0"), "6-06-001-01-7F-00100"),
        (("1", "54", "59", "1", "7f", "A1234"), "1-54-059-01-7F-A1234"),
    ],
)
def test_eaten_zeros_come_back_in_every_part(
    parts: tuple[str, ...], number: str, tmp_path: Path
) -> None:
    keys = ("regn", "dist", "cnty", "type", "xprdte", "seqn")
    line = listing_line(1, **dict(zip(keys, parts, strict=True)))
    (stored,) = listed(tmp_path, "0323-ffl-list.csv", listing_later([line]))[1]
    assert stored["license_number"] == number
    assert stored["license_type"] == number.split("-")[3]


ZIPS = {
    "06850": "06850", "6850": "06850", "602": "00602", "068501234": "06850", "68501234": "06850",
    "6021303": "00602", "06850-1234": "06850", "6850-1234": "06850", "06850 1234": "06850",
    "6850.0": "06850", "06850-": "06850", "13494\\": "13494", "850123": None, "12": None,
    "00000": None, "K1A 0B1": None, "028930": None,
}  # fmt: skip


def test_a_zip_code_is_read_in_every_length_or_not_at_all(tmp_path: Path) -> None:
    rows = [
        row("licenses", dealer=f"5-74-{n:05d}", license_number=f"5-74-201-01-8F-{n:05d}",
            premises_state="CT", premises_zip=text, mail_zip=text)
        for n, text in enumerate(ZIPS)
    ]  # fmt: skip
    summary = ingest(write(tmp_path, "licenses.csv", rows), tmp_path / "w", today=TODAY)
    stored = Warehouse.open(tmp_path / "w").read("licenses").sort_by("dealer").to_pylist()
    assert {t: r["premises_zip"] for t, r in zip(ZIPS, stored, strict=True)} == ZIPS
    assert {t: r["mail_zip"] for t, r in zip(ZIPS, stored, strict=True)} == ZIPS
    n_none = sum(value is None for value in ZIPS.values())
    assert f"premises_zip that can be no ZIP code, taken as unknown: {n_none}" in str(summary)


@pytest.mark.parametrize(
    ("state", "text", "expected"),
    [
        ("TX", "7700", None), ("NE", "68501234", None), ("IL", "6021303", None),
        ("TX", "07002", "07002"), ("TX", "77002", "77002"), ("NE", "685012345", "68501"),
        ("nj", "7030", "07030"), ("NY", "501", "00501"), ("VI", "802", "00802"),
        ("NE", "68501-1234", "68501"), ("CT", "6850.0", "06850"),
    ],
)  # fmt: skip
def test_zeros_come_back_only_where_the_state_has_them(
    tmp_path: Path, state: str, text: str, expected: str | None
) -> None:
    rows = [row("licenses", premises_state=state, premises_zip=text)]
    ingest(write(tmp_path, "licenses.csv", rows), tmp_path / "w", today=TODAY)
    (stored,) = Warehouse.open(tmp_path / "w").read("licenses").to_pylist()
    assert stored["premises_zip"] == expected


@pytest.mark.parametrize("word", ["", "NULL", "UNKNOWN"])
@pytest.mark.parametrize("how", ["md5", "sha1", "sha256", "sha512"])
def test_the_hash_of_nothing_names_no_buyer(tmp_path: Path, how: str, word: str) -> None:
    token = hashlib.new(how, word.encode(), usedforsecurity=False).hexdigest()
    rows = [
        row("traces", trace_id="T1", purchaser_token=token.upper()),
        row("traces", trace_id="T2", purchaser_token="ab12cd34ef56"),
    ]
    ingest(write(tmp_path, "traces.csv", rows), tmp_path / "w", today=TODAY)
    stored = Warehouse.open(tmp_path / "w").read("traces").sort_by("trace_id").to_pylist()
    assert [r["purchaser_token"] for r in stored] == [None, "ab12cd34ef56"]


KINDS = {
    "traces.csv": (b"%PDF-1.7\n...", "a PDF document"),
    "traces.txt": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
    "traces.7z": (b"7z\xbc\xaf\x27\x1c\0\0", "7-Zip"),
    "utf32.csv": ("trace_id,dealer\nT1,x\n".encode("utf-32"), "UTF-32"),
    "traces.tar.gz": (
        gzip.compress(b"traces.csv".ljust(257, b"\0") + b"ustar" + b"\0" * 250),
        "tar",
    ),
    "cases.db": (b"SQLite format 3\0" + b"\0" * 80, "[database]"),
}


@pytest.mark.parametrize("name", KINDS)
def test_another_kind_of_file_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, said = KINDS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match="holds no table that is read here") as refused:
        ingest(tmp_path / name, tmp_path / "w", today=TODAY)
    assert said in str(refused.value)


def test_text_in_another_encoding_is_told_how_to_mend(tmp_path: Path) -> None:
    text = csv_text([row("licenses", business_name="CAFÉ")])
    (tmp_path / "licenses.csv").write_bytes(text.encode("cp1252"))
    with pytest.raises(SourceError, match="save the text as UTF-8"):
        ingest(tmp_path / "licenses.csv", tmp_path / "w", today=TODAY)


@pytest.mark.slow
@pytest.mark.parametrize("pad", ["\t", " ", "\u00a0", " \t", "\u2003"])
@pytest.mark.parametrize("neighbor", ["1 ELM ST", " 1 ELM ST", "1 ELM ST\t"])
def test_what_is_cut_around_a_value_does_not_depend_on_other_rows(
    pad: str, neighbor: str, tmp_path: Path
) -> None:
    rows = [
        row("licenses", dealer="5-74-00001", license_number="", premises_street=f"{pad}9 OAK{pad}"),
        row("licenses", dealer="5-74-00002", license_number="", premises_street=neighbor),
    ]
    for form in ("csv", "parquet"):
        path = tmp_path / f"licenses.{form}"
        if form == "csv":
            write(tmp_path, path.name, rows)
        else:
            pq.write_table(pa.Table.from_pylist(rows), path)
        ingest(path, tmp_path / form, today=TODAY)
        read = Warehouse.open(tmp_path / form).read("licenses").sort_by("dealer")
        assert read["premises_street"].to_pylist() == ["9 OAK", "1 ELM ST"]


@pytest.mark.parametrize(
    "name",
    ["2024-06-01_0513-ffl-list.csv", "0513-ffl-list-2024-06.csv", "list-2023-01-2023-02.csv"],
)
def test_a_name_that_tells_two_months_is_no_date(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="more than one month") as caught:
        listed(tmp_path, name, listing_later(LINES))
    assert " and " in caught.value.found
    (tmp_path / name).write_text(listing_later(LINES))
    ingest(tmp_path / name, tmp_path / "w2", listed_on=date(2024, 6, 1), today=TODAY)


def test_a_name_that_tells_one_month_twice_is_a_date() -> None:
    assert listed_on_from_name("2013-05_0513-ffl-list.csv") == date(2013, 5, 1)


def test_a_workbook_is_read_as_its_cells_would_be_typed(tmp_path: Path) -> None:
    """Numbers as numbers, dates as dates, a title above, a rule below, notes on another sheet."""
    header = list(ROWS["multiple_sales"])
    cells = [["M1", "5-74-90001", date(2025, 5, 1), date(2025, 5, 2), "handgun", 2.0, "ffee0011"]]
    workbook(tmp_path / "export.xlsx", {
        "multiple_sales": [["Report of May"], [], header, *cells],
        "Notes": [["Made by", "hand"], ["on", "Monday"]],
    })  # fmt: skip
    summary = ingest(tmp_path / "export.xlsx", tmp_path / "w", today=TODAY)
    (stored,) = Warehouse.open(tmp_path / "w").read("multiple_sales").to_pylist()
    assert (stored["sold_on"], stored["n_firearms"]) == (date(2025, 5, 1), 2)
    assert [u.file for u in summary.unread] == ["export.xlsx[Notes]"]


def test_a_listing_as_a_workbook_with_numbers_for_codes(tmp_path: Path) -> None:
    lines = [listing_line(n, regn=1, dist=6, cnty=1, type=1, seqn=100 + n, state="CT", zip=6850)
             for n in range(8)]  # fmt: skip
    rule = ["-" * 8] * 17
    workbook(tmp_path / "0113-ffl-list.xlsx", {"Sheet1": [LISTING_LATER.split(","), rule, *lines]})
    summary = ingest(tmp_path / "0113-ffl-list.xlsx", tmp_path / "w", today=TODAY)
    assert (summary.counts["read"], summary.counts["stored"]) == (8, 8)
    (first, *_) = Warehouse.open(tmp_path / "w").read("licenses").sort_by("dealer").to_pylist()
    assert (first["license_number"], first["premises_zip"]) == ("1-06-001-01-5F-00100", "06850")


def test_every_file_below_a_folder_is_read_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    write(folder, "traces.csv", [row("traces")])
    write(folder / "2023", "tips.csv", [row("tips")])
    write(folder / "holds", "part-1.csv", [row("holds")])
    packed = bz2.compress(csv_text([row("thefts_losses")]).encode())
    (folder / "thefts_losses.csv.bz2").write_bytes(packed)
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("denials.csv", csv_text([row("denials")]))
        archive.writestr("report.pdf", "no table")
    for name in ("README.md", "plan.docx", ".hidden.csv", "~$x.xlsx", "damaged.xlsx", "x.csv.bz2"):
        (folder / name).write_bytes(b"no table at all")
    summary = ingest(folder, tmp_path / "w", today=TODAY)
    read = {table.table for file in summary.files for table in file.tables}
    assert read == {"traces", "tips", "holds", "thefts_losses", "denials"}
    assert {u.file for u in summary.unread} == {
        "README.md", "plan.docx", ".hidden.csv", "~$x.xlsx", "damaged.xlsx", "x.csv.bz2",
        "more.zip!report.pdf",
    }  # fmt: skip
    assert all(u.why for u in summary.unread)
    assert "report.pdf" in str(summary.as_dict()["unread"])


def test_backslashes_of_a_zip_are_separators(tmp_path: Path) -> None:
    for name in ("export\\traces.csv", "a\\b\\traces.csv", "export\\2023\\traces.csv"):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(zipfile.ZipInfo("export\\"), b"")
            archive.writestr(zipfile.ZipInfo(name), csv_text([row("traces")]))
        path = tmp_path / "export.zip"
        path.write_bytes(stream.getvalue())
        folder = tmp_path / name.replace("\\", "-")
        assert ingest(path, folder, today=TODAY).counts["stored"] == 1


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", ""])
def test_a_header_alone_is_a_file_without_rows(end: str, tmp_path: Path) -> None:
    path = tmp_path / "traces.csv"
    path.write_bytes((",".join(ROWS["traces"]) + end).encode())
    assert ingest(path, tmp_path / "w", today=TODAY).counts["read"] == 0
