"""What several homes share in an object store: the warehouse, the bundle and the table in force.

Under an address lie ``objects/``, every file under the SHA-256 of its bytes, ``states/``, what
earlier states were made of, and ``state.json``, which names the files of the state in force.
Objects are written once and never changed; the state is replaced on condition that it is still the
one that the writer began from, so that of two homes that push at once the second is refused and
neither loses anything. Each home works on its own disk: accounts, audit and locks do not travel.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.home import keep_private, sync_folder
from features.object_store import Objects, ObjectStoreError, objects
from features.warehouse.manifest import MANIFEST, file_sha256, read_manifest, write_lock
from serving.errors import ConflictError, NotReadyError
from serving.keeping.depot_state import (
    NAME,
    OBJECTS,
    POINTERS,
    STATE,
    STATES,
    WAREHOUSE,
    SharedFile,
    SharedState,
    agrees,
    new_key,
    note,
    note_taking,
    noted,
    now,
    read_earlier,
    read_state,
    unpushed,
    usable_keys,
)
from serving.keeping.files import make_folder
from serving.scores.table.loaded_table import RESCORED

_LOCKS: Final = ("promotion.lock", "scored.lock")
# How often the state may be pruned under a home that pushes or pulls, before it gives up.
_TRIES: Final = 3
Local = Mapping[str, tuple[str, int]]


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
        here = _local(home)
        if not here:
            raise NotReadyError(
                "There is nothing to push: no warehouse, no bundle, no table.",
                fix="name the state folder with FFL_RISK_HOME, or ffl-risk ingest FILE first",
            )
        for _ in range(_TRIES):
            there = read_state(shared, address)
            if there is not None and _contents(there) == here:
                note(home, address, there)
                return Moved(there.generation, 0, 0)
            if there is not None and not agrees(noted(home, address), there):
                raise _moved_on(address)
            files, copied = _upload(home, shared, here, there)
            if there is not None:
                document = f"{STATES}/{there.as_earlier.document}"
                shared.write(document, there.content)
            state = _next(there, files)
            stamp = shared.write_if(
                STATE, state.content, stamp=None if there is None else there.stamp
            )
            if stamp is not None:
                note(home, address, state)
                return Moved(state.generation, *copied)
    raise _moved_on(address)


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
        for _ in range(_TRIES):
            there = _in_force(shared, address)
            here = _pointers(home)
            if here != there.pointers and (own := unpushed(home, address, here)):
                raise ConflictError(
                    "This home has what it has not pushed.",
                    found=", ".join(own),
                    fix="ffl-risk push it; if another home has pushed meanwhile, pull into an "
                    "empty state folder and do there again what was done here",
                )
            note_taking(home, address, there)
            try:
                copied = _take(home, shared, there)
            except FileNotFoundError:
                if _in_force(shared, address).stamp == there.stamp:
                    raise
                continue  # replaced and pruned meanwhile: what is in force now is whole
            note(home, address, there)
            return Moved(there.generation, *copied)
    raise _moved_on(address)


def pull_earlier(home: Path, address: str, generation: int) -> Moved:
    """Take up an earlier state that is still kept, into a home with nothing in force.

    Raises
    ------
    ConflictError
        When something is in force at this home.
    NotReadyError
        When no such state is kept.
    """
    keep_private(home)
    make_folder(home)
    with _still(home), objects(address) as shared:
        there = _in_force(shared, address)
        by_number = {one.generation: one for one in there.earlier}
        if generation not in by_number:
            raise NotReadyError(
                f"SharedState {generation} is not among the earlier ones that are kept.",
                found=", ".join(map(str, sorted(by_number))) or "no earlier one",
                fix=f"state {there.generation} is in force: ffl-risk pull {address}",
            )
        if here := _pointers(home):
            raise ConflictError(
                "An earlier state is taken into an empty state folder alone.",
                found=", ".join(sorted(here)),
                fix="name another folder with FFL_RISK_HOME",
            )
        state = read_earlier(shared, address, by_number[generation])
        # Not noted: what is pushed from here must follow the state in force, which is another.
        return Moved(generation, *_take(home, shared, state))


def _in_force(shared: Objects, address: str) -> SharedState:
    there = read_state(shared, address)
    if there is None:
        raise ObjectStoreError(
            f"Nothing was pushed to {address} yet.", fix="ffl-risk push it from another home"
        )
    return there


def _next(there: SharedState | None, files: Mapping[str, SharedFile]) -> SharedState:
    """Return the state that follows."""
    if there is None:
        return SharedState(1, now(), files).with_content()
    earlier = (there.as_earlier, *there.earlier)
    return SharedState(there.generation + 1, now(), files, earlier, there.going).with_content()


def _contents(state: SharedState) -> dict[str, tuple[str, int]]:
    return {name: (file.sha256, file.n_bytes) for name, file in state.files.items()}


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
    if WAREHOUSE in names:
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
    if wrong := [name for name in names if not NAME.fullmatch(name)]:
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


def _upload(
    home: Path, shared: Objects, here: Local, there: SharedState | None
) -> tuple[dict[str, SharedFile], tuple[int, int]]:
    """Put there what does not lie there, each digest once."""
    usable = usable_keys(there, shared.sizes(OBJECTS))
    keys: dict[str, str] = {}
    n_files = n_bytes = 0
    for name, (digest, size) in sorted(here.items()):
        if digest in keys:
            continue
        key, kept_bytes = usable.get(digest, ("", -1))
        if kept_bytes != size:
            key = new_key(digest)
            shared.put_file(home / name, f"{OBJECTS}/{key}")
            n_files, n_bytes = n_files + 1, n_bytes + size
        keys[digest] = key
    files = {name: SharedFile(digest, size, keys[digest]) for name, (digest, size) in here.items()}
    return files, (n_files, n_bytes)


def _take(home: Path, shared: Objects, there: SharedState) -> tuple[int, int]:
    """Fetch what is not here, prove all of it, and only then put it in place."""
    missing = {
        name: file
        for name, file in there.files.items()
        if not (home / name).is_file() or file_sha256(home / name) != file.sha256
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
        for name, file in missing.items():
            shared.fetch_file(f"{OBJECTS}/{file.key}", staging / name, file.n_bytes)
            if file_sha256(staging / name) != file.sha256:
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
    return len(missing), sum(file.n_bytes for file in missing.values())


def _is_for_ever(name: str) -> bool:
    """Whether a file is never changed under its name."""
    return name.startswith(("champion/", "scored/"))


def _turn(name: str) -> tuple[int, str]:
    if name in POINTERS:
        return POINTERS.index(name) + 1, name
    is_note = name.startswith("warehouse/") and name.count("/") == 1 and name.endswith(".json")
    return (len(POINTERS) + 1 if is_note else 0), name
