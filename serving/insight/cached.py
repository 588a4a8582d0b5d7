"""Answers that rest on the warehouse alone, kept until it changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, Final, TypeVar

from features.errors import WarehouseError
from features.warehouse import Warehouse, WarehouseMissingError
from serving.errors import NotReadyError

Value = TypeVar("Value")
_MOST: Final = 16
_kept: OrderedDict[Hashable, Any] = OrderedDict()
_lock = threading.Lock()


def warehouse_of(home: Path) -> Warehouse:
    """Open the warehouse of a home folder.

    Raises
    ------
    NotReadyError
        When there is none.
    """
    try:
        return Warehouse.open(home / "warehouse")
    except WarehouseMissingError as error:
        raise NotReadyError(
            "The service has no warehouse to answer from.", fix="ffl-risk ingest PATH..."
        ) from error


def kept(warehouse: Warehouse, key: Hashable, make: Callable[[], Value]) -> Value:
    """Return what was worked out for a key on this very warehouse, else work it out.

    Raises
    ------
    NotReadyError
        When the warehouse does not hold what is needed.
    """
    whole = (str(warehouse.path.resolve()), warehouse.fingerprint, key)
    with _lock:
        if whole in _kept:
            _kept.move_to_end(whole)
            found: Value = _kept[whole]
            return found
    try:
        found = make()
    except WarehouseError as error:
        raise NotReadyError(error.what, fix=error.fix or "") from error
    with _lock:
        _kept[whole] = found
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return found
