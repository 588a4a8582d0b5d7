"""Promotion as a command does it: gates, then one step, all under the lock."""

from __future__ import annotations

from pathlib import Path

from training.candidate import Candidate
from training.errors import GateRefusedError
from training.gates import judge, require_passed
from training.progress import Steps
from training.promotion import (
    Champion,
    champion_candidate,
    install,
    promotion_lock,
    reconcile,
)
from training.recipe import Gates
from training.tracker import Tracker


def promote_candidate(
    candidate: Candidate, folder: Path, tracker: Tracker, steps: Steps, *, head: str | None = None
) -> Champion:
    """Run the gates and put the candidate in force.

    Parameters
    ----------
    head : str, optional
        Refuse unless this head is in the bundle.

    Raises
    ------
    GateRefusedError
        When a gate refuses; nothing has changed then.
    """
    for name, entry in candidate.evaluation["heads"].items():
        if not entry["is_in_bundle"]:
            steps.say(f"refused {name}: {entry['refusal']} It is not in the bundle.")
    if head is not None and head not in candidate.heads:
        _refuse_head(candidate, head)
    if not candidate.heads:
        raise GateRefusedError(
            f"Candidate {candidate.number} has no head that passed its gate.",
            expected="at least one",
        )
    limits = Gates.model_validate(candidate.evaluation["gates"])
    with promotion_lock(folder):
        champion = reconcile(folder, tracker)
        with steps.step("gates"):
            verdicts = judge(candidate, champion_candidate(folder, champion), limits)
        for verdict in verdicts:
            steps.say(f"  {verdict}")
        require_passed(verdicts, what=f"Candidate {candidate.number}")
        with steps.step("promote"):
            promoted = install(folder, candidate, tracker)
    steps.say(f"In force: {promoted.name} version {promoted.version}, bundle {promoted.bundle}")
    return promoted


def _refuse_head(candidate: Candidate, head: str) -> None:
    entry = candidate.evaluation["heads"].get(head)
    raise GateRefusedError(
        f"Head {head} of candidate {candidate.number} is not promoted.",
        found=entry["refusal"] if entry else "no such head",
        expected="a head that passed better_than_chance",
        fix="promote without --head to put the heads in force that passed",
    )
