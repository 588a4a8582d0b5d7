"""Taking the rows of sources out again: as of now, or as if they had never been loaded.

*As of now* is for a source that was true of its day and no longer counts. Its rows end today: a
read as of an earlier day still sees them, because they were what the agency knew, and what another
source said of the same keys before comes back into force today (such a row has the line of the one
it repeats, negative). A corrected file that is loaded afterwards counts from today for the keys
that it corrects, so that no day ever has both.

*From the start* is for a load that went wrong, such as one through a wrong mapping: the rows were
never what the agency knew. They leave every day and are kept apart in ``withdrawn/``; the corrected
file then counts from its own days.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from features.domain import agency_day
from features.errors import InvalidValueError
from features.ingest.load import withdrawn_sources
from features.ingest.source_names import find_sources
from features.ingest.versions import resolve_keys, revise, unyielding
from features.openjson import Json
from features.schema import TABLES
from features.sql import literal, quoted
from features.warehouse.batches import (
    FORMAT,
    engine_settings,
    full_disk,
    live,
    rewrite_batch,
    write_batch,
)
from features.warehouse.manifest import Draft, read_manifest, write_lock, writing_to
from features.warehouse.stored import scan_table, stored_columns

WITHDRAWN: Final = "withdrawn"


class Rederivation:
    """Which version of some keys stands, found again after rows of theirs are gone.

    Parameters
    ----------
    con : duckdb connection
    draft : Draft
        The warehouse about to change.
    table : str
    numbers : sequence of int
        The sources whose keys they are.
    """

    def __init__(self, con: Any, draft: Draft, table: str, numbers: Sequence[int]) -> None:
        self.con, self.draft, self.table, self.numbers = con, draft, table, numbers

    def find_keys(self) -> None:
        """Make ``touched``: the keys of the sources' rows."""
        key = ", ".join(quoted(name) for name in TABLES[self.table].key)
        rows = scan_table(self.table, live(self.draft, self.table))
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT {key} FROM {rows} "
            f"WHERE {_of(self.numbers)}"
        )

    def rederive(self) -> None:
        """Write the batches anew whose rows stand on other days now."""
        files = live(self.draft, self.table)
        if files:
            rows = scan_table(self.table, files)
            self.con.execute(
                "CREATE OR REPLACE TEMP TABLE checked AS SELECT *, 0 AS fault, false AS "
                f"is_set_aside FROM {rows} LIMIT 0"
            )
            resolve_keys(self.con, self.table, files, withdrawn_sources(self.draft))
            places = self.con.execute("SELECT DISTINCT file FROM revised").fetchall()
            for (place,) in sorted(places):
                revise(self.con, self.draft, self.table, place)
        self.forget_keys()

    def forget_keys(self) -> None:
        """Drop what was made on the way."""
        self.con.execute("DROP TABLE IF EXISTS touched")


@dataclass(frozen=True)
class Withdrawal:
    """What a withdrawal did.

    Parameters
    ----------
    source : int
        Number of the source in the manifest; of several the first.
    file : str
        Its name; of several what they were named by.
    on : str
        The day from which its rows no longer stand; empty for one from the start.
    why, by, at : str
        The reason, who, and when.
    rows : mapping of str to int
        Rows that were taken out, by table, superseded and disputed ones included.
    standing : mapping of str to int
        Those of them that stood until now.
    read : mapping of str to int
        Rows that the files held, by table.
    sources : tuple of int
        Numbers of all sources that were taken out.
    restored : mapping of str to int
        Rows of other sources that stand again.
    again : tuple of str
        Files that repeated rows of it and were not stored for that: load them again.
    """

    source: int
    file: str
    on: str
    why: str
    by: str
    at: str
    rows: dict[str, int] = field(default_factory=dict)
    restored: dict[str, int] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    standing: dict[str, int] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    sources: tuple[int, ...] = ()

    def as_dict(self) -> Json:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def sources(warehouse: Path) -> list[Json]:
    """Return what was loaded, in order, withdrawn sources included."""
    return list(read_manifest(Path(warehouse))["sources"])


def withdraw(
    source: str,
    warehouse: Path,
    *,
    why: str,
    is_from_start: bool = False,
    today: date | None = None,
) -> Withdrawal:
    """Take the rows of one source, or of all that one name means, out of the warehouse.

    Parameters
    ----------
    source : str
        The number of a source, the name of its file, or the beginning of its SHA-256; or the
        archive, workbook or folder as it was loaded, or a range of numbers such as ``3-80``.
    warehouse : Path
        The folder of the warehouse.
    why : str
        The reason, kept in the manifest.
    is_from_start : bool
        Whether the rows were never true; else they end today.
    today : date, optional
        The day of the withdrawal; the system's by default.

    Raises
    ------
    SourceError
        When no source, or more than one load, is called so.
    WarehouseError
        When the warehouse cannot be written; it is unchanged.
    """
    if not why.strip():
        raise InvalidValueError("A withdrawal needs a reason.", fix="say it with --why")
    day = today or agency_day.today()
    warehouse = Path(warehouse)
    read_manifest(warehouse)
    with write_lock(warehouse), writing_to(warehouse):
        draft = Draft(warehouse)
        try:
            draft.open_staging()
            entries = find_sources(draft.manifest["sources"], source)
            with duckdb.connect(config=engine_settings(draft)) as con:
                how = (day, is_from_start, why.strip())
                done = _take_out(con, draft, entries, source, how)
            draft.commit()
        except duckdb.Error as error:
            raise full_disk(error, warehouse) from error
        finally:
            draft.close()
    return done


def _take_out(
    con: Any,
    draft: Draft,
    entries: Sequence[dict[str, Any]],
    name: str,
    how: tuple[date, bool, str],
) -> Withdrawal:
    day, is_from_start, why = how
    numbers = tuple(int(entry["id"]) for entry in entries)
    done = Withdrawal(
        numbers[0], entries[0]["file"] if len(entries) == 1 else name,
        "" if is_from_start else day.isoformat(), why, getpass.getuser(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        again=_repeaters(draft.manifest["sources"], entries), sources=numbers,
    )  # fmt: skip
    for entry in entries:
        entry["withdrawn"] = {"on": done.on, "at": done.at, "by": done.by, "why": why, "rows": {}}
        for table, n_read in entry["tables"].items():
            done.read[table] = done.read.get(table, 0) + n_read
    for table in TABLES:
        counted = _counted(con, table, live(draft, table), numbers)
        if not counted:
            continue
        for entry in entries:
            if entry["id"] in counted:
                entry["withdrawn"]["rows"][table] = counted[entry["id"]][0]
        done.rows[table] = sum(n for n, _ in counted.values())
        done.standing[table] = sum(n for _, n in counted.values())
        work = Rederivation(con, draft, table, numbers)
        work.find_keys()
        if is_from_start:
            for number in counted:
                _keep_apart(con, draft, table, number)
            _delete(con, draft, table, numbers)
            work.rederive()
        else:
            _end(con, draft, table, (numbers, day))
            done.restored[table] = _restore(con, draft, table, day)
            work.forget_keys()
    return done


def _repeaters(entries: list[dict[str, Any]], gone: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Let files that repeated rows of sources be loaded again; return their names."""
    numbers = {entry["id"] for entry in gone}
    told = []
    for other in entries:
        before = [e for e in gone if e["id"] < other["id"]]
        repeats = set(other.get("duplicates", {})) & {t for e in before for t in e["tables"]}
        if repeats and "withdrawn" not in other and other["id"] not in numbers:
            other["may_come_again"] = True
            told.append(str(other["file"]))
    return tuple(told)


def _of(numbers: Sequence[int]) -> str:
    """Return the SQL condition of the rows of some sources."""
    return f"source_id IN ({', '.join(map(str, numbers))})"


def _counted(
    con: Any, table: str, files: list[str], numbers: Sequence[int]
) -> dict[int, tuple[int, int]]:
    """Return the stored rows of each source that has any, and how many of them stand."""
    if not files:
        return {}
    found = con.execute(
        "SELECT source_id, count(*), count(*) FILTER (superseded_on IS NULL) "
        f"FROM {scan_table(table, files)} WHERE {_of(numbers)} GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {number: (n_rows, n_standing) for number, n_rows, n_standing in found}


def _n_of(con: Any, table: str, files: list[str], numbers: Sequence[int]) -> int:
    rows = scan_table(table, files)
    return int(con.execute(f"SELECT count(*) FROM {rows} WHERE {_of(numbers)}").fetchone()[0])


def _keep_apart(con: Any, draft: Draft, table: str, number: int) -> None:
    """Write the rows of a source where no reader looks."""
    folder = draft.path / WITHDRAWN
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{number:06d}-{table}.parquet"
    con.execute(
        f"COPY (SELECT * FROM {scan_table(table, live(draft, table))} WHERE source_id = {number}) "
        f"TO {literal(str(target))} {FORMAT}"
    )
    target.chmod(0o600)


def _delete(con: Any, draft: Draft, table: str, numbers: Sequence[int]) -> None:
    for file in live(draft, table):
        n = _n_of(con, table, [file], numbers)
        if n == con.execute(f"SELECT count(*) FROM {scan_table(table, [file])}").fetchone()[0]:
            draft.drop(table, _path_of(draft, table, file))
        elif n:
            query = f"SELECT * FROM {scan_table(table, [file])} WHERE NOT {_of(numbers)}"
            rewrite_batch(con, draft, table, place=file, query=query)


def _path_of(draft: Draft, table: str, place: str) -> str:
    return str(next(f["path"] for f in draft.files(table) if str(draft.location(f)) == place))


def _end(con: Any, draft: Draft, table: str, what: tuple[Sequence[int], date]) -> None:
    """Let the rows of sources end; one that is known since that day only was never in force."""
    numbers, day = what
    last = f"DATE {literal(day.isoformat())}"
    columns = ", ".join(
        f"CASE WHEN {_of(numbers)} THEN greatest(known_on, "
        f"least(coalesce(superseded_on, {last}), {last})) ELSE superseded_on END AS superseded_on"
        if name == "superseded_on"
        else quoted(name)
        for name in stored_columns(table)
    )
    for file in live(draft, table):
        if _n_of(con, table, [file], numbers):
            query = f"SELECT {columns} FROM {scan_table(table, [file])}"
            rewrite_batch(con, draft, table, place=file, query=query)


def _restore(con: Any, draft: Draft, table: str, day: date) -> int:
    """Bring back what other sources say of the keys of ``touched``; return how many rows."""
    gone = [str(e["id"]) for e in draft.manifest["sources"] if "withdrawn" in e]
    key = ", ".join(map(quoted, TABLES[table].key))
    same = " AND ".join(f"s.{quoted(k)} = t.{quoted(k)}" for k in TABLES[table].key)
    own = ", ".join(f"s.{quoted(k)}" for k in TABLES[table].key)
    content = ", ".join(map(quoted, TABLES[table].names))
    last = f"DATE {literal(day.isoformat())}"
    columns = ", ".join(
        {
            "known_on": f"{last} AS known_on",
            "superseded_on": "CAST(NULL AS DATE) AS superseded_on",
            "source_line": "-abs(source_line) AS source_line",
        }.get(name, quoted(name))
        for name in stored_columns(table)
    )
    others = (
        f"(SELECT * FROM mine WHERE source_id NOT IN ({', '.join(gone)}) AND known_on <= {last})"
    )
    query = (
        f"WITH mine AS (SELECT s.* FROM {scan_table(table, live(draft, table))} s JOIN touched t "
        f"ON {same}), "
        f"standing AS (SELECT DISTINCT {key} FROM mine WHERE superseded_on IS NULL), "
        f"ranked AS (SELECT *, hash({content}) AS h, "
        f"dense_rank() OVER (PARTITION BY {key} ORDER BY known_on DESC) AS age, "
        f"row_number() OVER (PARTITION BY {key}, known_on ORDER BY source_id, source_line) AS n "
        f"FROM ({unyielding(table, others)})), "
        f"settled AS (SELECT *, min(h) OVER w = max(h) OVER w AS is_one FROM ranked "
        f"WINDOW w AS (PARTITION BY {key}, known_on)) "
        f"SELECT {columns} FROM (SELECT s.* FROM settled s ANTI JOIN standing t "
        f"USING ({key}) WHERE is_one AND n = 1 "
        f"QUALIFY row_number() OVER (PARTITION BY {own} ORDER BY age) = 1)"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE restored AS {query}")
    n_rows = int(con.execute("SELECT count(*) FROM restored").fetchone()[0])
    if n_rows:
        write_batch(con, draft, table, "SELECT * FROM restored")
    return n_rows
