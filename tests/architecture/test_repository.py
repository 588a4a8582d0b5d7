"""Rules about the repository itself: what may be imported, committed and named."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, modules

HEAVY = {
    "bentoml", "duckdb", "lightgbm", "matplotlib", "mlflow", "numba", "numpy", "optuna", "pandas",
    "pyarrow", "pyproj", "scipy", "shap", "shapely", "sklearn", "sqlalchemy",
}  # fmt: skip
SERIALIZERS = {"pickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.mark.xdist_group("sources")
def test_no_module_serializes_code() -> None:
    found = {m.name: m.imported & SERIALIZERS for m in modules() if m.imported & SERIALIZERS}
    assert found == {}


@pytest.mark.slow
@pytest.mark.xdist_group("sources")
def test_mlflow_and_bentoml_are_imported_where_they_are_used_alone() -> None:
    users = {
        name: sorted(module.name for module in modules() if name in module.imported)
        for name in ("mlflow", "bentoml")
    }
    assert users == {
        "mlflow": ["training/registry/mlflow_api.py"],
        "bentoml": ["serving/service.py", "training/registry/bentoml_store.py"],
    }


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['ffl-risk', '--help']\n"
        "import ffl_risk\n"
        "try:\n    ffl_risk.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split("LOADED")[1].split())
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_nothing_tracked_is_large_or_names_a_machine() -> None:
    large = [p for p in tracked_files() if p.stat().st_size > 2_000_000]
    assert not large
    # The brackets keep this line from matching itself.
    machine = re.compile(r"/w[o]rk/|/r[o]ot/|/h[o]me/\w|p[y]pi\.org")
    texts = {".py", ".md", ".toml", ".lock", ".html", ".css", ".js", ".yaml", ".ini", ""}
    named = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix in texts
        and machine.search(path.read_bytes().decode("utf-8", errors="replace"))
    ]
    assert not named


@pytest.mark.xdist_group("sources")
def test_package_modules_stay_readable() -> None:
    lengths = {m.name: len(m.path.read_text().splitlines()) for m in modules()}
    assert {name: n for name, n in lengths.items() if n > 450} == {}


@pytest.mark.xdist_group("sources")
def test_no_folder_is_crowded() -> None:
    sizes = Counter(
        str(m.path.parent.relative_to(ROOT)) for m in modules() if m.path.name != "__init__.py"
    )
    assert {name: n for name, n in sizes.items() if n > 13} == {}
