"""What a `KeptEngine` worked out, in one file: an engine that starts again goes on from there.

What rests on the files of the warehouse alone is kept. Answers of queries are asked again: they
name what must not outlive the warehouse's own rows, such as tokens of purchasers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import json
import platform
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

import features
from features.engine.context import Cohort
from features.home import write_atomically

Array = npt.NDArray[Any]
# Whose code decides what is worked out.
_ROOMS: Final = (
    "arrays.py", "domain", "engine", "reference", "schema.py", "signals", "sql.py", "table.py",
    "warehouse",
)  # fmt: skip
_LIBRARIES: Final = ("duckdb", "numba", "numpy", "pandas", "pyarrow", "scipy")
_SEVERAL: Final[Mapping[str, type]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


@dataclass(frozen=True)
class KeptValue:
    """Something that was worked out for a cohort.

    Parameters
    ----------
    key : tuple of str
        What it is.
    cohort : Cohort
    made : Any
        Arrays, and what is made of them.
    changed : tuple of str
        Dealers for whom it no longer holds.
    reads : tuple of str
        Tables whose new rows end it.
    """

    key: tuple[str, ...]
    cohort: Cohort
    made: Any
    changed: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True)
class KeptState:
    """All that is kept.

    Parameters
    ----------
    files : mapping of str to (str, str)
        Table and SHA-256 of each live file that it rests on, by its path in the warehouse.
    cohorts : sequence of (tuple of date, Cohort)
        Dealers listed as of some dates.
    grids, families, shared : sequence of KeptValue
    """

    files: Mapping[str, tuple[str, str]]
    cohorts: Sequence[tuple[tuple[date, ...], Cohort]]
    grids: Sequence[KeptValue]
    families: Sequence[KeptValue]
    shared: Sequence[KeptValue]


@cache
def made_by() -> str:
    """Return a digest of what decides, beside the files, what is worked out: code and libraries."""
    digest = hashlib.sha256()
    root = Path(features.__file__).parent
    for room in _ROOMS:
        place = root / room
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    known = [platform.machine(), platform.python_version(), *map(version, _LIBRARIES)]
    digest.update("\0".join(known).encode())
    return digest.hexdigest()


def write(state: KeptState, path: Path) -> None:
    """Write a state, whole or not at all."""
    packing = _Packing()
    told = {"made_by": made_by(), "state": packing.packed(state), "objects": packing.objects}
    arrays = {f"array_{i}": array for i, array in enumerate(packing.arrays)}
    arrays["told"] = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    write_atomically(path, stream.getvalue())


def read(path: Path) -> KeptState | str:
    """Read a state, or say why there is none that holds."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            told = json.loads(arrays["told"].tobytes())
            if told["made_by"] != made_by():
                return "it was made by another version"
            state: KeptState = _Unpacking(told["objects"], arrays).unpacked(told["state"])
            return state
    except FileNotFoundError:
        return "there is none"
    except (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile) as error:
        return f"it cannot be read: {error}"


class _Packing:
    """Takes values apart into arrays and what JSON holds; the same object is held once."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.objects: list[list[Any]] = []
        self._places: dict[int, tuple[Any, list[Any]]] = {}

    def packed(self, value: Any) -> Any:
        """Return a value as JSON holds it; `TypeError` where it is none of those that are kept."""
        if value is None or isinstance(value, bool | int | float | str):
            return {"plain": value}
        if isinstance(value, date):
            return {"date": value.isoformat()}
        if isinstance(value, Mapping):
            return {"dict": [[self.packed(k), self.packed(v)] for k, v in value.items()]}
        name = type(value).__name__
        if _SEVERAL.get(name) is type(value):
            return {name: [self.packed(one) for one in cast("Iterable[Any]", value)]}
        if id(value) not in self._places:
            # Held, so that no other object takes its number.
            self._places[id(value)] = (value, self._placed(value))
        kind, place = self._places[id(value)][1]
        return {kind: place}

    def _placed(self, value: Any) -> list[Any]:
        if isinstance(value, np.ndarray):
            is_text = value.dtype == object
            if is_text and not all(isinstance(one, str) for one in value.flat):
                raise TypeError("An array of objects that are not text is not kept.")
            self.arrays.append(value.astype(str) if is_text else value)
            return ["text" if is_text else "array", len(self.arrays) - 1]
        if hasattr(value, "__dataclass_fields__"):
            kind = type(value)
            parts = {f.name: self.packed(getattr(value, f.name)) for f in dataclasses.fields(value)}
            self.objects.append([kind.__module__, kind.__qualname__, parts])
            return ["object", len(self.objects) - 1]
        raise TypeError(f"A {type(value).__name__} is not kept.")


class _Unpacking:
    """Puts together what `_Packing` took apart."""

    def __init__(self, objects: list[list[Any]], arrays: Mapping[str, Array]) -> None:
        self._objects, self._arrays = objects, arrays
        self._made: dict[tuple[str, int], Any] = {}

    def unpacked(self, packed: Mapping[str, Any]) -> Any:
        """Return the value."""
        ((kind, told),) = packed.items()
        if kind == "plain":
            return told
        if kind == "date":
            return date.fromisoformat(told)
        if kind == "dict":
            return {self.unpacked(k): self.unpacked(v) for k, v in told}
        if kind in _SEVERAL:
            return _SEVERAL[kind](self.unpacked(one) for one in told)
        if (kind, told) not in self._made:
            self._made[kind, told] = self._of(kind, told)
        return self._made[kind, told]

    def _of(self, kind: str, place: int) -> Any:
        if kind == "array":
            return self._arrays[f"array_{place}"]
        if kind == "text":
            return self._arrays[f"array_{place}"].astype(object)
        module, name, parts = self._objects[place]
        if not module.startswith(f"{features.__name__}."):
            raise ValueError(f"{module} is not the program's own.")
        made = getattr(importlib.import_module(module), name)
        return made(**{field: self.unpacked(part) for field, part in parts.items()})


def can_be_kept(value: Any) -> bool:
    """Whether a value is made of what `write` can write."""
    try:
        _Packing().packed(value)
    except TypeError:
        return False
    return True
