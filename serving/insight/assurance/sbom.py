"""The software bill of materials: what is installed because the project asks for it (CycloneDX)."""

from __future__ import annotations

import re
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
    own = metadata.distribution(root)
    found: dict[str, metadata.Distribution] = {}
    needs: dict[str, list[str]] = {_key(root): []}
    todo = [own]
    while todo:
        one = todo.pop()
        key = _key(one.metadata["Name"])
        names = []
        for name in _required(one):
            needed = _installed(name)
            if needed is None:
                continue
            names.append(_key(needed.metadata["Name"]))
            if names[-1] not in found and names[-1] != _key(root):
                found[names[-1]] = needed
                todo.append(needed)
        needs[key] = sorted(set(names))
    components = [_component(one) for _, one in sorted(found.items())]
    refs = {_key(root): _ref(own)} | {key: _ref(one) for key, one in found.items()}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": _component(own) | {"type": "application"}},
        "components": components,
        "dependencies": [
            {"ref": refs[key], "dependsOn": [refs[name] for name in names]}
            for key, names in sorted(needs.items())
        ],
    }


def _required(one: metadata.Distribution) -> list[str]:
    """Names of what a distribution asks for without an extra."""
    out = []
    for text in one.requires or ():
        requirement, _, marker = text.partition(";")
        match = _NAME.match(requirement.strip())
        if match and "extra" not in marker:
            out.append(match.group())
    return out


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _ref(one: metadata.Distribution) -> str:
    return f"pkg:pypi/{_key(one.metadata['Name'])}@{one.version}"


def _component(one: metadata.Distribution) -> Json:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _ref(one),
        "name": _key(one.metadata["Name"]),
        "version": one.version,
        "purl": _ref(one),
    }
    stated = {name: str(one.metadata[name]) for name in _LICENSES if name in one.metadata}
    license_ = next(iter(stated.values()), "")
    if 0 < len(license_) < 80 and "\n" not in license_:
        component["licenses"] = [{"license": {"name": license_}}]
    return component
