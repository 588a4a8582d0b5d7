"""A query of an agency's own database, read through a mapping."""

from __future__ import annotations

import json
import sqlite3
import time
from datetime import date
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.warehouse import Warehouse
from ffl_risk import app
from tests.test_features.ingest_samples import TODAY

QUERY = "SELECT nr, ffl, begun, gone FROM stops WHERE kind = 'hold'"
COLUMNS = {"hold_id": "nr", "dealer": "ffl", "starts_on": "begun", "ends_on": "gone"}
ROWS = [
    (1, "5-74-90001", "2025-05-05", None, "hold"),
    (2, "5-74-90002", "05/06/2025", "1900-01-01", "hold"),
    (3, "5-74-90003", "2025-05-07", None, "other"),
]


def mapping(folder: Path, query: str = QUERY, extra: str = "") -> Path:
    entries = "".join(f'[columns.{ours}]\nfrom = "{theirs}"\n' for ours, theirs in COLUMNS.items())
    path = folder / "stops.toml"
    path.write_text(
        f'table = "holds"\ndate_format = ["%m/%d/%Y", "%Y-%m-%d"]\n'
        f'[database]\nquery = """{query}"""\n{extra}\n{entries}'
    )
    return path


def sqlite(folder: Path, name: str = "cases.sqlite") -> Path:
    path = folder / name
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE stops (nr INTEGER, ffl TEXT, begun TEXT, gone TEXT, kind TEXT)")
        con.executemany("INSERT INTO stops VALUES (?, ?, ?, ?, ?)", ROWS)
    con.close()
    return path


def load(folder: Path, own: Path, *paths: Path, **options: object) -> IngestSummary:
    return ingest(list(paths), folder / "w", mapping=own, today=TODAY, **options)  # type: ignore[arg-type]


def stored(folder: Path) -> list[tuple]:
    rows = Warehouse.open(folder / "w").read("holds").to_pylist()
    return sorted((r["hold_id"], r["dealer"], r["starts_on"], r["ends_on"]) for r in rows)


EXPECTED = [
    ("1", "5-74-90001", date(2025, 5, 5), None),
    ("2", "5-74-90002", date(2025, 5, 6), None),
]


@pytest.mark.parametrize("name", ["cases.sqlite", "cases %20 of?mode=rw.db"])
def test_a_file_of_sqlite_is_asked(tmp_path: Path, name: str) -> None:
    path = sqlite(tmp_path, name)
    before = path.read_bytes()
    load(tmp_path, mapping(tmp_path), path)
    assert stored(tmp_path) == EXPECTED
    again = load(tmp_path, mapping(tmp_path), path)
    assert again.files[0].notes == ("ingested before; nothing changed",)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "stops.toml", "w"])


def test_a_file_of_duckdb_is_asked_and_types_become_text(tmp_path: Path) -> None:
    path = tmp_path / "cases.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute(
            "CREATE TABLE stops AS SELECT 7::HUGEINT AS nr, '5-74-90001' AS ffl, "
            "TIMESTAMP '2025-05-05 23:59:00' AS begun, DATE '2025-06-01' AS gone, 'hold' AS kind"
        )
    load(tmp_path, mapping(tmp_path), path)
    assert stored(tmp_path) == [("7", "5-74-90001", date(2025, 5, 5), date(2025, 6, 1))]


def test_an_address_stands_in_the_environment_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sqlite(tmp_path, "s3cret.sqlite")
    own = mapping(tmp_path, extra='url_env = "CASES_URL"')
    monkeypatch.setenv("CASES_URL", f"sqlite:///{path}")
    words = ["ingest", "--mapping", str(own), "--warehouse", str(tmp_path / "w"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exception is None, done.exception
    assert stored(tmp_path) == EXPECTED
    told = json.loads(done.stdout)["files"][0]
    assert told["file"] == "database CASES_URL"
    kept = b"".join(p.read_bytes() for p in (tmp_path / "w").rglob("*") if p.is_file())
    assert b"s3cret" not in kept
    assert "s3cret" not in done.output
    with pytest.raises(SourceError, match="files were given too"):
        load(tmp_path, own, path)


def test_an_address_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = mapping(tmp_path, extra='url_env = "CASES_URL"')
    (tmp_path / "secret").write_text(f"sqlite:///{sqlite(tmp_path)}\n")
    monkeypatch.setenv("CASES_URL_FILE", str(tmp_path / "secret"))
    load(tmp_path, own)
    assert stored(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("", "holds no address"),
        ("hunter2:nothing", "text that is no address"),
        ("postgresql://clerk:hunter2@127.0.0.1:1/cases", "does not answer"),
        ("mssql+pyodbc://clerk:hunter2@127.0.0.1/cases", "nothing here can ask"),
        ("hunter2db://clerk:x@h/c", "nothing here can ask"),
    ],
)
def test_what_cannot_be_asked_says_so_at_once_and_keeps_the_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    own = mapping(tmp_path, extra='url_env = "CASES_URL"')
    monkeypatch.setenv("CASES_URL", address)
    began = time.monotonic()
    with pytest.raises(SourceError) as refused:
        load(tmp_path, own)
    assert time.monotonic() - began < 10
    assert said in str(refused.value)
    told = str(refused.value).replace("hunter2db", "")
    assert "hunter2" not in told
    assert refused.value.__suppress_context__ or "hunter2" not in repr(refused.value.__cause__)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT nr FROM nowhere", "no such table"),
        ("SELECT nr, begun AS nr FROM stops", "two columns of one name"),
        ("SELECT nr, ffl, begun FROM stops", "lacks columns of the mapping"),
        ("SELECT nr, ffl, begun, x'ff00' AS gone FROM stops", "bytes that are no text"),
        ("DELETE FROM stops", "must be one SELECT"),
        ("SELECT 1; DELETE FROM stops", "must be one SELECT"),
        ("WITH x AS (SELECT 1) DELETE FROM stops", "readonly database"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused(tmp_path: Path, query: str, said: str) -> None:
    path = sqlite(tmp_path)
    before = path.read_bytes()
    with pytest.raises(SourceError) as refused:
        load(tmp_path, mapping(tmp_path, query), path)
    assert said in str(refused.value)
    assert path.read_bytes() == before
    assert not (tmp_path / "w" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ('url = "postgresql://u:hunter2@h/d"', "may hold a password"),
        ('url_env = "postgresql://u:hunter2@h/d"', "name of a variable"),
        ('ulr_env = "X"', "setting 'ulr_env' is unknown"),
    ],
)
def test_an_address_in_the_mapping_is_refused(tmp_path: Path, extra: str, said: str) -> None:
    with pytest.raises(SourceError) as refused:
        load(tmp_path, mapping(tmp_path, extra=extra), sqlite(tmp_path))
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_file_that_is_no_database_and_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("nr,ffl\n")
    with pytest.raises(SourceError, match="is no database"):
        load(tmp_path, mapping(tmp_path), tmp_path / "x.csv")
    with pytest.raises(SourceError, match="cannot be read"):
        load(tmp_path, mapping(tmp_path), tmp_path / "gone.sqlite")
    with pytest.raises(SourceError, match="No database was named"):
        load(tmp_path, mapping(tmp_path))
    with pytest.raises(SourceError, match="Nothing was named to load"):
        ingest([], tmp_path / "w", today=TODAY)


def test_a_name_in_the_query_is_refused(tmp_path: Path) -> None:
    query = "SELECT nr, ffl, begun, gone, 'DOE' AS purchaser_last_name FROM stops"
    own = mapping(tmp_path, query)
    own.write_text(
        own.read_text()
        .replace('table = "holds"', 'table = "multiple_sales"')
        .replace("columns.hold_id", "columns.report_id")
        .replace("columns.starts_on", "columns.sold_on")
        .replace("columns.ends_on", "columns.reported_on")
        + '[columns.kind]\nconstant = "rifle"\n[columns.n_firearms]\nconstant = 2\n'
    )
    with pytest.raises(SourceError, match="purchaser_last_name"):
        load(tmp_path, own, sqlite(tmp_path))


def test_a_check_asks_and_changes_nothing(tmp_path: Path) -> None:
    words = ["mapping", "check", str(sqlite(tmp_path)), "--mapping", str(mapping(tmp_path))]
    done = CliRunner().invoke(app, [*words, "--warehouse", str(tmp_path / "w")])
    assert done.exception is None, done.exception
    assert "5-74-90002" in done.stdout
    assert not (tmp_path / "w").exists()
