"""Rows that the service had kept and the warehouse refused: nobody else looks for them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from features.ingest.summary import IngestSummary

# From rows refused by table and reason code.
OnRefused = Callable[[Mapping[str, int]], None]

_LOG = logging.getLogger(__name__)


def refused_rows(summary: IngestSummary) -> Counter[str]:
    """Return how many rows were refused, by table and reason code."""
    found: Counter[str] = Counter()
    for file in summary.files:
        for table in file.tables:
            found.update({f"{table.table} {code}": n for code, n in table.reasons.items() if n})
    return found


def in_words(refused: Mapping[str, int]) -> str:
    """Say what was refused, in one line.

    >>> in_words({"inspections out_of_range": 1200})
    '1,200 refused (inspections out_of_range 1,200), kept in rejects/ of the warehouse'
    """
    parts = ", ".join(f"{what} {n:,}" for what, n in sorted(refused.items()))
    n = sum(refused.values())
    return f"{n:,} refused ({parts}), kept in rejects/ of the warehouse"


def log_refused(refused: Mapping[str, int]) -> None:
    """Tell the log."""
    _LOG.warning("rows collected from the service: %s", in_words(refused))
