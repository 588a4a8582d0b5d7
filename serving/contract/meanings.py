"""What each property of the API means, put into its schemas where the types do not say it.

One place for all: most names mean the same wherever they stand, and what a schema means by one of
them otherwise has a table of its own in ``meanings.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parent / "meanings.toml"
ANYWHERE: Final = "any"


def meanings() -> Mapping[str, Mapping[str, str]]:
    """Return what names mean, by schema; `ANYWHERE` holds what holds in all others."""
    told: dict[str, dict[str, str]] = {}
    for names, table in tomllib.loads(_FILE.read_text(encoding="utf-8")).items():
        for name in names.split():  # schemas that mean the same share a table
            told.setdefault(name, {}).update(table)
    return told


def describe(schemas: Mapping[str, Any]) -> None:
    """Give every property that says nothing of itself what its name means."""
    told = meanings()
    for name, schema in schemas.items():
        known = {**told[ANYWHERE], **told.get(name, {})}
        for prop, about in schema.get("properties", {}).items():
            if prop in known:
                about.setdefault("description", known[prop])
