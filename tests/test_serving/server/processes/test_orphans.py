"""A worker whose supervisor is killed while it starts must not go on serving alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

_SUPERVISOR = """
import multiprocessing, sys, time
from tests.test_serving.server.processes.test_orphans import begin
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    context.Process(target=begin, args=(sys.argv[1],)).start()
    time.sleep(60)
"""


def begin(folder: str) -> None:
    """Start as a worker does: slowly, and only then look to the supervisor."""
    from serving.server.supervisor import end_with_supervisor

    go = Path(folder) / "go"
    (Path(folder) / "pid").write_text(str(os.getpid()))
    deadline = time.monotonic() + 30
    while not go.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    end_with_supervisor()
    time.sleep(30)


def test_a_supervisor_killed_while_a_worker_starts_leaves_no_worker(tmp_path):
    program = tmp_path / "supervisor.py"
    program.write_text(_SUPERVISOR)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    supervisor = subprocess.Popen([sys.executable, program, tmp_path], env=environment)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = psutil.Process(int(pid.read_text()))
    supervisor.kill()
    supervisor.wait()
    (tmp_path / "go").touch()
    _, alive = psutil.wait_procs([worker], timeout=15)
    for left in alive:
        left.kill()
    assert not alive
