"""The verdict of a gate: passed, refused, or cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from features.home import JudgedRecord
from features.openjson import Json
from training.errors import GateRefusedError
from training.evaluation.metrics import Interval

Outcome = Literal["passed", "refused", "unsaid"]
PASSED: Final[Outcome] = "passed"
REFUSED: Final[Outcome] = "refused"
UNSAID: Final[Outcome] = "unsaid"
N_RESAMPLES: Final = 300  # for the interval of what a gate measures
# What mends a candidate that a gate refused.
MENDING: Final = {
    "better_than_chance": "give more labels (a wider window in the recipe), or leave the head out",
    "not_worse_than_rules": "use the rule that is better, or give more labels",
    "calibration": "train again with the newest outcomes (visits drawn at random tell the level), "
    "or leave out a head that the list can do without (a recipe of your own)",
    "within_investigator": "the order tells who looked: check who made the visits, and for whom",
    "strictness": "check the codes of offices, and the strictness section of policy.toml",
    "stability": "see what changed in the records (ffl-risk check, ffl-risk drift)",
    "champion": "the model in force is better on the same rows: keep it",
    "fairness": "see the group named: its labels, and what the signals of its dealers lack",
    "compliance_head": "teach it (more labels), or promote without it by the option named above",
    "schema": "train and score with the same version and recipe",
    "explanation": "report it: contributions must add up",
}
_SIGNS: Final = {PASSED: "passed", REFUSED: "REFUSED", UNSAID: "CANNOT BE SAID"}


@dataclass(frozen=True)
class Verdict:
    """What one gate found.

    Parameters
    ----------
    gate, head : str
        Which gate, on which head (empty for the whole bundle).
    outcome : {"passed", "refused", "unsaid"}
        Unsaid when the data are too few to tell the good from the bad.
    measured, wanted : str
        What was found and what the gate asks for, in words with figures.
    shortfall : float
        By how much it failed, in the unit of the figures; 0 when passed.
    is_waived : bool
        Whether it passed because somebody waived it.
    """

    gate: str
    head: str
    outcome: Outcome
    measured: str
    wanted: str
    shortfall: float = 0.0
    is_waived: bool = False

    @property
    def is_passed(self) -> bool:
        """Whether it lets the candidate through."""
        return self.outcome == PASSED

    @property
    def sign(self) -> str:
        """The outcome, as pages show it."""
        return _SIGNS[self.outcome]

    def __str__(self) -> str:
        where = f" ({self.head})" if self.head else ""
        return f"{self.sign} {self.gate}{where}: {self.measured}; wanted {self.wanted}"

    def as_dict(self) -> Json:
        """Return it for a report."""
        return {**asdict(self), "is_passed": self.is_passed}


def judged_record(
    verdicts: Sequence[Verdict], heads: Sequence[str], *, accepted: str | None
) -> JudgedRecord:
    """Return what a champion's record keeps of its gates, for whoever uses a list of it.

    Parameters
    ----------
    heads : sequence of str
        What the list rests on.
    accepted : str, optional
        Why what could not be said was accepted.
    """
    return {
        "n_gates": len(verdicts),
        "unsaid": [{"gate": v.gate, "head": v.head} for v in verdicts if v.outcome == UNSAID],
        "accepted": accepted,
        "waived": [v.gate for v in verdicts if v.is_waived],
        "heads": list(heads),
    }


def told(is_passed: bool) -> Outcome:
    """Return the outcome of a gate that can always tell."""
    return PASSED if is_passed else REFUSED


def not_below(difference: Interval, *, margin: float) -> Outcome:
    """Judge a difference that may be down to ``-margin``.

    Passed when its whole interval is above that; refused when it is shown to be below zero and is
    below the margin; else it cannot be said.

    Examples
    --------
    >>> not_below(Interval(0.01, -0.01, 0.03), margin=0.02)
    'passed'
    >>> not_below(Interval(-0.05, -0.09, -0.01), margin=0.02)
    'refused'
    >>> not_below(Interval(0.0, -0.08, 0.08), margin=0.02)
    'unsaid'
    """
    if difference.low >= -margin:
        return PASSED
    return REFUSED if difference.high < 0 and difference.value < -margin else UNSAID


def require_passed(
    verdicts: Sequence[Verdict], *, what: str, accept_unjudged: str | None = None
) -> None:
    """Refuse when any gate did, or could not tell and nobody accepted that.

    Parameters
    ----------
    accept_unjudged : str, optional
        Why what cannot be said is accepted.

    Raises
    ------
    GateRefusedError
        Naming each gate that failed and by how much.
    """
    failed = [v for v in verdicts if v.outcome == REFUSED]
    unsaid = [v for v in verdicts if v.outcome == UNSAID]
    if failed:
        raise GateRefusedError(
            f"{what} is not promoted: {len(failed)} of {len(verdicts)} gates refused.",
            found="; ".join(f"{v}, short by {v.shortfall:.3f}" for v in failed),
            expected="every gate passed; nothing has changed",
            fix="; ".join(f"{g}: {MENDING[g]}" for g in dict.fromkeys(v.gate for v in failed)),
        )
    if unsaid and not (accept_unjudged or "").strip():
        raise GateRefusedError(
            f"{what} is not promoted: {len(unsaid)} of {len(verdicts)} gates cannot say.",
            found="; ".join(str(v) for v in unsaid),
            expected="every gate passed; nothing has changed",
            fix='wait for more inspections, or say why you accept it: --accept-unjudged "REASON"',
        )
