"""The model card: what a bundle is for, what it was made from, and what it cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from models.order.restraint import Restraint
from models.policy import Policy

_CANNOT = (
    "A score is not evidence. It orders inspections; it shows no violation and no crime, and it "
    "must not be cited in a warrant, a report of violations or a revocation.",
    "It never justifies letting a suspect sale go on. A sign of an on-going straw purchase goes to "
    "the referral queue at once.",
    "It learned from dealers that were chosen for inspection; where few like a dealer were "
    "inspected, its support is low and the list says so.",
    "A contribution says what moved the score, not what caused a violation.",
)


@dataclass(frozen=True)
class Card:
    """What a card is filled from.

    Parameters
    ----------
    name : str
        Name of the bundle.
    as_of : date
        The day the training pretends to stand at: nothing later was read.
    restriction : {"public", "restricted"}
    heads : mapping of str to str
        What each head predicts, in a sentence.
    data : mapping of str to object
        What it was trained on: tables, rows, dates, labels.
    metrics : mapping of str to mapping of str to object
        By head, then by measure.
    limits : sequence of str
        What this bundle in particular cannot say.
    restraint : Restraint
        How far the heads beside compliance count.
    """

    name: str
    as_of: date
    restriction: str
    heads: Mapping[str, str]
    data: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    limits: Sequence[str] = ()
    restraint: Restraint = field(default_factory=Restraint)

    def markdown(self, policy: Policy) -> str:
        """Write the card."""
        weights = self.restraint.weights(policy, self.heads)
        audience = (
            "Made from public records only; it may be shown outside law enforcement."
            if self.restriction == "public"
            else "Made from trace or law-enforcement records; it stays inside law enforcement."
        )
        parts = [
            f"# {self.name}",
            "**A score is not evidence.**",
            audience,
            "## Intended use",
            "Choosing which firearms dealers to inspect next for compliance, by people who may "
            "accept or override each proposal with a reason.",
            "## What it cannot say",
            "\n".join(f"- {line}" for line in (*_CANNOT, *self.limits)),
            "## Heads",
            _table(
                ("head", "predicts", "weight in the priority", "why"),
                [(h, says, weights[h], policy.reasons[h]) for h, says in self.heads.items()],
            ),
            self.restraint.in_words(),
            "## Data",
            f"As of {self.as_of.isoformat()}: nothing known on or after that day was read.",
            _table(("what", "value"), list(self.data.items())),
            "## Measured",
        ]
        for head, found in self.metrics.items():
            parts += [f"### {head}", _table(("measure", "value"), list(found.items()))]
        if not self.metrics:
            parts.append("Nothing was measured.")
        parts += [
            "## Policy",
            f"Version {policy.version}, reviewed {policy.reviewed_on}, due {policy.review_due}. "
            "Support is the share of the dealers whose labels the first head learned from "
            "(inspected ones, for a head of findings) that are at least as unlike the rest of "
            f"them. A support below {policy.min_support:g} means insufficient history.",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("|", "\\|").split())
