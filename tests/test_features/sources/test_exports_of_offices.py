"""What offices add to their exports: sums, notes, hidden sheets, documents around the records."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path

import openpyxl
import pytest
import xlsxwriter

from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.ingest.proposals.new_mapping import propose
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, csv_text, row
from tests.test_features.sources.mappings.test_mappings_of_a_clerk import load as load_export
from tests.test_features.sources.mappings.test_mappings_of_a_clerk import mapping
from tests.test_features.sources.mappings.test_registers import listing


def load(folder: Path, name: str, content: bytes | str, **options: object) -> IngestSummary:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return ingest(path, folder / "w", today=TODAY, **options)  # type: ignore[arg-type]


def stored(folder: Path, table: str) -> list[dict]:
    return Warehouse.open(folder / "w").read(table).to_pylist()


def rejected(folder: Path, table: str) -> list[tuple[int, str]]:
    found = Warehouse.open(folder / "w").rejects(table)
    return [(r["source_line"], r["reason"]) for r in found.to_pylist()] if found else []


LOSSES = csv_text([row("thefts_losses", report_id=f"L{n}") for n in range(3)])


@pytest.mark.parametrize(
    "footer",
    [
        ",,,,Subtotal,40\n,,,,Grand Total,78\n* preliminary figures\n",
        "Total:,3\n",
        "TOTAL,,,,,15\n\nReport run 06/01/2025\n",
        "Houston Total,,,,,5\n",
        '"Count: 3"\n',
        "Total records: 3,,,,,\nSource: invented bureau,,,,,\n",
    ],
)
def test_sums_and_last_words_are_set_aside_and_refuse_no_small_file(
    footer: str, tmp_path: Path
) -> None:
    summary = load(tmp_path, "thefts_losses.csv", LOSSES + footer, max_rejects=0.0)
    n_footers = sum(1 for line in footer.splitlines() if line)
    (counts,) = summary.files[0].tables
    assert (counts.n_read, counts.n_stored, counts.n_set_aside) == (3 + n_footers, 3, n_footers)
    assert f"set aside: {n_footers} (the first in line 5)" in " ".join(summary.files[0].notes)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("L9,5-74-90001,2025-05-01,,burglary,5", "missing_required"),
        ("L9 x,,,,,", "missing_required"),  # not the last line: a row that lost its fields
        ("TOTAL ARMS,,2025-05-01,2025-05-02,burglary,5", "missing_required"),
        ("L9,5-74-90001", "missing_required"),
        ("HOUSTON TOTAL,nothing,2025-05-01,2025-05-02,burglary,5", "unparsed_license"),
    ],
)
def test_a_bad_row_stays_one_whatever_it_is_called(line: str, reason: str, tmp_path: Path) -> None:
    last = csv_text([row("thefts_losses", report_id="L7")]).splitlines()[1]
    load(tmp_path, "thefts_losses.csv", f"{LOSSES}{line}\n{last}\n", max_rejects=0.5)
    assert rejected(tmp_path, "thefts_losses") == [(5, reason)]


def test_a_row_called_total_that_is_good_is_kept(tmp_path: Path) -> None:
    load(tmp_path, "thefts_losses.csv", csv_text([row("thefts_losses", report_id="Total")]))
    assert [r["report_id"] for r in stored(tmp_path, "thefts_losses")] == ["Total"]


def test_the_last_words_of_a_file_that_was_cut_off_are_rejected(tmp_path: Path) -> None:
    summary = load(tmp_path, "thefts_losses.csv", LOSSES + "L3,5-74-9", max_rejects=0.5)
    assert rejected(tmp_path, "thefts_losses") == [(5, "missing_required")]
    assert "cut off" in " ".join(summary.files[0].notes)


def test_an_export_without_rows_is_told(tmp_path: Path) -> None:
    summary = load(tmp_path, "thefts_losses.csv", LOSSES.splitlines()[0] + "\n")
    assert summary.files[0].notes == ("holds no rows",)


def sheet_rows(table: str, *keys: str) -> list[list[str]]:
    key = next(iter(row(table)))
    made = [row(table, **{key: value}) for value in keys]
    return [list(made[0]), *(list(one.values()) for one in made)]


def hiding(path: Path, sheets: dict[str, list[list[str]]], hidden: set[str]) -> Path:
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for n, cells in enumerate(rows):
                sheet.write_row(n, 0, cells)
            if name == "Very":
                sheet.very_hidden()
            elif name in hidden:
                sheet.hide()
    return path


def test_hidden_sheets_are_told_and_not_read(tmp_path: Path) -> None:
    sheets = {"Now": ("P1",), "Old": ("P2",), "Very": ("P3",)}
    made = {name: sheet_rows("tips", *keys) for name, keys in sheets.items()}
    path = hiding(tmp_path / "tips.xlsx", made, {"Old", "Very"})
    summary = ingest(path, tmp_path / "w", today=TODAY)
    assert [r["tip_id"] for r in stored(tmp_path, "tips")] == ["P1"]
    assert [(u.file, u.why) for u in summary.unread] == [
        ("tips.xlsx[Old]", "a hidden sheet"), ("tips.xlsx[Very]", "a hidden sheet"),
    ]  # fmt: skip


def test_rows_in_hidden_sheets_alone_refuse_the_workbook(tmp_path: Path) -> None:
    made = {"Cover": [["About"]], "Old": sheet_rows("tips", "P1")}
    path = hiding(tmp_path / "tips.xlsx", made, {"Old"})
    with pytest.raises(SourceError, match="hidden sheets alone") as refused:
        ingest(path, tmp_path / "w", today=TODAY)
    assert "Unhide" in str(refused.value)


def test_one_sheet_of_several_is_proposed_and_read(tmp_path: Path) -> None:
    made = {"Tips 2025": sheet_rows("tips", "P1"), "Tips 2024": sheet_rows("tips", "P2")}
    path = hiding(tmp_path / "export.xlsx", made, set())
    with pytest.raises(SourceError, match="holds 2 tables") as refused:
        propose(path, "tips")
    assert "'Tips 2025', 'Tips 2024'" in str(refused.value)
    own = tmp_path / "own.toml"
    own.write_text(propose(path, "tips", "Tips 2024"))
    summary = ingest(path, tmp_path / "w", mapping=own, today=TODAY)
    assert [r["tip_id"] for r in stored(tmp_path, "tips")] == ["P2"]
    assert [u.file for u in summary.unread] == ["export.xlsx[Tips 2025]"]
    own.write_text(own.read_text().replace("Tips 2024", "Tips 2023"))
    with pytest.raises(SourceError, match="No sheet is called 'Tips 2023'"):
        ingest(path, tmp_path / "w", mapping=own, today=TODAY)


TIPS = [{**row("tips", tip_id=f"P{n}"), "is_self_report": False} for n in (1, 2)]
DOCUMENTS = {
    "list": json.dumps(TIPS),
    "pretty": json.dumps(TIPS, indent=2),
    "named": json.dumps({"made_on": "2026-01-01", "data": {"rows": TIPS}}, indent=1),
    "one line": json.dumps({"made_on": "2026-01-01", "rows": TIPS}),
}


@pytest.mark.parametrize("form", DOCUMENTS)
@pytest.mark.parametrize("written", ["utf-8", "utf-8-sig", "utf-16", "gz"])
def test_a_document_of_records_is_rows(form: str, written: str, tmp_path: Path) -> None:
    text = DOCUMENTS[form]
    content = gzip.compress(text.encode()) if written == "gz" else text.encode(written)
    name = "tips.json.gz" if written == "gz" else "tips.json"
    summary = load(tmp_path, name, content)
    assert [r["tip_id"] for r in stored(tmp_path, "tips")] == ["P1", "P2"]
    assert load(tmp_path, name, content).files[0].notes == ("ingested before; nothing changed",)
    assert summary.files[0].sha256 != ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "not one list of records"),
        ('[{"tip_id": "P1"}, {"tip_id": ', "no valid JSON"),
        ('{\n"a": [{"x": 1}],\n"b": [{"y": 1}]\n}', "not one list of records"),
        ('{\n"a": 1\n}', "not one list of records"),
        ("[[1, 2], [3, 4]]", "not one list of records"),
    ],
)
def test_a_document_without_one_list_of_records_says_what_to_do(
    text: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match=said) as refused:
        load(tmp_path, "tips.json", text)
    assert refused.value.fix


def test_keys_inside_of_keys_are_columns(tmp_path: Path) -> None:
    records = [
        {"nr": f"P{n}", "shop": {"ffl": "5-74-90001", "tags": ["a"]},
         "days": {"in": f"{n}.5.2025"}}
        for n in (1, 2)
    ]  # fmt: skip
    own = tmp_path / "own.toml"
    entries = {
        "tip_id": 'from = "nr"', "dealer": 'from = "shop.ffl"',
        "received_on": 'from = "days.in"\ndate_format = "%d.%m.%Y"',
        "source": 'constant = "public"', "is_self_report": "constant = false",
    }  # fmt: skip
    body = "".join(f"[columns.{name}]\n{entry}\n" for name, entry in entries.items())
    own.write_text('table = "tips"\n' + body)
    load(tmp_path, "export.json", json.dumps(records), mapping=own)
    found = [(r["tip_id"], r["dealer"], str(r["received_on"])) for r in stored(tmp_path, "tips")]
    assert found == [("P1", "5-74-90001", "2025-05-01"), ("P2", "5-74-90001", "2025-05-02")]
    assert "days.in (1.5.2025, 2.5.2025)" in propose(tmp_path / "export.json", "tips")


@pytest.mark.parametrize(
    "hidden", [{"buyer": {"last": "x"}}, {"parties": [{"role": "x", "buyer": {"dob": "x"}}]}]
)
def test_a_person_deep_in_a_document_refuses_it(hidden: dict, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="data about persons"):
        load(tmp_path, "traces.json", json.dumps([row("traces") | hidden]))


def test_a_heading_in_an_office_s_words_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        "Rpt Nbr,FFL,Sale Dt,Dt Rec'd,Form,Qty,Desk\nM1,5-74-90001,5/1/25,5/20/25,handgun,2,a\n"
    )
    lines = propose(tmp_path / "x.csv", "multiple_sales").splitlines()
    for column, source in (("report_id", "Rpt Nbr"), ("reported_on", "Dt Rec'd"), ("kind", "Form")):
        assert lines[lines.index(f"[columns.{column}]") + 1] == f'from = "{source}"'
    assert "#   Desk (a)" in lines


def test_a_month_needs_no_day_and_a_country_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "volume.csv").write_text("FFL,Mth,Checks\n5-74-90001,Apr-24,7\nGrand Total,,7\n")
    own = tmp_path / "own.toml"
    own.write_text(propose(tmp_path / "volume.csv", "sales_volume"))
    ingest(tmp_path / "volume.csv", tmp_path / "w", mapping=own, today=TODAY, max_rejects=0)
    found = [(str(r["month"]), r["n_checks"]) for r in stored(tmp_path, "sales_volume")]
    assert found == [("2024-04-01", 7)]
    (tmp_path / "t.csv").write_text("Trace No.,Rec. Ctry\nT1,USA\nT2,Mexico\nT3,MX\n")
    lines = propose(tmp_path / "t.csv", "traces").splitlines()
    asked = lines.index("[columns.recovery_country]")
    assert lines[asked + 2] == 'values = { "MEXICO" = "MX", "USA" = "US" }'


FOOTED = "NR,FFL,BEGIN,STD\n1,5-74-90001,2024-05-01,5\n,,,\n{},,,5\nSource: the agency,,,\n"


@pytest.mark.parametrize("word", ["Total geral", "Gesamt", "Suma", "Totaux", "Totale", "Summe:"])
def test_sums_of_other_languages_are_set_aside_behind_a_query(word: str, tmp_path: Path) -> None:
    own = mapping(tmp_path, "query = \"SELECT *, '5-' || FFL AS KEY FROM export\"")
    summary = load_export(tmp_path, FOOTED.format(word), own, max_rejects=0.0)
    assert (summary.counts["stored"], summary.counts["set_aside"]) == (1, 2)


def test_sums_are_set_aside_of_a_register_and_a_database(tmp_path: Path) -> None:
    lines = "1;1;1;TX;201;05-MAR-2019;\nSumme;;;;;;\nStand: heute;;;;;;\n"
    (tmp_path / "r").mkdir()
    summary = listing(tmp_path / "r", f"R;S;T;ST;CN;GRANTED;GONE\n{lines}", max_rejects=0.0)
    days = summary.counts["stored"]
    assert days == 4
    assert (summary.counts["set_aside"], summary.counts["rejected"]) == (2 * days, 0)
    with sqlite3.connect(tmp_path / "cases.db") as con:
        con.execute("CREATE TABLE v (NR, FFL, BEGIN)")
        con.execute("INSERT INTO v VALUES (1, '5-74-90001', '2024-05-01'), ('Total ', ' ', NULL)")
    con.close()
    own = mapping(tmp_path, '[database]\nquery = "SELECT * FROM v"')
    summary = ingest(
        tmp_path / "cases.db", tmp_path / "w", mapping=own, max_rejects=0.0, today=TODAY
    )
    assert (summary.counts["stored"], summary.counts["set_aside"]) == (1, 1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("<html><table><tr><td>ID</td></tr></table></html>", "save it as a workbook"),
        ("ID\tFFL\tOPEN\n1\t5-74-90001\t2024-01-01\n", "give it the ending .csv"),
        ("\x89PNG\x00", "copy the file again"),
    ],
)
def test_what_only_its_name_calls_a_workbook_says_what_it_is(
    content: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="no workbook") as caught:
        load(tmp_path, "visits.xls", content)
    assert told in caught.value.fix


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reported_on": "1709251200"}, "seconds since 1970"),
        ({"reported_on": "1709251200000"}, "milliseconds since 1970"),
        ({"dealer": "5.74E+14"}, "a spreadsheet has cut their digits off"),
    ],
)
def test_values_of_programs_are_told_with_what_helps(
    changes: dict[str, str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceError) as caught:
        load(tmp_path, "thefts_losses.csv", csv_text([row("thefts_losses", **changes)]))
    assert told in caught.value.fix


def test_formulas_that_nobody_computed_are_told(tmp_path: Path) -> None:
    """A program that writes a workbook without computing it leaves their cells empty."""
    names = ["hold_id", "dealer", "starts_on", "ends_on"]
    for column, is_required in (("ends_on", False), ("starts_on", True)):
        book = openpyxl.Workbook()
        book.active.append(names)
        for n in range(3):
            cells = {"hold_id": f"H{n}", "dealer": "5-74-90001", "starts_on": "2025-05-05"}
            book.active.append([{**cells, column: "=DATE(2026,1,1)"}.get(name) for name in names])
        path = tmp_path / f"holds_{column}.xlsx"
        book.save(path)
        told = f"formulas without computed values, read as nothing: 3 in column {'DC'[is_required]}"
        if is_required:
            with pytest.raises(SourceError, match="missing_required") as caught:
                ingest(path, tmp_path / column, as_table="holds", today=TODAY)
            assert told in caught.value.found
        else:
            summary = ingest(path, tmp_path / column, as_table="holds", today=TODAY)
            assert told in " ".join(summary.files[0].notes)
