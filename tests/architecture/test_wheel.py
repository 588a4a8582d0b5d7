"""The wheel is built, laid into an empty folder and used; it needs nothing of the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), "."],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "site")
    return out / "site"


def run(unpacked: Path, code: str, folder: Path) -> str:
    # The folder of the wheel comes before the checkout that the environment points at.
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_every_data_file_of_the_checkout_is_in_the_wheel(unpacked: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "features", "models", "training", "serving"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [name for name in listed if not (unpacked / name).exists()] == []


@pytest.mark.slow
def test_the_command_of_the_wheel_ingests_the_public_records(
    unpacked: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, features, ffl_risk\n"
        f"assert features.__file__.startswith({str(unpacked)!r}), features.__file__\n"
        "from pathlib import Path\n"
        "folder = Path(features.__file__).parent / 'public_records'\n"
        "records = sorted(map(str, folder.glob('*.gz')))\n"
        "sys.argv = ['ffl-risk', 'ingest', *records, '--warehouse', 'warehouse', '--json']\n"
        "ffl_risk.main()\n"
    )
    run(unpacked, code, tmp_path)
    assert (tmp_path / "warehouse" / "manifest.json").exists()
