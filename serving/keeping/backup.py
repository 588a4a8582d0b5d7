"""A backup of the state folder, taken while the service runs.

The order makes the parts fit: first the warehouse, so that it has taken in nothing that the store's
copy lacks; then the store; then bundles and tables, so that what a list of the store was made from
is there. Files of the warehouse are never rewritten, and what a commit replaces stays for hours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from features.home import write_atomically
from features.warehouse.manifest import MANIFEST as WAREHOUSE_MANIFEST
from features.warehouse.manifest import file_sha256, read_manifest, write_lock
from serving.access.audit import writer as audit
from serving.errors import DiskError, InvalidRequestError, NotReadyError
from serving.keeping import server_store
from serving.keeping.files import (
    HOME,
    MANIFEST,
    SEALED_KEY,
    STORE,
    Kept,
    appearing,
    copied,
    copy_database,
    is_database,
    is_vacant,
    store_file,
)
from serving.keeping.seal import checked, seal
from serving.settings import Settings
from serving.store.database import Store

FORMAT: Final = 1
_WAREHOUSE: Final = "warehouse"
# Raw files of the demonstration, made again from its seed; BentoML's store, filled by `promote`.
_LEFT_OUT: Final = ("world", "bentoml")
_PASSING: Final = (".lock", "-wal", "-shm", "-journal")
_POINTERS: Final = {"champion.json": ("champion", "bundle"), "scored.json": ("scored", "scored")}


def back_up(settings: Settings, to: Path, passphrase: str) -> Kept:
    """Copy the state to a new folder `to`, the audit key sealed.

    Raises
    ------
    InvalidRequestError
        When `to` is not vacant or lies in the state folder, or the passphrase is too short.
    NotReadyError
        When there is no store yet.
    AuditError
        When the audit key is missing or not the store's, or the chain does not hold.
    """
    checked(passphrase)
    store = store_file(settings)
    home = settings.home.resolve()
    _check(store, home, to)
    opened = Store.open(settings.store_url)
    try:
        key = audit.open_chain(opened, settings.audit_key_file)
        n_records = audit.head_of(opened)[0]
    finally:
        opened.close()
    with appearing(to) as staging:
        files = _warehouse(home / _WAREHOUSE, staging / HOME / _WAREHOUSE)
        if store is None:
            server_store.save(settings.store_url, staging / STORE)
        else:
            copy_database(store, staging / STORE)
        # Heads are noted to be elsewhere than the store; some may be newer than its copy.
        apart = {settings.audit_key_file.resolve()}
        apart |= {store.resolve()} if store else set()
        apart |= {Path(settings.audit_heads).resolve()} if settings.audit_heads else set()
        _rest(home, staging / HOME, apart)
        _check_pointers(staging / HOME)
        manifest = _manifest(staging, files)
        write_atomically(staging / MANIFEST, manifest)
        write_atomically(staging / SEALED_KEY, seal(key, passphrase, manifest))
    entries = json.loads(manifest)["files"].values()
    return Kept(to, len(entries), sum(one["n_bytes"] for one in entries), n_records)


def _check(store: Path | None, home: Path, to: Path) -> None:
    if store is not None and not store.is_file():
        raise NotReadyError(
            "There is nothing to back up: no store.",
            expected=f"a file {store.name}",
            fix="name the service's state folder with FFL_RISK_HOME",
        )
    if not is_vacant(to):
        raise InvalidRequestError(
            f"{to} is not empty.", fix="name a folder that does not exist yet; each backup has one"
        )
    if to.resolve().is_relative_to(home):
        raise InvalidRequestError(
            f"{to} lies in the state folder itself.", fix="name a folder outside it"
        )


def _warehouse(source: Path, target: Path) -> dict[str, str]:
    """Copy what the manifest calls live; return the digests by path, as found while copying."""
    if not (source / WAREHOUSE_MANIFEST).exists():
        return {}
    digests: dict[str, str] = {}
    with write_lock(source):  # for the small files that a writer replaces under the same name
        manifest = read_manifest(source)
        names = [WAREHOUSE_MANIFEST, *(one["path"] for one in manifest["rejects"].values())]
        names += [one.name for one in source.glob("*.json") if one.name != WAREHOUSE_MANIFEST]
        for name in names:
            if (source / name).exists():
                digests[f"{HOME}/{_WAREHOUSE}/{name}"] = copied(source / name, target / name)
    for entry in (one for table in manifest["tables"].values() for one in table["files"]):
        name, told = entry["path"], entry["sha256"]
        digests[f"{HOME}/{_WAREHOUSE}/{name}"] = copied(source / name, target / name)
        if digests[f"{HOME}/{_WAREHOUSE}/{name}"] != told:
            raise DiskError(
                f"A file of the warehouse is not the one that was written: {name}",
                fix="`ffl-risk check` says what else is damaged; restore from an earlier backup",
            )
    return digests


def _rest(home: Path, target: Path, apart: set[Path]) -> None:
    """Copy the rest of the state folder; what names a folder is read before the folder is."""
    for pointer in _POINTERS:
        if (home / pointer).exists():
            copied(home / pointer, target / pointer)
    for path in _found(home):
        name = path.relative_to(home)
        if path.resolve() in apart or str(name) in _POINTERS:
            continue
        try:
            if is_database(path):
                copy_database(path, target / name)
            else:
                copied(path, target / name)
        except FileNotFoundError:
            if path.exists():
                raise
            (target / name).unlink(missing_ok=True)  # pruned meanwhile by its owner


def _found(home: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(home):
        left_out = {_WAREHOUSE, *_LEFT_OUT} if Path(place) == home else set()
        folders[:] = sorted(n for n in folders if n not in left_out and not n.startswith("."))
        for folder in folders:
            if (Path(place) / folder).is_symlink():
                raise InvalidRequestError(
                    f"A folder of the state is a link and would be missing: {folder}",
                    fix="move what it points to into the state folder",
                )
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and not name.endswith(_PASSING) and path.is_file():
                yield path


def _check_pointers(home: Path) -> None:
    """See that the bundle and the table in force are in the copy."""
    for name, (folder, key) in _POINTERS.items():
        if (home / name).exists():
            named = str(json.loads((home / name).read_bytes())[key])
            if not (home / folder / named).is_dir():
                raise DiskError(
                    f"{name} names {folder}/{named}, which is not there.",
                    fix="make the backup again; if it lasts, publish again with `ffl-risk score`",
                )


def _manifest(staging: Path, known: dict[str, str]) -> bytes:
    files: dict[str, Any] = {}
    for path in sorted(one for one in staging.rglob("*") if one.is_file()):
        name = path.relative_to(staging).as_posix()
        digest = known.get(name) or file_sha256(path)
        files[name] = {"sha256": digest, "n_bytes": path.stat().st_size}
    document = {
        "format": FORMAT,
        "version": version("ffl-risk"),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
