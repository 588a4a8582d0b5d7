"""What several modules of tests read and nobody changes: made once a run, whoever asks first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate

# What lists and plans are drawn with here: the same dealers in every run, so that a test which
# fails for some draws fails for all who run it.
DRAW_KEY = b"one key for the draws of tests.."


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that one of the processes of a run fills, and the others wait for."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / f"shared-{name}"
    with folder.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder.with_suffix(".done")
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def _simulated(folder: Path) -> None:
    simulate(Options(dealers=2500, years=6, end=date(2025, 1, 1), seed=1), folder / "raw")
    ingest(sorted((folder / "raw").glob("*.parquet")), folder / "warehouse")


@pytest.fixture(scope="session")
def learned_country(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a simulated country in ``raw``, its truth, and its warehouse."""
    return made_once(tmp_path_factory, "country", _simulated)
