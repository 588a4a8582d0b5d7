"""The software bill of materials: what is installed because the project asks for it (CycloneDX)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Final

from features.openjson import Json

_PROJECT: Final = "ffl-risk"
_LICENSES: Final = ("License-Expression", "License")
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")


def bill_of_materials(root: str = _PROJECT) -> Json:
    """Return the distributions that a project needs, directly or not, as CycloneDX 1.6.

    Optional requirements (extras) and those of other platforms that are not installed are left out.

    Raises
    ------
    PackageNotFoundError
        When the project itself is not installed.
    """
    own = _part(root)
    if own is None:
        raise metadata.PackageNotFoundError(root)
    found: dict[str, _Part] = {}
    needs: dict[str, list[str]] = {own.key: []}
    todo = [own]
    while todo:
        one = todo.pop()
        names = []
        for name in one.required:
            needed = _part(name)
            if needed is None:
                continue
            names.append(needed.key)
            if needed.key not in found and needed.key != own.key:
                found[needed.key] = needed
                todo.append(needed)
        needs[one.key] = sorted(set(names))
    refs = {own.key: own.ref} | {key: one.ref for key, one in found.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(own) | {"type": "application"}},
        "components": [_component(one) for _, one in sorted(found.items())],
        "dependencies": [
            {"ref": refs[key], "dependsOn": [refs[name] for name in names]}
            for key, names in sorted(needs.items())
        ],
    }


@dataclass(frozen=True)
class _Part:
    """What is told of one distribution; `required` are the names it asks for without an extra."""

    key: str
    version: str
    license: str
    required: tuple[str, ...]

    @property
    def ref(self) -> str:
        return f"pkg:pypi/{self.key}@{self.version}"


@cache
def _part(name: str) -> _Part | None:
    """Return what an installed distribution tells of itself, read once a process."""
    try:
        one = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    told = one.metadata  # parsed anew at each access
    stated = [str(told[name]) for name in _LICENSES if name in told]
    return _Part(
        _key(told["Name"]), told["Version"], next(iter(stated), ""), _required(one.requires or ())
    )


def _required(requires: Sequence[str]) -> tuple[str, ...]:
    out = []
    for text in requires:
        requirement, _, marker = text.partition(";")
        match = _NAME.match(requirement.strip())
        if match and "extra" not in marker:
            out.append(match.group())
    return tuple(out)


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _component(one: _Part) -> Json:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": one.ref,
        "name": one.key,
        "version": one.version,
        "purl": one.ref,
    }
    if 0 < len(one.license) < 80 and "\n" not in one.license:
        component["licenses"] = [{"license": {"name": one.license}}]
    return component
