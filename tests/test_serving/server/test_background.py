"""Background work outlives its faults, is counted, and shows in readiness."""

import sqlite3
import threading
import time

import pytest
from prometheus_client import REGISTRY

from serving.access.audit.writer import Access, verify
from serving.background import Loop
from serving.errors import AuditError


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def counted(name: str, work: str) -> float:
    from serving import metrics

    counter = {"faults": metrics.FAULTS, "restarts": metrics.RESTARTS}[name]
    return counter.labels(work)._value.get()


def test_a_loop_outlives_every_fault_and_counts_it():
    faults = [OSError(24, "Too many open files"), MemoryError(), RuntimeError(), KeyError("x")]
    n_faults = len(faults)
    done = threading.Event()

    def work() -> None:
        if faults:
            raise faults.pop()
        done.set()

    loop = Loop("t_faults", work, pause=0.001, patience=0.0)
    loop.start()
    wait_for(lambda: loop.trouble)
    while not done.wait(0.01):
        loop.wake()
    wait_for(lambda: not loop.trouble)
    assert counted("faults", "t_faults") == n_faults
    loop.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_is_gone_is_seen_and_started_again():
    rounds = []

    def work() -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise SystemExit  # nothing but this and its like ends the thread

    loop = Loop("t_gone", work, pause=0.001)
    loop.start()
    wait_for(lambda: loop.trouble == "t_gone has stopped")
    loop.start()
    wait_for(lambda: len(rounds) > 2)
    assert not loop.trouble
    assert counted("restarts", "t_gone") == 1
    loop.close()
    loop.start()
    assert loop.trouble == ""  # stopped on purpose


def test_a_store_locked_for_longer_than_a_request_waits_does_not_end_the_audit(service):
    runtime = service.runtime
    assert service.post("/v1/score", "analyst", {"dealers": ["1-10-00000"]}).status_code == 200
    other = sqlite3.connect(runtime.settings.home / "service.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    access = Access("analyst", "analyst", "score", "1-10-00000")
    waiting = [runtime.audit.submit(access) for _ in range(3)]
    # What a request does whose time is up; the record is either not begun or being written.
    cancelled = [future.cancel() for future in waiting[1:]]
    time.sleep(0.2)
    other.execute("ROLLBACK")
    other.close()
    waiting[0].result(timeout=30)
    n_before = verify(runtime.store, runtime.audit_key).n_records
    assert runtime.audit.submit(access).result(timeout=30) == n_before + 1
    assert n_before == 2 + cancelled.count(False)
    assert service.client.get("/readyz").status_code == 200


def test_a_record_that_fails_shows_in_the_metrics_and_readiness_until_it_is_mended(service):
    from serving.store.database import Store

    audit, real = service.runtime.audit, Store.write
    audit.loop._patience = 0.0
    failures = REGISTRY.get_sample_value("ffl_risk_audit_failures_total") or 0.0

    def fails(_: Store):
        raise OSError(28, "No space left on device")

    Store.write = fails
    try:
        with pytest.raises(AuditError):
            audit.submit(Access("a", "analyst", "score", "")).result(timeout=20)
        wait_for(lambda: service.client.get("/readyz").status_code == 503)
        assert "audit fails" in service.client.get("/readyz").json()["detail"]
    finally:
        Store.write = real
    # Nobody asks a service that is not ready; it finds out by itself.
    wait_for(lambda: service.client.get("/readyz").status_code == 200)
    assert (REGISTRY.get_sample_value("ffl_risk_audit_failures_total") or 1.0) > failures
