"""What was measured of the bundle in force, read from where the training left it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.openjson import Json
from serving.runtime import Runtime
from serving.scores.champion import champion_entry


def evaluation_of(runtime: Runtime) -> Mapping[str, Any] | None:
    """Return the evaluation behind the bundle in force, None when it is not on this machine."""
    home = runtime.settings.home
    in_force = str(runtime.snapshot.table.manifest["champion"])
    entry = champion_entry(home, in_force)
    candidate = None if entry is None else entry.get("candidate")
    if not isinstance(candidate, str) or not candidate.isdigit():
        return None
    return _read(home / "candidates" / candidate / "evaluation.json")


def report_of(runtime: Runtime, stem: str) -> Mapping[str, Any] | None:
    """Return the newest report of a kind (``indicators``, ``drift``), None when there is none."""
    return _read(runtime.settings.home / "reports" / f"{stem}.json")


def _read(path: Path) -> Json | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
