"""A load that changes nothing: the same steps on a copy that is thrown away, and what they gave."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from features.home import write_json
from features.schema import TABLES
from features.warehouse.manifest import MANIFEST, WarehouseMissingError, read_manifest
from features.warehouse.reading import Warehouse

N_ROWS: Final = 10
_N_REJECTS: Final = 30


@dataclass(frozen=True)
class RejectedValue:
    """Rows of one table that were rejected for one reason and value.

    Parameters
    ----------
    table, reason : str
    column : str or None
        The column at fault.
    value : str or None
        What stands there.
    n_rows : int
    first_line : int
        The first of them.
    """

    table: str
    reason: str
    column: str | None
    value: str | None
    n_rows: int
    first_line: int


@dataclass(frozen=True)
class Preview:
    """What a load would store and reject.

    Parameters
    ----------
    rows : mapping of str to list
        For each table the first rows as they would be stored.
    rejected : tuple of RejectedValue
        The commonest first.
    """

    rows: dict[str, list[dict[str, Any]]]
    rejected: tuple[RejectedValue, ...]


@contextmanager
def trial_copy(warehouse: Path) -> Iterator[Path]:
    """Lend a copy of `warehouse` that shares its files; it is removed afterwards.

    Live files never change, so links to them will do; where a link cannot be made the file is
    copied.
    """
    with tempfile.TemporaryDirectory(prefix="ffl-risk-trial-") as folder:
        copy = Path(folder) / "warehouse"
        try:
            manifest = read_manifest(warehouse)
        except WarehouseMissingError:
            yield copy
            return
        files = [f["path"] for table in manifest["tables"].values() for f in table["files"]]
        files += [entry["path"] for entry in manifest["rejects"].values()]
        for name in files:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            _lend(warehouse / name, copy / name)
        write_json(copy / MANIFEST, {**manifest, "retired": []})
        yield copy


def _lend(file: Path, to: Path) -> None:
    try:
        to.symlink_to(file.absolute())
    except OSError:
        shutil.copyfile(file, to)


def preview_of(copy: Path, warehouse: Path) -> Preview:
    """Return what a load into `copy` brought that `warehouse` does not hold."""
    after = Warehouse.open(copy)
    n_sources = len(_sources(warehouse))
    rows, rejected = {}, []
    for table in TABLES:
        stored = after.read(table)
        new = stored.filter(pc.greater_equal(stored["source_id"], n_sources))
        if len(new):
            new = new.sort_by([("source_id", "ascending"), ("source_line", "ascending")])
            rows[table] = new.slice(0, N_ROWS).drop_columns(["source_id"]).to_pylist()
        rejected += _rejected(after, table, n_sources)
    rejected.sort(key=lambda one: (-one.n_rows, one.table, one.first_line))
    return Preview(rows, tuple(rejected[:_N_REJECTS]))


def _sources(warehouse: Path) -> list[Any]:
    try:
        return list(read_manifest(warehouse)["sources"])
    except WarehouseMissingError:
        return []


def _rejected(after: Warehouse, table: str, n_sources: int) -> list[RejectedValue]:
    found = after.rejects(table)
    if found is None:
        return []
    found = found.filter(pc.greater_equal(found["source_id"], n_sources))
    keys = ["reason", "column_name", "value"]
    grouped = found.group_by(keys).aggregate([("source_line", "count"), ("source_line", "min")])
    return [
        RejectedValue(
            table, row["reason"], row["column_name"], row["value"],
            row["source_line_count"], row["source_line_min"],
        )
        for row in grouped.to_pylist()
    ]  # fmt: skip
