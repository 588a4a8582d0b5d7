"""The files of a bundle's folder: all that are listed and none that are not, as written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from features.openjson import Json
from models.errors import BundleError

SCHEMA_VERSION: Final = 1
MANIFEST: Final = "manifest.json"


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a file's content."""
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path) -> Json:
    """Read the manifest of a folder; `BundleError` when it is none of this version."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"No bundle in {folder}.", found=f"no {MANIFEST}") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{MANIFEST} cannot be read.", found=str(error)) from error
    if not isinstance(manifest, dict) or manifest.get("schema_version") != SCHEMA_VERSION:
        found = manifest.get("schema_version") if isinstance(manifest, dict) else "no object"
        raise BundleError(
            f"{MANIFEST} is of another schema version.",
            found=str(found),
            expected=str(SCHEMA_VERSION),
            fix="train again with this version",
        )
    for key in ("files", "heads"):
        if not isinstance(manifest.get(key), dict):
            raise BundleError(f"{MANIFEST} lacks '{key}'.")
    return manifest


def _expected(heads: Sequence[str]) -> set[str]:
    others = {"calibration.json", "policy.toml", "signals.json", "profile.json", "card.md"}
    return others | {f"heads/{name}.txt" for name in heads}


def verified(folder: Path, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the content of every file named, once all is known to be as it was written."""
    listed = manifest["files"]
    for name in listed:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name:
            raise BundleError(f"{MANIFEST} names a file outside the bundle.", found=name)
    wanted = _expected(list(manifest["heads"]))
    if set(listed) != wanted:
        odd = sorted(set(listed) ^ wanted)
        raise BundleError(f"{MANIFEST} does not list the files of a bundle.", found=", ".join(odd))
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    unknown = sorted(there - set(listed) - {MANIFEST})
    if unknown:
        raise BundleError("The bundle holds a file it does not list.", found=unknown[0])
    contents: dict[str, bytes] = {}
    for name, stated in sorted(listed.items()):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BundleError(
                f"{name} is missing from the bundle or is no plain file.", expected="a plain file"
            )
        contents[name] = path.read_bytes()
        found = sha256_of(contents[name])
        if found != stated:
            raise BundleError(
                f"{name} is not the file the bundle was saved with.",
                found=f"SHA-256 {found}",
                expected=f"SHA-256 {stated}",
                fix="restore it from the registry, or train again",
            )
    return contents


def unreadable(folder: Path, error: Exception) -> BundleError:
    """Return the error of a bundle whose verified files cannot be read."""
    return BundleError(
        f"The bundle in {folder} has the right hashes but cannot be read.",
        found=repr(error),
        fix="it was written by another version; train again",
    )
