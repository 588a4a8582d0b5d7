"""The rows of a query of an agency's own database, as a file that a mapping reads.

A mapping with a table ``[database]`` names the query and where it is asked::

    [database]
    url_env = "CASES_URL"          # the variable that holds the address, never the address itself
    query = "SELECT nr, dealer, opened FROM visits"

Without ``url_env`` the path given is the database: a file of SQLite or DuckDB. The address is read
from the environment (or from the file that ``CASES_URL_FILE`` names) when the query is asked, and
stands in no mapping, message or manifest. The query runs in a transaction that cannot write, and
its rows are kept, as text, only until the load is over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import SourceError
from features.sources.files.archive import Finds, Found
from features.sql import quoted

if TYPE_CHECKING:
    import sqlalchemy as sa

N_ROWS: Final = 20_000  # held at a time
SECONDS_TO_CONNECT: Final = 10
_SQLITE: Final = b"SQLite format 3\0"
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_SETTINGS: Final = {"url_env", "query"}
Rows = Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Database:
    """What a mapping says about a database.

    Parameters
    ----------
    query : str
        One SELECT, in the language of that database.
    url_env : str
        Variable of the environment that holds the address; empty when the path given is the
        database.
    """

    query: str
    url_env: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Database | None:
        """Read the table of a mapping that `database_faults` passed."""
        entry = raw.get("database")
        if entry is None:
            return None
        return cls(str(entry["query"]).strip().rstrip(";"), str(entry.get("url_env", "")))


def database_faults(raw: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the table ``[database]``."""
    entry = raw.get("database", {"query": "SELECT 1"})
    if not isinstance(entry, Mapping) or not str(entry.get("query", "")).strip():
        return ["database needs a query"]
    faults = [f"database: setting {name!r} is unknown" for name in entry.keys() - _SETTINGS]
    if "url" in entry or "password" in entry:
        faults.append(
            "database: an address may hold a password and does not belong into a mapping: put it "
            "into a variable of the environment and name that with url_env"
        )
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(entry.get("url_env", "A"))):
        faults.append("database: url_env is the name of a variable of the environment")
    query = str(entry["query"]).strip().rstrip(";")
    if not re.match(r"(?is)(select|with)\b", query) or ";" in re.sub(r"'[^']*'", "", query):
        faults.append("database: query must be one SELECT")
    return faults


def pulled(database: Database, paths: Sequence[Path], folder: Path) -> Finds:
    """Ask the query, and return its rows as a file in `folder`.

    Raises
    ------
    SourceError
        When the database cannot be reached, refuses the query, or gives no column.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if database.url_env:
        if paths:
            raise SourceError(
                "The mapping reads a database, and files were given too.",
                found=", ".join(path.name for path in paths[:5]),
                fix=f"leave the files out; the address is that in {database.url_env}",
            )
        name, made = f"database {database.url_env}", folder / "0.parquet"
        with _asked(_address(database.url_env), database, name) as (columns, rows):
            _write(columns, rows, made, name)
        return Finds([Found(made, name)])
    if not paths:
        raise SourceError(
            "No database was named.",
            expected="the path of a file of SQLite or DuckDB, or url_env in the mapping",
        )
    finds = Finds()
    for n, path in enumerate(paths):
        made = folder / f"{n}.parquet"
        with _file_asked(path, database) as (columns, rows):
            _write(columns, rows, made, path.name)
        finds.found.append(Found(made, path.name))
    return finds


def is_database(path: Path) -> bool:
    """Tell a file of SQLite or DuckDB by its first bytes."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_SQLITE))
    except OSError:
        return False
    return magic == _SQLITE or magic[8:12] == b"DUCK"


def tables_of(path: Path) -> dict[str, list[str]]:
    """Return the columns of each table and view of a database that is a file."""
    with path.open("rb") as stream:
        is_sqlite = stream.read(len(_SQLITE)) == _SQLITE
    listing = (
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"
        if is_sqlite
        else "SELECT table_name FROM information_schema.tables ORDER BY table_name"
    )
    with _file_asked(path, Database(listing)) as (_, rows):
        names = [str(row[0]) for row in rows]
    held = {}
    for name in names:
        with _file_asked(path, Database(f"SELECT * FROM {quoted(name)} LIMIT 0")) as (columns, _):
            held[name] = list(columns)
    return held


def _address(variable: str) -> sa.URL:
    """Return the address that a variable, or the file it names, holds."""
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError

    text, place = os.environ.get(variable, ""), os.environ.get(f"{variable}_FILE", "")
    try:
        text = text or (Path(place).read_text(encoding="utf-8") if place else "")
        url = sa.make_url(text.strip())
    except OSError as error:
        raise SourceError(
            f"The file that {variable}_FILE names cannot be read.", found=error.strerror or ""
        ) from error
    except ArgumentError:
        # What was found may hold a password, and is not shown.
        raise SourceError(
            f"{variable} holds no address of a database.",
            found="nothing" if not text else "text that is no address",
            expected="such as postgresql://USER@HOST/NAME",
            fix=f"set {variable}, or {variable}_FILE to a file that holds it",
        ) from None
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


@contextmanager
def _asked(url: sa.URL, database: Database, name: str) -> Iterator[tuple[list[str], Rows]]:
    """Ask a database by SQLAlchemy, a part of the rows at a time; nothing can be written."""
    import sqlalchemy as sa
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    is_postgresql = url.get_backend_name() == "postgresql"
    # A moment is the day it was in one zone, whatever the machines are set to.
    options = {"connect_timeout": SECONDS_TO_CONNECT, "options": "-c timezone=UTC"}
    try:
        engine = sa.create_engine(
            url, connect_args=options if is_postgresql else {}, poolclass=sa.NullPool
        )
        with engine.connect() as connection:
            way: dict[str, Any] = {"stream_results": True, "max_row_buffer": N_ROWS}
            way["no_parameters"] = True  # a percent sign in the query is one
            if is_postgresql:
                way["postgresql_readonly"] = True
            opened = connection.execution_options(**way)
            answer = opened.exec_driver_sql(database.query)
            yield list(answer.keys()), answer
            connection.rollback()
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise SourceError(
            f"{name} is of a kind that nothing here can ask.",
            found=f"{url.get_backend_name()}: {error}",
            fix="install its driver for SQLAlchemy, or export the rows as CSV or Parquet",
        ) from error
    except (SQLAlchemyError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{name} does not answer the query of the mapping.",
            found=_without_secret(error, url),
            fix="correct the query, or the address and the rights of its account",
        ) from None  # the cause may hold the address


def _without_secret(error: Exception, url: sa.URL) -> str:
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    for secret in (url.render_as_string(hide_password=False), str(url.password or "")):
        text = text.replace(secret, "***") if secret else text
    return text[:400]


@contextmanager
def _file_asked(path: Path, database: Database) -> Iterator[tuple[list[str], Rows]]:
    """Ask a database that is a file, opened for reading alone."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_SQLITE))
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read.",
            found=error.strerror or str(error),
            fix="check the path and that you may read it",
        ) from error
    if magic == _SQLITE:
        import sqlalchemy as sa

        place = path.absolute().as_uri()
        url = sa.URL.create("sqlite", database=place, query={"mode": "ro", "uri": "true"})
        with _asked(url, database, path.name) as found:
            yield found
    elif magic[8:12] == b"DUCK":
        with _duckdb_asked(path, database) as found:
            yield found
    else:
        raise SourceError(
            f"{path.name} is no database that is read here.",
            found=f"first bytes {magic[:8]!r}",
            expected="a file of SQLite or DuckDB, or url_env in the mapping for a server",
            fix="take [database] out of the mapping where the file is an export",
        )


@contextmanager
def _duckdb_asked(path: Path, database: Database) -> Iterator[tuple[list[str], Rows]]:
    import duckdb

    try:
        with duckdb.connect(str(path), read_only=True) as con:
            answer = con.execute(database.query)
            columns = [column[0] for column in answer.description]
            yield columns, iter(answer.fetchone, None)
    except duckdb.Error as error:
        raise SourceError(
            f"{path.name} does not answer the query of the mapping.",
            found=" ".join(str(error).split())[:400],
            fix="correct the query",
        ) from error


def _write(columns: list[str], rows: Rows, to: Path, name: str) -> None:
    """Write rows as Parquet, every value as the text that a mapping reads."""
    twice = sorted({c for c in columns if columns.count(c) > 1})
    if twice:
        raise SourceError(
            f"The query of {name} gives two columns of one name.",
            found=", ".join(twice),
            fix="name them apart with AS",
        )
    schema = pa.schema([pa.field(column, pa.string()) for column in columns])
    with pq.ParquetWriter(to, schema) as writer:
        part: list[list[str | None]] = []
        for row in rows:
            part.append([_text(value, name) for value in row])
            if len(part) == N_ROWS:
                _write_part(writer, schema, part)
                part = []
        _write_part(writer, schema, part)


def _write_part(writer: pq.ParquetWriter, schema: pa.Schema, part: list[list[str | None]]) -> None:
    columns = [list(column) for column in zip(*part, strict=True)] or [[] for _ in schema]
    writer.write_table(pa.table(columns, schema=schema))


def _text(value: Any, name: str) -> str | None:
    """Return a value as a mapping reads it; a moment is its day."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(int(value)) if value == value.to_integral_value() else format(value, "f")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of whole numbers with a hole in it may be one of floats
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{name} gives bytes that are no text.",
                found=f"{bytes(value)[:8]!r}",
                fix="turn them into text in the query, or leave the column out",
            ) from error
    return str(value)
