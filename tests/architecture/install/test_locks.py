"""The locks are closed: they leave nothing to be resolved on the day of an installation."""

import re
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.architecture.install.locks import installed, open_ends, read_lock, unmet

ROOT = Path(__file__).resolve().parents[3]
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-generator.lock",
    "requirements-uv.lock",
)
SITE = Path(sysconfig.get_path("purelib"))
GENERATOR = Path(sys.prefix) / "generator" / SITE.relative_to(sys.prefix)


def lock_text(name: str) -> str:
    return (ROOT / name).read_text()


def declared(extras: list[str]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = list(project["dependencies"])
    for extra in extras:
        texts += project["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize(
    "name", ["requirements.lock", "requirements-dev.lock", "requirements-uv.lock"]
)
def test_every_requirement_of_a_locked_distribution_is_locked(name: str) -> None:
    assert open_ends(read_lock(lock_text(name)), installed(SITE)) == []


def test_the_generator_has_a_closed_lock_too() -> None:
    if not GENERATOR.is_dir():
        pytest.skip("its environment is made by `make test`, not by `make test-fast`")
    lock = read_lock(lock_text("requirements-generator.lock"))
    assert open_ends(lock, installed(GENERATOR)) == []


def test_what_the_project_declares_is_locked() -> None:
    runtime, development = (read_lock(lock_text(name)) for name in LOCKS[:2])
    assert unmet("ffl-risk", declared(["build"]), runtime) == []
    everything = declared(["build", "spark", "dev"])
    assert unmet("ffl-risk", everything, development) == []


@pytest.mark.parametrize(
    ("locked", "changed", "fault"),
    [
        # The fault that stopped installations: pip asks what `coverage[toml]` is today.
        ("coverage[toml]==", "coverage==", "locked without ['toml']"),
        ("psycopg[binary]==", "psycopg==", "locked without ['binary']"),
        ("packaging==26", "packaging==19", "locked is 19"),
        ("tzdata==", "another-name==", "not locked"),
        ("threadpoolctl==", "another-name==", "not locked"),
    ],
)
def test_a_lock_with_an_open_end_is_found_out(locked: str, changed: str, fault: str) -> None:
    text = lock_text("requirements-dev.lock")
    assert len(re.findall(rf"^{re.escape(locked)}", text, re.MULTILINE)) == 1
    doctored = re.sub(rf"^{re.escape(locked)}", changed, text, flags=re.MULTILINE)
    lock = read_lock(doctored)
    faults = open_ends(lock, installed(SITE)) + unmet("ffl-risk", declared(["dev"]), lock)
    assert any(fault in line for line in faults), faults


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_by_hash_and_names_no_address(name: str) -> None:
    text = lock_text(name)
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(read_lock(text)) == len(blocks) > 0
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


def test_runtime_pins_are_the_development_pins() -> None:
    runtime, development = (read_lock(lock_text(name)) for name in LOCKS[:2])
    assert len(runtime) > 100
    versions = {name: pin.version for name, pin in development.items()}
    assert {n: p.version for n, p in runtime.items() if versions.get(n) != p.version} == {}
    assert {n for n, p in runtime.items() if not p.extras <= development[n].extras} == set()
