"""The state that homes share: which files it is made of, and under which objects they lie.

``state.json`` is replaced on condition alone, and carries a new mark each time, so that whoever
began from another content of it is refused by the store. It names the files in force, the earlier
states that are still kept, and the objects that go: those are never used again, so that removing
them late, twice or by two operators at once takes nothing that anybody has just pushed.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from features.errors import FflRiskError
from features.home import write_json
from features.object_store import Objects, ObjectStoreError
from features.openjson import Json
from features.warehouse.manifest import MANIFEST
from serving import clock

FORMAT: Final = 2
_READABLE: Final = (1, FORMAT)
STATE: Final = "state.json"
NOTE: Final = "depot.json"
OBJECTS: Final = "objects"
STATES: Final = "states"
WAREHOUSE: Final = f"warehouse/{MANIFEST}"
# What names the rest. They change last, in this order: a reader meets no name without its files.
# What else lies beside the warehouse's manifest (how far it has come) changes after all of them: a
# note that lags costs time, one ahead of its warehouse loses what lies between.
POINTERS: Final = (WAREHOUSE, "champion.json", "scored.json")
NAME: Final = re.compile(
    r"champion\.json|scored\.json|(warehouse|champion|scored)(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)+"
)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_OBJECT: Final = re.compile(r"([0-9a-f]{64})(-[0-9a-f]{8})?")
_DOCUMENT: Final = re.compile(r"[0-9]{6,}-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class SharedFile:
    """One file of a state.

    Parameters
    ----------
    sha256 : str
    n_bytes : int
    key : str
        Its object's name below ``objects/``: the digest, and eight signs where it was put again.
    """

    sha256: str
    n_bytes: int
    key: str


@dataclass(frozen=True)
class Earlier:
    """A state before the one in force.

    Parameters
    ----------
    generation : int
    pushed_at : str
    document : str
        Its name below ``states/``: number and digest of what ``state.json`` held then.
    """

    generation: int
    pushed_at: str
    document: str


@dataclass(frozen=True)
class SharedState:
    """What ``state.json`` says.

    Parameters
    ----------
    generation : int
        Number, from 1.
    pushed_at : str
    files : mapping of str to SharedFile
        By their path below the state folder.
    earlier : tuple of Earlier
        The kept states before it, the newest first.
    going : frozenset of str
        Objects and documents that are removed, or will be: never used again.
    content : bytes
        As it lies there.
    stamp : str
        The store's own, of that content.
    """

    generation: int
    pushed_at: str
    files: Mapping[str, SharedFile]
    earlier: tuple[Earlier, ...] = ()
    going: frozenset[str] = frozenset()
    content: bytes = b""
    stamp: str = ""

    @property
    def pointers(self) -> dict[str, str]:
        """Digests of the files that name the rest."""
        return {name: self.files[name].sha256 for name in POINTERS if name in self.files}

    @property
    def identity(self) -> str:
        """Digest of number and files: what a home agrees with, whatever was pruned since."""
        told = [self.generation, sorted((name, f.sha256) for name, f in self.files.items())]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @property
    def as_earlier(self) -> Earlier:
        """What the state after this one says of it."""
        digest = hashlib.sha256(self.content).hexdigest()[:16]
        return Earlier(self.generation, self.pushed_at, f"{self.generation:06d}-{digest}.json")

    def with_content(self) -> SharedState:
        """Return it with the bytes that say it; each time with another mark."""
        told = {
            "format": FORMAT,
            "mark": secrets.token_hex(16),
            "generation": self.generation,
            "pushed_at": self.pushed_at,
            "files": {
                name: {"sha256": f.sha256, "n_bytes": f.n_bytes, "object": f.key}
                for name, f in self.files.items()
            },
            "earlier": [vars(one) for one in self.earlier],
            "going": sorted(self.going),
        }
        return replace(self, content=(json.dumps(told, indent=1, sort_keys=True) + "\n").encode())


def now() -> str:
    """Return the time as a state tells it."""
    return clock.now().isoformat(timespec="seconds")


def read_state(shared: Objects, address: str) -> SharedState | None:
    """Read the state in force, None when nothing was pushed yet."""
    found = shared.read_stamped(STATE)
    return None if found is None else _state_of(*found, where=f"{address}/{STATE}")


def read_earlier(shared: Objects, address: str, earlier: Earlier) -> SharedState:
    """Read a state before the one in force.

    Raises
    ------
    ObjectStoreError
        When it is gone, or is not what it was.
    """
    name = f"{STATES}/{earlier.document}"
    found = shared.read_stamped(name)
    if found is None:
        raise ObjectStoreError(f"{address}/{name} is gone.", fix="choose another state")
    state = _state_of(*found, where=f"{address}/{name}")
    if state.as_earlier.document != earlier.document:
        raise ObjectStoreError(f"{address}/{name} is not what it was.", fix="choose another state")
    return state


def new_key(sha256: str) -> str:
    """Return a name for an object that no other ever had."""
    return f"{sha256}-{secrets.token_hex(4)}"


def usable_keys(there: SharedState | None, kept: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Return an object and its size for each digest that lies there and stays."""
    going = frozenset() if there is None else there.going
    found = {}
    for key, n_bytes in sorted(kept.items()):
        if f"{OBJECTS}/{key}" not in going and (is_object := _OBJECT.fullmatch(key)):
            found[is_object[1]] = (key, n_bytes)
    return found


def _state_of(content: bytes, stamp: str, *, where: str) -> SharedState:
    """Read a state; a name in it that leads anywhere else makes it unreadable."""
    try:
        told: Any = json.loads(content)
        if told["format"] not in _READABLE:
            raise ValueError(f"format {told['format']}")
        files = {str(name): _file_of(one) for name, one in told["files"].items()}
        earlier = tuple(
            Earlier(int(one["generation"]), str(one["pushed_at"]), str(one["document"]))
            for one in told.get("earlier", ())
        )
        going = frozenset(str(one) for one in told.get("going", ()))
        _require(NAME, files)
        _require(_DIGEST, [file.sha256 for file in files.values()])
        _require(_OBJECT, [file.key for file in files.values()])
        _require(_DOCUMENT, [one.document for one in earlier])
        return SharedState(
            int(told["generation"]), str(told.get("pushed_at", "")), files, earlier, going,
            content, stamp,
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ObjectStoreError(
            f"{where} cannot be read.",
            found=str(error)[:200],
            expected=f"what ffl-risk push wrote, format {FORMAT} or an earlier one",
        ) from None


def _file_of(told: Any) -> SharedFile:
    digest = str(told["sha256"])
    key = str(told.get("object", digest))
    if not key.startswith(digest):
        raise ValueError(key[:80])
    return SharedFile(digest, int(told["n_bytes"]), key)


def _require(pattern: re.Pattern[str], names: Iterable[str]) -> None:
    if wrong := [name for name in names if not pattern.fullmatch(name)]:
        raise ValueError(wrong[0][:80])


def note(home: Path, address: str, state: SharedState) -> None:
    """Remember with which state this home agrees."""
    noted = {"address": address, "identity": state.identity, "pointers": state.pointers}
    write_json(home / NOTE, {**noted, "stamp": state.stamp, "generation": state.generation})


def note_taking(home: Path, address: str, state: SharedState) -> None:
    """Remember which state is being taken, beside the one that the home agreed with."""
    before = {"address": address} | noted(home, address)
    write_json(home / NOTE, {**before, "taking": state.pointers})


def unpushed(home: Path, address: str, here: Mapping[str, str]) -> list[str]:
    """Return what of `here`, digests of pointers, was never shared.

    A pull that was killed leaves files that it took beside those of before.
    """
    told = noted(home, address)
    shared = [told.get(which, {}) for which in ("pointers", "taking")]
    return sorted(name for name in here if here[name] not in [one.get(name) for one in shared])


def noted(home: Path, address: str) -> Json:
    """Return what was remembered of an address, nothing when that was another one."""
    try:
        found: Json = json.loads((home / NOTE).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FflRiskError(f"{NOTE} cannot be read.", fix="remove it and pull") from error
    return found if found.get("address") == address else {}


def agrees(noted_before: Json, there: SharedState) -> bool:
    """Whether a home last saw this very state; a note of format 1 has the stamp alone."""
    if "identity" in noted_before:
        return bool(noted_before["identity"] == there.identity)
    return bool(noted_before.get("stamp") == there.stamp)
