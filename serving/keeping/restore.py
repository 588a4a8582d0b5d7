"""A backup put back into an empty state folder, once every byte of it is proved."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from features.home import write_atomically
from features.openjson import Json
from serving.access.audit import writer as audit
from serving.errors import AuditError, InvalidRequestError
from serving.keeping import server_store
from serving.keeping.backup import FORMAT
from serving.keeping.files import (
    HOME,
    MANIFEST,
    SEALED_KEY,
    STORE,
    Kept,
    appearing,
    copied,
    is_vacant,
    make_folder,
    store_file,
)
from serving.keeping.seal import unseal
from serving.settings import Settings, sqlite_url
from serving.store.database import Store


def restore(settings: Settings, source: Path, passphrase: str) -> Kept:
    """Put the backup in `source` back into the state folder of the settings, which must be empty.

    Every file is compared with its digest and the whole audit chain is walked before the folder
    appears; tables of an earlier version are brought up to date.

    Raises
    ------
    InvalidRequestError
        When something is there already, a file is missing or changed, or the passphrase is wrong.
    AuditError
        When the audit chain does not hold.
    """
    home, store, key_file = settings.home, store_file(settings), settings.audit_key_file
    if store is None:
        server_store.check_vacant(settings.store_url)
    own = [one for one in (store, key_file) if one is not None]
    for place in (home, *(one for one in own if _within(home, one) is None)):
        if not is_vacant(place):
            raise InvalidRequestError(
                f"{place} is there already; nothing was restored.",
                expected="an empty or absent state folder, without store and audit key",
                fix="move it away, or name another folder with FFL_RISK_HOME",
            )
    content, files = _read_manifest(source)
    key = unseal(_sealed(source), passphrase, content)
    with appearing(home) as staging:
        staged_store = _staged(staging, home, store or home / f".{STORE}.to.load")
        for name, entry in files.items():
            target = staged_store if name == STORE else staging / PurePosixPath(name[5:])
            _take(source / name, target, name, entry["sha256"])
        n_records = _proved(staged_store, key)
        staged_key = _staged(staging, home, key_file)
        write_atomically(staged_key, key)
        if store is None:
            server_store.load(staged_store, settings.store_url)
            for left in ("", "-wal", "-shm"):
                staged_store.with_name(staged_store.name + left).unlink(missing_ok=True)
        for staged, final in ((staged_store, store), (staged_key, key_file)):
            # Kept outside the state folder by setting.
            if final is not None and _within(home, final) is None:
                make_folder(final.absolute().parent)
                copied(staged, final)
                staged.unlink()
    return Kept(home, len(files), sum(int(one["n_bytes"]) for one in files.values()), n_records)


def _within(home: Path, path: Path) -> Path | None:
    """Return where in the state folder a path is, None if it is outside."""
    inner, outer = path.resolve(), home.resolve()
    return inner.relative_to(outer) if inner.is_relative_to(outer) else None


def _staged(staging: Path, home: Path, final: Path) -> Path:
    inside = _within(home, final)
    return staging / (inside if inside is not None else f".{final.name}.outside")


def _read_manifest(source: Path) -> tuple[bytes, Json]:
    try:
        content = (source / MANIFEST).read_bytes()
        document = json.loads(content)
        files = dict(document["files"])
        is_sound = document["format"] == FORMAT and STORE in files
        is_sound = is_sound and all(
            _is_own(n) and {"sha256", "n_bytes"} <= set(files[n]) for n in files
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequestError(
            f"{source} is not a backup that can be read; nothing was restored.",
            found=f"{MANIFEST}: {type(error).__name__}",
            expected="a folder written by `ffl-risk backup`",
        ) from None
    if not is_sound:
        raise InvalidRequestError(
            f"{source} is not a backup of this kind; nothing was restored.",
            found=f"format {document['format']}",
            expected=f"format {FORMAT} with the paths that `ffl-risk backup` writes",
        )
    return content, files


def _is_own(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return name == STORE or (len(parts) > 1 and parts[0] == HOME and ".." not in parts)


def _sealed(source: Path) -> bytes:
    try:
        return (source / SEALED_KEY).read_bytes()
    except OSError as error:
        raise InvalidRequestError(
            f"The backup has no sealed audit key ({SEALED_KEY}); nothing was restored.",
            found=type(error).__name__,
            fix="take another backup",
        ) from None


def _take(source: Path, target: Path, name: str, told: str) -> None:
    if source.is_symlink() or not source.is_file():
        raise _damaged(name, "no such file")
    if copied(source, target) != told:
        raise _damaged(name, "other bytes than were written")


def _damaged(name: str, found: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"The backup is damaged at {name}; nothing was restored.",
        found=found,
        expected="the bytes whose SHA-256 the manifest names",
        fix="take another copy of the backup, or an earlier backup",
    )


def _proved(path: Path, key: bytes) -> int:
    """Walk the audit chain of the staged store; return how many records it has."""
    opened = Store.open(sqlite_url(path))
    try:
        verdict = audit.verify(opened, key)
    finally:
        opened.close()
    if not verdict.is_intact:
        raise AuditError(
            "The audit chain of the backup does not hold; nothing was restored.",
            found=verdict.why,
            fix="take an earlier backup, and find out who changed this one's store",
        )
    for left in ("-wal", "-shm"):
        path.with_name(path.name + left).unlink(missing_ok=True)
    path.chmod(0o600)
    return verdict.n_records
