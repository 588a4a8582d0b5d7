"""What is known, and since when: Parquet tables with a manifest, read as of a date.

The door is `Warehouse`; what writes is in `features.ingest`.
"""

from __future__ import annotations

from features.warehouse.manifest import WarehouseMissingError
from features.warehouse.reading import Warehouse

__all__ = ["Warehouse", "WarehouseMissingError"]
