"""The tracking process: when it fails, the error says what it said."""

import socket
import time
from pathlib import Path

import pytest

from training.registry import tracker as tracker_module
from training.registry.tracker import Tracker, TrackingError


def test_a_process_that_dies_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlflow.py").write_text("raise RuntimeError('this tracker is broken')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    with (
        pytest.raises(TrackingError, match="this tracker is broken") as refused,
        Tracker(tmp_path / "home") as tracker,
    ):
        tracker.ask("alias_version", name="ffl-risk", alias="champion")
    assert "exit code 1" in str(refused.value)


def test_a_package_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("raise SystemExit('not ours')\n")
    # Stands for MLflow, which takes seconds: only where things are imported from matters here.
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "mlflow.py").write_text(
        "import json, sys; print(json.dumps({'result': sys.path}), flush=True)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'path'}:{Path(__file__).parents[3]}")
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(tmp_path / "home").start()
    path = tracker.ask("alias_version")
    tracker.close()
    assert not {"", str(tmp_path)} & set(path)


@pytest.mark.slow
def test_a_folder_may_be_called_anything(tmp_path: Path) -> None:
    """A percent sign, a question mark or a hash in its name lead nowhere else."""
    folder = tmp_path / "a%20b?c=#1;é"
    with Tracker(folder) as tracker:
        assert tracker.ask("alias_version", name="x", alias="champion") is None
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "mlflow.db").is_file()


def test_a_server_that_does_not_answer_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: nobody else answers there either
        port = held.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        with pytest.raises(TrackingError, match=f"127.0.0.1:{port} does not answer"):
            Tracker(tmp_path / "home").start()
    assert time.monotonic() - began < 10
    assert not (tmp_path / "home").exists()


def test_a_server_that_takes_calls_and_is_silent_is_told_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "SECONDS_TO_ANSWER", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://u:hunter2@127.0.0.1:{port}/path")
        with pytest.raises(TrackingError, match="does not answer") as refused:
            Tracker(tmp_path / "home").start()
    assert "hunter2" not in str(refused.value)
