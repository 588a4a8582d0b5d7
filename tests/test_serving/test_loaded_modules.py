"""A command that finds its table loads only what it needs."""

import os
import shutil
import subprocess
import sys

import pytest

from serving.scores.snapshot import Snapshot
from tests.test_serving.published_country import country  # noqa: F401

LOADED = """
import sys
import ffl_risk
ffl_risk.main.__globals__["app"](sys.argv[1:], standalone_mode=False)
print("LOADED", *sorted(sys.modules))
"""
NO_LIST_NEEDS = {
    "bentoml", "duckdb", "fastapi", "lightgbm", "matplotlib", "mlflow", "numba", "scipy", "shap",
    "shapely", "sklearn",
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("rank --k 5", NO_LIST_NEEDS),
        ("explain {dealer}", {"bentoml", "fastapi", "matplotlib", "mlflow", "numba", "shap"}),
    ],
)
def test_a_command_that_finds_its_table_loads_only_what_it_needs(country, tmp_path, command, never):  # noqa: F811
    home = tmp_path / "home"
    shutil.copytree(country, home)
    scored = str(Snapshot.load(home).columns["dealer"][0])
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command.format(dealer=scored).split()],
        env=os.environ | {"FFL_RISK_HOME": str(home), "FFL_RISK_TABLE_REFUSED_DAYS": "99999"},
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "serving.scores.snapshot" in loaded, done.stderr
    assert not loaded & never
