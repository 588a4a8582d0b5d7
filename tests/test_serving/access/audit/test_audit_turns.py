"""A writer that signed the end of the chain itself need not prove it again, and trusts no other."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serving import clock
from serving.access.audit import hash_chain
from serving.access.audit.hash_chain import is_signed
from serving.access.audit.writer import AuditWriter, append, verify
from serving.errors import AuditError
from serving.store.database import Store, instant
from tests.test_serving.access.audit.test_audit import KEY, access, chain, store

__all__ = ["chain", "store"]


def test_two_writers_take_turns_and_one_that_signed_last_need_not_look(
    chain: Store, monkeypatch: pytest.MonkeyPatch
):
    one, two = AuditWriter.open(chain, KEY), AuditWriter.open(chain, KEY)
    proved = []
    monkeypatch.setattr(
        "serving.access.audit.writer.is_signed", lambda *head: proved.append(1) or is_signed(*head)
    )
    turns = [one, one, two, one, two, two, two]
    assert [writer.write_now([access(n)]) for n, writer in enumerate(turns)] == list(range(10, 17))
    assert len(proved) == 4  # once each time that the other had written
    with chain.write() as connection:
        assert append(connection, KEY, [access(20)]) == 17
    assert two.write_now([access(21), access(22)]) == 19
    assert len(proved) == 5
    assert verify(chain, KEY).is_intact
    one.close()
    two.close()


@pytest.mark.parametrize(
    "change", ["seq = seq - 1", "digest = 'x' || substr(digest, 2)", "signature = NULL",
               "signature = 'x' || substr(signature, 2)"],
)  # fmt: skip
def test_a_head_that_was_changed_under_its_own_writer_ends_the_chain(chain: Store, change: str):
    writer = AuditWriter.open(chain, KEY)
    assert writer.write_now([access(0)]) == 10
    with chain.write() as connection:
        connection.exec_driver_sql(f"UPDATE audit_head SET {change}")  # noqa: S608 - own text
    assert writer.write_now([access(1)]) is None
    with pytest.raises(AuditError):
        writer.submit(access(2)).result(timeout=20)
    with chain.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit").scalar() == 10
    writer.close()


@given(st.lists(st.text(), min_size=1, max_size=12), st.integers(0, 2**53))
@example(['"', "\\", "\u2028", "\x00", "é", "😀", "</script>"], 1)
def test_a_digest_is_over_the_json_that_it_always_was(texts: list[str], seq: int):
    fields = [seq, *texts]
    assert hash_chain._as_json(fields) == json.dumps(fields, ensure_ascii=False)


@pytest.mark.parametrize("fields", [["1", "a"], [1, None], [1, 2], [True, "a"], [1, 1.5, "b"]])
def test_a_record_whose_kinds_were_changed_has_the_digest_that_it_always_had(fields: list):
    assert hash_chain._as_json(fields) == json.dumps(fields, ensure_ascii=False)


def test_a_moment_is_told_as_it_always_was(monkeypatch: pytest.MonkeyPatch):
    for told in (
        0,
        1,
        999_999,
        1_790_000_000_123_456,
        1_798_761_599_999_999,
        4_102_444_800_000_000,
    ):
        monkeypatch.setattr(clock, "microseconds", lambda told=told: told)
        assert instant() == instant(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=told))


def test_one_who_is_alone_waits_for_no_turn_and_leaves_faults_to_the_thread(
    chain: Store, monkeypatch: pytest.MonkeyPatch
):
    writer = AuditWriter.open(chain, KEY)

    async def answers() -> list[int]:
        alone = await writer.record(access(0), is_alone=True)
        together = await asyncio.gather(*(writer.record(access(n)) for n in (1, 2)))
        # One that is said to be alone goes behind those that wait already.
        waiting = asyncio.ensure_future(writer.record(access(3)))
        await asyncio.sleep(0)
        last = await writer.record(access(4), is_alone=True)
        return [alone, *together, await waiting, last]

    assert asyncio.run(answers()) == [10, 11, 12, 13, 14]

    def fail(_: object) -> int:
        raise ValueError("no signature")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_now", fail)
        assert asyncio.run(writer.record(access(5), is_alone=True)) == 15  # written by the thread
    assert verify(chain, KEY).is_intact
    writer.close()
