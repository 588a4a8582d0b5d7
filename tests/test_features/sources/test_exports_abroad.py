"""Exports of agencies whose language, codes and systems are not those of the contract."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.commands.app import app
from features.errors import SourceError
from features.ingest import ingest
from features.ingest.proposals.new_mapping import propose
from features.sources.rows.dates import reading
from tests.test_features.ingest_samples import TODAY, row, write
from tests.test_features.sources.mappings.test_mappings_of_a_clerk import (
    export,
    holds,
    load,
    mapping,
    stored,
)

VISITS = {
    "inspection_id": 'from = "Nr"', "dealer": 'from = "FFL"', "kind": 'constant = "compliance"',
    "opened_on": 'from = "Tag"\ndate_format = "%d.%m.%Y"', "outcome": 'constant = "none"',
    "selected_by": 'from = "Anlass"\nvalues = { "turnusmäßig" = "other", "Zufall" = "random" }',
}  # fmt: skip


def test_a_code_is_found_however_its_letters_are_written(tmp_path: Path) -> None:
    own = mapping(tmp_path, table="inspections", **VISITS)
    reasons = (
        "turnusmäßig", "TURNUSMÄSSIG", "Turnusma\u0308ßig", "TURNUSMÄẞIG", " turnusmäßig\u200b",
    )  # fmt: skip
    rows = "".join(f"{n},5-74-90001,03.05.2025,{reason}\n" for n, reason in enumerate(reasons))
    load(tmp_path, f"Nr,FFL,Tag,Anlass\n{rows}", own)
    assert [r["selected_by"] for r in stored(tmp_path, "inspections")] == ["other"] * 5


def read(texts: Sequence[str], form: str) -> list[date | None]:
    query = f"SELECT {reading('t', form)} FROM (SELECT unnest($1::VARCHAR[]) AS t)"  # noqa: S608
    return [day for (day,) in duckdb.execute(query, [list(texts)]).fetchall()]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d. %B %Y", "12. März 2024"),
        ("%d. %B %Y", "12. Ma\u0308rz 2024"),
        ("%d. %B %Y", "12. Mrz. 2024"),
        ("%d de %B de %Y", "12 de marzo de 2024"),
        ("%d %B %Y", "12 mars 2024"),
        ("%d-%b-%Y", "12-MÄR-2024"),
        ("%d.%b.%Y", "12.mrt.2024"),
        ("%d-%b-%y", "12-Mar-24"),
    ],
)
def test_a_month_by_its_name_in_another_language(form: str, text: str) -> None:
    assert read([text], form) == [date(2024, 3, 12)]


def test_every_month_of_a_language_is_its_own() -> None:
    languages = (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "ene feb mar abr may jun jul ago sep oct nov dic",
        "janv févr mars avr mai juin juil août sept oct nov déc",
        "gen feb mar apr mag giu lug ago set ott nov dic",
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "januari februari maart april mei juni juli augustus september oktober november december",
    )
    found = read([f"5 {name} 2024" for names in languages for name in names.split()], "%d %B %Y")
    assert found == [date(2024, m, 5) for m in range(1, 13)] * len(languages)


def test_a_load_reads_months_of_another_language(tmp_path: Path) -> None:
    load(tmp_path, holds("12. März 2024"), mapping(tmp_path, 'date_format = "%d. %B %Y"'))
    assert stored(tmp_path)[0]["starts_on"] == date(2024, 3, 12)


def test_a_word_that_only_begins_like_a_month_is_none() -> None:
    assert read(["5 Marzipan 2024"], "%d %B %Y") == [None]


def test_collectors_are_set_aside_in_every_layout(tmp_path: Path) -> None:
    text = "FFL,T,D,O,S,C\n" + "".join(
        f"5-74-9000{n},{kind},2025-01-01,Ulm,TX,48201\n" for n, kind in enumerate("AAB")
    )
    columns = {
        "dealer": 'from = "FFL"', "license_type": 'from = "T"\nvalues = { A = "01", B = "03" }',
        "listed_on": 'from = "D"', "premises_city": 'from = "O"', "premises_state": 'from = "S"',
        "county_fips": 'from = "C"',
    }  # fmt: skip
    summary = load(tmp_path, text, mapping(tmp_path, table="licenses", **columns))
    assert (summary.counts["stored"], summary.counts["set_aside"]) == (2, 1)
    folder = tmp_path / "canonical"
    folder.mkdir()
    rows = [row("licenses", license_type=kind, dealer=f"5-74-9000{kind}") for kind in "13"]
    path = write(folder, "licenses", rows)
    told = CliRunner().invoke(
        app, ["ingest", str(path), "--json", "--warehouse", str(folder / "w")]
    )
    assert told.exit_code == 0, told.exception
    assert '"n_set_aside": 1' in told.stdout


def test_a_check_ends_as_the_load_would(tmp_path: Path) -> None:
    own, path = mapping(tmp_path), export(tmp_path, holds("2025-01-01", "45778", "45779"))
    words = ["mapping", "check", str(path), "--mapping", str(own)]
    told = CliRunner().invoke(app, [*words, "--warehouse", str(tmp_path / "w")])
    assert isinstance(told.exception, SourceError)
    assert "2025-01-01" in told.stdout
    message = str(told.exception)
    assert "66.7% of its 3 rows" in message
    assert "2 bad_date in starts_on, such as '45778' (first in line 3)" in message
    assert 'date_format = "excel"' in message


def test_rows_of_one_file_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    twice = "NR,FFL,BEGIN\n" + "".join(
        f"H{n},5-74-90001,2025-0{m}-01\n" for n in range(9) for m in range(1, 3 if n == 0 else 2)
    )
    columns = {"known_on": 'constant = "2025-05-01"'}
    summary = load(tmp_path, twice, mapping(tmp_path, **columns))
    told = " ".join(summary.files[0].notes)
    assert "say different things of the same key and day: 2; none stands" in told
    assert "GROUP BY" in told


def test_sales_without_a_recovery_are_told(tmp_path: Path) -> None:
    rows = [row("traces", trace_id=f"T{n}", recovered_on="") for n in range(3)]
    path = write(tmp_path, "traces", rows)
    told = CliRunner().invoke(app, ["ingest", str(path), "--warehouse", str(tmp_path / "w")])
    assert "sales without a day of recovery: 3 of 3" in " ".join(told.stdout.split())


def workbook(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    book = openpyxl.Workbook()
    assert book.active is not None
    for cells in rows:
        book.active.append(list(cells))
    book.save(folder / "visits.xlsx")
    return folder / "visits.xlsx"


def test_a_row_is_not_taken_for_the_headings(tmp_path: Path) -> None:
    """BY is Bavaria here, and looks like the column that says by whom a dealer was chosen."""
    head = ["Kontroll-Nr", "Land", "Erlaubnis", "Tag", "Anlass"]
    rows = [[n, "BY", f"31814{n}", "20.07.2020", "Zufall"] for n in range(5)]
    text = propose(workbook(tmp_path, [head, *rows]), "inspections")
    assert "#   Kontroll-Nr (0, 1, 2, ...)" in text
    assert "looks like a row" not in text
    assert '#   Tag (20.07.2020): date_format = "%d.%m.%Y"' in text


def test_a_text_without_headings_is_asked_about_and_read(tmp_path: Path) -> None:
    rows = "H1;5-74-90001;20.07.2024\nH2;5-74-90002;21.07.2024\n"
    text = propose(export(tmp_path, rows), "holds")
    assert '# header = ["NAME_1", "NAME_2", "NAME_3"]' in text
    top = 'delimiter = ";"\nheader = ["NR", "FFL", "BEGIN"]\ndate_format = "%d.%m.%Y"'
    load(tmp_path, rows, mapping(tmp_path, top))
    days = {r["hold_id"]: r["starts_on"] for r in stored(tmp_path)}
    assert days == {"H1": date(2024, 7, 20), "H2": date(2024, 7, 21)}
    narrow = propose(export(tmp_path, "0001AB 20240720\n0002CD 20240721\n"), "holds")
    assert "# [fixed_width]" in narrow
    with pytest.raises(SourceError, match="header is a list"):
        load(tmp_path, rows, mapping(tmp_path, 'header = ["NR", "NR"]'))


def test_a_query_finds_its_headings_below_a_title(tmp_path: Path) -> None:
    text = "Report of 2025-01-02,,\n,,\n" + holds("2025-01-01").replace("NR", "No")
    query = """query = 'SELECT "No" AS NR, FFL, BEGIN FROM export'"""
    load(tmp_path, text, mapping(tmp_path, query))
    assert stored(tmp_path)[0]["hold_id"] == "H0"
    coded = "A,C,BEGIN\nNORTH,1,2025-01-01\nSOUTH,2,2025-01-02\n"
    query = """query = "SELECT CASE A WHEN 'NORTH' THEN 'H8' WHEN 'SOUTH' THEN 'H9' END AS NR, \\
        '5-74-9000' || C AS FFL, BEGIN FROM export"
"""
    load(tmp_path, coded, mapping(tmp_path, query.replace("\\\n", "")))
    assert {r["hold_id"] for r in stored(tmp_path)} == {"H0", "H8", "H9"}


def test_a_database_that_is_a_file_gets_a_mapping_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "cases.sqlite"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE other (a INTEGER)")
        con.execute('CREATE TABLE raw ("hold nbr" TEXT, dealer TEXT, start_dt TEXT)')
        con.execute("INSERT INTO raw VALUES ('H1', '5-74-90001', '20.07.2024')")
        con.execute("CREATE VIEW holds AS SELECT * FROM raw")
    con.close()
    text = propose(path, "holds", "holds")
    assert tomllib.loads(text)["database"]["query"] == (
        'SELECT "hold nbr", "dealer", "start_dt" FROM "holds"'
    )
    assert 'FROM "raw"' in propose(path, "holds", "raw")
    with pytest.raises(SourceError, match="no table called 'x'"):
        propose(path, "holds", "x")
    own = tmp_path / "own.toml"
    columns = mapping(
        tmp_path, hold_id='from = "hold nbr"', dealer='from = "dealer"',
        starts_on='from = "start_dt"\ndate_format = "%d.%m.%Y"',
    ).read_text()  # fmt: skip
    head = text[: text.index("# Columns")] if "# Columns" in text else text.split("[columns")[0]
    own.write_text(head + columns.replace('table = "holds"', ""), encoding="utf-8")
    words = ["ingest", str(path), "--mapping", str(own), "--warehouse", str(tmp_path / "w")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.exception
    assert stored(tmp_path)[0]["starts_on"] == date(2024, 7, 20)


def test_a_row_of_many_megabytes_is_told_as_one(tmp_path: Path) -> None:
    long = holds("2025-01-01") + "H1,5-74-90001," + "9" * 3_000_000 + "\n"
    with pytest.raises(SourceError, match="has a row of more than 1 MB"):
        load(tmp_path, long, mapping(tmp_path))


def test_a_share_may_be_written_in_per_cent(tmp_path: Path) -> None:
    shares = ["25%", "12.5 %", "0.25", "100%", "150%", "25"]
    rows = [
        row("inspections", inspection_id=f"I{n}", inclusion_probability=share)
        for n, share in enumerate(shares)
    ]
    path = write(tmp_path, "inspections", rows)
    words = ["ingest", str(path), "--max-rejects", "0.5", "--warehouse", str(tmp_path / "w")]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.exception
    found = {
        r["inspection_id"]: r["inclusion_probability"] for r in stored(tmp_path, "inspections")
    }
    assert found == {"I0": 0.25, "I1": 0.125, "I2": 0.25, "I3": 1.0}
    told = CliRunner().invoke(app, ["sources", "--warehouse", str(tmp_path / "w")])
    assert "6 rows of inspections, 2 rejected" in told.stdout


JOIN = """
[[join]]
file = "{name}"
key = "KEY"
"""


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_another_file_of_any_kind_is_joined_from_beside_the_export(
    ending: str, tmp_path: Path
) -> None:
    """The export is a workbook, the mapping lies in another folder."""
    maps = tmp_path / "maps"
    maps.mkdir()
    book = workbook(tmp_path, [["NR", "KEY", "BEGIN"], ["H1", "A7", "2025-05-01"]])
    keys = {"KEY": ["A7", "B9"], "FFL": ["5-74-90001", "5-74-90002"]}
    path = tmp_path / f"keys.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table(keys), path)
    elif ending == "csv":
        path.write_text("Keys of 2025;\nKEY;FFL\nA7;5-74-90001\n", encoding="utf-8")
    else:
        workbook(tmp_path / "maps", [list(keys), *zip(*keys.values(), strict=True)]).rename(path)
    own = mapping(maps, JOIN.format(name=path.name))
    ingest(book, tmp_path / "w", mapping=own, today=TODAY)
    assert stored(tmp_path)[0]["dealer"] == "5-74-90001"


def test_a_join_that_finds_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("KEY,FFL\n7,5-74-90001\n", encoding="utf-8")
    own = mapping(tmp_path, JOIN.format(name="keys.csv"))
    with pytest.raises(SourceError, match=r"No row finds its own in keys.csv") as error:
        load(tmp_path, "NR,KEY,BEGIN\nH1,0007,2025-05-01\n", own)
    assert "'0007'" in str(error.value)
    text = "NR,KEY,BEGIN\nH1,7,2025-05-01\nH2,8,2025-05-01\n"
    notes = load(tmp_path, text, own, max_rejects=0.5).files[0].notes
    assert "rows without one of their own in keys.csv: 1" in notes


def test_whole_numbers_that_a_program_made_floats_are_whole(tmp_path: Path) -> None:
    """A column of numbers with a hole in it is one of floats; its citations come as text."""
    table = {"nr": [1.0, 12345678.0, None], "code": [2.0, 1.0, 1.0], "hours": [1.5, 2.0, 3.0]}
    table |= {"inspection_id": table["nr"], "dealer": ["5-74-90001"] * 3}
    days = {"opened_on": ["2025-05-01"] * 3, "closed_on": ["2025-06-01"] * 3}
    told = {"kind": ["compliance"] * 3, "selected_by": ["random"] * 3, "outcome": ["none"] * 3}
    pq.write_table(pa.table({**table, **days, **told}), tmp_path / "inspections.parquet")
    ingest(tmp_path / "inspections.parquet", tmp_path / "w", today=TODAY, max_rejects=0.5)
    assert [r["inspection_id"] for r in stored(tmp_path, "inspections")] == ["1", "12345678"]
    columns = {name: f'from = "{name}"' for name in (*days, *told, "dealer", "hours")}
    columns |= {"inspection_id": 'from = "nr"'}
    columns |= {"outcome": 'from = "code"\nvalues = { 1 = "report", 2 = "none" }'}
    other = tmp_path / "other"
    other.mkdir()
    own = mapping(other, table="inspections", **columns)
    ingest(tmp_path / "inspections.parquet", other / "w", mapping=own, today=TODAY, max_rejects=0.5)
    found = {r["inspection_id"]: (r["outcome"], r["hours"]) for r in stored(other, "inspections")}
    assert found == {"1": ("none", 1.5), "12345678": ("report", 2.0)}


def test_whole_numbers_of_records_and_databases_are_whole(tmp_path: Path) -> None:
    records = [
        {"hold_id": n, "dealer": "5-74-90001", "starts_on": "2025-05-01"} for n in (1.0, 2, 3.5)
    ]
    path = tmp_path / "holds.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    ingest(path, tmp_path / "w", today=TODAY)
    assert [r["hold_id"] for r in stored(tmp_path)] == ["1", "2", "3.5"]
    with sqlite3.connect(tmp_path / "cases.sqlite") as con:
        con.execute("CREATE TABLE h (NR REAL, FFL TEXT, BEGIN TEXT)")
        con.execute("INSERT INTO h VALUES (7.0, '5-74-90001', '2025-05-01')")
    con.close()
    own = mapping(tmp_path, '[database]\nquery = "SELECT * FROM h"')
    ingest(tmp_path / "cases.sqlite", tmp_path / "w", mapping=own, today=TODAY)
    assert "7" in {r["hold_id"] for r in stored(tmp_path)}


def test_a_formula_that_keeps_zeros_is_its_text(tmp_path: Path) -> None:
    text = '="NR",FFL,"=""BEGIN"""\n="001",="5-74-90001","=""2025-05-01"""\n'
    load(tmp_path, text, mapping(tmp_path))
    row_read = stored(tmp_path)[0]
    assert (row_read["hold_id"], row_read["starts_on"]) == ("001", date(2025, 5, 1))


def test_yes_and_no_in_other_languages(tmp_path: Path) -> None:
    words = ["ja", "Nein", "SÍ", "non", "true", "FALSCH"]
    rows = [row("tips", tip_id=f"P{n}", is_self_report=word) for n, word in enumerate(words)]
    ingest(write(tmp_path, "tips", rows), tmp_path / "w", today=TODAY)
    found = {r["tip_id"]: r["is_self_report"] for r in stored(tmp_path, "tips")}
    assert [found[f"P{n}"] for n in range(6)] == [True, False] * 3


@pytest.mark.parametrize(
    ("settings", "text", "hours"),
    [
        ('thousands = "."\ndecimal = ","', "1.234,5", 1234.5),
        ('thousands = "."\ndecimal = ","', "12,5", 12.5),
        ('thousands = "."\ndecimal = ","', "1,234.5", None),
        ('thousands = "."\ndecimal = ","', "1.5", None),
        ('decimal = ","', "1.5", None),
        ('thousands = ","', "1,234.5", 1234.5),
        ('thousands = ","', "1,5", None),
        ('thousands = " "\ndecimal = ","', "1\u202f234,5", 1234.5),
        ('thousands = "\'"', "1\u2019234", 1234.0),
    ],
)
def test_a_number_is_read_only_as_the_mapping_says(
    settings: str, text: str, hours: float | None, tmp_path: Path
) -> None:
    own = mapping(tmp_path, table="inspections", **VISITS, hours=f'from = "Std"\n{settings}')
    row_text = f'1;5-74-90001;03.05.2025;Zufall;"{text}"\n'
    if hours is None:
        with pytest.raises(SourceError, match="not written as the mapping says"):
            load(tmp_path, f"Nr;FFL;Tag;Anlass;Std\n{row_text}", own)
        return
    load(tmp_path, f"Nr;FFL;Tag;Anlass;Std\n{row_text}", own)
    assert stored(tmp_path, "inspections")[0]["hours"] == hours


def test_numbers_that_are_not_unique_are_told(tmp_path: Path) -> None:
    """They begin anew each year: the second row would be taken for a correction of the first."""
    text = "NR,FFL,BEGIN\n1,5-74-90001,2024-05-01\n1,5-74-90002,2025-05-01\n"
    told = " ".join(load(tmp_path, text, mapping(tmp_path)).files[0].notes)
    assert "under which the file names several dealers: 1, such as '1'" in told


def test_days_and_months_the_other_way_round_are_told(tmp_path: Path) -> None:
    own = mapping(tmp_path, 'date_format = "%d/%m/%Y"')
    text = holds(*(f"{day:02d}/05/2025" for day in range(1, 12)), "05/13/2025")
    told = " ".join(load(tmp_path, text, own).files[0].notes)
    assert "the other way round: 1, such as '05/13/2025'" in told


def test_a_column_of_which_no_date_was_read_holds_one_format(tmp_path: Path) -> None:
    """Days that are days either way were rejected as well: none was misread."""
    own = mapping(tmp_path, 'date_format = "%d/%m/%Y"')
    days = [f"{day:02d}/05/2025 07:59 +02:00" for day in range(1, 28)]
    told = load(tmp_path, holds("01/05/2025", *days), own, max_rejects=1.0).files[0].notes
    assert "the other way round" not in " ".join(told)
