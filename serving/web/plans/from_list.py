"""What a plan opened from a list has to do with that list: its random share, its dealers."""

from __future__ import annotations

from dataclasses import dataclass

from features.domain.number_words import counted
from serving.access.roles import ACCESS
from serving.api.callers import Caller
from serving.contract.kept_plan import KeptPlan
from serving.errors import ForbiddenRoleError
from serving.lists.issued import document_for
from serving.planning.kept.document import names_of

LIST_PATTERN = r"^(L-[0-9]{8}-[0-9a-f]{12})?$"
SENTENCE = (
    "A plan does not take a list over. It chooses by the hours, the road and the law of its own"
    " weeks. Its random share is drawn by the same numbers of the period as the list's, but from"
    " all dealers that can be visited in its weeks, until its share of the hours is full: it can"
    " meet others than the list drew, and a mandatory dealer of the list is in the plan only where"
    " its own draw or choice brings it in."
)


@dataclass(frozen=True)
class Missing:
    """A mandatory dealer of the list that the plan does not hold, and why where that is known."""

    dealer: str
    name: str
    why: str


@dataclass(frozen=True)
class FromList:
    """A list beside the plan that was opened from it.

    Parameters
    ----------
    list_id, day : str
    office : str
        Of all its dealers; empty when there are several.
    mandatory, drawn : tuple of str
        Dealers that must be visited if any are, and those that the list drew at random.
    missing : tuple of Missing
    """

    list_id: str
    day: str
    office: str
    mandatory: tuple[str, ...]
    drawn: tuple[str, ...]
    missing: tuple[Missing, ...] = ()

    @property
    def sentence(self) -> str:
        """Say how the plan holds the list's dealers."""
        n, m = len(self.mandatory), len(self.missing)
        if not n:
            return "The list has no mandatory dealer."
        if not m:
            return f"All {counted(n, 'mandatory dealer')} of the list are in this plan."
        return (
            f"Of the list's {counted(n, 'mandatory dealer')}, {len(self.drawn)} of them drawn at"
            f" random, {n - m} {'is' if n - m == 1 else 'are'} in this plan and {m}"
            f" {'is' if m == 1 else 'are'} not:"
        )


def from_list(caller: Caller, list_id: str, plan: KeptPlan | None) -> FromList | None:
    """Return what is said of the list that a plan was opened from; None for no list.

    Raises
    ------
    UnknownListError
        When there is none, or it is not the caller's to read.
    """
    if not list_id:
        return None
    if caller.principal.role not in ACCESS["lists"]:
        raise ForbiddenRoleError("Lists are not yours to read.")
    document = document_for(caller.runtime, caller.principal, list_id)
    rows = document["rows"]
    must = [row for row in rows if row["is_mandatory"]]
    names = names_of(caller.scope.view, [row["dealer"] for row in must])
    must = [row for row in must if row["dealer"] in names]
    offices = {row["office"] for row in rows}
    planned = set() if plan is None else {visit.dealer for visit in plan.visits}
    return FromList(
        list_id,
        document["issued_at"][:10],
        offices.pop() if len(offices) == 1 else "",
        tuple(row["dealer"] for row in must),
        tuple(row["dealer"] for row in must if "random" in row["why"]),
        ()
        if plan is None
        else tuple(
            Missing(
                row["dealer"],
                names[row["dealer"]],
                "" if row["office"] == plan.office else "of another office",
            )
            for row in must
            if row["dealer"] not in planned
        ),
    )
