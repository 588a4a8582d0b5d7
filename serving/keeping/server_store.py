"""A store on a server, copied to a file as of one moment, and from a file into an empty database.

Backup and restore know one form of the store, SQLite's file. Rows go through the tables that both
share, so that no tool of the database is needed and a copy can be read anywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from serving.errors import DiskError, InvalidRequestError
from serving.settings import sqlite_url
from serving.store.database import HEAD_REVISION, Store
from serving.store.tables import METADATA

_ROWS: Final = 2_000


def save(url: str, path: Path) -> None:
    """Copy the store at `url` into a new SQLite file as of one moment, while others write."""
    source, target = Store.open(url), Store.open(sqlite_url(path))
    try:
        with source.read_unchanging() as taken, target.write() as given:
            _copy(taken, given)
        with target.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        source.close()
        target.close()


def check_vacant(url: str) -> None:
    """Refuse a database that holds anything.

    Raises
    ------
    InvalidRequestError
        When there is a table in it.
    """
    store = Store(url)
    try:
        with store.read() as connection:
            found = sa.inspect(connection).get_table_names()
    finally:
        store.close()
    if found:
        raise InvalidRequestError(
            "The database that FFL_RISK_STORE_URL names is not empty; nothing was restored.",
            found=f"{len(found)} tables",
            expected="a database without tables",
            fix="make a new database and name it",
        )


def load(path: Path, url: str) -> None:
    """Copy a store's file into an empty database; all of it appears at once, or none.

    Raises
    ------
    DiskError
        When the copy does not have the rows of the file.
    """
    source, target = Store.open(sqlite_url(path)), Store(url)
    try:
        target.upgrade(HEAD_REVISION)
        try:
            with source.read_unchanging() as taken, target.write() as given:
                _copy(taken, given)
                if not target.is_sqlite:
                    _go_on_counting(given)
        except BaseException:
            target.downgrade("base")
            raise
    finally:
        source.close()
        target.close()


def _copy(taken: Connection, given: Connection) -> None:
    for table in reversed(METADATA.sorted_tables):
        given.execute(table.delete())  # what a migration put there
    for table in METADATA.sorted_tables:
        rows = taken.execution_options(yield_per=_ROWS).execute(sa.select(table)).mappings()
        n = 0
        for part in rows.partitions(_ROWS):
            given.execute(table.insert(), [dict(row) for row in part])
            n += len(part)
        kept = given.scalar(sa.select(sa.func.count()).select_from(table))
        if kept != n:
            raise DiskError(
                f"The copy of {table.name} is not whole.", found=f"{kept} of {n} rows",
                fix="make the copy again",
            )  # fmt: skip


def _go_on_counting(given: Connection) -> None:
    """Let a server's counters go on after the rows that came with their own numbers."""
    for table in METADATA.sorted_tables:
        for column in table.primary_key:
            if column is not table.autoincrement_column:
                continue
            counter = given.scalar(
                sa.select(sa.func.pg_get_serial_sequence(table.name, column.name))
            )
            newest = given.scalar(sa.select(sa.func.max(column)))
            if counter and newest:
                given.execute(sa.select(sa.func.setval(counter, newest)))
