"""What stands around and inside of values where people and old programs wrote the file."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from features.domain.license_number import parse, parse_column
from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.ingest.proposals.new_mapping import propose
from features.sources.rows.quotes import FOLD, folded, folded_head
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, csv_text, row


def stored(
    folder: Path, table: str, content: str | bytes, name: str = "", max_rejects: float = 0.2
) -> tuple[IngestSummary, list[dict]]:
    """Ingest one file; return the summary and the rows stored."""
    path = folder / (name or f"{table}.csv")
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    summary = ingest(path, folder / "w", today=TODAY, max_rejects=max_rejects)
    return summary, Warehouse.open(folder / "w").read(table).to_pylist()


NOTES = ["ONE\nTWO", 'A, "B"\r\nC', "X", "\nY\n\nZ, ZZ\n"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_a_line_end_inside_of_quotes_belongs_to_the_value(
    end: str, sign: str, tmp_path: Path
) -> None:
    rows = [row("traces", trace_id=f"T{n}", recovery_place=x) for n, x in enumerate(NOTES)]
    rows.append(row("traces", trace_id="bad", outcome="nonsense"))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=sign, lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    text = stream.getvalue()
    _, found = stored(tmp_path, "traces", text)
    places = [r["recovery_place"] for r in sorted(found, key=lambda r: r["trace_id"])]
    assert [" ".join(place.split()) for place in places] == [
        " ".join(note.split()) for note in NOTES
    ]
    (bad,) = Warehouse.open(tmp_path / "w").rejects("traces").to_pylist()  # type: ignore[union-attr]
    n_before = text.replace("\r\n", "\n").split("bad")[0].count("\n")
    assert bad["source_line"] == n_before + 1


def test_a_heading_of_two_lines_is_one_name(tmp_path: Path) -> None:
    head, rest = csv_text([row("tips")]).split("\n", 1)
    head = head.replace("received_on", '"received_on"') + ',"Case\r\nremark"'
    summary, found = stored(tmp_path, "tips", f"{head}\r\n{rest.strip()},a remark\r\n")
    assert len(found) == 1
    assert "case remark" in summary.files[0].notes[0]


def test_a_row_of_several_lines_is_whole_wherever_blocks_end() -> None:
    """Blocks of every size give the same rows; lines that an open quote swallowed stay lines."""
    text = b'a,b,c\n1,"x\ny",3\n2,"open,3\n4,z",5\n6,"p\r\nq ""r""\n",7\n8,5" pipe,9\n'
    whole = text.replace(b"x\ny", b"x\x1ey").replace(b'p\r\nq ""r""\n', b'p\x1eq ""r""\x1e')
    for size in range(1, len(text) + 1):

        class Slow(io.BytesIO):
            def read(self, n: int | None = -1, /, size: int = size) -> bytes:
                return super().read(size)

        with folded(Slow(text), ",", 3) as stream:
            assert stream.read() == whole
    assert folded_head(['"a\n'.strip(), 'b",c'], [";", ","]) == ['"a b",c']
    assert FOLD == "\x1e"


def test_a_quote_that_is_never_closed_counts_every_line(tmp_path: Path) -> None:
    lines = csv_text([row("tips", tip_id=f"P{n}") for n in range(9)]).replace("P3,", 'P3,"')
    with pytest.raises(SourceError, match="of its 9 rows") as refused:
        stored(tmp_path, "tips", lines)
    assert "opened in line 5" in str(refused.value)
    assert "close the quote" in str(refused.value)


@pytest.mark.parametrize("tail", [b"\x1a", b"\x1a\r\n", b"\0\0\0", b"\r\n\x1a\0\0", b"\0" * 9000])
@pytest.mark.parametrize("code", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_old_programs_put_behind_the_last_line_is_no_row(
    tail: bytes, code: str, tmp_path: Path
) -> None:
    text = csv_text([row("tips", tip_id=f"P{n}") for n in range(3)]) + tail.decode()
    summary, _ = stored(tmp_path, "tips", text.encode(code))
    assert summary.counts == {
        "read": 3, "stored": 3, "superseded": 0, "duplicate": 0, "set_aside": 0, "rejected": 0,
    }  # fmt: skip
    assert summary.files[0].notes == ()


WORDS = ("unknown", "UNK", "TBD", "N/D", "not reported", "NONE GIVEN", "''", "pending", "XX")


@pytest.mark.parametrize("column", ["dealer", "sold_on", "is_fifty_caliber"])
def test_a_word_of_a_person_is_no_date_number_or_license(column: str, tmp_path: Path) -> None:
    rows = [row("traces", trace_id=f"T{n}") | {column: w} for n, w in enumerate(WORDS)]
    summary, found = stored(tmp_path, "traces", csv_text(rows))
    assert [r[column] for r in found] == [None] * len(WORDS)
    assert column == "is_fifty_caliber" or f"{len(WORDS)}" in summary.files[0].notes[0]


@pytest.mark.parametrize(
    "day", ["1111-11-11", "1900-01-00", "9999-99-99", "99/99/9999", "99999999", "1/0/1900"]
)
def test_a_form_filled_up_is_no_date(day: str, tmp_path: Path) -> None:
    _, (found,) = stored(tmp_path, "traces", csv_text([row("traces", sold_on=day)]))
    assert found["sold_on"] is None


UNTIDY = {
    "5-74-201-01-8F- 90001": "5-74-201-01-8F-90001",
    "5-74-201-01-8F-90001-": "5-74-201-01-8F-90001",
    "'5-74-201-01-8F-90001": "5-74-201-01-8F-90001",
    '="5-74-201-01-8F-90001"': "5-74-201-01-8F-90001",
    "5/74/201/01/8f/90001": "5-74-201-01-8F-90001",
    "5\u201374\u2013201\u201301\u20138F\u201390001": "5-74-201-01-8F-90001",
    "FFL No. 5-74-201-01-8F-90001": "5-74-201-01-8F-90001",
    "Lic#574201018F90001": "5-74-201-01-8F-90001",
    "5_74_201_01_8F_90001": "5-74-201-01-8F-90001",
    "5-74-XXX-XX-XX-90001": None,
    "5\u201374\u201390001": None,
    "57490001": None,
    "57490001.0": None,
}


@pytest.mark.parametrize("text", UNTIDY)
def test_what_stands_around_a_license_number_is_cut(text: str, tmp_path: Path) -> None:
    _, (found,) = stored(tmp_path, "traces", csv_text([row("traces", dealer=text)]))
    assert found["dealer"] == "5-74-90001"
    number = UNTIDY[text]
    if number:
        assert parse(text).text == number
    assert parse_column([text])["text"].to_pylist() == [number]


@pytest.mark.parametrize(
    "text", ["5.74E+07", "574201018F9001", "2-74-90001-1", "0-74-90001", "27490001", "20240220"]
)
def test_what_a_spreadsheet_mangled_is_rejected(text: str, tmp_path: Path) -> None:
    rows = csv_text([row("traces", dealer=text)])
    summary, _ = stored(tmp_path, "traces", rows, max_rejects=1.0)
    assert summary.files[0].tables[0].reasons == {"unparsed_license": 1}


SPELLINGS = {
    "blanks": lambda name: name.replace("_", " ").title(),
    "capitals": str.upper,
    "camel case": lambda name: re.sub("_(.)", lambda m: m[1].upper(), name),
    "dashes": lambda name: f"#{name.replace('_', '-')}",
}


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_heading_in_another_spelling_is_the_column(
    spelling: str, form: str, tmp_path: Path
) -> None:
    rows = [row("traces", trace_id=f"T{n}", recovery_place='A "B"') for n in range(3)]
    named = [{SPELLINGS[spelling](k): v for k, v in r.items()} for r in rows]
    path = tmp_path / f"export.{form}"
    if form == "csv":
        path.write_text(csv_text(named))
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(named), path)
    else:
        path.write_text("".join(json.dumps(r) + "\n" for r in named))
    ingest(path, tmp_path / "w", today=TODAY)
    found = Warehouse.open(tmp_path / "w").read("traces").to_pylist()
    assert [(r["trace_id"], r["dealer"], r["recovery_place"]) for r in found] == [
        (f"T{n}", "5-74-90001", 'A "B"') for n in range(3)
    ]


def test_a_header_within_the_rows_is_no_row(tmp_path: Path) -> None:
    one, two = (csv_text([row("tips", tip_id=f"P{n}")]) for n in (1, 2))
    bad = csv_text([row("tips", tip_id="P3", source="nobody")])
    summary, found = stored(tmp_path, "tips", one + two + bad, max_rejects=0.5)
    assert (summary.counts["read"], [r["tip_id"] for r in found]) == (3, ["P1", "P2"])
    (rejected,) = Warehouse.open(tmp_path / "w").rejects("tips").to_pylist()  # type: ignore[union-attr]
    assert rejected["source_line"] == 6


def test_records_as_json_lines_are_rows(tmp_path: Path) -> None:
    """Keys may come and go; a line that is no record is rejected by its number; nothing is lost."""
    rows = [
        {**row("tips", tip_id="P1"), "is_self_report": False, "nested": {"a": [1]}},
        {**row("tips", tip_id="P2"), "is_substantiated": True},
        {**row("tips", tip_id="P3"), "received_on": None},
    ]
    lines = [json.dumps(r) for r in rows]
    text = "\n".join([lines[0], "{ broken", "[1]", lines[1], "", lines[2]])
    summary, found = stored(tmp_path, "tips", text, "x.jsonl", max_rejects=1.0)
    assert [(r["tip_id"], r["is_self_report"], r["is_substantiated"]) for r in found] == [
        ("P1", False, None),
        ("P2", found[1]["is_self_report"], True),
    ]
    assert "nested" in summary.files[0].notes[0]
    rejects = Warehouse.open(tmp_path / "w").rejects("tips").to_pylist()  # type: ignore[union-attr]
    assert [(r["source_line"], r["reason"]) for r in rejects] == [
        (2, "undecodable"), (3, "undecodable"), (6, "missing_required"),
    ]  # fmt: skip
    own = tmp_path / "own.toml"
    own.write_text(propose(tmp_path / "x.jsonl", "tips"))
    again = ingest(tmp_path / "x.jsonl", tmp_path / "m", mapping=own, max_rejects=1.0, today=TODAY)
    assert again.counts == summary.counts


@pytest.mark.parametrize("table", ["traces", "multiple_sales"])
def test_a_key_about_a_person_refuses_the_records(table: str, tmp_path: Path) -> None:
    first, last = json.dumps(row(table)), json.dumps(row(table) | {"buyer_name": "x"})
    with pytest.raises(SourceError, match="buyer_name"):
        stored(tmp_path, table, f"{first}\n{last}\n", f"{table}.jsonl")


def test_a_delivery_that_contradicts_another_says_how_to_settle_it(tmp_path: Path) -> None:
    """The same rows in another order of columns are nothing new; other values of a day are told."""
    rows = [row("traces", trace_id=f"T{n}") for n in range(3)]
    stored(tmp_path, "traces", csv_text(rows))
    again = [dict(reversed(r.items())) for r in rows]
    summary, _ = stored(tmp_path, "traces", csv_text(again))
    assert summary.counts["duplicate"] == 3
    other = [r | {"caliber": ".22"} for r in rows]
    with pytest.raises(SourceError, match="ffl-risk withdraw"):
        stored(tmp_path, "traces", csv_text(other))
    later = [r | {"caliber": ".22", "known_on": TODAY.isoformat()} for r in rows]
    summary, found = stored(tmp_path, "traces", csv_text(later))
    assert summary.counts["stored"] == 3
    assert {r["caliber"] for r in found} == {".22"}


def test_cells_merged_downward_hold_their_value_in_every_row(tmp_path: Path) -> None:
    rows = [row("tips", tip_id=f"P{n}") for n in range(4)]
    names = list(rows[0])
    with xlsxwriter.Workbook(tmp_path / "tips.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 0, len(names) - 1, "Tips of the week")
        sheet.write_row(1, 0, names)
        for n, one in enumerate(rows):
            merged = {**one, "dealer": ""} if n else one
            sheet.write_row(n + 2, 0, [str(v) for v in merged.values()])
        where = names.index("dealer")
        sheet.merge_range(2, where, 5, where, rows[0]["dealer"])
    ingest(tmp_path / "tips.xlsx", tmp_path / "w", today=TODAY)
    found = Warehouse.open(tmp_path / "w").read("tips").to_pylist()
    assert [r["dealer"] for r in found] == ["5-74-90001"] * 4
