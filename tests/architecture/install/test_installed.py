"""Installed as a stranger would: the locks and the wheel in an empty environment, no checkout.

The environment is filled once, by the oldest pip that the README names, which is the long way
round: `make` itself goes by uv.
"""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.architecture.install.locks import installed, read_lock

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.install, pytest.mark.xdist_group("install")]
# Somebody else's packages that bear our names, in the folder where the command is typed.
FOREIGN = "raise SystemExit('the package of somebody else was imported')\n"


def run(*command: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=outside | environment,
        capture_output=True,
        text=True,
    )


def must(*command: str | Path, folder: Path, **environment: str) -> str:
    done = run(*command, folder=folder, **environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def oldest_pip() -> str:
    named = re.findall(r"\bpip (\d+(?:\.\d+)+)", (ROOT / "README.md").read_text())
    assert named, "README names no pip"
    return min(named, key=lambda version: tuple(map(int, version.split("."))))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    must(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ".",
        folder=ROOT,
    )  # fmt: skip
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment made of the locks and the wheel alone."""
    folder = tmp_path_factory.mktemp("stranger")
    environment, python = folder / "environment", folder / "environment" / "bin" / "python"
    venv.EnvBuilder(symlinks=True).create(environment)
    uv = Path(sys.executable).parent / "uv"
    must(uv, "pip", "install", "--python", python, f"pip=={oldest_pip()}", folder=folder)
    script = ROOT / "tools" / "environment.py"
    how = ("--into", environment, "--with", "pip", "--without-project")
    # Compiling thousands of modules that nobody imports here takes longer than installing them.
    must(sys.executable, script, "runtime", *how, folder=folder, PIP_NO_COMPILE="1")
    must(python, "-m", "pip", "install", "--no-deps", wheel, folder=folder)
    return python


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder with packages of the same names as ours that are not ours."""
    for name in ("features", "models", "training", "serving"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(FOREIGN)
    (tmp_path / "ffl_risk.py").write_text(FOREIGN)
    return tmp_path


def test_the_oldest_pip_installs_exactly_what_the_lock_lists(python: Path, tmp_path: Path) -> None:
    site = must(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=tmp_path
    )
    found = {name: d.version for name, d in installed(Path(site.strip())).items()}
    assert found.pop("pip") == oldest_pip()
    assert found.pop("ffl-risk")
    lock = read_lock((ROOT / "requirements.lock").read_text())
    assert found == {name: pin.version for name, pin in lock.items()}


def test_every_data_file_of_the_checkout_is_in_the_wheel(wheel: Path) -> None:
    listed = must(
        "git", "ls-files", "features", "models", "training", "serving", "ffl_risk.py", folder=ROOT
    ).split()
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert [name for name in listed if (ROOT / name).exists() and name not in packed] == []


def test_the_command_starts_from_an_empty_folder(python: Path, tmp_path: Path) -> None:
    command = python.parent / "ffl-risk"
    assert "Rank firearms dealers" in must(command, "--help", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_ingests_the_public_records_among_foreign_packages(
    python: Path, crowded: Path
) -> None:
    ours = "import features; print(features.__file__)"
    records = Path(must(python, "-P", "-c", ours, folder=crowded).strip()).parent / "public_records"
    assert ROOT not in records.parents
    files = sorted(records.glob("*.gz"))
    must(
        python.parent / "ffl-risk", "ingest", *files, "--warehouse", "warehouse", "--json",
        folder=crowded,
    )  # fmt: skip
    assert (crowded / "warehouse" / "manifest.json").exists()


def test_the_tracking_process_is_ours_among_foreign_packages(python: Path, crowded: Path) -> None:
    ask = (
        "from pathlib import Path\n"
        "from training.registry.tracker import Tracker\n"
        "with Tracker(Path('state')) as tracker:\n"
        "    print(tracker.ask('alias_version', name='ffl-risk', alias='champion'))\n"
    )
    assert must(python, "-P", "-c", ask, folder=crowded).strip() == "None"
