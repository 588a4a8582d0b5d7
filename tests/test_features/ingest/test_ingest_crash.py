"""A killed, hindered or starved ingest leaves the last complete warehouse."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from features.ingest import ingest
from features.warehouse import Warehouse, manifest
from features.warehouse.integrity import find_faults
from ffl_risk import main
from tests.test_features.ingest_samples import TODAY, digest, row, write

# A child that imports first, says so, and ingests when told: what is killed is the ingest itself.
# Told to `fork`, it ingests in forks of itself: one is killed, and the next imports nothing.
CHILD = """
import os
import sys
import tempfile
from datetime import date
from pathlib import Path
from features.ingest import ingest
from features.errors import FflRiskError
is_forking = sys.argv[1:] == ["fork"]
if len(sys.argv) > 1 and not is_forking:
    # What is imported on first use must be there before the right to read it is given up.
    with tempfile.TemporaryDirectory() as folder:
        ingest(Path(sys.argv[1]), Path(folder), today=date(2026, 6, 1))
    if os.getuid() == 0:
        os.setuid(65_534)
print("ready", flush=True)
for line in sys.stdin:
    path, warehouse = line.split("|")
    if is_forking and (fork := os.fork()):
        print(f"ended {os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])}", flush=True)
        continue
    if is_forking:
        print(os.getpid(), flush=True)
    try:
        ingest(Path(path), Path(warehouse.strip()), today=date(2026, 6, 1), max_rejects=1.0)
        print("done", flush=True)
    except FflRiskError as error:
        print(f"{error.exit_code} {error}".replace(chr(10), " "), flush=True)
    if is_forking:
        os._exit(0)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="ffl-risk-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def child(*words: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", CHILD, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def say(process: subprocess.Popen[str], path: Path, warehouse: Path) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{path}|{warehouse}\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answer(path: Path, warehouse: Path, *words: str, **options: object) -> str:
    """Ingest in a child process and return what it said."""
    with child(*words, **options) as process:
        assert hear(process) == "ready"
        say(process, path, warehouse)
        told = hear(process)
        assert process.stdin is not None
        process.stdin.close()
    return told


def seizures(folder: Path, n: int) -> Path:
    """Write rows that are new, rows that correct those of the file before, and a bad one."""
    rows = [
        row(
            "seizures", seizure_id=f"S{n + k}", reported_on=f"2025-05-{n + 1:02d}", port_code=str(n)
        )
        for k in range(3_000)
    ]
    rows.append(row("seizures", seizure_id="X", agency="nobody"))
    return write(folder / str(n), "seizures.csv", rows)


@pytest.mark.slow
def test_kill_at_any_moment_leaves_the_last_complete_warehouse(tmp_path: Path) -> None:
    """Twenty kills, spread over the time that a load takes, each followed by the same load."""
    chance = random.Random(20)
    warehouse = tmp_path / "w"
    ingest(seizures(tmp_path, 0), warehouse, today=TODAY)
    start = time.perf_counter()
    ingest(seizures(tmp_path, 1), warehouse, today=TODAY)
    span = time.perf_counter() - start
    outcomes: set[int | str] = set()
    n, process = 2, child("fork")
    assert hear(process) == "ready"
    for _ in range(20):
        path = seizures(tmp_path, n)
        before = Warehouse.open(warehouse)
        say(process, path, warehouse)
        fork = int(hear(process))
        time.sleep(chance.uniform(0, 1.2) * span)
        with suppress(ProcessLookupError):  # it came to its end before
            os.kill(fork, signal.SIGKILL)
        while not (told := hear(process)).startswith("ended"):
            assert told == "done"
        after = Warehouse.open(warehouse)
        assert find_faults(after) == []
        n_sources = len(after.manifest["sources"])
        assert n_sources - len(before.manifest["sources"]) in (0, 1)
        outcomes.add(n_sources - len(before.manifest["sources"]))
        if n_sources == len(before.manifest["sources"]):
            assert after.fingerprint == before.fingerprint
        rejects = after.rejects("seizures")
        assert rejects is not None
        assert rejects.num_rows == n_sources
        n += n_sources - len(before.manifest["sources"])
        outcomes.add(told)
    # After all that, the same load as if nothing had happened.
    say(process, seizures(tmp_path, n), warehouse)
    assert [hear(process) for _ in range(3)][1:] == ["done", "ended 0"]
    process.stdin.close()  # type: ignore[union-attr]
    process.wait()
    process.stdout.close()  # type: ignore[union-attr]
    clean = tmp_path / "clean"
    for k in range(n + 1):
        ingest(seizures(tmp_path, k), clean, today=TODAY)
    columns = ["seizure_id", "known_on", "superseded_on", "port_code"]

    def content(path: Path) -> list[dict[str, object]]:
        stored = Warehouse.open(path).read("seizures", columns=columns).to_pylist()
        return sorted(stored, key=lambda r: (r["seizure_id"], r["known_on"]))

    assert content(warehouse) == content(clean)
    assert not (warehouse / ".staging").exists()
    assert {0, f"ended {-signal.SIGKILL}"} <= outcomes


def test_rejects_of_a_load_that_did_not_end_leave_those_before_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it disputes a row of an older source than the last that has rejects."""

    def load(name: str, *rows: dict[str, str]) -> None:
        path = write(tmp_path / name, "tips.csv", list(rows))
        ingest(path, tmp_path / "w", today=TODAY, max_rejects=1.0)

    def rejects() -> object:
        found = Warehouse.open(tmp_path / "w").rejects("tips")
        return found and found.to_pylist()

    load("a", row("tips"), row("tips", tip_id="P0", source="nobody"))
    load("b", row("tips", tip_id="P2", source="nobody"), row("tips", tip_id="P3"))
    before, held = rejects(), Warehouse.open(tmp_path / "w")

    def killed(path: Path, _: object) -> None:
        assert path.name != "manifest.json"

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write_json", killed)
        with pytest.raises(AssertionError):
            load("c", row("tips", dealer="5-74-90002"))
    assert rejects() == before
    load("d", row("tips", tip_id="P4"))
    assert rejects() == before
    load("c", row("tips", dealer="5-74-90002"))
    assert held.rejects("tips").to_pylist() == before  # type: ignore[union-attr]
    assert len(rejects()) == 4  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_folder_without_write_permission(open_folder: Path) -> None:
    path = write(open_folder / "in", "tips.csv", [row("tips")])
    warehouse = open_folder / "w"
    ingest(path, warehouse, today=TODAY)
    later = write(open_folder / "later", "tips.csv", [row("tips", tip_id="P2")])
    before = digest(warehouse)
    folders = [warehouse, *(p for p in warehouse.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    # Root writes everywhere: the child gives up that right.
    told = answer(later, warehouse, str(path))
    for folder in folders:
        folder.chmod(0o755)
    assert told.startswith("3 The warehouse at")
    assert "Permission denied" in told
    assert "check that you may write" in told
    assert digest(warehouse) == before


@pytest.mark.slow
def test_a_file_where_the_warehouse_should_be(tmp_path: Path) -> None:
    path = write(tmp_path, "tips.csv", [row("tips")])
    (tmp_path / "w").write_text("a file")
    told = answer(path, tmp_path / "w")
    assert told.startswith("3 The warehouse at")
    assert (tmp_path / "w").read_text() == "a file"


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, 3_000, 60_000])
def test_a_full_disk_says_what_to_do_and_changes_nothing(tmp_path: Path, limit: int) -> None:
    """The limit on file size fails a write as a full disk does: while staging or at the commit."""
    warehouse = tmp_path / "w"
    ingest(write(tmp_path, "tips.csv", [row("tips")]), warehouse, today=TODAY)
    rows = [
        row("seizures", seizure_id=f"S{k}", port_code=f"{k * 7919 % 99991}") for k in range(20_000)
    ]
    path = write(tmp_path, "seizures.csv", rows)
    before = digest(warehouse)

    def starve() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    told = answer(path, warehouse, preexec_fn=starve)
    assert told.startswith("3 The warehouse at")
    assert "free disk space" in told
    assert digest(warehouse) == before
    assert not (warehouse / ".staging").exists()
    ingest(path, warehouse, today=TODAY)
    assert Warehouse.open(warehouse).read("seizures").num_rows == 20_000


@pytest.mark.slow
def test_the_command_prints_the_message_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("ffl_risk.keep_private", lambda: None)  # it would last for all that follows
    path = write(tmp_path, "tips.csv", [row("tips")])
    warehouse = ["--warehouse", str(tmp_path / "w")]
    asked = [sys.executable, "-m", "ffl_risk", "check", *warehouse]
    missing = subprocess.run(asked, capture_output=True, text=True)
    assert (missing.returncode, missing.stdout) == (4, "")
    assert "There is no warehouse" in missing.stderr

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        """What that process did, again and again in this one."""
        monkeypatch.setattr(sys, "argv", ["ffl-risk", *words, *warehouse])
        with pytest.raises(SystemExit) as ended:
            main()
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *capfd.readouterr())

    again = run("check")
    assert (again.returncode, again.stdout) == (4, "")
    assert "There is no warehouse" in again.stderr
    good = run("ingest", str(path), "--json")
    assert good.returncode == 0
    assert json.loads(good.stdout)["counts"]["stored"] == 1
    assert "ingested before" in run("ingest", str(path)).stdout
    refused = run("ingest", str(path), "--as", "tipps")
    assert refused.returncode == 3
    assert "did you mean 'tips'" in refused.stderr
    shown = run("check")
    assert shown.returncode == 0
    assert "files intact" in shown.stdout
    (file,) = Warehouse.open(tmp_path / "w").files("tips")
    file.write_bytes(b"PAR1")
    assert run("check", "--json").returncode == 3
