"""A writer that signed the end of the chain itself need not prove it again, and trusts no other."""

import pytest

from serving.access.audit.hash_chain import is_signed
from serving.access.audit.writer import AuditWriter, append, verify
from serving.errors import AuditError
from serving.store.database import Store
from tests.test_serving.access.test_audit import KEY, access, chain, store

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
