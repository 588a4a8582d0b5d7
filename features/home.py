"""Where the project keeps its state: one folder, ``FFL_RISK_HOME``, ``./var`` by default.

=====================  =======================================================================
``warehouse/``         tables, manifest and rejects (`features.warehouse`)
``mlflow.db``          runs and the model registry, ``mlartifacts/`` beside it (`training.registry`)
``champion/``          ``NNNNNN/`` bundles as promoted; ``champion.json`` names the one in force
``scored/``            ``NNNNNN/`` scored tables; ``scored.json`` names the one in force
``reports/``           what evaluations wrote
``runs/``              records and logs of runs by the clock (`serving.schedule`)
``bentoml/``           BentoML's model store, unless ``BENTOML_HOME`` names another
``service.db``         accounts, tokens, audit, lists, decisions, outcomes (`serving.store`)
=====================  =======================================================================

All of it is for the account that runs the programs: files are made 0600 and folders 0700 whatever
the umask was (`keep_private`), by the libraries that write them too.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NotRequired, TypedDict


class UnsaidGate(TypedDict):
    """A gate that could not say, and on which head or order."""

    gate: str
    head: str


class JudgedRecord(TypedDict):
    """What the gates of a promotion could not say, what was waived, and what the list rests on."""

    n_gates: int
    unsaid: list[UnsaidGate]
    accepted: str | None
    waived: list[str]
    heads: list[str]


class ChampionEntry(TypedDict):
    """One bundle that is or was in force; those of before lack how they were judged."""

    bundle: str
    name: str
    version: str
    candidate: str
    judged: NotRequired[JudgedRecord]


def home() -> Path:
    """Return the state folder: ``FFL_RISK_HOME``, else ``./var``. It may not exist yet."""
    return Path(os.environ.get("FFL_RISK_HOME") or "var")


def keep_private(folder: Path | None = None) -> None:
    """Let nobody else read what this process writes from now on, nor what is in `folder` already.

    Every door that writes state calls it. A mode given to one call would not reach the files that
    a database or a library makes; the umask of the process does, and its children inherit it.
    """
    os.umask(0o077)
    if folder is not None and folder.is_dir():
        tighten(folder)


def tighten(folder: Path) -> int:
    """Take the rights of others from a folder and all in it; return how many things had them.

    What belongs to another account is left as it is: its owner has to see to it.
    """
    n = 0
    for place, _, names in os.walk(folder):
        for path in (place, *(os.path.join(place, name) for name in names)):  # noqa: PTH118 - many
            try:
                found = os.lstat(path)
                if stat.S_ISLNK(found.st_mode) or not found.st_mode & 0o077:
                    continue
                os.chmod(path, stat.S_IMODE(found.st_mode) & 0o700)  # noqa: PTH101
            except (FileNotFoundError, PermissionError):
                continue  # gone meanwhile, or not ours
            n += 1
    return n


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a reader sees the old bytes or the new, never a part.

    The bytes are synced to disk before the name changes, and the folder after it.
    """
    with _written(path, content) as beside:
        beside.replace(path)


def write_once(path: Path, content: bytes) -> None:
    """Write `path` whole, as `write_atomically` does; one that is there stays as it is."""
    with _written(path, content) as beside, contextlib.suppress(FileExistsError):
        path.hardlink_to(beside)


@contextlib.contextmanager
def _written(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a file beside `path` that holds the bytes, synced; sync the folder at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically, keys sorted."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
