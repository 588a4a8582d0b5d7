"""Plans that send the same people out in the same weeks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from serving.contract.kept_plan import STATUS_WORDS, KeptPlan, PlanSummary

_AT_WORK: Final = frozenset({"approved", "handed_over"})
_NUMBERED: Final = "investigator "


@dataclass(frozen=True)
class Clash:
    """Another plan of the same weeks for the same people.

    Parameters
    ----------
    plan : PlanSummary
    people : tuple of str
        Who is in both; empty where both plans of one office name nobody.
    """

    plan: PlanSummary
    people: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Say it, but for the other plan's name."""
        weeks = f"{self.plan.weeks} week{'' if self.plan.weeks == 1 else 's'}"
        other = f"another plan, {STATUS_WORDS[self.plan.status]}, of {weeks}"
        if not self.people:
            return f"The office has {other} from {self.plan.starts_on}, which names nobody either"
        who = " and ".join(filter(None, [", ".join(self.people[:-1]), self.people[-1]]))
        verb = "is" if len(self.people) == 1 else "are"
        return f"{who} {verb} in {other} from {self.plan.starts_on}"


def clashes(plan: KeptPlan, others: Sequence[PlanSummary]) -> list[Clash]:
    """Return the approved and handed-over plans that a plan clashes with, the soonest first."""
    out = []
    for other in others:
        if other.plan_id == plan.plan_id or other.status not in _AT_WORK:
            continue
        if not _overlap(plan, other):
            continue
        own, theirs = named_of(plan.investigators), named_of(other.investigators)
        people = tuple(name for name in own if name in theirs)
        is_nameless = not own and not theirs and plan.office == other.office
        if people or is_nameless:
            out.append(Clash(other, people))
    return sorted(out, key=lambda clash: clash.plan.starts_on)


def named_of(investigators: Sequence[str]) -> list[str]:
    """Return the investigators of a plan that are named, not only numbered.

    >>> named_of(["maria", "investigator 2"])
    ['maria']
    """
    return [name for name in investigators if not name.startswith(_NUMBERED)]


def _overlap(a: KeptPlan | PlanSummary, b: KeptPlan | PlanSummary) -> bool:
    ends = [one.starts_on + timedelta(weeks=one.weeks) for one in (a, b)]
    return a.starts_on < ends[1] and b.starts_on < ends[0]
