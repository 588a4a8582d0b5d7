"""How far a warehouse has taken in what a store holds: noted in the warehouse itself.

Several homes may work on one store, each with a warehouse of its own. Whether a row "was collected"
is therefore a fact about a warehouse, not about the row. Numbers of one store mean nothing in
another, so the note names its store; one that is lost or of another store begins anew, which
only costs time, for a warehouse knows the rows it has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from features.home import write_json
from features.warehouse.manifest import write_lock
from serving.store.database import Store
from serving.store.journal import store_id

FILE: Final = "collected.json"


@dataclass(frozen=True)
class Collected:
    """The last event and the last version of an outcome that a warehouse has taken in."""

    store: str
    event_id: int = 0
    outcome_id: int = 0

    @classmethod
    def of(cls, store: Store, warehouse: Path) -> Collected:
        """Read the note of a warehouse about a store."""
        name = store_id(store)
        try:
            told: Any = json.loads((warehouse / FILE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return cls(name)
        if not isinstance(told, Mapping) or told.get("store") != name:
            return cls(name)
        return cls(name, int(told.get("event_id", 0)), int(told.get("outcome_id", 0)))

    def save(self, warehouse: Path) -> None:
        """Note it in the warehouse, once nobody copies it."""
        with write_lock(warehouse, is_patient=True):
            write_json(warehouse / FILE, asdict(self))
