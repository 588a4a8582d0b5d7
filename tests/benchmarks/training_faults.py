"""Training and promoting, killed at random moments or with a disk that takes no more.

What is killed is a process of its own, forked from one that has imported already what the commands
import, so that kills fall into the work and not into the imports. After each, every candidate and
the champion must be whole; after the last of a series, the command must do its work.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.service_wire import report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.context import ForkServerContext

RECIPE = """
name = "quick"
title = "A recipe that is trained in seconds"
variant = "full"
seed = 7
every_months = 12
n_as_of = 4
horizon_months = 12
cannot_say = ["Anything about anyone."]
[evaluation]
capacity = 0.10
n_resamples = 50
n_judged = 1
[gates]
max_calibration_error = 50.0
min_list_overlap = 0.01
max_fairness_regression = 0.99
max_capacity_loss = 0.99
[[heads]]
name = "diversion"
label = "diversion"
kind = "rate"
max_rows = 1000
min_positive = 5
[heads.rules]
most_traces_first = "+traces_n_3y"
[heads.parameters]
n_repeats = 1
n_folds = 2
max_rounds = 20
"""
PROMOTE = ("promote", "--without-compliance", "--accept-unjudged", "on purpose")
_IN_A_ROW = 4
_PRELOAD = [
    "ffl_risk", "lightgbm", "mlflow", "pandas", "pyarrow", "duckdb", "scipy.stats",
    "training.commands.train", "training.commands.promote", "training.evaluation.gates",
]  # fmt: skip


class Place:
    """A home with a small country in its warehouse and a candidate in force, and its like."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = folder / "whole"
        self.whole.mkdir()
        self.recipe = folder / "quick.toml"
        self.recipe.write_text(RECIPE, encoding="utf-8")
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(_PRELOAD)
        country = str(folder / "country")
        for typed in (
            ("simulate", "--dealers", "600", "--years", "6", "--out", country),
            ("ingest", country), self.train, PROMOTE, self.train,
        ):  # fmt: skip
            code, said = run(self.context, self.whole, typed)
            if code:
                raise SystemExit(f"{typed[0]}: {said}")

    @property
    def train(self) -> tuple[str, ...]:
        """The command that trains."""
        return ("train", "--recipe", str(self.recipe))

    def copy(self) -> Path:
        """Return another home like it."""
        home = Path(tempfile.mkdtemp(dir=self.folder))
        shutil.copytree(self.whole, home, dirs_exist_ok=True)
        return home


def run(
    context: ForkServerContext,
    home: Path,
    typed: Sequence[str],
    *,
    kill_after: float | None = None,
    most_bytes: int | None = None,
) -> tuple[int, str]:
    """Run a command; return its exit code, below 0 when it was killed, and what it said."""
    log = home / "said.txt"
    process = context.Process(target=_command, args=(str(home), list(typed), most_bytes))
    process.start()
    process.join(kill_after)
    process.kill()
    process.join()
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return int(process.exitcode or 0), said


def _command(home: str, typed: list[str], most_bytes: int | None) -> None:
    out = os.open(Path(home) / "said.txt", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ["FFL_RISK_HOME"] = home
    sys.argv = ["ffl-risk", *typed]
    if most_bytes is not None:  # a file that would be longer is refused, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY))
    import ffl_risk

    ffl_risk.main()


def state(home: Path) -> tuple[list[str], str]:
    """Return the candidates and the champion, each opened and read whole.

    Whatever is torn raises.
    """
    from models.bundle.bundle import Bundle
    from training.evaluation.candidate import open_candidate
    from training.registry.promotion import read_champion

    numbers = sorted(p.name for p in (home / "candidates").iterdir() if p.name.isdigit())
    for number in numbers:
        Bundle.load(open_candidate(home, number).bundle_folder)
    champion = read_champion(home)
    if champion is None:
        raise ValueError("the champion is gone")
    Bundle.load(home / "champion" / champion.bundle)
    return numbers, champion.bundle


def expected_after(name: str, before: tuple[list[str], str]) -> tuple[list[str], str]:
    """Return the state that a command leaves when it did its work."""
    numbers, champion = before
    following = f"{int(max(numbers)) + 1:06d}"
    return ([*numbers, following], champion) if name == "train" else (numbers, "000002")


def training(n_kills: int, n_full: int, seed: str) -> None:
    """Kill `train` and `promote`, and give them a disk that is full, and report."""
    rng = random.Random(f"training {seed}")
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name, typed in (("train", place.train), ("promote", PROMOTE)):
            home = place.copy()
            start = time.monotonic()
            code, said = run(place.context, home, typed)
            seconds = time.monotonic() - start
            if code:
                raise SystemExit(f"{name}: {said}")
            shutil.rmtree(home)
            _kills(place, name, typed, (rng, n_kills // 2, seconds))
            _full_disk(place, name, typed, (rng, n_full // 2))


def _kills(
    place: Place, name: str, typed: Sequence[str], how: tuple[random.Random, int, float]
) -> None:
    rng, n, seconds = how
    n_made = n_torn = n_failed = 0
    while n_made < n:
        home = place.copy()
        before = state(home)
        for _ in range(min(_IN_A_ROW, n - n_made)):
            code, _said = run(
                place.context, home, typed, kill_after=rng.uniform(0.02, 1.0) * seconds
            )
            n_made += 1
            try:
                found = state(home)
            except Exception as error:  # noqa: BLE001 - this is what is counted
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
                n_torn += 1
                continue
            n_torn += found not in (before, expected_after(name, before))
            before = found
        code, said = run(place.context, home, typed)
        done = expected_after(name, before) if code == 0 else None
        if done != state(home) or code:
            n_failed += 1
            print(f"{name} after kills: {code} {said[-600:]}", file=sys.stderr)  # noqa: T201
        shutil.rmtree(home)
    report(f"kill -9 of {name}, a run of {seconds:.1f} s", n_made)
    report(f"homes torn by killing {name}", n_torn, target="0")
    report(f"runs of {name} after kills that did not do their work", n_failed, target="0")


def _full_disk(
    place: Place, name: str, typed: Sequence[str], how: tuple[random.Random, int]
) -> None:
    rng, n = how
    n_torn = n_unsaid = n_failed = n_refused = 0
    for _ in range(n):
        home = place.copy()
        before = state(home)
        most = int(10 ** rng.uniform(3.8, 6.0))  # more than what is said takes
        code, said = run(place.context, home, typed, most_bytes=most)
        n_refused += code != 0
        n_torn += state(home) not in (before, expected_after(name, before))
        if code and ("Traceback" in said or code == 1):
            n_unsaid += 1
            print(f"{name} at {most} bytes: {code} {said[-1500:]}", file=sys.stderr)  # noqa: T201
        before = state(home)
        code, said = run(place.context, home, typed)
        if code or state(home) != expected_after(name, before):
            n_failed += 1
            print(f"{name} after a full disk: {code} {said[-600:]}", file=sys.stderr)  # noqa: T201
        shutil.rmtree(home)
    report(f"{name} with files that may not grow", n)
    report("of them refused", n_refused)
    report("of them refused without saying why", n_unsaid, target="0")
    report("of them torn", n_torn, target="0")
    report(f"runs of {name} afterwards that did not do their work", n_failed, target="0")
