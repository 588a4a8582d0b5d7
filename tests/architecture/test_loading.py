"""What a command does not use it does not load: each waits for its own work alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from serving.store.database import Store

# Each starts a process.
pytestmark = pytest.mark.slow

HEAVY = {"bentoml", "matplotlib", "mlflow", "numba", "pyspark", "scipy.stats", "shap", "shapely"}
TABLES = {"duckdb", "lightgbm", "numpy", "pandas", "pyarrow", "sklearn"}

LOADED = """
import sys
import ffl_risk
sys.argv = ["ffl-risk", *sys.argv[1:]]
try:
    ffl_risk.main()
except SystemExit:
    pass
print("LOADED", *sorted(sys.modules))
"""


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("--help", HEAVY | TABLES | {"sqlalchemy", "fastapi"}),
        ("users list", HEAVY | TABLES | {"fastapi", "sqlalchemy.dialects.postgresql"}),
        ("signals", HEAVY | TABLES - {"numpy"} | {"fastapi", "sqlalchemy", "prometheus_client"}),
        ("rank --k 5", HEAVY | {"fastapi"}),
        ("explain 1-10-00001", HEAVY | {"fastapi"}),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_use(tmp_path, command, never):
    # A store that is there: to make one takes what changes its tables.
    Store.open(f"sqlite:///{tmp_path / 'service.db'}").close()
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command.split()],
        env=os.environ | {"FFL_RISK_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "ffl_risk" in loaded, done.stderr
    assert not loaded & never


@pytest.mark.parametrize(("asked", "got"), [(None, "1"), ("2", "2")])
def test_linear_algebra_of_a_command_has_one_thread_unless_told_otherwise(asked, got):
    """The gates of a promotion took twice the processor time by two threads on small vectors."""
    program = (
        "import os, sys, ffl_risk\n"
        "assert 'numpy' not in sys.modules\n"
        "sys.argv = ['ffl-risk', '--help']\n"
        "try: ffl_risk.main()\n"
        "except SystemExit: pass\n"
        "import numpy, threadpoolctl\n"
        "(one,) = threadpoolctl.threadpool_info()\n"
        "print('THREADS', os.environ['OMP_NUM_THREADS'], one['num_threads'])"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment |= {} if asked is None else {"OMP_NUM_THREADS": asked}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    said, n_threads = done.stdout.partition("THREADS")[2].split()
    assert said == got
    assert asked or n_threads == "1"


def test_a_worker_loads_nothing_that_only_some_answers_use():
    program = "import sys, serving.server.app; print('LOADED', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "serving.server.app" in loaded, done.stderr
    never = HEAVY | {"duckdb", "igraph", "sklearn", "lightgbm", "highspy", "pyvrp", "pyproj", "jwt"}
    assert loaded & never == set()


def test_the_graph_library_comes_without_drawings_and_takes_them_from_nobody():
    program = (
        "import sys; from features.insight.flows.graphs import igraph; n = igraph().Graph.Ring(3)\n"
        "print('LOADED', *sorted(sys.modules)); assert n.ecount() == 3; import matplotlib.pyplot"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "igraph" in loaded
    assert "matplotlib" not in loaded
