"""Lay exactly what a lock file lists into the environment, resolving nothing.

``python3.11 tools/environment.py runtime`` makes the environment when there is none, fetches the uv
that ``requirements-uv.lock`` pins by hash, and lets it install the lock. Where uv cannot be had or
fails, pip installs the same lock: slower, and to the same result. Nothing is left to a resolver,
so a release published tomorrow changes no installation.

Only the standard library is used: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = (3, 11)
HASHED = ("--no-deps", "--require-hashes")
# Fits between the lock's names and those of an installed distribution (PEP 503).
SEPARATORS = re.compile(r"[-_.]+")
# pip's settings that uv does not read, and what uv calls them.
PIP_SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
# Which lock, and whether one of its distributions is published as source only.
KINDS = {
    "runtime": ("requirements.lock", False),
    "development": ("requirements-dev.lock", True),
    "generator": ("requirements-generator.lock", False),
}


class InstallError(Exception):
    """An installer is missing or failed; the message says what to do."""


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)


def command(*words: str | Path, quiet: bool = False) -> bool:
    """Whether a command ended well; what it says is shown unless `quiet`."""
    silence = subprocess.DEVNULL if quiet else None
    try:
        done = subprocess.run([str(w) for w in words], check=False, stdout=silence, stderr=silence)
    except OSError:
        return False
    return done.returncode == 0


def pinned(lock: Path) -> dict[str, str]:
    """Versions by normalized name, as the lock pins them."""
    found = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", lock.read_text(), re.MULTILINE)
    return {SEPARATORS.sub("-", name).lower(): version for name, version in found}


class Environment:
    """A virtual environment and the installers that can fill it.

    Parameters
    ----------
    folder : Path
        Where it lies, or is to lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.uv = folder / "installer" / "bin" / "uv"

    def make(self) -> None:
        """Create it, or create it anew when its interpreter is gone or another Python's."""
        release = f"import sys; sys.exit(sys.version_info[:2] != {PYTHON})"
        if command(self.python, "-c", release, quiet=True):
            return
        if self.folder.exists() and not (self.folder / "pyvenv.cfg").exists():
            raise InstallError(f"{self.folder} exists and is no environment: move it away")
        say(f"Creating an environment in {self.folder}")
        builder = venv.EnvBuilder(
            clear=True, symlinks=True, with_pip=importlib.util.find_spec("ensurepip") is not None
        )
        builder.create(self.folder)

    def pip(self) -> list[str] | None:
        """Return the words that run a pip for this environment; None where there is no pip."""
        if command(self.python, "-m", "pip", "--version", quiet=True):
            return [str(self.python), "-m", "pip"]
        if command(sys.executable, "-m", "pip", "--version", quiet=True):
            return [sys.executable, "-m", "pip", "--python", str(self.python)]
        if command(self.python, "-m", "ensurepip", quiet=True):
            return [str(self.python), "-m", "pip"]
        return None

    def has_setuptools(self, version: str) -> bool:
        """Whether what is published as source only can be built here."""
        asked = f"import setuptools, sys; sys.exit(setuptools.__version__ != {version!r})"
        return command(self.python, "-c", asked, quiet=True)

    def fetch_uv(self) -> Path | None:
        """Return the pinned uv, fetched when absent; else one on the path; else None."""
        lock = ROOT / "requirements-uv.lock"
        wanted = f"uv {pinned(lock)['uv']}"
        if self.uv.exists() and _output(self.uv, "--version").startswith(wanted):
            return self.uv
        pip = self.pip()
        if pip is not None:
            folder = self.uv.parents[1]
            shutil.rmtree(folder, ignore_errors=True)
            into = ("--target", folder, *HASHED, "--only-binary", ":all:")
            words = (*pip, *QUIET_PIP, "install", *into, "--requirement", lock)
            if command(*words) and self.uv.exists():
                return self.uv
            say("The pinned uv could not be fetched.")
        other = shutil.which("uv")
        if other is not None:
            say(f"Using {other}")
            return Path(other)
        return None


QUIET_PIP = ("--disable-pip-version-check", "--quiet", "--no-input")


def _output(*words: str | Path) -> str:
    try:
        return subprocess.run(
            [str(w) for w in words], check=False, capture_output=True, text=True
        ).stdout
    except OSError:
        return ""


def with_uv(environment: Environment, lock: Path, *, sources: bool, editable: bool) -> bool:
    """Let uv make the environment hold what the lock lists and nothing else."""
    uv = environment.fetch_uv()
    if uv is None:
        return False
    for name, value in _pip_settings(environment).items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # the hash decides
    into = ("--quiet", "--python", environment.python)
    build = "--no-build-isolation" if sources else "--no-build"
    done = command(uv, "pip", "sync", *into, "--require-hashes", build, lock)
    return done and (
        not editable
        or command(uv, "pip", "install", *into, "--no-deps", "--no-build-isolation", "-e", ROOT)
    )


def _pip_settings(environment: Environment) -> dict[str, str]:
    """Return what pip was told of the index, for uv, which reads its own settings only."""
    pip = environment.pip()
    listed = _output(*pip, "config", "list") if pip else ""
    found = re.findall(r"^\S+?\.([a-z-]+)='(.*)'$", listed, re.MULTILINE)
    return {PIP_SETTINGS[name]: value for name, value in found if name in PIP_SETTINGS and value}


def with_pip(environment: Environment, lock: Path, *, sources: bool, editable: bool) -> bool:
    """Let pip install what the lock lists, and remove what it does not."""
    pip = environment.pip()
    if pip is None:
        return False
    build = ("--no-build-isolation",) if sources else ("--only-binary", ":all:")
    install = (*pip, *QUIET_PIP, "install", "--no-deps", "--no-compile")
    if not command(*install, "--require-hashes", *build, "--requirement", lock):
        return False
    listed = json.loads(_output(*pip, *QUIET_PIP, "list", "--format", "json") or "[]")
    names = {SEPARATORS.sub("-", row["name"]).lower() for row in listed}
    left_over = sorted(names - set(pinned(lock)) - {"pip", "ffl-risk"})
    if left_over and not command(*pip, *QUIET_PIP, "uninstall", "--yes", *left_over):
        return False
    return not editable or command(*install, "--no-build-isolation", "--editable", ROOT)


INSTALLERS = {"uv": with_uv, "pip": with_pip}


def install(folder: Path, kind: str, installers: list[str], *, editable: bool) -> None:
    """Make the environment in `folder` hold what the lock of `kind` lists.

    `editable` adds the project itself, as it lies in the checkout.

    Raises
    ------
    InstallError
        When this is another Python, or none of the installers could do it.
    """
    if sys.version_info[:2] != PYTHON:
        raise InstallError(
            f"this is Python {sys.version.split()[0]}; the locks are for Python 3.11: "
            "install it and run make PYTHON=/path/to/python3.11"
        )
    name, sources = KINDS[kind]
    environment = Environment(folder)
    environment.make()
    if sources and not environment.has_setuptools(pinned(ROOT / name)["setuptools"]):
        install(folder, "runtime", installers, editable=False)
    for installer in installers:
        began = time.monotonic()
        say(f"Installing the {len(pinned(ROOT / name))} distributions of {name} with {installer}")
        lay = INSTALLERS[installer]
        if lay(
            environment, ROOT / name, sources=sources, editable=editable and kind != "generator"
        ):
            say(f"Installed in {time.monotonic() - began:.0f} s")
            return
        say(f"{installer} could not install {name}.")
    raise InstallError(
        f"{name} could not be installed in {folder} with {' or '.join(installers)}: what is said "
        "above names the fault. Needed are pip or uv (on Debian: apt-get install python3-pip "
        "python3-venv) and a package index that they can reach"
    )


def main() -> int:
    """Read the words of the command line and install."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=sorted(KINDS), help="which lock")
    parser.add_argument("--into", type=Path, default=ROOT / ".venv", help="the environment")
    parser.add_argument("--with", dest="installers", choices=sorted(INSTALLERS), action="append")
    parser.add_argument("--without-project", action="store_true", help="only what it needs")
    given = parser.parse_args()
    installers = given.installers or ["uv", "pip"]
    try:
        install(given.into.absolute(), given.kind, installers, editable=not given.without_project)
    except InstallError as error:
        print(f"environment: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
