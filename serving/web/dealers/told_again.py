"""What was told of an inspection, as its form takes it again to put it right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.field.outcomes.outcomes import newest_outcomes
from serving.store.database import Store


def last_told(
    store: Store, dealer: str, inspection_id: str, *, fields: Sequence[str]
) -> tuple[dict[str, str], list[tuple[str, bool, str]]] | None:
    """Return the fields and citations of what was told last; None where nothing was.

    Parameters
    ----------
    store : Store
    dealer : str
    inspection_id : str
    fields : sequence of str
        Those that the form has.
    """
    told = {one.inspection_id: one.document for one in newest_outcomes(store, [dealer])}
    document = told.get(inspection_id)
    if document is None:
        return None
    cited = [
        (str(one["citation"]), bool(one["is_willful"]), _written(one["instances"]))
        for one in document["violations"]
    ]
    return {name: _written(document.get(name)) for name in fields}, cited


def _written(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
