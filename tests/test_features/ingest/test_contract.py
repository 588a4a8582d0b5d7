"""What is printed of the data contract is what the code holds files to."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.contract import contract, contracts, markdown, row_schema
from features.errors import InvalidValueError
from features.ingest import ingest
from features.ingest.proposals.new_mapping import propose
from features.schema import TABLES
from features.warehouse import Warehouse
from ffl_risk import app
from tests.test_features.ingest_samples import csv_text

DOCS = Path(__file__).parents[3] / "docs"
run = CliRunner()


def test_the_page_is_the_one_that_is_printed() -> None:
    written = (DOCS / "data.md").read_text(encoding="utf-8")
    assert written == markdown(), "ffl-risk contract --markdown > docs/data.md"


def test_every_column_has_its_meaning_unit_and_example() -> None:
    for table in contracts():
        assert [c.name for c in table.columns] == list(TABLES[table.name].names)
        assert all(c.meaning and c.unit and c.example for c in table.columns)


def test_the_example_rows_are_good_rows(tmp_path: Path) -> None:
    """Each as a canonical file, all of them in one folder."""
    for table in contracts():
        (tmp_path / f"{table.name}.csv").write_text(csv_text([table.example]))
    summary = ingest(tmp_path, tmp_path / "w", today=date(2026, 6, 1))
    assert (summary.counts["stored"], summary.counts["rejected"]) == (len(TABLES), 0)
    warehouse = Warehouse.open(tmp_path / "w")
    for table in contracts():
        (row,) = warehouse.read(table.name).to_pylist()
        assert all(row[c.name] is not None for c in table.columns), table.name


def test_a_schema_of_a_row_holds_codes_bounds_and_what_is_required() -> None:
    schema = row_schema("multiple_sales")
    assert schema["required"] == list(TABLES["multiple_sales"].required)
    assert schema["properties"]["kind"]["enum"] == ["handgun", "rifle"]
    assert schema["properties"]["n_firearms"]["minimum"] == 1
    assert schema["properties"]["sold_on"] | {"description": ""} == {
        "type": "string", "format": "date", "description": "", "examples": ["2025-05-01"],
    }  # fmt: skip


def test_a_table_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidValueError, match="did you mean 'traces'"):
        contract("trases")


def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    told = run.invoke(app, ["contract", "tips", "--json"])
    assert json.loads(told.output)["example"]["tip_id"] == "P1"
    assert "is_self_report" in run.invoke(app, ["contract", "tips"]).output
    assert run.invoke(app, ["contract", "--template", str(tmp_path)]).exit_code == 0
    assert {p.stem for p in tmp_path.iterdir()} == set(TABLES)
    summary = ingest(tmp_path, tmp_path / "w", today=date(2026, 6, 1))
    assert summary.counts["read"] == 0
    assert run.invoke(app, ["contract", "tips", "--template", str(tmp_path)]).exit_code == 2


EXPORT = """\
CASE_NBR;REQ_DT;RECOV_DT;RECOV_CTRY;RECOV_ST;ORI;FFL_NBR;SALE_DT;GUN_TYPE;SERIAL_STATUS;RESULT
A1;13.05.2025;01.05.2025;US;TX;TX0000001;5-74-201-01-8F-90001;20.02.2024;PISTOL;LEGIBLE;PURCHASER
A2;14.05.2025;02.05.2025;US;TX;TX0000001;5-74-201-01-8F-90001;NULL;RIFLE;LEGIBLE;INCOMPLETE
A3;15.05.2025;02.05.2025;US;TX;TX0000001;NULL;NULL;ZIP GUN;OBLITERATED;INCOMPLETE
"""


def test_a_proposed_mapping_needs_little_and_is_checked(tmp_path: Path) -> None:
    path, own = tmp_path / "export.txt", tmp_path / "own.toml"
    path.write_text(EXPORT)
    told = run.invoke(app, ["mapping", "new", str(path), "--table", "traces", "--out", str(own)])
    assert told.exit_code == 0, told.output
    assert "1 questions left" in told.output
    text = own.read_text()
    assert "# ? 'ZIP GUN' (1 rows) is which of the codes?" in text
    assert 'date_format = "%d.%m.%Y"' in text
    there = ["--mapping", str(own), "--warehouse", str(tmp_path / "w")]
    check = ["mapping", "check", str(path), *there]
    told = run.invoke(app, [*check, "--json"])
    preview = json.loads(told.output)["preview"]
    assert [r["trace_id"] for r in preview["rows"]["traces"]] == ["A1", "A2"]
    assert (preview["rejected"][0]["value"], preview["rejected"][0]["n_rows"]) == ("ZIP GUN", 1)
    own.write_text(
        text.replace("[columns.firearm_type]", '[columns.firearm_type]\nother = "other"')
    )
    told = run.invoke(app, check)
    assert "Nothing was changed." in told.output
    assert not (tmp_path / "w").exists()
    load = ["ingest", str(path), *there]
    assert "Nothing was changed." in run.invoke(app, [*load, "--dry-run"]).output
    assert run.invoke(app, load).exit_code == 0
    stored = Warehouse.open(tmp_path / "w").read("traces").sort_by("trace_id").to_pylist()
    assert [r["dealer"] for r in stored] == ["5-74-90001", "5-74-90001", None]
    assert stored[0]["sold_on"] == date(2024, 2, 20)


def test_a_proposal_finds_the_header_and_never_guesses_a_code(tmp_path: Path) -> None:
    """A title stands above; NO VIOLATIONS is spelled most like revocation, and is its opposite."""
    rows = [
        ["Weekly extract"], [],
        ["Insp Nbr", "FFL", "Insp Type", "Start Dt", "Close Dt", "Outcome", "Hours"],
        ["1", "5-74-90001", "Compliance", "5/13/2025 9:00 AM", "6/21/2025 4:30 PM",
         "NO VIOLATIONS", "7,5"],
        ["2", "5-74-90001", "Compliance", "5/14/2025 9:00 AM", "pending",
         "WARNING LETTER ISSUED", "12,5"],
    ]  # fmt: skip
    path = tmp_path / "visits.txt"
    path.write_bytes("\r\n".join("\t".join(r) for r in rows).encode("utf-16-le"))
    text = propose(path, "inspections")
    read = tomllib.loads(text)["columns"]
    assert read["outcome"]["values"] == {"WARNING LETTER ISSUED": "warning_letter"}
    assert "# ? 'NO VIOLATIONS' (1 rows) is which of the codes?" in text
    assert {name: read[name]["from"] for name in ("kind", "opened_on", "closed_on")} == {
        "kind": "Insp Type", "opened_on": "Start Dt", "closed_on": "Close Dt",
    }  # fmt: skip
    assert read["closed_on"]["date_format"] == "%m/%d/%Y %I:%M %p"
    assert read["hours"]["decimal"] == ","
    own = tmp_path / "own.toml"
    own.write_text(
        text.replace("values = {", 'values = { "NO VIOLATIONS" = "none",').replace(
            '# [columns.selected_by]\n# constant = "risk"',
            '[columns.selected_by]\nconstant = "unknown"',
        )
    )
    there = ["--mapping", str(own), "--warehouse", str(tmp_path / "w"), "--max-rejects", "0.5"]
    told = run.invoke(app, ["ingest", str(path), *there, "--dry-run"], env={"COLUMNS": "80"})
    assert "5-74-90001" in told.output, "values are shown whole"
    assert "2025-06-21" in told.output
    assert "Would be ingested" in told.output
    assert run.invoke(app, ["ingest", str(path), *there]).exit_code == 0
    (stored,) = Warehouse.open(tmp_path / "w").read("inspections").to_pylist()
    assert (stored["hours"], stored["outcome"]) == (7.5, "none")


def test_day_numbers_of_a_spreadsheet_are_found_and_read(tmp_path: Path) -> None:
    path, own = tmp_path / "tips.csv", tmp_path / "own.toml"
    path.write_text("Tip Nr,FFL,Received,Source,Self Report\n1,5-74-90001,45717,public,no\n")
    text = propose(path, "tips")
    assert 'date_format = "excel"' in text
    for form, day in (("excel", date(2025, 3, 1)), ("excel-1904", date(2029, 3, 2))):
        own.write_text(text.replace('"excel"', f'"{form}"'))
        home = tmp_path / form
        ingest(path, home, mapping=own, today=date(2030, 1, 1))
        assert Warehouse.open(home).read("tips")["received_on"].to_pylist() == [day]


def test_a_proposal_asks_where_dates_have_two_readings(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("HOLD_NR,FFL,STARTS\nH1,5-74-90001,04/05/2025\nH2,5-74-90002,06/07/2025\n")
    told = run.invoke(app, ["mapping", "new", str(path), "--table", "holds"]).output
    assert "# ? two readings: 04/05/2025 is 2025-04-05 by %m/%d/%Y" in told
