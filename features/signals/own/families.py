"""Where an agency's own families come from, and what is asked of each before it is used.

Two doors: the entry point group ``ffl_risk.signals`` of an installed package, and the folder named
by ``FFL_RISK_SIGNALS``, in which every ``*.py`` is a family of its own. Both are programs and run
with the rights of the account, so that a file that others may write is refused.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import CodeType
from typing import Any, Final

from features.errors import FeatureError, OwnSignalError
from features.signals.own.family import OwnFamily
from features.signals.shipped import FOLDER, GROUP

_WHAT_A_FAMILY_DOES: Final = (AttributeError, ImportError, LookupError, NameError, OSError,
                              SyntaxError, TypeError, ValueError)  # fmt: skip

_added: dict[str, OwnFamily] = {}
_reading = threading.RLock()


def own_families() -> dict[str, OwnFamily]:
    """Return the own families by name, those of packages first.

    Raises
    ------
    OwnSignalError
        When one cannot be read, is no family, or two have one name.
    """
    with _reading:
        families: dict[str, OwnFamily] = {}
        for family in (*_installed(), *_of_folder(os.environ.get(FOLDER, ""))):
            if family.name in families:
                raise OwnSignalError(
                    f"Two families are called {family.name}.",
                    found=f"{families[family.name].origin} and {family.origin}",
                    fix="rename one of them",
                )
            families[family.name] = family
        return families | _added


@contextmanager
def also(family: OwnFamily) -> Iterator[None]:
    """Have `family` among the own ones for a while, instead of one of its name."""
    _added[family.name] = family
    try:
        yield
    finally:
        del _added[family.name]


def read_family(path: Path) -> OwnFamily:
    """Read the family that a file holds.

    Raises
    ------
    OwnSignalError
        When it cannot be read or is no family.
    """
    try:
        now = path.stat()
    except OSError as error:
        raise OwnSignalError(
            f"The signals in {path} cannot be read.", found=error.strerror or str(error)
        ) from error
    with _reading:
        return _read(path.absolute(), now.st_mtime_ns, now.st_size)


def _of_folder(named: str) -> Iterator[OwnFamily]:
    if not named:
        return
    folder = Path(named)
    if not folder.is_dir():
        raise OwnSignalError(
            f"{FOLDER} names no folder.", found=named, fix="correct it, or unset it"
        )
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            yield read_family(path)


class _Source(SourceFileLoader):
    """Reads a file as it is now, and leaves nothing beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


@lru_cache(maxsize=64)
def _read(path: Path, _changed_on: int, _size: int) -> OwnFamily:
    for place in (path, path.parent):
        mode = place.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise OwnSignalError(
                f"{place} may be written by everybody, and what stands there is run.",
                fix=f"chmod o-w {place}",
            )
    name = f"ffl_risk_own_{path.stem}"
    spec = importlib.util.spec_from_loader(name, _Source(name, str(path)))
    if spec is None or spec.loader is None:
        raise OwnSignalError(f"The signals in {path} cannot be read.", expected="a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where classes defined in it look for themselves
    try:
        spec.loader.exec_module(module)
    except FeatureError as error:  # a signal that is none
        raise OwnSignalError(f"The signals in {path} cannot be read.", found=error.what) from error
    except _WHAT_A_FAMILY_DOES as error:
        raise OwnSignalError(
            f"The signals in {path} cannot be read.", found=f"{type(error).__name__}: {error}"
        ) from error
    return OwnFamily.of(module, str(path))


@lru_cache(maxsize=1)
def _installed() -> tuple[OwnFamily, ...]:
    return tuple(_loaded(point) for point in sorted(entry_points(group=GROUP)))


def _loaded(point: EntryPoint) -> OwnFamily:
    origin = f"{point.name} ({point.value})"
    try:
        module: Any = point.load()
    except (FeatureError, *_WHAT_A_FAMILY_DOES) as error:
        raise OwnSignalError(
            f"The signals of the entry point {origin} cannot be read.",
            found=f"{type(error).__name__}: {error}",
            fix="mend or uninstall the package that brings it",
        ) from error
    return OwnFamily.of(module, origin)


def require_free(names: Mapping[str, object], families: Mapping[str, OwnFamily]) -> None:
    """Refuse own families with the name of one that ships.

    Raises
    ------
    OwnSignalError
    """
    for name in families.keys() & names.keys():
        raise OwnSignalError(
            f"The family {name} of {families[name].origin} has the name of one that ships.",
            expected=f"none of {', '.join(names)}",
            fix="rename the family and its signals",
        )
