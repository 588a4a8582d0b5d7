"""Plans, files and long lists take turns, and end when nobody waits; a full disk is told."""

import asyncio
import errno
import logging
import os
import threading
from types import SimpleNamespace

import pandas as pd
import pytest

from features.warehouse import Warehouse
from serving import work_pool
from serving.errors import DiskError, OverloadedError
from serving.scores.publish import publish
from serving.work_pool import HeavyWork
from tests.test_serving.published_country import AS_OF, country  # noqa: F401 - a fixture


def test_identities_take_turns_and_nobody_waits_behind_anothers_queue():
    async def scenario() -> list[str]:
        pool, order, gate = HeavyWork(1), [], threading.Event()

        def work(name: str) -> None:
            gate.wait(10)
            order.append(name)

        first = asyncio.ensure_future(pool.run("a", work, "a1"))
        await asyncio.sleep(0)
        rest = [
            asyncio.ensure_future(pool.run(name[0], work, name))
            for name in ("a2", "a3", "b1", "c1")
        ]
        await asyncio.sleep(0.05)
        gate.set()
        await asyncio.gather(first, *rest)
        pool.close()
        return order

    assert asyncio.run(scenario()) == ["a1", "a2", "b1", "c1", "a3"]


def test_one_identity_cannot_fill_the_queue():
    async def scenario() -> None:
        pool, gate = HeavyWork(1), threading.Event()
        waiting = [asyncio.ensure_future(pool.run("a", gate.wait, 10)) for _ in range(5)]
        await asyncio.sleep(0.05)
        with pytest.raises(OverloadedError, match="waiting"):
            await pool.run("a", gate.wait, 10)
        other = asyncio.ensure_future(pool.run("b", lambda: "b"))
        await asyncio.sleep(0.01)
        gate.set()
        assert await other == "b"
        await asyncio.gather(*waiting)
        pool.close()

    asyncio.run(scenario())


def test_work_that_nobody_waits_for_ends_and_gives_its_place_up():
    async def scenario() -> None:
        pool, begun, ended = HeavyWork(1), threading.Event(), threading.Event()

        def endless() -> None:
            begun.set()
            try:
                while True:
                    work_pool.check()
            finally:
                ended.set()

        running = asyncio.ensure_future(pool.run("a", endless))
        queued = asyncio.ensure_future(pool.run("a", lambda: "never asked for"))
        other = asyncio.ensure_future(pool.run("b", lambda: "b"))
        await asyncio.to_thread(begun.wait, 10)
        queued.cancel()
        running.cancel()
        assert await asyncio.wait_for(other, 10) == "b"
        assert ended.is_set()
        assert await asyncio.wait_for(pool.run("a", lambda: "again"), 10) == "again"
        pool.close()

    asyncio.run(scenario())


def test_a_folder_without_room_or_right_shows_in_readiness_metrics_and_log(
    service, monkeypatch, caplog
):
    real = os.statvfs(service.runtime.settings.home)

    def with_(**changed):
        names = ("f_bavail", "f_frsize", "f_flag")
        state = {name: getattr(real, name) for name in names} | changed
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**state))

    with caplog.at_level(logging.INFO):
        for changed, says in (({"f_bavail": 0}, "0 MB left"), ({"f_flag": 1}, "read-only")):
            with_(**changed)
            answer = service.client.get("/readyz")
            assert answer.status_code == 503
            assert says in answer.json()["detail"]
            assert says in caplog.text
        assert "ffl_risk_free_bytes" in service.client.get("/metrics").text
        monkeypatch.undo()
        assert service.client.get("/readyz").status_code == 200
        assert "has room" in caplog.text


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fills_up_while_publishing_leaves_nothing(
    country, monkeypatch, fault  # noqa: F811
):  # fmt: skip
    before = sorted(p.name for p in (country / "scored").iterdir())
    in_force = (country / "scored.json").read_bytes()
    real, n_written = pd.DataFrame.to_parquet, []

    def fails_at_the_third(frame, path, **more):
        n_written.append(path)
        if len(n_written) == 3:
            raise OSError(fault, os.strerror(fault))
        return real(frame, path, **more)

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fails_at_the_third)
    with pytest.raises(DiskError) as caught:
        publish(Warehouse.open(country / "warehouse"), AS_OF, home=country)
    assert os.strerror(fault) in str(caught.value)
    assert sorted(p.name for p in (country / "scored").iterdir()) == before
    assert (country / "scored.json").read_bytes() == in_force
