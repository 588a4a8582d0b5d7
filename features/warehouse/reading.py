"""The warehouse: Parquet tables with a manifest, read as they were known before a day.

Layout
------
::

    <warehouse>/manifest.json                        its atomic replacement is the commit point
    <warehouse>/<table>/batch=NNNNNN/part-0.parquet  immutable, sorted by (dealer, known_on)
    <warehouse>/rejects/<table>.parquet              every rejected row, with source and reason
    <warehouse>/.staging/                            a writer's unfinished work; swept by the next
    <warehouse>/.lock                                held by the one writer

The manifest decides which files are live: a file it does not name is an orphan of a killed writer,
one that it calls retired was replaced and stays for the readers that were open then. A correction
never edits a file: the batches that hold superseded rows are written anew under a new batch number.

Time
----
A row carries ``known_on`` (the day the fact was in the agency's hands) and ``superseded_on``
(``known_on`` of the next version of the same key, null for the current one). As of ``T`` a row is
in force when ``known_on < T <= superseded_on``. A row that only repeats the version before it is
superseded on the day it was known and so never in force: it is kept because a version that arrives
later may come between the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.domain.asof import known_sql
from features.errors import WarehouseError, did_you_mean
from features.openjson import Json
from features.schema import TABLES
from features.sql import quoted
from features.warehouse.manifest import REJECTS, fingerprint, read_manifest
from features.warehouse.stored import arrow_schema, columns_of, scan_table


class Warehouse:
    """A warehouse as it was when opened.

    Parameters
    ----------
    path : Path
        Its folder.
    manifest : mapping
        What `manifest.json` said.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path) -> Warehouse:
        """Open the warehouse at `path`.

        Raises
        ------
        WarehouseMissingError
            When there is none.
        """
        path = Path(path)
        return cls(path, read_manifest(path))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content, equal on every machine that ingested the same files."""
        return fingerprint(self.manifest)

    def has(self, table: str) -> bool:
        """Whether any row of `table` is stored."""
        return bool(self._entries(table))

    def is_known_within(self, table: str, first: str, last: str) -> bool:
        """Whether rows of `table` may have become known from `first` to `last`, ISO days."""
        days = ((file["min_known_on"], file["max_known_on"]) for file in self._entries(table))
        return any(low <= last and high >= first for low, high in days)

    @property
    def withdrawn(self) -> list[int]:
        """The numbers of the sources that were taken back."""
        return [entry["id"] for entry in self.manifest["sources"] if "withdrawn" in entry]

    def files(self, table: str) -> list[Path]:
        """Return the live Parquet files of `table`; what the manifest does not name is ignored."""
        return [self.path / file["path"] for file in self._entries(table)]

    def scan(self, table: str) -> str:
        """Return the SQL expression that reads `table` in DuckDB, all versions of each row.

        Raises
        ------
        WarehouseError
            When no row of `table` is stored.
        """
        return scan_table(table, [str(file) for file in self._known_files(table)])

    def read(
        self,
        table: str,
        *,
        as_of: date | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Read the rows of `table` in the version in force.

        Parameters
        ----------
        table : str
            Name of the table.
        as_of : date, optional
            Only rows known before that day, each in the version then in force. Without it, the
            current version of every row.
        columns : sequence of str, optional
            Columns to read. By default all, but with `as_of` not ``superseded_on``: which facts
            will be corrected is itself knowledge from the future.

        Returns
        -------
        pyarrow.Table
            Within each batch sorted by dealer (where the table has one) and ``known_on``. No rows
            when nothing of `table` is stored.
        """
        entries = self._entries(table)
        schema = arrow_schema(table)
        if columns is None:
            columns = [n for n in schema.names if as_of is None or n != "superseded_on"]
        else:
            _check_columns(table, columns, schema.names)
        parts = [self._read_file(table, file, as_of, columns) for file in entries]
        empty = pa.schema([schema.field(name) for name in columns]).empty_table()
        return pa.concat_tables([part for part in parts if part is not None] or [empty])

    def _read_file(
        self, name: str, file: Mapping[str, Any], as_of: date | None, columns: Sequence[str]
    ) -> pa.Table | None:
        """Read one file; time is cut only where the manifest says that it would cut something."""
        cut: list[str] = []
        if as_of is not None:
            if date.fromisoformat(file["min_known_on"]) >= as_of:
                return None
            if date.fromisoformat(file["max_known_on"]) >= as_of:
                cut.append("known_on")
        if file["n_superseded"]:
            cut.append("superseded_on")
        wanted = [*columns, *(column for column in cut if column not in columns)]
        path = self.path / file["path"]
        try:
            held = [column for column in wanted if column in columns_of(str(path))]
            table = pq.read_table(path, columns=held, partitioning=None)
        except FileNotFoundError as error:
            raise WarehouseError(
                f"A file of the warehouse at {self.path} is gone: {file['path']}.",
                found="either damage, or a warehouse opened so long ago that a later ingest has "
                "replaced and swept the file",
                fix="open the warehouse again; if that does not help, run `ffl-risk check`",
            ) from error
        for at, column in enumerate(wanted):
            if column not in held:  # the file is older than the column
                kind = arrow_schema(name).field(column).type
                table = table.add_column(at, column, pa.nulls(len(table), kind))
        if not cut:
            return table
        return table.filter(_in_force(table, cut, as_of)).select(list(columns))

    def read_disputed(self, table: str, as_of: date) -> pa.Table:
        """Read the rows of `table` in dispute as of a day: of one key and day, but unlike.

        None of them is in force, so `read` gives what was known of the key before. Rows of
        withdrawn sources are in no dispute.

        Parameters
        ----------
        table : str
            Name of the table.
        as_of : date
            Only rows known before that day.
        """
        names = arrow_schema(table).names
        if not self.has(table):
            return arrow_schema(table).empty_table()
        keys = ", ".join(quoted(name) for name in TABLES[table].key)
        gone = map(str, self.withdrawn)
        # What only repeats a version or yields to one is known on its day, or says the same.
        query = (
            f"WITH told AS (SELECT * FROM {self.scan(table)} WHERE {known_sql('$1')}), "
            f"stood AS (SELECT {keys}, max(known_on) AS last FROM told "
            "WHERE superseded_on IS DISTINCT FROM known_on GROUP BY ALL) "
            f"SELECT {', '.join('t.' + quoted(name) for name in names)} "
            f"FROM told t LEFT JOIN stood USING ({keys}) WHERE superseded_on = known_on "
            f"AND source_id NOT IN ({', '.join(['-1', *gone])}) "
            f"AND coalesce(known_on > last, true) ORDER BY {keys}, known_on, source_id, source_line"
        )
        import duckdb  # commands that read no row start without it

        with duckdb.connect() as con:
            return con.execute(query, [as_of]).to_arrow_table()

    def reaches_to(self) -> date | None:
        """Return the day of the newest fact that was loaded; None when none was.

        What is told one by one as it comes, an event or an outcome, does not count: the other
        sources end where their files end. A hold is set by hand and does not count either.
        """
        tables = self.manifest["tables"]
        days = []
        for source in self.manifest["sources"]:
            if "withdrawn" in source:
                continue
            reached = source.get("reaches_to")
            if reached is None:  # loaded by a version that did not note it
                ends = (
                    (name, tables.get(name, {}).get("max_known_on")) for name in source["tables"]
                )
                loaded = str(source["ingested_at"])[:10]
                reached = {name: min(day, loaded) for name, day in ends if day}
            days += [day for name, day in reached.items() if name != "holds"]
        return date.fromisoformat(max(days)) if days else None

    def rejects(self, table: str) -> pa.Table | None:
        """Return the rejected rows of `table`, or None when there are none."""
        entry = self.manifest["rejects"].get(table)
        if not entry or not entry["n_rows"]:
            return None
        file = self.path / REJECTS / f"{table}.parquet"
        return pq.read_table(file, partitioning=None).slice(0, entry["n_rows"])

    def _entries(self, table: str) -> list[Json]:
        if table not in TABLES:
            raise WarehouseError(
                f"{table!r} is no table of the warehouse{did_you_mean(table, TABLES)}",
                expected=", ".join(TABLES),
            )
        entry = self.manifest["tables"].get(table, {"files": []})
        return [file for file in entry["files"] if file["n_rows"]]

    def _known_files(self, table: str) -> list[Path]:
        files = self.files(table)
        if not files:
            raise WarehouseError(
                f"The warehouse at {self.path} holds no {table}.",
                fix=f"ingest a file of {table}, or ask `has({table!r})` first",
            )
        return files


def _in_force(table: pa.Table, cut: Sequence[str], as_of: date | None) -> Any:
    """Return the mask of the rows in force as of `as_of`, shape (n,)."""
    masks = []
    if "known_on" in cut:
        masks.append(pc.less(table["known_on"], pa.scalar(as_of, pa.date32())))
    if "superseded_on" in cut:
        ends = table["superseded_on"]
        is_current = pc.is_null(ends)
        if as_of is not None:
            later = pc.greater_equal(ends, pa.scalar(as_of, pa.date32()))
            is_current = pc.or_kleene(is_current, pc.fill_null(later, False))
        masks.append(is_current)
    return masks[0] if len(masks) == 1 else pc.and_(*masks)


def _check_columns(table: str, columns: Sequence[str], known: Sequence[str]) -> None:
    for name in columns:
        if name not in known:
            raise WarehouseError(
                f"{table} has no column {name!r}{did_you_mean(name, known)}",
                expected=", ".join(known),
            )
