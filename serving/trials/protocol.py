"""The protocol of a trial: one page to sign before it starts."""

from __future__ import annotations

from markdown_it import MarkdownIt

from features.domain.number_words import counted
from models.policy import SevereFinding
from serving.trials.assignments import WAIT_DAYS, Trial

_SHELL = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    "<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
    "padding:0 1rem}}"
    "table{{border-collapse:collapse}}td,th{{border:1px solid #999;padding:.2rem .6rem;"
    "text-align:left}}</style></head><body>\n{body}</body></html>\n"
)
_DESIGNS = {
    "office_by_period": (
        "Each office works one period of every pair by arm A and the other by arm B; a lot decides "
        "the order, half of the offices each way, in each pair anew. Each order had probability "
        "1/2. Offices are compared with themselves, the order of the arms apart."
    ),
    "interleaved": (
        "The places that both lists have are visited, and of the places that only one has a random "
        "half, as many from either list. Each place of the difference had probability 1/2. Nobody "
        "is told which list a place came from."
    ),
}


def protocol(trial: Trial) -> str:
    """Return the protocol as Markdown."""
    power = trial.power
    looks = "\n".join(f"| {look.on} | {look.level:.2%} |" for look in trial.looks)
    return f"""# Trial {trial.trial_id}

**Question.** {trial.question}

**Arm A.** {trial.arm_a}

**Arm B.** {trial.arm_b}

**Design.** {_DESIGNS[trial.kind]} The lot has the seed {trial.seed}; the assignment is kept,
and its digest stands in the audit.

**Outcome.** A severe finding at a compliance inspection that follows no earlier finding, opened
from {trial.starts_on} to before {trial.ends_on}. The legal gate and holds apply as always.
Severe is {_severe(trial.rule)}, as the policy in force has it when this is planned.

**Reading.** By intention to treat: each visit counts in the arm that the lot gave, whatever was
done; a drawn place that nobody visited found nothing. The trial is read on these days and on no
other, {WAIT_DAYS} days after the last day on which a visit that counts may open, with intervals of
these levels (spending as O'Brien and Fleming):

| day | level |
| --- | --- |
{looks}

**Stopping.** Only at a planned reading whose interval excludes no difference, or at the end.

**What it can show.** In the past {power.rate:.1%} of such visits made a severe finding. The
difference of {power.difference:.1%} is seen with a chance of {power.power:.0%}; with a chance of
80% a difference of {power.detectable:.1%} is.

Signed before the start:

| name | office | date | signature |
| --- | --- | --- | --- |
|  |  |  |  |
|  |  |  |  |
"""


def _severe(rule: SevereFinding) -> str:
    outcome = rule.outcome_at_least.replace("_", " ")
    cited = counted(rule.tier_1_citations_at_least, "citation")
    missing = counted(rule.unaccounted_firearms_at_least, "firearm")
    return f"the outcome {outcome} or a graver one, {cited} of tier 1 or {missing} unaccounted for"


def protocol_page(trial: Trial) -> str:
    """Return the protocol as a page of its own."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(protocol(trial))
    return _SHELL.format(title=f"Trial {trial.trial_id}", body=body)
