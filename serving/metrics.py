"""Prometheus metrics by route template, never by path: their number does not grow with dealers."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
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
    "ffl_risk_scored_dealers", "Dealers in the table in force", multiprocess_mode="livemax"
)
HEAVY: Final = Gauge(
    "ffl_risk_heavy_in_progress",
    "Plans, files and long lists being made",
    multiprocess_mode="livesum",
)
FREE_BYTES: Final = Gauge(
    "ffl_risk_free_bytes", "Bytes free where the state is kept", multiprocess_mode="livemin"
)
FAULTS: Final = Counter(
    "ffl_risk_background_faults_total", "Rounds of background work that failed", ["work"]
)
RESTARTS: Final = Counter(
    "ffl_risk_background_restarts_total", "Background threads started again", ["work"]
)
WAITING_EVENTS: Final = Gauge(
    "ffl_risk_waiting_events", "Events not yet in the warehouse", multiprocess_mode="livemostrecent"
)
TABLE_AGE: Final = Gauge(
    "ffl_risk_table_age_days",
    "Days since the records of the table in force",
    multiprocess_mode="livemax",
)
CLOCK_AHEAD: Final = Gauge(
    "ffl_risk_clock_ahead_seconds",
    "Seconds by which the service's clock is ahead of the machine's, which was set back",
    multiprocess_mode="livemax",
)
WEBHOOKS: Final = Counter(
    "ffl_risk_webhook_attempts_total", "Messages to webhooks, taken or failed", ["how"]
)
AUDIT_FAILURES: Final = Counter(
    "ffl_risk_audit_failures_total", "Answers withheld because their record could not be written"
)
REFUSED_CONNECTIONS: Final = Counter(
    "ffl_risk_refused_connections_total", "Connections closed before a request", ["why"]
)
RELOADS: Final = Counter(
    "ffl_risk_reloads_total",
    "Newly published tables taken up, and those that could not be",
    ["how"],
)
POOL: Final = Gauge(
    "ffl_risk_store_connections_in_use",
    "Connections of the store's pool in use",
    multiprocess_mode="livesum",
)
POOL_MOST: Final = Gauge(
    "ffl_risk_store_connections_most",
    "Connections that the store's pool may open",
    multiprocess_mode="livesum",
)
RUN_ENDED: Final = Gauge(
    "ffl_risk_run_ended_seconds",
    "When the newest scheduled run ended, in seconds since 1970",
    ["routine"],
    multiprocess_mode="livemax",
)
RUN_EXIT_CODE: Final = Gauge(
    "ffl_risk_run_exit_code",
    "Exit code of the newest scheduled run",
    ["routine"],
    multiprocess_mode="livemostrecent",
)
BUILD: Final = Gauge(
    "ffl_risk_build_info", "Which build answers", ["version", "python"], multiprocess_mode="livemax"
)


@lru_cache(maxsize=4_096)
def _counted(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), SECONDS.labels(route)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answer, and how long it took."""
    count, time = _counted(method, route, status)
    count.inc()
    time.observe(seconds)


def exposition() -> tuple[bytes, str]:
    """Return the metrics of all worker processes, and their media type."""
    registry = REGISTRY
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        registry = CollectorRegistry()
        _forget_the_dead(Path(folder))
        multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _forget_the_dead(folder: Path) -> None:
    """Take the live gauges of workers that were killed out of the sums."""
    for file in folder.glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not _is_alive(int(pid)):
            with suppress(FileNotFoundError):  # another worker does the same
                file.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
