"""Judge a rehearsed loop: whether what was stated held, and whom the lists passed over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from scipy.stats import binom

from features.arrays import Flags, Ints
from features.simulation.country.national import TYPES
from features.simulation.ongoing import Ongoing
from features.simulation.visits import findings
from training.errors import TrainingError
from training.evaluation.metrics import LEVEL
from training.studies.documents import (
    GroupShares,
    LoopVerdict,
    RehearsalDocument,
    RunRecord,
    StarvedRecord,
)
from training.studies.rehearsal.choosing import LIST

# A group whose right share of the list is smaller says nothing by being passed over.
_LEAST_SHARE: Final = 0.05


class UnsoundLoopError(TrainingError):
    """Stated intervals miss too often, or a group is passed over."""

    exit_code = 5


def verdict(runs: Sequence[RunRecord], *, starving: float) -> LoopVerdict:
    """Say whether stated intervals held, and which groups were passed over.

    Intervals may miss as often as their level says, and chance explains (a binomial tail of 5%).
    """
    stated = [
        (said, entry["true_yield"])
        for run in runs
        for entry in run["rounds"]
        if (said := entry["stated"]) is not None
    ]
    n_missed = sum(not said["low"] <= true <= said["high"] for said, true in stated)
    most = int(binom.ppf(0.95, len(stated), 1.0 - LEVEL)) if stated else 0
    starved: list[StarvedRecord] = []
    for run in (run for run in runs if run["arm"] == LIST):
        later = run["rounds"][len(run["rounds"]) // 2 :]
        for group in sorted({name for entry in later for name in entry["groups"]}):
            seen = [entry["groups"][group] for entry in later if group in entry["groups"]]
            listed = float(np.mean([g["listed"] for g in seen]))
            right = float(np.mean([g["right"] for g in seen]))
            if right >= _LEAST_SHARE and listed < starving * right:
                starved.append(
                    {"run": run["name"], "group": group, "listed": listed, "right": right}
                )
    return {
        "n_stated": len(stated),
        "n_missed": n_missed,
        "most_missed": most,
        "starved": starved,
    }


def require_sound(found: RehearsalDocument) -> None:
    """Refuse a loop whose intervals miss too often or that passes a group over.

    Raises
    ------
    UnsoundLoopError
    """
    said_so = found["verdict"]
    faults = []
    if said_so["n_missed"] > said_so["most_missed"]:
        faults.append(
            f"{said_so['n_missed']} of {said_so['n_stated']} stated intervals missed the truth, "
            f"chance explains {said_so['most_missed']}"
        )
    faults += [
        f"{s['run']}: {s['group']} holds {s['listed']:.1%} of the list, its right share is "
        f"{s['right']:.1%}"
        for s in said_so["starved"]
    ]
    if faults:
        raise UnsoundLoopError(
            "The closed loop is not sound.",
            found="; ".join(faults),
            expected=f"intervals that hold, and no group below {found['plan']['starving']:.0%} of "
            "its right share",
        )


def right_list(country: Ongoing, eligible: Flags, k: int) -> Ints:
    """Return whom a list by the true risk would hold, strictness apart."""
    month = max(country.month - 1, 0)
    risk = findings.chances(country.world, findings.burden(country.world, month)).severe
    rows = np.flatnonzero(eligible)
    return rows[np.argsort(-risk[rows], kind="stable")][:k]


def groups_of(country: Ongoing) -> dict[str, Flags]:
    """Return the members of each group in business, by name."""
    dealers, world = country.world.dealers, country.world
    active = dealers.is_active(country.month)
    out: dict[str, Flags] = {}
    volume = world.recent_volume
    edges = np.quantile(volume[active], [1 / 3, 2 / 3])
    size = np.searchsorted(edges, volume)
    for code, name in enumerate(("smallest third", "middle third", "largest third")):
        out[f"size: {name}"] = active & (size == code)
    for code, name in enumerate(TYPES):
        out[f"type: {name}"] = active & (dealers.kind == code)
    near = dealers.known.km[dealers.place] < 160
    out |= {"place: within 160 km of the border": active & near, "place: beyond": active & ~near}
    strict = country.office.strictness.mean(axis=1)[dealers.known.office[dealers.place]]
    bounds = np.quantile(strict[active], [0.25, 0.75])
    out["office: mildest quarter"] = active & (strict <= bounds[0])
    out["office: strictest quarter"] = active & (strict >= bounds[1])
    return out


def shares(
    groups: Mapping[str, Flags], listed: Ints, *, right: Ints, visited: Flags
) -> dict[str, GroupShares]:
    """Return what each group got of the list, what were right, and who was never seen."""
    return {
        name: {
            "dealers": int(member.sum()),
            "listed": float(member[listed].mean()),
            "right": float(member[right].mean()),
            "never_seen": float(1.0 - visited[member].mean()),
        }
        for name, member in groups.items()
        if member.any()
    }
