"""The store: SQLite embedded, PostgreSQL by setting; migrated when opened."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from serving import clock
from serving.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.engine import Connection, Engine

HEAD_REVISION: Final = "0007"
# What a commit waits for on SQLite: nothing but the system (a killed process loses nothing, a power
# cut may lose the last commits), or the disk.
_SYNCHRONOUS: Final = ("NORMAL", "FULL", "EXTRA")
# A log of SQLite's so long is taken into the file by whoever writes next: 64 MB.
_MOST_PAGES: Final = 16_384
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def instant(when: datetime | None = None) -> str:
    """Return `when`, by default now, as UTC ISO 8601 with microseconds.

    >>> instant(datetime(2026, 1, 2, tzinfo=UTC))
    '2026-01-02T00:00:00.000000Z'
    """
    if when is None:
        seconds, microseconds = divmod(clock.microseconds(), 1_000_000)
        return f"{_second(seconds)}.{microseconds:06d}Z"
    return when.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@lru_cache(maxsize=2)
def _second(n: int) -> str:
    """Return a second since 1970 as text: many answers are given within one."""
    return datetime.fromtimestamp(n, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _insert(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Return the insertion of the store's own dialect, which knows what to do on a conflict."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # with its drivers, which no other store needs

    return postgresql.insert(table)


def insert_new(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> int | None:
    """Insert a row unless one with the same key is there, and return its id, None if there was one.

    Looking first and inserting then would let two writers on a server do both at once.
    """
    insert = _insert(connection, table).values(**row)
    (key,) = table.primary_key
    found = connection.scalar(insert.on_conflict_do_nothing().returning(key))
    return None if found is None else int(found)


def insert_quietly(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same key is there; return whether it was inserted."""
    insert = _insert(connection, table).values(**row)
    return bool(connection.execute(insert.on_conflict_do_nothing()).rowcount)


def spaced_id(connection: Connection, column: sa.Column[Any]) -> int:
    """Return the next number of a table whose rows are not all everybody's to see.

    Numbers without gaps would count what is hidden; these have gaps of their own. The caller holds
    the order's lock (`serving.store.journal.lock`), so that no two writers get the same.
    """
    newest = connection.scalar(sa.select(sa.func.max(column)))
    return int(newest or 0) + 1 + secrets.randbelow(4)


class Store:
    """One door to the database.

    Parameters
    ----------
    url : str
        SQLAlchemy URL. It may hold a password and is never part of a message. That of SQLite may
        say `?synchronous=FULL`: a commit then waits for the disk.
    """

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._synchronous = _synchronous_of(parsed) if self.is_sqlite else ""
        if self.is_sqlite:
            parsed = parsed.difference_update_query(["synchronous"])
            self.engine = _sqlite_engine(parsed, self._synchronous)
        else:
            self.engine = _server_engine(parsed)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open the store and bring its tables up to date.

        Raises
        ------
        StoreError
            When it cannot be reached, or was written by a later version.
        """
        try:
            store = cls(url)
            store.upgrade()
        except (DBAPIError, PoolTimeoutError, OSError, ModuleNotFoundError) as error:
            raise StoreError(
                "The store cannot be opened.",
                found=type(error).__name__,
                fix="check FFL_RISK_STORE_URL, the server, and the right to write FFL_RISK_HOME",
            ) from error
        return store

    def revision(self) -> str | None:
        """Return the revision of the tables, None when there are none."""
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return str(connection.scalar(sa.text("SELECT version_num FROM alembic_version")))

    def upgrade(self, revision: str = HEAD_REVISION) -> None:
        """Migrate up to `revision`.

        Raises
        ------
        StoreError
            When the tables are of a revision that this version does not know.
        """
        found = self.revision()
        if found == revision:
            return
        # Alembic is slow to import and rarely needed.
        from alembic import command
        from alembic.util import CommandError

        try:
            with self._locked() as config:
                command.upgrade(config, revision)
        except CommandError:
            raise StoreError(
                "The store was written by a later version.",
                found=f"revision {found}",
                expected=f"revision {HEAD_REVISION} or an earlier one",
                fix="run the version that wrote it, or restore the backup from before the upgrade",
            ) from None

    def downgrade(self, revision: str) -> None:
        """Migrate down to `revision`; ``base`` removes every table."""
        from alembic import command

        with self._locked() as config:
            command.downgrade(config, revision)

    @contextmanager
    def _locked(self) -> Iterator[Any]:
        """Give Alembic a connection that alone may migrate."""
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(7403111)"))
            config.attributes["connection"] = connection
            yield config

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection for reading."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def read_unchanging(self) -> Iterator[Connection]:
        """Open a connection whose every query sees the store as of the first one."""
        with self.read() as connection:
            if not self.is_sqlite:  # a transaction of SQLite is one anyway
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction; it commits at the end, or rolls back on an error."""
        with _translated(), self.engine.connect() as connection:
            # A SQLite reader that turns writer can fail at once; taking the lock first waits.
            connection.execution_options(ffl_risk_writes=True)
            with connection.begin():
                yield connection

    def direct_connection(self) -> sqlite3.Connection | None:
        """Return a connection of the driver that never waits for a lock or a disk, or None."""
        database = self.engine.url.database
        if self._synchronous != "NORMAL" or not database or database == ":memory:":
            return None
        connection = sqlite3.connect(
            database, timeout=0, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=NORMAL")
        # What is written here waits for no disk: `checkpoint` does, in time, in another thread.
        connection.execute(f"PRAGMA wal_autocheckpoint={_MOST_PAGES}")
        return connection

    def checkpoint(self) -> None:
        """Take what SQLite's log holds into the file itself, without holding anybody up."""
        connection = self.engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
        finally:
            connection.close()

    def is_reachable(self) -> bool:
        """Return whether a trivial query is answered."""
        try:
            with self.engine.connect() as connection:
                return bool(connection.scalar(sa.text("SELECT 1")) == 1)
        except (DBAPIError, PoolTimeoutError):
            return False

    def pool_use(self) -> tuple[int, int]:
        """Return how many connections are in use, and how many may be open at once."""
        pool = self.engine.pool
        if not isinstance(pool, sa.QueuePool):
            return 0, 1
        return pool.checkedout(), pool.size() + pool._max_overflow

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise StoreError(
            "The store did not answer.",
            found=type(getattr(error, "orig", error)).__name__,
            fix="try again; if it lasts, look at the database's own log",
        ) from error


def _synchronous_of(url: sa.URL) -> str:
    found = str(url.query.get("synchronous", _SYNCHRONOUS[0])).upper()
    if found not in _SYNCHRONOUS:
        raise StoreError(
            "FFL_RISK_STORE_URL asks SQLite for a way of writing that there is not.",
            expected=f"?synchronous= {', '.join(_SYNCHRONOUS)}",
        )
    return found


def _sqlite_engine(url: sa.URL, synchronous: str) -> Engine:
    if url.database and url.database != ":memory:":
        path = Path(url.database)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Tokens and audit records: nobody else on the machine reads them.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    engine = sa.create_engine(url, connect_args={"timeout": 15, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin where `_begin` says
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "busy_timeout=15000",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("ffl_risk_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _server_engine(url: sa.URL) -> Engine:
    # A connection that the server dropped is replaced before it is used.
    return sa.create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20, pool_timeout=10)
