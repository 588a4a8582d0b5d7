"""What several homes share in an object store: the warehouse, the bundle and the table in force.

Under an address lie ``objects/``, every file under the SHA-256 of its bytes, and ``state.json``,
which names the files of one state. Objects are written once and never changed; the state is
replaced on condition that it is still the one that the writer began from, so that of two homes
that push at once the second is refused and neither loses anything. Each home works on its own
disk: accounts, audit and locks do not travel.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from features.errors import FflRiskError
from features.home import keep_private, sync_folder, write_json
from features.object_store import Objects, ObjectStoreError, objects
from features.openjson import Json
from features.warehouse.manifest import MANIFEST, file_sha256, read_manifest, write_lock
from serving.errors import ConflictError, NotReadyError
from serving.keeping.files import make_folder
from serving.scores.loaded_table import RESCORED

FORMAT: Final = 1
STATE: Final = "state.json"
NOTE: Final = "depot.json"
_WAREHOUSE: Final = f"warehouse/{MANIFEST}"
# What names the rest. They change last, in this order: a reader meets no name without its files.
POINTERS: Final = (_WAREHOUSE, "champion.json", "scored.json")
_NAME: Final = re.compile(
    r"champion\.json|scored\.json|(warehouse|champion|scored)(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)+"
)
_LOCKS: Final = ("promotion.lock", "scored.lock")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Moved:
    """What was pushed or pulled.

    Parameters
    ----------
    generation : int
        Number of the state, from 1.
    n_files, n_bytes : int
        What had to be copied; the rest was there.
    """

    generation: int
    n_files: int
    n_bytes: int


@dataclass(frozen=True)
class _State:
    generation: int
    files: Mapping[str, tuple[str, int]]
    stamp: str

    @property
    def pointers(self) -> dict[str, str]:
        return {name: self.files[name][0] for name in POINTERS if name in self.files}


def push(home: Path, address: str) -> Moved:
    """Put what is in force at a home where other homes find it.

    Raises
    ------
    NotReadyError
        When the home has nothing to share.
    ConflictError
        When another home has pushed since this one last pushed or pulled.
    ObjectStoreError
        When the store refuses; the state there is then the one before.
    """
    keep_private(home)
    with _still(home), objects(address) as shared:
        there = _read(shared, address)
        here = _local(home)
        if not here:
            raise NotReadyError(
                "There is nothing to push: no warehouse, no bundle, no table.",
                fix="name the state folder with FFL_RISK_HOME, or ffl-risk ingest FILE first",
            )
        if there is not None and there.files == here:
            _note(home, address, there)
            return Moved(there.generation, 0, 0)
        if there is not None and there.stamp != _noted(home, address).get("stamp"):
            raise _moved_on(address)
        copied = _upload(home, shared, here)
        generation = 1 if there is None else there.generation + 1
        content = _document(generation, here)
        stamp = shared.write_if(STATE, content, stamp=None if there is None else there.stamp)
        if stamp is None:
            raise _moved_on(address)
        _note(home, address, _State(generation, here, stamp))
    return Moved(generation, *copied)


def pull(home: Path, address: str) -> Moved:
    """Take up what was pushed last; a running service follows by itself.

    Raises
    ------
    ConflictError
        When this home has what it has not pushed: nothing is changed then.
    ObjectStoreError
        When there is nothing, or a file is not the one that was pushed: nothing is changed then.
    """
    keep_private(home)
    make_folder(home)
    with _still(home), objects(address) as shared:
        there = _read(shared, address)
        if there is None:
            raise ObjectStoreError(
                f"Nothing was pushed to {address} yet.", fix="ffl-risk push it from another home"
            )
        here = _pointers(home)
        if here != there.pointers:
            known = _noted(home, address).get("pointers", {})
            if unpushed := sorted(name for name in here if here[name] != known.get(name)):
                raise ConflictError(
                    "This home has what it has not pushed.",
                    found=", ".join(unpushed),
                    fix="ffl-risk push it; if another home has pushed meanwhile, pull into an "
                    "empty state folder and do there again what was done here",
                )
        copied = _take(home, shared, there)
        _note(home, address, there)
    return Moved(there.generation, *copied)


@contextmanager
def _still(home: Path) -> Iterator[None]:
    """Keep the home from being ingested into, promoted or published to meanwhile."""
    make_folder(home / "warehouse")
    with write_lock(home / "warehouse"), ExitStack() as stack:
        for name in _LOCKS:
            lock = stack.enter_context((home / name).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _moved_on(address: str) -> ConflictError:
    return ConflictError(
        f"Another home has pushed to {address} since this one last did.",
        fix="ffl-risk pull, do again what was done here, and push",
    )


def _local(home: Path) -> dict[str, tuple[str, int]]:
    """Return digest and size of each file in force at a home."""
    names = [name for name in POINTERS if (home / name).is_file()]
    if _WAREHOUSE in names:
        manifest = read_manifest(home / "warehouse")
        live = [file["path"] for table in manifest["tables"].values() for file in table["files"]]
        live += [one["path"] for one in manifest["rejects"].values()]
        live += [p.name for p in (home / "warehouse").glob("*.json") if p.name != MANIFEST]
        names += [f"warehouse/{name}" for name in live]
    for folder in _folders(home):
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        names += [
            path.relative_to(home).as_posix()
            for path in found
            if path.name != RESCORED and not path.name.startswith(".")
        ]
    if wrong := [name for name in names if not _NAME.fullmatch(name)]:
        raise NotReadyError("A file of the state has a name that cannot be shared.", found=wrong[0])
    return {name: (file_sha256(home / name), (home / name).stat().st_size) for name in set(names)}


def _folders(home: Path) -> list[Path]:
    """Return the folders of the bundle and the table in force, and of the table's own bundle."""
    found: set[Path] = set()
    for pointer, folder, key in (
        ("champion.json", "champion", "bundle"), ("scored.json", "scored", "scored"),
    ):  # fmt: skip
        if (home / pointer).is_file():
            found.add(home / folder / str(json.loads((home / pointer).read_bytes())[key]))
    for table in [one for one in found if one.parent.name == "scored"]:
        manifest = json.loads((table / MANIFEST).read_bytes())
        found.add(home / "champion" / str(manifest["champion"]))
    return sorted(found)


def _pointers(home: Path) -> dict[str, str]:
    return {name: file_sha256(home / name) for name in POINTERS if (home / name).is_file()}


def _upload(home: Path, shared: Objects, here: Mapping[str, tuple[str, int]]) -> tuple[int, int]:
    known = shared.names("objects")
    n_bytes, missing = 0, {digest: name for name, (digest, _) in here.items()}
    missing = {digest: name for digest, name in missing.items() if digest not in known}
    for digest, name in sorted(missing.items()):
        shared.put_file(home / name, f"objects/{digest}")
        n_bytes += here[name][1]
    return len(missing), n_bytes


def _take(home: Path, shared: Objects, there: _State) -> tuple[int, int]:
    """Fetch what is not here, prove all of it, and only then put it in place."""
    missing = {
        name: digest
        for name, (digest, _) in there.files.items()
        if not (home / name).is_file() or file_sha256(home / name) != digest
    }
    for name in missing:
        if _is_for_ever(name) and (home / name).exists():
            raise ConflictError(
                "This home has another file where the shared state has one.",
                found=name,
                expected="bundles and tables that no other home has under the same number",
                fix="pull before anything is promoted or scored; here, into an empty state folder",
            )
    staging = Path(tempfile.mkdtemp(dir=home, prefix=".depot-"))
    try:
        for name, digest in missing.items():
            shared.fetch_file(f"objects/{digest}", staging / name, there.files[name][1])
            if file_sha256(staging / name) != digest:
                raise ObjectStoreError(
                    "A shared file is not the one that was pushed.",
                    found=name,
                    fix="push again from a home that has it, after removing that object",
                )
        for name in sorted(missing, key=_turn):
            make_folder((home / name).parent)
            (staging / name).replace(home / name)
            sync_folder((home / name).parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return len(missing), sum(there.files[name][1] for name in missing)


def _is_for_ever(name: str) -> bool:
    """Whether a file is never changed under its name."""
    return name.startswith(("champion/", "scored/"))


def _turn(name: str) -> tuple[int, str]:
    return (POINTERS.index(name) + 1 if name in POINTERS else 0), name


def _document(generation: int, files: Mapping[str, tuple[str, int]]) -> bytes:
    told = {
        "format": FORMAT,
        "generation": generation,
        "pushed_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {name: {"sha256": d, "n_bytes": n} for name, (d, n) in files.items()},
    }
    return (json.dumps(told, indent=1, sort_keys=True) + "\n").encode()


def _read(shared: Objects, address: str) -> _State | None:
    """Read the shared state; a name in it that leads anywhere else makes it unreadable."""
    found = shared.read_stamped(STATE)
    if found is None:
        return None
    content, stamp = found
    try:
        told: Any = json.loads(content)
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}")
        files = {str(n): (str(f["sha256"]), int(f["n_bytes"])) for n, f in told["files"].items()}
        wrong = [n for n, (d, _) in files.items() if not (_NAME.fullmatch(n) and _is_digest(d))]
        if wrong:
            raise ValueError(wrong[0][:80])
        return _State(int(told["generation"]), files, stamp)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ObjectStoreError(
            f"{address}/{STATE} cannot be read.",
            found=str(error)[:200],
            expected=f"what ffl-risk push wrote, format {FORMAT}",
        ) from None


def _is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def _note(home: Path, address: str, state: _State) -> None:
    """Remember with which state this home agrees."""
    noted = {"address": address, "stamp": state.stamp, "pointers": state.pointers}
    write_json(home / NOTE, {**noted, "generation": state.generation})


def _noted(home: Path, address: str) -> Json:
    try:
        found: Json = json.loads((home / NOTE).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FflRiskError(f"{NOTE} cannot be read.", fix="remove it and pull") from error
    return found if found.get("address") == address else {}
