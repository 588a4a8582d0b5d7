"""Folders in an object store: ``s3://bucket/prefix``, fetched to disk and put there from disk.

Whoever names such an address configured the store: credentials, region and endpoint are those of
the usual variables (``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL`` and so on).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final

from features.errors import FeatureError

SCHEME: Final = "s3://"
_PIECE: Final = 8 << 20
# What one request may remove.
_AT_ONCE: Final = 1_000
# How stores say that a condition does not hold; the last when another write is under way.
_UNMET: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})


class ObjectStoreError(FeatureError):
    """An object store that cannot be reached, or refuses."""

    exit_code = 4


def address_of(path: Path | str) -> str:
    """Return the address that a path stands for, or nothing for one on disk.

    Reading a command line as a path takes one of the slashes away.

    >>> address_of(Path("s3://bucket/exports/traces.csv"))
    's3://bucket/exports/traces.csv'
    >>> address_of(Path("exports/traces.csv"))
    ''
    """
    text = str(path)
    if text.startswith("s3:/"):
        return SCHEME + text.removeprefix("s3:/").lstrip("/").rstrip("/")
    return ""


def is_vacant(address: str) -> bool:
    """Return whether nothing is kept under an address."""
    with _opened(address) as (store, key):
        return not store.find(key)


def fetch(address: str, folder: Path) -> Path:
    """Copy what an address names into `folder`, and return its path there: a file or a folder.

    Raises
    ------
    ObjectStoreError
        When it names nothing, or the store cannot be read.
    """
    target = folder / PurePosixPath(address).name
    with _opened(address) as (store, key):
        found = store.find(key, detail=True)
        if not found:
            raise ObjectStoreError(
                f"There is nothing at {address}.",
                expected="an object, or the prefix of some",
                fix="check the bucket and the key; letters count as they are written",
            )
        for name, told in found.items():
            inner = name.removeprefix(key).lstrip("/")
            parts = PurePosixPath(inner).parts
            if ".." in parts:
                raise ObjectStoreError(f"{address} holds a key that leads elsewhere: {inner}")
            if name.endswith("/"):
                continue  # stands for a folder, and holds nothing
            _down(store, name, target.joinpath(*parts), int(told["size"]))
    return target


class Objects:
    """The objects under an address, by their names from there on.

    Parameters
    ----------
    store : filesystem
        As fsspec opens it.
    key : str
        Bucket and prefix.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store, self._key = store, key

    def sizes(self, under: str) -> dict[str, int]:
        """Return the bytes of each object under a prefix, by its name from there on."""
        prefix = f"{self._key}/{under}"
        found = self._store.find(prefix, detail=True)
        return {n.removeprefix(prefix).lstrip("/"): int(told["size"]) for n, told in found.items()}

    def read_stamped(self, name: str) -> tuple[bytes, str] | None:
        """Return a small object and the stamp of its content, None when there is none."""
        try:
            told = self._store.info(f"{self._key}/{name}", refresh=True)
            with self._store.open(f"{self._key}/{name}", "rb") as stream:
                content = bytes(stream.read())
        except FileNotFoundError:
            return None
        return content, str(told["ETag"])

    def write_if(self, name: str, content: bytes, *, stamp: str | None) -> str | None:
        """Write an object on condition that it has a stamp, or with None that there is none yet.

        The store decides, so of two writers at once one alone succeeds. Return the new stamp, None
        when the condition does not hold.
        """
        condition = {"IfNoneMatch": "*"} if stamp is None else {"IfMatch": stamp}
        bucket, _, key = f"{self._key}/{name}".partition("/")
        try:
            told = self._store.call_s3(
                "put_object", Bucket=bucket, Key=key, Body=content, **condition
            )
        except OSError as error:
            if _code_of(error) in _UNMET:
                return None
            raise
        return str(told["ETag"])

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, whatever was there."""
        self._store.pipe_file(f"{self._key}/{name}", content)

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; one that is not there any more is no fault."""
        for start in range(0, len(names), _AT_ONCE):
            if refused := self._delete(names[start : start + _AT_ONCE]):
                raise OSError(f"{len(refused)} objects stay, the first because {refused[0]}")

    def _delete(self, names: Sequence[str]) -> list[str]:
        """Remove objects by one request, and return why those stay that do."""
        bucket, _, key = self._key.partition("/")
        keys = [{"Key": f"{key}/{name}" if key else name} for name in names]
        told = self._store.call_s3(
            "delete_objects", Bucket=bucket, Delete={"Objects": keys, "Quiet": True}
        )
        codes = (str(one.get("Code")) for one in told.get("Errors", ()))
        return [code for code in codes if code != "NoSuchKey"]

    def put_file(self, path: Path, name: str) -> None:
        """Copy a file to an object."""
        self._store.put_file(str(path), f"{self._key}/{name}")
        kept = int(self._store.info(f"{self._key}/{name}", refresh=True)["size"])
        if kept != path.stat().st_size:
            raise OSError(f"{path.name} has {kept:,} bytes there")

    def fetch_file(self, name: str, target: Path, n_bytes: int) -> None:
        """Copy an object of a known size to a new file."""
        _down(self._store, f"{self._key}/{name}", target, n_bytes)


@contextmanager
def objects(address: str) -> Iterator[Objects]:
    """Open what is under an address; whatever the store refuses becomes one line."""
    with _opened(address) as (store, key):
        yield Objects(store, key)


def _code_of(error: BaseException) -> str:
    """Return what the store itself called a refusal."""
    cause = error.__cause__
    told = getattr(error, "response", None) or getattr(cause, "response", None) or {}
    return str(told.get("Error", {}).get("Code", ""))


def put(folder: Path, address: str, *, last: str) -> None:
    """Copy a folder to an address, the file `last` after all others: with it the copy is whole.

    Raises
    ------
    ObjectStoreError
        When the store refuses; what was written by then is removed if it allows that.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    files.sort(key=lambda path: path.relative_to(folder).as_posix() == last)
    with _opened(address) as (store, key):
        begun: list[str] = []
        try:
            for path in files:
                begun.append(f"{key}/{path.relative_to(folder).as_posix()}")
                store.put_file(str(path), begun[-1])
                kept = int(store.info(begun[-1], refresh=True)["size"])
                if kept != path.stat().st_size:
                    raise OSError(f"{path.name} has {kept:,} bytes there")
        except BaseException:
            with suppress(Exception):  # what is told is why it broke off
                store.rm(begun)
            raise


def _down(store: Any, name: str, target: Path, size: int) -> None:
    for one in reversed([target.parent, *target.parent.parents]):
        if not one.exists():
            one.mkdir(mode=0o700)
    handle = os.open(target, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as given, store.open(name, "rb", block_size=_PIECE) as taken:
        while piece := taken.read(_PIECE):
            given.write(piece)
        if given.tell() != size:
            raise OSError(f"{name} ended after {given.tell():,} of {size:,} bytes")


@contextmanager
def _opened(address: str) -> Iterator[tuple[Any, str]]:
    """Yield the store and the key in it; whatever it says becomes one line."""
    import fsspec
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        store, key = fsspec.core.url_to_fs(
            address, use_listings_cache=False, skip_instance_cache=True
        )
        yield store, key.rstrip("/")
    except (OSError, BotoCoreError, ClientError) as error:
        raise ObjectStoreError(
            f"The object store refused {address}.",
            found=f"{type(error).__name__}: {error}".splitlines()[0][:200],
            expected="a bucket that this account may list, read and write",
            fix="check AWS_ENDPOINT_URL, the credentials, the bucket's name and its policy",
        ) from None
