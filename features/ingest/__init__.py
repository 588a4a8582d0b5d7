"""Files into a warehouse: recognized, checked, decided about, stored. The door is `ingest`."""

from __future__ import annotations

from features.ingest.run import ingest
from features.ingest.summary import IngestSummary

__all__ = ["IngestSummary", "ingest"]
