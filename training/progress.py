"""Steps of a command as they pass: what is done, how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Steps:
    """Prints one line a step on standard error; bars show while a step lasts.

    Parameters
    ----------
    console : Console, optional
        Where to print; standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step and print it when it is done."""
        start = time.perf_counter()
        shown = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*shown, console=self.console, transient=True) as progress:
            progress.add_task(name, total=None)
            yield
        self._done(name, start)

    def taken(self, name: str, wait: Callable[[], float]) -> None:
        """Show a step that is done elsewhere until `wait` returns what it took, and print that."""
        shown = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*shown, console=self.console, transient=True) as progress:
            progress.add_task(name, total=None)
            spent = wait()
        self._print(name, spent)

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Progress]:
        """Show a bar for a step of `total` parts; advance it with ``progress.advance(0)``.

        It tells how long the rest will take, going by the parts that are done.
        """
        start = time.perf_counter()
        with Progress(*_bar(), console=self.console, transient=True) as progress:
            progress.add_task(name, total=total)
            yield progress
        self._done(name, start)

    @contextmanager
    def counted(self, name: str) -> Iterator[Callable[[str, int, int], None]]:
        """Show a bar for a step that tells itself ``(what, done, total)``, and what is left."""
        start = time.perf_counter()
        with Progress(*_bar(), console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=None)

            def told(what: str, done: int, total: int) -> None:
                progress.update(task, description=f"{name}: {what}", completed=done, total=total)

            yield told
        self._done(name, start)

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _done(self, name: str, start: float) -> None:
        self._print(name, time.perf_counter() - start)

    def _print(self, name: str, spent: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + spent
        self.console.print(f"{name:<44} {spent:6.1f} s", highlight=False)


def _bar() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )


def one_thread() -> AbstractContextManager[object]:
    """Hold the threads of linear algebra to one for a while.

    The matrices of a fit are small: more threads wait for each other, and on a busy machine a fit
    takes six times as long with them.
    """
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
