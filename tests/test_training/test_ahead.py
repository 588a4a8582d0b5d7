"""Fits several at once: in order, each once, and none goes on when one has failed."""

import threading
from functools import partial
from io import StringIO

import pytest
from rich.console import Console
from threadpoolctl import threadpool_info, threadpool_limits

from models.margin.threads import UnwantedError, beside, go_on, in_turns, single_threaded_algebra
from training.errors import WeightsError
from training.heads import ahead as module
from training.heads.ahead import LARGE, Ahead
from training.progress import Steps

SECONDS = 60


def quiet() -> tuple[Steps, StringIO]:
    said = StringIO()
    return Steps(Console(file=said)), said


@pytest.mark.parametrize("at_once", [1, 3])
def test_results_come_in_the_order_they_are_asked_for(at_once):
    steps, said = quiet()
    with Ahead(steps, at_once=at_once) as ahead:
        begun = [ahead.begin(f"part {i}", partial(pow, i, 2)) for i in range(6)]
        assert [ahead.take(one) for one in reversed(begun)] == [25, 16, 9, 4, 1, 0]
    lines = [line.split("  ")[0] for line in said.getvalue().splitlines() if line.strip()]
    assert lines == [f"part {i}" for i in reversed(range(6))]
    assert set(steps.seconds) == {f"part {i}" for i in range(6)}


def test_fits_are_under_way_at_the_same_time():
    meet = threading.Barrier(3, timeout=SECONDS)
    with Ahead(quiet()[0], at_once=3) as ahead:
        begun = [ahead.begin(str(i), meet.wait) for i in range(3)]
        assert sorted(ahead.take(one) for one in begun) == [0, 1, 2]


def test_what_fails_is_raised_where_another_is_waited_for_and_the_rest_is_left():
    """The error of the third came only after the first two had been fitted and judged."""
    done, is_under_way = list[int](), threading.Event()

    def long() -> None:
        is_under_way.set()
        while True:
            go_on()

    def fails() -> None:
        assert is_under_way.wait(SECONDS)
        raise WeightsError("Every weight was clipped.")

    with Ahead(quiet()[0], at_once=2) as ahead:
        first = ahead.begin("first", long)
        ahead.begin("second", fails)
        for i in range(3):
            ahead.begin(f"later {i}", partial(done.append, i))
        with pytest.raises(WeightsError, match="Every weight was clipped"):
            ahead.take(first)
    assert done == []
    assert not any(thread.is_alive() for thread in ahead._threads)


def test_an_interruption_leaves_what_is_under_way():
    is_under_way, left = threading.Event(), list[BaseException]()

    def long() -> None:
        is_under_way.set()
        try:
            while True:
                in_turns(abs, [1, 2], 2)
        except BaseException as error:
            left.append(error)
            raise

    ahead = Ahead(quiet()[0], at_once=1)

    def interrupted() -> None:
        with ahead:
            ahead.begin("long", long)
            assert is_under_way.wait(SECONDS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [type(error) for error in left] == [UnwantedError]
    assert not any(thread.is_alive() for thread in ahead._threads)


def test_of_large_tables_one_is_read_at_a_time_and_small_ones_go_beside_it():
    under_way, most = set[str](), list[int]()
    meet = threading.Barrier(2, timeout=SECONDS)

    def large(name: str) -> None:
        under_way.add(name)
        most.append(len(under_way))
        if name == "first":
            meet.wait()  # the small one comes while this is under way, the second large one not
        under_way.remove(name)

    with Ahead(quiet()[0], at_once=2) as ahead:
        begun = [ahead.begin(n, partial(large, n), n_bytes=LARGE + 1) for n in ("first", "second")]
        begun.append(ahead.begin("small", meet.wait, n_bytes=LARGE))
        for one in begun:
            ahead.take(one)
    assert most == [1, 1]


def test_jobs_beside_each_other_have_the_threads_between_them():
    def names() -> set[str]:
        meet = threading.Barrier(2)

        def own(_item: int) -> str:
            meet.wait(0.0 if threading.current_thread() is threading.main_thread() else SECONDS)
            return threading.current_thread().name

        try:
            return set(in_turns(own, [0, 1], 2))
        except threading.BrokenBarrierError:
            return {threading.current_thread().name}

    assert len(names()) == 2
    with beside(lambda: True), beside(lambda: True):
        assert names() == {threading.current_thread().name}
    assert len(names()) == 2


def test_linear_algebra_stays_on_one_thread_when_one_of_several_fits_ends():
    def limits() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    meet, is_over = threading.Barrier(2, timeout=SECONDS), threading.Event()

    def ends() -> None:
        with single_threaded_algebra():
            meet.wait()

    def goes_on() -> set[int]:
        with single_threaded_algebra():
            meet.wait()
            assert is_over.wait(SECONDS)
            return limits()

    with threadpool_limits(limits=2, user_api="blas"):
        with Ahead(quiet()[0], at_once=2) as ahead:
            first, second = ahead.begin("ends", ends), ahead.begin("goes on", goes_on)
            ahead.take(first)
            is_over.set()
            assert ahead.take(second) == {1}
        assert limits() == {2}


def test_as_many_are_under_way_as_there_are_cores_and_no_more_than_memory_bears(monkeypatch):
    for cores, wanted in ((1, 1), (2, 2), (64, 4)):
        monkeypatch.setattr(module, "n_threads", lambda _, cores=cores: cores)
        with Ahead(quiet()[0]) as ahead:
            assert len(ahead._threads) == wanted
