"""The audit chain: whole when nothing was touched, broken at the right place when something was."""

import asyncio
import multiprocessing
import os
import shutil
import signal
import time
from concurrent.futures import Future
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.access.accounts import Directory
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.witness import Witness, noted, noted_in
from serving.access.audit.writer import (
    Access,
    AuditWriter,
    Ledger,
    append,
    head_of,
    load_key,
    open_chain,
    verify,
)
from serving.errors import AuditError, InvalidRequestError
from serving.scores import holds
from serving.store.database import Store
from serving.store.tables import (
    ACCOUNTS,
    AUDIT,
    AUDIT_HEAD,
    DECISIONS,
    EVENTS,
    HOLDS,
    LISTS,
    OUTCOMES,
    TOKENS,
)

KEY = b"k" * 32


def access(n: int) -> Access:
    return Access(who=f"inspector{n}", role="inspector", action="score", subject=f'["{n}"]')


@pytest.fixture
def store(tmp_path: Path, new_store: Path) -> Store:
    shutil.copy(new_store, tmp_path / "service.db")
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


def cut(store: Store, last: int) -> None:
    """Remove the tail and put the head where the chain now ends, as who has no key can."""
    with store.write() as connection:
        connection.execute(AUDIT.delete().where(AUDIT.c.seq > last))
        digest = connection.scalar(sa.select(AUDIT.c.digest).where(AUDIT.c.seq == last))
        connection.execute(AUDIT_HEAD.update().values(seq=last, digest=digest))


def test_a_tail_cut_together_with_the_head_is_found(chain: Store):
    cut(chain, 7)
    verdict = verify(chain, KEY)
    assert (verdict.is_intact, verdict.broken_at) == (False, 8)


def test_nothing_is_added_to_a_chain_that_was_cut(chain: Store):
    cut(chain, 7)
    with pytest.raises(AuditError, match="as it was signed"), chain.write() as connection:
        append(connection, KEY, [access(1)])
    writer = AuditWriter.open(chain, KEY)
    assert writer.write_now([access(1)]) is None
    with pytest.raises(AuditError):
        writer.submit(access(1)).result(timeout=20)
    writer.close()
    assert verify(chain, KEY).broken_at == 8


def test_a_service_does_not_start_on_a_chain_that_was_cut(chain: Store, tmp_path: Path):
    (tmp_path / "audit.key").write_bytes(KEY)
    assert open_chain(chain, tmp_path / "audit.key") == KEY
    cut(chain, 7)
    with pytest.raises(AuditError, match="as it was signed"):
        open_chain(chain, tmp_path / "audit.key")


def test_a_chain_from_before_heads_were_signed_is_signed_once(chain: Store, tmp_path: Path):
    (tmp_path / "audit.key").write_bytes(KEY)
    with chain.write() as connection:
        connection.execute(AUDIT_HEAD.update().values(signature=None))
    open_chain(chain, tmp_path / "audit.key")
    assert verify(chain, KEY).is_intact
    cut(chain, 8)
    with chain.write() as connection:
        connection.execute(AUDIT_HEAD.update().values(signature=None))
    assert not verify(chain, KEY).is_intact


def test_an_old_head_put_back_is_told_by_what_was_noted_elsewhere(chain: Store, tmp_path: Path):
    noted = tmp_path / "outside" / "heads"
    noted.parent.mkdir()
    with chain.read() as connection:
        old = connection.execute(sa.select(AUDIT_HEAD)).one()._asdict()
    writer = AuditWriter.open(chain, KEY, Witness(str(noted)))
    for n in range(3):
        writer.submit(access(n)).result(timeout=20)
    writer.close()
    assert noted.stat().st_mode & 0o077 == 0
    assert max(noted_in(noted)) == 12
    assert verify(chain, KEY, anchors=noted_in(noted)).is_intact
    with chain.write() as connection:
        connection.execute(AUDIT.delete().where(AUDIT.c.seq > 9))
        connection.execute(AUDIT_HEAD.update().values(**old))
    assert verify(chain, KEY).is_intact  # nothing in the store can tell
    verdict = verify(chain, KEY, anchors=noted_in(noted))
    assert not verdict.is_intact
    assert "noted elsewhere" in verdict.why


def test_heads_go_to_a_log_that_listens(chain: Store):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.settimeout(10)
        writer = AuditWriter.open(chain, KEY, Witness(f"syslog:127.0.0.1:{log.getsockname()[1]}"))
        writer.submit(access(1)).result(timeout=20)
        writer.close()
        line = log.recv(1000).decode()
    assert noted([line]) == {10: verify(chain, KEY).head}


@pytest.mark.parametrize("where", ["syslog:", "syslog:host", "syslog:host:port"])
def test_a_log_that_cannot_be_named_is_refused(where: str):
    with pytest.raises(InvalidRequestError, match="FFL_RISK_AUDIT_HEADS"):
        Witness(where)


@pytest.mark.parametrize("text", ["", "nothing", f"1:{'a' * 64}\n1:{'b' * 64}"])
def test_a_file_of_heads_that_says_nothing_or_two_things_is_refused(text: str):
    with pytest.raises(InvalidRequestError):
        noted(text.splitlines())


LEDGER = Ledger(KEY, access(0))
HOLD = {"hold_id": "H-1", "dealer": "1-10-00001", "starts_on": date(2026, 1, 1), "owners": ["x"]}


def keep_everything(store: Store) -> None:
    """Leave one row of each kind that changes hands most, each with its record."""
    directory = Directory(store, LEDGER)
    directory.add_account("maria", "inspector", areas=["office:1"], password="a long password")
    directory.issue_token("maria")
    holds.place(store, "1-10-00001", owners=["maria"], starts_on=date(2026, 1, 1), ledger=LEDGER)
    row = {
        "list_id": "L", "dealer": "d", "decision": "accept", "reason": "", "note": "",
        "legal_basis": "", "priority": 0.1, "who": "maria", "at": "2026-01-01",
    }  # fmt: skip
    listed = {
        "list_id": "L", "issued_at": "2026", "owner": "maria", "area": "",
        "as_of": date(2026, 1, 1),
        "bundle": "b", "scored": "s", "recipe": {}, "document": b"{}", "sha256": "x",
    }  # fmt: skip
    outcome = {
        "inspection_id": "I", "version": 1, "dealer": "d", "document": {"outcome": "none"},
        "list_id": "", "who": "maria", "at": "2026-01-01",
    }  # fmt: skip
    for kind, table, values in (
        ("list", LISTS, listed), ("decision", DECISIONS, row), ("outcome", OUTCOMES, outcome),
    ):  # fmt: skip
        with store.write() as connection:
            key = connection.execute(table.insert(), values).inserted_primary_key[0]
            LEDGER.add(connection, kind, "", kept=kept_now(connection, kind, key))


@pytest.mark.parametrize(
    ("table", "values", "named"),
    [
        (ACCOUNTS, {"role": "admin"}, "account maria"),
        (ACCOUNTS, {"areas": ["nation"]}, "account maria"),
        (ACCOUNTS, {"password_hash": "another"}, "account maria"),
        (TOKENS, {"expires_at": "2099"}, "token"),
        (DECISIONS, {"decision": "override"}, "decision 1"),
        (DECISIONS, {"priority": 0.2}, "decision 1"),
        (OUTCOMES, {"document": {"outcome": "revocation"}}, "outcome 1"),
        (HOLDS, {"ends_on": date(2026, 2, 1)}, "hold H-"),
        (HOLDS, {"owners": ["maria", "eve"]}, "hold H-"),
        (LISTS, {"sha256": "y"}, "list L"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_row_changed_behind_its_record_is_found(store: Store, table, values, named):
    keep_everything(store)
    assert verify(store, KEY).is_intact
    assert verify(store, KEY).n_uncovered == 0
    with store.write() as connection:
        connection.execute(table.update().values(**values))
    verdict = verify(store, KEY)
    assert not verdict.is_intact
    assert named in verdict.why


@pytest.mark.parametrize("table", [TOKENS, DECISIONS, OUTCOMES, HOLDS])
def test_a_row_removed_behind_its_record_is_found(store: Store, table):
    keep_everything(store)
    with store.write() as connection:
        connection.execute(table.delete())
    assert "is gone" in verify(store, KEY).why


def test_a_row_put_in_without_a_record_is_found(store: Store):
    keep_everything(store)
    with store.write() as connection:
        connection.execute(HOLDS.insert(), HOLD | {"created_at": "2999-01-01T00:00:00.000000Z"})
    verdict = verify(store, KEY)
    assert (verdict.is_intact, verdict.why) == (False, "a row of holds has no record")


def test_rows_from_before_are_counted_and_not_called_broken(store: Store):
    with store.write() as connection:
        connection.execute(HOLDS.insert(), HOLD | {"created_at": "2020-01-01T00:00:00.000000Z"})
    keep_everything(store)
    verdict = verify(store, KEY)
    assert (verdict.is_intact, verdict.n_uncovered) == (True, 1)


def test_a_record_that_cannot_be_written_undoes_the_write(service, audit_of):
    listed = service.post("/v1/rank", "chief", {"k": 3}).json()
    dealer = listed["rows"][0]["dealer"]
    with service.runtime.store.write() as connection:
        connection.execute(AUDIT_HEAD.update().values(signature="forged"))
    bodies = {
        "/v1/decisions": {"list_id": listed["list_id"], "dealer": dealer, "decision": "accept"},
        "/v1/outcomes": {
            "inspection_id": "I9", "dealer": dealer, "opened_on": "2026-01-01", "outcome": "none",
        },
        "/v1/rank": {"k": 2},
    }  # fmt: skip
    for path, body in bodies.items():
        answer = service.post(path, "chief", body)
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_failed")
    tip = {"tip_id": "T9", "dealer": dealer, "received_on": "2026-01-02", "source": "public",
           "is_self_report": False}  # fmt: skip
    answer = service.post("/v1/events", "scheduler", {"table": "tips", "rows": [tip]})
    assert answer.status_code == 503
    with service.runtime.store.read() as connection:
        for table, n in ((DECISIONS, 0), (OUTCOMES, 0), (EVENTS, 0), (LISTS, 1)):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == n


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
    writer = AuditWriter.open(store, KEY)
    futures: list[Future[int]] = [writer.submit(access(n)) for n in range(700)]
    assert [f.result(timeout=20) for f in futures] == list(range(1, 701))
    writer.close()
    assert verify(store, KEY).n_records == 700


def test_what_comes_in_one_turn_of_the_loop_is_written_at_once_and_in_order(
    store: Store, monkeypatch
):
    writer = AuditWriter.open(store, KEY)
    batches = []
    write = writer.write_now
    monkeypatch.setattr(writer, "write_now", lambda all_: batches.append(len(all_)) or write(all_))

    async def ask() -> list[int]:
        left = asyncio.ensure_future(writer.record(access(99)))
        asked = [asyncio.ensure_future(writer.record(access(n))) for n in range(20)]
        await asyncio.sleep(0)  # all have asked, and nothing is written yet
        left.cancel()
        return [*await asyncio.gather(*asked), await writer.record(access(20))]

    assert asyncio.run(ask()) == list(range(1, 22))
    assert batches == [20, 1]  # who left before it was written left no record
    writer.close()
    verdict = verify(store, KEY)
    assert (verdict.is_intact, verdict.n_records) == (True, 21)
    with store.read() as connection:
        found = connection.scalars(sa.select(AUDIT.c.subject).order_by(AUDIT.c.seq)).all()
    assert found == [access(n).subject for n in range(21)]


def test_what_another_writer_holds_up_is_written_by_the_thread_that_may_wait(store: Store):
    writer = AuditWriter.open(store, KEY)

    async def ask() -> list[int]:
        with store.write():
            asked = [asyncio.ensure_future(writer.record(access(n))) for n in range(3)]
            await asyncio.sleep(0.05)
            assert not any(one.done() for one in asked)
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == [1, 2, 3]
    with store.write() as connection:
        connection.execute(sa.text("DROP TABLE audit"))
    with pytest.raises(AuditError):
        asyncio.run(writer.record(access(4)))
    writer.close()


def test_a_fault_within_a_turn_leaves_nothing_open_for_the_thread_to_wait_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    writer = AuditWriter.open(store, KEY)
    assert writer.submit(access(0)).result(timeout=20) == 1

    def fail(*_: object) -> str:
        raise ValueError("no signature")

    with monkeypatch.context() as patch:
        patch.setattr("serving.access.audit.writer.signature_of", fail)
        with pytest.raises(ValueError, match="no signature"):
            writer.write_now([access(1)])
    assert writer.submit(access(2)).result(timeout=20) == 2
    writer.close()


def test_the_log_of_the_store_is_taken_into_it_beside_the_answers(chain: Store, tmp_path: Path):
    writer = AuditWriter.open(chain, KEY)
    assert [writer.write_now([access(n)]) for n in range(50)] == list(range(10, 60))
    writer.tidy()
    shutil.copyfile(tmp_path / "service.db", tmp_path / "alone.db")
    assert head_of(Store(f"sqlite:///{tmp_path / 'alone.db'}"))[0] == 59
    writer.close()


def test_a_record_that_cannot_be_written_fails_its_request(store: Store):
    writer = AuditWriter.open(store, KEY)
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
    writer = AuditWriter.open(Store(url), KEY)
    with Path(acknowledged).open("a", buffering=1) as out:
        n = 0
        while True:
            n += 1
            out.write(f"{writer.submit(access(n)).result(timeout=20)}\n")


@pytest.mark.slow
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
