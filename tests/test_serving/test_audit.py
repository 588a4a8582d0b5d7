"""The audit chain: whole when nothing was touched, broken at the right place when something was."""

import multiprocessing
import os
import signal
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.access.audit import Access, AuditWriter, append, load_key, verify
from serving.errors import AuditError
from serving.store.database import Store
from serving.store.tables import AUDIT, AUDIT_HEAD

KEY = b"k" * 32


def access(n: int) -> Access:
    return Access(who=f"inspector{n}", role="inspector", action="score", subject=f'["{n}"]')


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'service.db'}")


@pytest.fixture
def chain(store: Store) -> Store:
    for start in (0, 3, 6):
        with store.write() as connection:
            append(connection, KEY, [access(start + n) for n in range(3)])
    return store


def test_an_untouched_chain_verifies(chain: Store):
    verdict = verify(chain, KEY)
    assert verdict.is_intact
    assert verdict.n_records == 9


def test_an_empty_chain_verifies(store: Store):
    assert verify(store, KEY).is_intact


@pytest.mark.parametrize(
    "column", ["at", "who", "role", "purpose", "action", "subject", "bundle", "scored", "list_id"]
)
def test_a_changed_field_is_found(chain: Store, column: str):
    with chain.write() as connection:
        connection.execute(AUDIT.update().where(AUDIT.c.seq == 4).values({column: "changed"}))
    verdict = verify(chain, KEY)
    assert not verdict.is_intact
    assert verdict.broken_at == 4


def test_a_removed_record_is_found(chain: Store):
    with chain.write() as connection:
        connection.execute(AUDIT.delete().where(AUDIT.c.seq == 5))
    assert verify(chain, KEY).broken_at == 5


def test_a_chain_cut_short_is_found(chain: Store):
    with chain.write() as connection:
        connection.execute(AUDIT.delete().where(AUDIT.c.seq > 7))
    verdict = verify(chain, KEY)
    assert (verdict.is_intact, verdict.broken_at) == (False, 8)


def test_a_chain_rebuilt_without_the_key_is_found(chain: Store):
    with chain.write() as connection:
        connection.execute(AUDIT.delete())
        connection.execute(AUDIT_HEAD.delete())
        append(connection, b"another key", [access(n) for n in range(9)])
    assert verify(chain, KEY).broken_at == 1


def test_a_chain_rebuilt_with_the_key_differs_from_the_anchor_noted_elsewhere(chain: Store):
    anchor = (9, verify(chain, KEY).head)
    assert verify(chain, KEY, anchor=anchor).is_intact
    with chain.write() as connection:
        connection.execute(AUDIT.delete())
        connection.execute(AUDIT_HEAD.delete())
        append(connection, KEY, [access(n + 100) for n in range(9)])
    assert verify(chain, KEY).is_intact
    assert not verify(chain, KEY, anchor=anchor).is_intact


def test_the_writer_answers_with_sequence_numbers_in_order(store: Store):
    writer = AuditWriter(store, KEY)
    futures: list[Future[int]] = [writer.submit(access(n)) for n in range(700)]
    assert [f.result(timeout=20) for f in futures] == list(range(1, 701))
    writer.close()
    assert verify(store, KEY).n_records == 700


def test_a_record_that_cannot_be_written_fails_its_request(store: Store):
    writer = AuditWriter(store, KEY)
    with store.write() as connection:
        connection.execute(sa.text("DROP TABLE audit"))
    with pytest.raises(AuditError):
        writer.submit(access(1)).result(timeout=20)
    writer.close()


def test_the_key_is_made_once_and_private(tmp_path: Path):
    path = tmp_path / "state" / "audit.key"
    assert load_key(path) == load_key(path)
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["audit.key"]


def _write_forever(url: str, acknowledged: str) -> None:
    writer = AuditWriter(Store(url), KEY)
    with Path(acknowledged).open("a", buffering=1) as out:
        n = 0
        while True:
            n += 1
            out.write(f"{writer.submit(access(n)).result(timeout=20)}\n")


def test_kill_9_while_writing_leaves_a_chain_that_verifies_and_no_loss(
    store: Store, tmp_path: Path
):
    context = multiprocessing.get_context("spawn")
    url, acknowledged = str(store.engine.url), tmp_path / "acknowledged"
    for attempt in range(3):
        process = context.Process(target=_write_forever, args=(url, str(acknowledged)))
        process.start()
        n_before = acknowledged.stat().st_size if acknowledged.exists() else 0
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (
            not acknowledged.exists() or acknowledged.stat().st_size < n_before + 200
        ):
            time.sleep(0.01 + 0.007 * attempt)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        last = int(acknowledged.read_text().split("\n")[-2])
        verdict = verify(store, KEY)
        assert verdict.is_intact
        assert verdict.n_records >= last
