"""Promotion as a command does it: gates, then one step, all under the lock."""

from __future__ import annotations

import json
from pathlib import Path

from models.bundle.bundle import Bundle
from models.bundle.bundle_files import MANIFEST
from models.order.restraint import RESTRAINT, Restraint
from training.errors import GateRefusedError
from training.evaluation.candidate import Candidate
from training.evaluation.judge import judge
from training.evaluation.promotion_verdict import (
    PASSED,
    REFUSED,
    Verdict,
    judged_record,
    require_passed,
)
from training.pages.page import Page, Section, words, write_page
from training.progress import Steps
from training.recipe import Gates
from training.registry.model_store import (
    content_version,
    keep_champion,
    store_folder,
    stored_champion,
)
from training.registry.promotion import (
    CHAMPION,
    Champion,
    adopt,
    champion_candidate,
    install,
    promotion_lock,
    read_champion,
    reconcile,
)
from training.registry.tracker import Tracker


def promote_candidate(
    candidate: Candidate,
    folder: Path,
    tracker: Tracker,
    steps: Steps,
    *,
    head: str | None = None,
    accept_unjudged: str | None = None,
    without_compliance: bool = False,
) -> Champion:
    """Run the gates and put the candidate in force; what is in force already is left as it is.

    What each gate found is kept as ``reports/gates-NUMBER.html`` and ``.json``.

    Parameters
    ----------
    head : str, optional
        Refuse unless this head is in the bundle.
    accept_unjudged : str, optional
        Why what the data are too few to tell is accepted; kept with the gates.
    without_compliance : bool
        Let a bundle pass that lacks the compliance head of its recipe.

    Raises
    ------
    GateRefusedError
        When a gate refuses, or cannot say and nobody accepted that; nothing has changed then.
    """
    # Blanks are no reason, neither for the gates nor for what is kept of them.
    accept_unjudged = (accept_unjudged or "").strip() or None
    for name, entry in candidate.evaluation["heads"].items():
        if not entry["is_in_bundle"]:
            steps.say(f"refused {name}: {entry['refusal']} It is not in the bundle.")
    if head is not None and head not in candidate.heads:
        _refuse_head(candidate, head)
    if not candidate.heads:
        raise GateRefusedError(
            f"Candidate {candidate.number} has no head that passed its gate.",
            found="; ".join(
                f"{name}: {entry['refusal']}"
                for name, entry in candidate.evaluation["heads"].items()
            ),
            expected="at least one that tells dealers apart",
            fix="ingest more years of inspections, or traces, sales and reports beside them, and "
            "train again, with `--recipe country` if this was another: it reads more signals and "
            "judges more years; the report shows what simple rules would find until then",
        )
    limits = Gates.model_validate(candidate.evaluation["gates"])
    with promotion_lock(folder):
        champion = reconcile(folder, tracker)
        if champion is not None and champion.candidate == candidate.number:
            steps.say(f"In force already: {champion.name} version {champion.version}")
            keep_model(folder, champion, steps)
            return champion
        with steps.step("gates"):
            verdicts = judge(
                candidate,
                champion_candidate(folder, champion),
                limits,
                is_first=champion is None,
                without_compliance=without_compliance,
            )
        for verdict in verdicts:
            steps.say(f"  {verdict}")
        page = _report(candidate, champion, verdicts, folder / "reports", accept_unjudged)
        steps.say(f"Report: {page}")
        require_passed(
            verdicts, what=f"Candidate {candidate.number}", accept_unjudged=accept_unjudged
        )
        with steps.step("promote"):
            judged = judged_record(verdicts, candidate.heads, accepted=accept_unjudged)
            promoted = install(folder, candidate, tracker, judged=judged)
        keep_model(folder, promoted, steps)
    steps.say(f"In force: {promoted.name} version {promoted.version}, bundle {promoted.bundle}")
    return promoted


def keep_model(folder: Path, champion: Champion, steps: Steps) -> None:
    """Put the champion in BentoML's model store, where it is not there. Call it under the lock."""
    tag = keep_champion(folder, champion)
    if tag is not None:
        steps.say(f"BentoML's model store: {tag} in {store_folder(folder)}")


def adopt_stored(folder: Path, models: Path, steps: Steps, *, if_none: bool) -> Champion:
    """Put the champion of a folder of models in force; what is in force already stays.

    Parameters
    ----------
    models : Path
        Folder ``models`` of a model store or of a bento.
    if_none : bool
        Leave whatever is in force, and do nothing more.

    Raises
    ------
    BundleError
        When a file of the bundle is not what its manifest says.
    """
    with promotion_lock(folder):
        champion = read_champion(folder)
        if champion is not None and if_none:
            steps.say(f"In force: {champion.name} version {champion.version}; nothing is adopted")
            return champion
        stored = stored_champion(models)
        Bundle.load(stored.bundle)
        if champion is not None:
            here = content_version(folder / CHAMPION / champion.bundle)
            if here == content_version(stored.bundle):
                steps.say(f"In force already: {stored.tag}")
                return champion
        adopted = adopt(folder, stored.bundle, stored.entry)
    steps.say(
        f"In force: {adopted.name} version {adopted.version} from {stored.tag}, bundle "
        f"{adopted.bundle}. Publish it: ffl-risk score"
    )
    return adopted


def _report(
    candidate: Candidate,
    champion: Champion | None,
    verdicts: list[Verdict],
    folder: Path,
    accept_unjudged: str | None,
) -> Path:
    """Keep what every gate found, whether it let the candidate through or not."""
    failed = [verdict for verdict in verdicts if verdict.outcome == REFUSED]
    unsaid = [verdict for verdict in verdicts if verdict.outcome not in (PASSED, REFUSED)]
    policy = candidate.evaluation.get("policy") or {"version": "unknown", "sha256": ""}
    lead = []
    if any(v.gate == "compliance_head" and v.is_waived for v in verdicts):
        lead.append(
            "No compliance head: what is listed rests on "
            f"{words(', '.join(candidate.heads))} alone, and says nothing of findings."
        )
    restraint = _restraint(candidate)
    before = "no champion before it" if champion is None else f"champion {champion.bundle}"
    page = Page(
        f"Gates of candidate {candidate.number}",
        lead=(
            *lead,
            f"{candidate.name} version {candidate.version}, beside {before}. Policy version "
            f"{policy['version']} ({policy['sha256'][:12]}).",
            *filter(None, [restraint.in_words()]),
        ),
        advice=(_advice(verdicts, failed, unsaid, accept_unjudged),),
        sections=(
            Section(
                "Gates",
                columns=("gate", "head", "verdict", "measured", "wanted", "short by"),
                rows=[
                    [
                        words(v.gate),
                        words(v.head),
                        v.sign,
                        v.measured,
                        v.wanted,
                        f"{v.shortfall:.3f}" if v.shortfall else "",
                    ]
                    for v in sorted(verdicts, key=lambda v: (v.is_passed, v.outcome))
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
        "is_passed": not failed and (not unsaid or bool(accept_unjudged)),
        "accepted_unjudged": accept_unjudged,
        "policy": dict(policy),
        RESTRAINT: restraint.state(),
        "verdicts": [verdict.as_dict() for verdict in verdicts],
    }
    return write_page(page, found, folder, stem=f"gates-{candidate.number}")


def _restraint(candidate: Candidate) -> Restraint:
    """Read from the bundle how far its heads beside compliance count."""
    path = candidate.bundle_folder / MANIFEST
    # The gate on the schema says what is wrong with a bundle that cannot be read.
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return Restraint.of_manifest(manifest)
    except (OSError, ValueError, TypeError, AttributeError):
        return Restraint()


def _advice(
    verdicts: list[Verdict],
    failed: list[Verdict],
    unsaid: list[Verdict],
    accept_unjudged: str | None,
) -> str:
    if failed:
        return f"Refused by {len(failed)} of {len(verdicts)} gates; nothing has changed."
    if not unsaid:
        return "Every gate passed."
    told = f"{len(unsaid)} of {len(verdicts)} gates cannot say"
    if accept_unjudged:
        return f"{told}; accepted: {accept_unjudged}"
    return f"{told}; nothing has changed."


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
