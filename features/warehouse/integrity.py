"""Integrity of a warehouse: what it holds, whether its bytes are intact, and retention applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.domain import agency_day
from features.errors import WarehouseError
from features.openjson import Json
from features.schema import TABLES
from features.warehouse.batches import engine_settings, full_disk
from features.warehouse.manifest import Draft, file_sha256, write_lock, writing_to
from features.warehouse.reading import Warehouse
from features.warehouse.retention import drop_expired


@dataclass(frozen=True)
class TableReport:
    """What the warehouse holds of one table.

    Parameters
    ----------
    table : str
        The table.
    n_rows, n_files, n_superseded, n_never : int
        Rows of all versions, live files, rows that a later version replaced or that a withdrawal
        ended, and rows that were never in force: they repeat another, or are disputed.
    first_known_on, last_known_on : str or None
        Range of ``known_on``.
    rejects : mapping of str to int
        Rejected rows by reason code, those of withdrawn sources left out.
    """

    table: str
    n_rows: int
    n_files: int
    n_superseded: int
    first_known_on: str | None
    last_known_on: str | None
    rejects: Mapping[str, int]
    n_never: int = 0


@dataclass(frozen=True)
class WarehouseReport:
    """What `check` found.

    Parameters
    ----------
    path : str
        The warehouse.
    tables : tuple of TableReport
        Tables with rows or rejects.
    n_sources : int
        Files ingested.
    faults : tuple of str
        Files missing or changed since they were written; empty when all is well.
    n_tokens_dropped : int
        Purchaser tokens forgotten by this check because their time was over.
    fingerprint : str
        Of the content, after the check.
    """

    path: str
    tables: tuple[TableReport, ...]
    n_sources: int
    faults: tuple[str, ...]
    n_tokens_dropped: int
    fingerprint: str

    def as_dict(self) -> Json:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def check(path: Path, *, today: date | None = None) -> WarehouseReport:
    """Report on the warehouse at `path`, and forget purchaser tokens whose time is over.

    Parameters
    ----------
    path : Path
        The warehouse.
    today : date, optional
        The day from which retention counts; the system's by default.

    Raises
    ------
    WarehouseMissingError
        When there is none.
    WarehouseError
        When tokens are to be dropped and the warehouse cannot be written.
    """
    warehouse = Warehouse.open(path)
    faults = find_faults(warehouse)
    n_dropped = 0
    if not faults:
        n_dropped = forget_tokens(path, today or agency_day.today())
        warehouse = Warehouse.open(path)
    tables = tuple(_report(warehouse, name) for name in TABLES)
    return WarehouseReport(
        str(path),
        tuple(table for table in tables if table.n_rows or table.rejects),
        len(warehouse.manifest["sources"]),
        tuple(faults),
        n_dropped,
        warehouse.fingerprint,
    )


def find_faults(warehouse: Warehouse) -> list[str]:
    """Return a sentence for each live file that is missing or not as it was written."""
    faults = []
    for table in warehouse.manifest["tables"].values():
        for file in table["files"]:
            path = warehouse.path / file["path"]
            if not path.is_file():
                faults.append(f"{file['path']} is missing")
            elif file_sha256(path) != file["sha256"]:
                faults.append(f"{file['path']} has changed since it was written")
    return faults


def forget_tokens(path: Path, today: date) -> int:
    """Drop purchaser tokens of multiple sales older than two years; return how many.

    Raises
    ------
    WarehouseError
        When the warehouse cannot be written.
    """
    with write_lock(path), writing_to(path):
        draft = Draft(path)
        try:
            draft.open_staging()
            with duckdb.connect(config=engine_settings(draft)) as con:
                n_dropped = drop_expired(con, draft, today)
            if n_dropped:
                draft.commit()
        except duckdb.Error as error:
            raise full_disk(error, path) from error
        finally:
            draft.close()
    return n_dropped


def require_intact(report: WarehouseReport) -> None:
    """Raise when `report` tells of faults.

    Raises
    ------
    WarehouseError
        Naming each file at fault.
    """
    if report.faults:
        raise WarehouseError(
            f"The warehouse at {report.path} is damaged.",
            found="; ".join(report.faults),
            fix="restore these files from a backup, or ingest the sources into a new folder",
        )


def _report(warehouse: Warehouse, table: str) -> TableReport:
    entry = warehouse.manifest["tables"].get(table, {"files": [], "n_rows": 0})
    rejects = warehouse.rejects(table)
    reasons: dict[str, int] = {}
    if rejects is not None:
        is_gone = pc.is_in(rejects["source_id"], pa.array(warehouse.withdrawn, pa.int32()))
        rejects = rejects.filter(pc.invert(is_gone))
        counted = pc.value_counts(rejects["reason"]).to_pylist()
        counted.sort(key=lambda item: (-item["counts"], item["values"]))
        reasons = {item["values"]: item["counts"] for item in counted}
    n_superseded, n_never = _ended(warehouse, entry["files"])
    return TableReport(
        table,
        entry["n_rows"],
        len(entry["files"]),
        n_superseded,
        entry.get("min_known_on"),
        entry.get("max_known_on"),
        reasons,
        n_never,
    )


def _ended(warehouse: Warehouse, files: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return how many rows ended, and how many never were in force."""
    n_superseded = n_never = 0
    for file in files:
        path = warehouse.path / file["path"]
        if file["n_superseded"] and path.is_file():
            days = pq.read_table(path, columns=["known_on", "superseded_on"], partitioning=None)
            n_later = pc.sum(pc.greater(days["superseded_on"], days["known_on"])).as_py() or 0
            n_superseded += n_later
            n_never += file["n_superseded"] - n_later
    return n_superseded, n_never
