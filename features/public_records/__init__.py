"""Real public records that ship with the project; `PROVENANCE.toml` says where they come from."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def files() -> list[Path]:
    """Return the files to ingest, in order."""
    return sorted(FOLDER.glob("*.gz"))
