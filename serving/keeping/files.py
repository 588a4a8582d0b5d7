"""Files of a backup: copied, hashed on the way and made durable; folders that appear whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from features.home import sync_folder
from serving.errors import DiskError, InvalidRequestError
from serving.settings import Settings

MANIFEST: Final = "manifest.json"
SEALED_KEY: Final = "audit.key.sealed"
STORE: Final = "store.db"
HOME: Final = "home"
_SQLITE_HEADER: Final = b"SQLite format 3\x00"
_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class Kept:
    """What a backup holds, or what a restore put back."""

    folder: Path
    n_files: int
    n_bytes: int
    n_audit_records: int


def store_file(settings: Settings) -> Path | None:
    """Return the file of the store, None when it is on a PostgreSQL server.

    Raises
    ------
    InvalidRequestError
        When it is neither.
    """
    url = sa.make_url(settings.store_url)
    if url.get_backend_name() == "postgresql":
        return None
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise InvalidRequestError(
            "This command cannot back up or restore such a store.",
            found=url.get_backend_name(),
            expected="SQLite in a file, or PostgreSQL",
            fix="name the service's store with FFL_RISK_STORE_URL",
        )
    return Path(url.database)


def copied(source: Path, target: Path) -> str:
    """Copy a file, 0600 and synced; return the SHA-256 of the bytes that were written."""
    make_folder(target.parent)
    digest = hashlib.sha256()
    handle = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with source.open("rb") as taken, os.fdopen(handle, "wb") as given:
        while piece := taken.read(_PIECE):
            digest.update(piece)
            given.write(piece)
        given.flush()
        os.fsync(given.fileno())
    return digest.hexdigest()


def is_database(path: Path) -> bool:
    """Return whether a file is a database of SQLite, whatever its name is."""
    with path.open("rb") as stream:
        return stream.read(len(_SQLITE_HEADER)) == _SQLITE_HEADER


def copy_database(source: Path, target: Path) -> None:
    """Copy a database of SQLite as of one moment, while others write to it."""
    make_folder(target.parent)
    os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as taken,
        closing(sqlite3.connect(target)) as given,
    ):
        taken.execute("PRAGMA busy_timeout=15000")
        taken.backup(given)
    with target.open("rb") as stream:
        os.fsync(stream.fileno())


def make_folder(folder: Path) -> None:
    """Make a folder and those above it for this account alone."""
    for one in reversed([folder, *folder.parents]):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


def is_vacant(folder: Path) -> bool:
    """Return whether nothing is at a path, or only an empty folder."""
    if not folder.exists() and not folder.is_symlink():
        return True
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` that takes its place at the end, whole; or nothing is left.

    Raises
    ------
    DiskError
        When the disk is full, read-only or not this account's.
    """
    folder = folder.absolute()
    staging: Path | None = None
    try:
        make_folder(folder.parent)
        staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        yield staging
        for place, _, _ in os.walk(staging):
            sync_folder(Path(place))
        staging.replace(folder)
        sync_folder(folder.parent)
    except (OSError, sqlite3.Error) as error:
        raise DiskError(
            f"{folder} could not be written; nothing is left of it.",
            found=getattr(error, "strerror", None) or str(error),
            fix="free space, or name another folder: one that this account may write and that is "
            "not itself a mounted volume",
        ) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
