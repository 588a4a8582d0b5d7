"""Rules about the repository itself: what may be imported, committed and named."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("features", "models", "training", "serving")
SOURCES = sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py"))
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


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_serializes_code(path: Path) -> None:
    assert not imported_modules(path) & SERIALIZERS


@pytest.mark.slow
def test_mlflow_and_bentoml_are_imported_where_they_are_used_alone() -> None:
    users = {
        name: sorted(str(p.relative_to(ROOT)) for p in SOURCES if name in imported_modules(p))
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


def test_package_modules_stay_readable() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in SOURCES}
    assert {name: n for name, n in lengths.items() if n > 450} == {}


def test_no_folder_is_crowded() -> None:
    sizes = Counter(str(p.parent.relative_to(ROOT)) for p in SOURCES if p.name != "__init__.py")
    assert {name: n for name, n in sizes.items() if n > 13} == {}
