"""Where the project keeps its state: one folder, ``FFL_RISK_HOME``, ``./var`` by default.

=====================  =======================================================================
``warehouse/``         tables, manifest and rejects (`features.warehouse`)
``mlflow.db``          runs and the model registry, ``mlartifacts/`` beside it (`training.registry`)
``champion/``          ``NNNNNN/`` bundles as promoted; ``champion.json`` names the one in force
``scored/``            ``NNNNNN/`` scored tables; ``scored.json`` names the one in force
``reports/``           what evaluations wrote
``service.db``         accounts, tokens, audit, lists, decisions, outcomes (`serving.store`)
=====================  =======================================================================
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any


def home() -> Path:
    """Return the state folder: ``FFL_RISK_HOME``, else ``./var``. It may not exist yet."""
    return Path(os.environ.get("FFL_RISK_HOME", "var"))


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that a reader sees the old bytes or the new, never a part.

    The bytes are synced to disk before the name changes, and the folder after it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
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
