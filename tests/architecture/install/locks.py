"""What a lock file pins, and what its distributions still ask for."""

import re
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(
    r"^(?P<name>[\w.-]+)(?:\[(?P<extras>[^]]*)\])?==(?P<version>[^\s;\\]+)", re.MULTILINE
)
# The locks are made for one Python on one kind of machine.
TARGET = default_environment() | {
    "python_version": "3.11",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}


@dataclass(frozen=True)
class Pin:
    """One locked distribution: its version, and the extras it was locked with."""

    version: str
    extras: frozenset[str] = field(default_factory=frozenset)


def read_lock(text: str) -> dict[str, Pin]:
    """Pins by normalized name."""
    return {
        canonicalize_name(found["name"]): Pin(
            found["version"],
            frozenset(
                canonicalize_name(extra.strip())
                for extra in (found["extras"] or "").split(",")
                if extra.strip()
            ),
        )
        for found in PIN.finditer(text)
    }


def installed(folder: Path) -> dict[str, Distribution]:
    """Distributions in one folder of packages, by normalized name."""
    return {canonicalize_name(d.name): d for d in distributions(path=[str(folder)])}


def asked_for(distribution: Distribution, extras: frozenset[str]) -> list[Requirement]:
    """Requirements of a distribution on the target, those of its locked extras included."""
    found = []
    for text in distribution.requires or []:
        requirement = Requirement(text)
        environments = [TARGET | {"extra": extra} for extra in ("", *sorted(extras))]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            found.append(requirement)
    return found


def unmet(asker: str, asked: list[Requirement], lock: dict[str, Pin]) -> list[str]:
    """What `asker` asks for and the lock leaves to be resolved, one line each."""
    faults = []
    for requirement in asked:
        pin = lock.get(canonicalize_name(requirement.name))
        if pin is None:
            faults.append(f"{asker} asks for {requirement}: not locked")
            continue
        if not requirement.specifier.contains(pin.version, prereleases=True):
            faults.append(f"{asker} asks for {requirement}: locked is {pin.version}")
        missing = {canonicalize_name(extra) for extra in requirement.extras} - pin.extras
        if missing:
            faults.append(f"{asker} asks for {requirement}: locked without {sorted(missing)}")
    return faults


def open_ends(lock: dict[str, Pin], present: dict[str, Distribution]) -> list[str]:
    """Everything that keeps the lock from being closed.

    A distribution that is not there in the locked version cannot be asked, which is a fault too.
    """
    faults = []
    for name, pin in lock.items():
        distribution = present.get(name)
        if distribution is None or distribution.version != pin.version:
            found = "none" if distribution is None else distribution.version
            faults.append(f"{name} {pin.version} is locked and {found} is installed")
            continue
        faults += unmet(name, asked_for(distribution, pin.extras), lock)
    return faults
