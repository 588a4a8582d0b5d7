"""One real monthly run over a small country: deliveries in, a model trained and judged."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from features.home import write_json
from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.simulate import simulate
from features.warehouse import Warehouse
from tests.test_serving.published_country import write_champion
from training.recipe import RECIPES

pytestmark = pytest.mark.slow
END = date(2026, 1, 1)
SMALLER = {
    "min_positive = 25": "min_positive = 2",
    "n_judged = 3": "n_judged = 1",
    "n_as_of = 8": "n_as_of = 3",
    "n_resamples = 200": "n_resamples = 50",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a home that has an invented champion, and an inbox with a month's records."""
    options = Options(dealers=400, years=5, end=END, traces_scale=3.0, seed=5)
    simulate(options, tmp_path / "country")
    (tmp_path / "inbox").mkdir()
    tips = (tmp_path / "country/tips.parquet").rename(tmp_path / "tips.parquet")
    ingest(tmp_path / "country", tmp_path / "home/warehouse", today=END)
    write_champion(tmp_path / "home", Warehouse.open(tmp_path / "home/warehouse"))
    entry = json.loads((tmp_path / "home/champion.json").read_bytes())
    write_json(tmp_path / "home/champion.json", {**entry, "candidate": "", "history": []})
    shutil.copy(tips, tmp_path / "inbox")
    (tmp_path / "inbox/traces.csv").write_text("half,a,header\n")
    (tmp_path / "inbox/thefts_losses.csv.part").write_text("half a")
    text = (RECIPES / "country.toml").read_text()
    text = text[: text.index('[[heads]]\nname = "mexico"')]
    for wanted, small in SMALLER.items():
        assert wanted in text
        text = text.replace(wanted, small)
    (tmp_path / "small.toml").write_text(text)
    return tmp_path


@pytest.fixture
def environment(place: Path, monkeypatch) -> None:
    monkeypatch.setenv("FFL_RISK_HOME", str(place / "home"))
    monkeypatch.setenv("FFL_RISK_SETTLED_SECONDS", "0")
    monkeypatch.setenv("FFL_RISK_RETRAIN_DAYS", "1")  # the champion is older: one is due
    monkeypatch.setenv("FFL_RISK_NOTIFY_COMMAND", f"tee -a {place / 'told'}")


def command(place: Path) -> list[str]:
    return [
        sys.executable, "-P", "-m", "ffl_risk", "run", "monthly", "--inbox", str(place / "inbox"),
        "--as-of", "2026-02-01", "--recipe", str(place / "small.toml"),
    ]  # fmt: skip


def outcomes(place: Path) -> dict[str, str]:
    try:
        record = json.loads((place / "home/runs/monthly.json").read_bytes())
    except FileNotFoundError:
        return {}
    return {step["name"]: step["outcome"] for step in record["steps"]}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_month_goes_on_after_a_kill_and_tells_all_of_it(place: Path, environment: None):
    with subprocess.Popen(command(place), start_new_session=True) as running:
        while "ingest" not in outcomes(place):
            assert running.poll() is None
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
    done = subprocess.run(command(place), capture_output=True, text=True, check=False)
    assert outcomes(place) == {
        "ingest": "refused", "collect": "done", "check": "done", "score": "done", "drift": "done",
        "train": "done", "promote": "refused", "score again": "not due", "audit": "done",
        "prune": "done",
    }, done.stdout  # fmt: skip
    assert done.returncode == 3
    assert "done, refused at ingest and promote in" in done.stdout
    inbox = place / "inbox"
    assert [p.name for p in inbox.iterdir() if p.is_file()] == ["thefts_losses.csv.part"]
    assert names(inbox / "taken") == ["tips.parquet"]
    assert names(inbox / "refused") == ["traces.csv", "traces.csv.why.txt"]
    warehouse = Warehouse.open(place / "home/warehouse")
    assert warehouse.read("tips").num_rows > 0
    told: Any = json.loads((place / "home/scored.json").read_bytes())
    told = json.loads((place / f"home/scored/{told['scored']}/manifest.json").read_bytes())
    assert told["as_of"] == "2026-02-01"
    # The old champion stays.
    assert json.loads((place / "home/champion.json").read_bytes())["bundle"] == "000001"
    again = subprocess.run(command(place), capture_output=True, text=True, check=False)
    assert (again.returncode, "done already" in again.stdout) == (0, True)
    lines = (place / "told").read_text()
    assert lines.count("monthly 2026-02: done") == 2
    assert "traces.csv" in lines
