"""Promotion as a command does it: gates, then one step, all under the lock."""

from __future__ import annotations

from pathlib import Path

from training.errors import GateRefusedError
from training.evaluation.candidate import Candidate
from training.evaluation.gates import Verdict, judge, require_passed
from training.pages.page import Page, Section, words, write_page
from training.progress import Steps
from training.recipe import Gates
from training.registry.promotion import (
    Champion,
    champion_candidate,
    install,
    promotion_lock,
    reconcile,
)
from training.registry.tracker import Tracker


def promote_candidate(
    candidate: Candidate, folder: Path, tracker: Tracker, steps: Steps, *, head: str | None = None
) -> Champion:
    """Run the gates and put the candidate in force.

    What each gate found is kept as ``reports/gates-NUMBER.html`` and ``.json``.

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
        page = _report(candidate, champion, verdicts, folder / "reports")
        steps.say(f"Report: {page}")
        require_passed(verdicts, what=f"Candidate {candidate.number}")
        with steps.step("promote"):
            promoted = install(folder, candidate, tracker)
    steps.say(f"In force: {promoted.name} version {promoted.version}, bundle {promoted.bundle}")
    return promoted


def _report(
    candidate: Candidate, champion: Champion | None, verdicts: list[Verdict], folder: Path
) -> Path:
    """Keep what every gate found, whether it let the candidate through or not."""
    failed = [verdict for verdict in verdicts if not verdict.is_passed]
    before = "no champion before it" if champion is None else f"champion {champion.bundle}"
    page = Page(
        f"Gates of candidate {candidate.number}",
        lead=(f"{candidate.name} version {candidate.version}, beside {before}.",),
        advice=(
            f"Refused by {len(failed)} of {len(verdicts)} gates; nothing has changed."
            if failed
            else "Every gate passed.",
        ),
        sections=(
            Section(
                "Gates",
                columns=("gate", "head", "verdict", "measured", "wanted", "short by"),
                rows=[
                    [
                        words(v.gate),
                        words(v.head),
                        "passed" if v.is_passed else "REFUSED",
                        v.measured,
                        v.wanted,
                        f"{v.shortfall:.3f}" if v.shortfall else "",
                    ]
                    for v in sorted(verdicts, key=lambda v: v.is_passed)
                ],
                is_words=True,
            ),
        ),
    )
    found = {
        "candidate": candidate.number,
        "name": candidate.name,
        "version": candidate.version,
        "champion": None if champion is None else champion.entry(),
        "is_passed": not failed,
        "verdicts": [verdict.as_dict() for verdict in verdicts],
    }
    return write_page(page, found, folder, stem=f"gates-{candidate.number}")


def rollback_page(champion: Champion, before: Champion | None) -> Page:
    """Say what is in force again, what was, and what a further rollback would bring back."""
    entries = [("in force", champion.entry())]
    entries += [("before the rollback", before.entry())] if before is not None else []
    entries += [("earlier", entry) for entry in reversed(champion.history)]
    return Page(
        f"In force again: {champion.name} version {champion.version}",
        sections=(
            Section(
                "Champions",
                columns=("", "model", "version", "bundle", "candidate"),
                rows=[
                    [what, entry["name"], entry["version"], entry["bundle"], entry["candidate"]]
                    for what, entry in entries
                ],
                is_words=True,
            ),
        ),
        advice=("Publish again (`ffl-risk score`), so that lists rest on it.",),
    )


def _refuse_head(candidate: Candidate, head: str) -> None:
    entry = candidate.evaluation["heads"].get(head)
    raise GateRefusedError(
        f"Head {head} of candidate {candidate.number} is not promoted.",
        found=entry["refusal"] if entry else "no such head",
        expected="a head that passed better_than_chance",
        fix="promote without --head to put the heads in force that passed",
    )
