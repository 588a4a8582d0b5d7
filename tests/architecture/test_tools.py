"""The scripts that developers start do what CONTRIBUTING says of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLE = """

EXTRA = Table("extra", METADATA, Column("name", String(8), primary_key=True))
"""
UPGRADES = """
import sqlalchemy as sa
from serving.store.database import HEAD_REVISION, Store
store = Store.open("sqlite:///store.db")
print(HEAD_REVISION, store.revision(), sa.inspect(store.engine).has_table("extra"))
store.downgrade("base")
print(sa.inspect(store.engine).has_table("extra"))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("tools", "serving"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "static")
        )
    return tmp_path


def run(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{checkout}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, *words], cwd=checkout, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_new_table_gets_a_migration_that_the_store_runs(checkout: Path) -> None:
    tables = checkout / "serving" / "store" / "tables.py"
    tables.write_text(tables.read_text() + TABLE)
    before = set((checkout / "serving/store/migrations/versions").glob("r*.py"))
    done = run(checkout, "tools/migration.py", "keep something extra")
    assert done.returncode == 0, done.stderr
    (made,) = set((checkout / "serving/store/migrations/versions").glob("r*.py")) - before
    number = f"{len(before) + 1:04d}"
    assert made.name == f"r{number}_keep_something_extra.py"
    assert run(checkout, "-c", UPGRADES).stdout.split() == [number, number, "True", "False"]


@pytest.mark.slow
def test_tables_that_did_not_change_get_no_migration(checkout: Path) -> None:
    done = run(checkout, "tools/migration.py", "nothing")
    assert done.returncode == 1
    assert "nothing to migrate" in done.stderr


def test_another_python_is_refused_by_name(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.version_info = (3, 12, 1, 'final', 0)\n"
        "sys.version = '3.12.1 (main)'\n"
        f"sys.argv = ['environment.py', 'runtime', '--into', {str(tmp_path / 'new')!r}]\n"
        f"runpy.run_path({str(ROOT / 'tools' / 'environment.py')!r}, run_name='__main__')\n"
    )
    done = run(tmp_path, "-c", code)
    assert done.returncode == 1
    assert "this is Python 3.12.1" in done.stderr
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_no_environment_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    done = run(tmp_path, str(ROOT / "tools/environment.py"), "runtime", "--into", str(tmp_path))
    assert done.returncode == 1
    assert "is no environment" in done.stderr
    assert (tmp_path / "kept").read_text() == "mine"


def test_uv_is_told_what_pip_was_told_of_the_index() -> None:
    code = (
        "import runpy, sys, pathlib\n"
        f"tool = runpy.run_path({str(ROOT / 'tools' / 'environment.py')!r})\n"
        "print(tool['_pip_settings'](tool['Environment'](pathlib.Path(sys.prefix)))"
        "['UV_DEFAULT_INDEX'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
    )  # fmt: skip
    assert done.stdout.strip() == "http://127.0.0.1:9/simple"


def test_the_page_of_recipes_is_current() -> None:
    page = subprocess.run(
        [sys.executable, "tools/recipe_reference.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    written = (ROOT / "docs" / "models" / "recipes.md").read_text(encoding="utf-8")
    assert written == page, "python tools/recipe_reference.py > docs/models/recipes.md"
