"""Prometheus metrics by route template, never by path: their number does not grow with dealers."""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

REQUESTS: Final = Counter(
    "ffl_risk_requests_total", "Requests answered", ["method", "route", "status"]
)
SECONDS: Final = Histogram(
    "ffl_risk_request_seconds",
    "Seconds from the first byte of a request to the last of its answer",
    ["route"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
EVENT_SECONDS: Final = Histogram(
    "ffl_risk_event_seconds",
    "Seconds from the arrival of an event to the new score of its dealer",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 30, 60),
)
IN_PROGRESS: Final = Gauge(
    "ffl_risk_requests_in_progress", "Requests being worked on", multiprocess_mode="livesum"
)
DEALERS: Final = Gauge(
    "ffl_risk_scored_dealers", "Dealers in the table in force", multiprocess_mode="max"
)


def exposition() -> tuple[bytes, str]:
    """Return the metrics of all worker processes, and their media type."""
    registry = REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST
