"""The manifest of a warehouse and the one way to change it: a draft, committed as a whole.

A draft stages new Parquet files under ``.staging/``; `Draft.commit` renames them into place and
then replaces ``manifest.json``. That replacement is the commit point: before it the files are
orphans that no reader sees, after it they are the warehouse. A crash at any moment therefore
leaves the last complete warehouse; the next writer sweeps what was left behind.

A file that a draft replaces stays on disk for `GRACE` after the commit, because a reader that
opened the warehouse before it may still be reading; the manifest tells since when it is retired.
"""

from __future__ import annotations

import copy
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from features.errors import FflRiskError, WarehouseError
from features.home import sync_folder, write_json
from features.openjson import Json
from features.schema import TABLES

SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.json"
STAGING: Final = ".staging"
LOCK: Final = ".lock"
REJECTS: Final = "rejects"
# Far longer than any reader of the project keeps a warehouse open: the largest table of signals
# takes minutes to build.
GRACE: Final = timedelta(hours=6)


class WarehouseMissingError(WarehouseError):
    """There is no warehouse at the path yet."""

    exit_code = 4


def empty_manifest() -> Json:
    """Return the manifest of a warehouse with nothing in it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "next_batch": 0,
        "sources": [],
        "tables": {},
        "rejects": {},
        "retired": [],
    }


def read_manifest(path: Path) -> Json:
    """Read the manifest of the warehouse at `path`.

    Raises
    ------
    WarehouseMissingError
        When there is none.
    WarehouseError
        When it cannot be read, or was written by a later version of the project.
    """
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise WarehouseMissingError(
            f"There is no warehouse at {path}.",
            expected=f"a folder with a {MANIFEST}",
            fix="load something first, for example `ffl-risk ingest FILE...`, or name another "
            "folder with --warehouse",
        ) from None
    except (OSError, ValueError) as error:
        raise WarehouseError(
            f"The manifest of the warehouse at {path} cannot be read.",
            found=str(error),
            fix="restore manifest.json from a backup, or ingest the sources into a new folder",
        ) from error
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise WarehouseError(
            f"The warehouse at {path} has another schema version.",
            found=str(version),
            expected=str(SCHEMA_VERSION),
            fix="ingest the sources into a new folder with this version of ffl-risk",
        )
    return dict(manifest)


def fingerprint(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the content: the live files of each table, whatever the machine or the time."""
    content = {
        "schema_version": manifest["schema_version"],
        "tables": {
            name: sorted(file["sha256"] for file in table["files"])
            for name, table in manifest["tables"].items()
            if table["files"]
        },
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of the bytes of `path`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def write_lock(path: Path, *, is_patient: bool = False) -> Iterator[None]:
    """Hold the warehouse at `path` for writing; the system frees it if the process dies.

    Raises
    ------
    WarehouseError
        When another process writes to it now and this one is not to wait for it, or the folder
        cannot be written to.
    """
    with writing_to(path):
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if is_patient else fcntl.LOCK_NB))
        except BlockingIOError:
            raise WarehouseError(
                f"Another process is writing to the warehouse at {path}.",
                fix="wait until it has finished and run the command again",
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing under `path` into a clear message."""
    try:
        yield
    except FflRiskError:
        raise
    except OSError as error:
        raise WarehouseError(
            f"The warehouse at {path} cannot be written; it is as it was before.",
            found=error.strerror or str(error),
            fix="free disk space (or raise the quota or file size limit), check that you may "
            "write to the folder, or name another one with --warehouse; then run the command again",
        ) from error


class Draft:
    """A warehouse about to change.

    Parameters
    ----------
    path : Path
        The warehouse; its write lock must be held.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.manifest = read_manifest(path)
        except WarehouseMissingError:
            self.manifest = empty_manifest()
        self._before = copy.deepcopy(self.manifest)
        self.staging = path / STAGING
        self._staged: dict[str, Path] = {}

    @property
    def has_changed(self) -> bool:
        """Whether there is anything to commit."""
        return self.manifest != self._before

    def open_staging(self) -> None:
        """Sweep what no reader can need any more and make the staging folder."""
        retired = [file for file in self._before.get("retired", []) if _is_in_grace(file)]
        # Forgetting a file that is gone is no change that would be worth a commit.
        self._before["retired"], self.manifest["retired"] = retired, list(retired)
        sweep(self.path, self._before)
        self.staging.mkdir(parents=True)

    def files(self, table: str) -> list[Json]:
        """Return the entries of the live files of `table`, staged ones included."""
        entry = self.manifest["tables"].get(table)
        return list(entry["files"]) if entry else []

    def location(self, file: Mapping[str, Any]) -> Path:
        """Return where the bytes of a live file are now."""
        name = str(file["path"])
        return self._staged.get(name, self.path / name)

    def next_file(self, table: str) -> tuple[str, Path]:
        """Return the name that the next file of `table` will have, and where to stage it."""
        batch = self.manifest["next_batch"]
        self.manifest["next_batch"] = batch + 1
        name = f"{table}/batch={batch:06d}/part-0.parquet"
        staged = self.staging / f"{table}-{batch:06d}.parquet"
        return name, staged

    def add(self, table: str, name: str, staged: Path, ranges: Mapping[str, Any]) -> None:
        """Take the staged file into `table` under `name`."""
        _sync(staged)
        entry = self.manifest["tables"].setdefault(table, {"files": []})
        entry["files"].append(
            {
                "path": name,
                "sha256": file_sha256(staged),
                "n_bytes": staged.stat().st_size,
                **ranges,
            }
        )
        self._staged[name] = staged
        self._summarize(table)

    def drop(self, table: str, name: str) -> None:
        """Take the file called `name` out of `table`; a rewritten one takes its place."""
        entry = self.manifest["tables"][table]
        entry["files"] = [file for file in entry["files"] if file["path"] != name]
        staged = self._staged.pop(name, None)
        if staged is not None:
            staged.unlink()
        else:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self.manifest["retired"].append({"path": name, "retired_at": now})
        self._summarize(table)

    def _summarize(self, table: str) -> None:
        entry = self.manifest["tables"][table]
        files = [file for file in entry["files"] if file["n_rows"]]
        entry["n_rows"] = entry["rows"] = sum(file["n_rows"] for file in files)
        entry["min_known_on"] = min((file["min_known_on"] for file in files), default=None)
        entry["max_known_on"] = max((file["max_known_on"] for file in files), default=None)

    def stage_rejects(self, table: str, staged: Path, n_rows: int) -> None:
        """Take `staged` as the whole rejects file of `table`."""
        _sync(staged)
        name = f"{REJECTS}/{table}.parquet"
        self._staged[name] = staged
        self.manifest["rejects"][table] = {"path": name, "n_rows": n_rows}

    def commit(self) -> None:
        """Put the staged files in place, then replace the manifest: the commit point."""
        for name, staged in self._staged.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            sync_folder(target.parent)
            sync_folder(target.parent.parent)
        write_json(self.path / MANIFEST, self.manifest)

    def close(self) -> None:
        """Remove the staging folder."""
        shutil.rmtree(self.staging, ignore_errors=True)


def sweep(path: Path, manifest: Mapping[str, Any]) -> None:
    """Remove staged and orphaned files; cut rejects that no committed ingest wrote.

    What `manifest` calls live or retired stays.
    """
    shutil.rmtree(path / STAGING, ignore_errors=True)
    kept = {f["path"] for table in manifest["tables"].values() for f in table["files"]}
    kept |= {file["path"] for file in manifest["retired"]}
    for table in TABLES:
        for file in (path / table).glob("batch=*/*.parquet"):
            if file.relative_to(path).as_posix() not in kept:
                file.unlink()
                if not any(file.parent.iterdir()):
                    file.parent.rmdir()
        _cut_rejects(path, table, manifest["rejects"].get(table, {}).get("n_rows", 0))
    for left in path.glob(f".{MANIFEST}.*"):
        left.unlink()


def _is_in_grace(file: Mapping[str, str]) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(file["retired_at"]) < GRACE


def _cut_rejects(path: Path, table: str, n_rows: int) -> None:
    file = path / REJECTS / f"{table}.parquet"
    if not file.exists() or pq.read_metadata(file).num_rows == n_rows:
        return
    if n_rows == 0:
        file.unlink()
        return
    kept = pq.read_table(file, partitioning=None).slice(0, n_rows)
    # Named like a manifest in the making, so that a crash here is swept as well.
    temporary = path / f".{MANIFEST}.{table}"
    pq.write_table(kept, temporary)
    _sync(temporary)
    temporary.replace(file)


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
