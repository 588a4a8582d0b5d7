"""What a plan opened from a list has to do with that list: its random share, its dealers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.domain.agency_day import day_of
from features.domain.number_words import counted
from serving.api.callers import Caller
from serving.contract.kept_plan import KeptPlan
from serving.contract.plan import Require
from serving.lists.to_plan import (
    ListedDealer,
    list_for_plan,
    listed_dealers,
    wanted,
    why_not_planned,
)
from serving.planning import Plan
from serving.planning.kept.document import names_of

LIST_PATTERN = r"^(L-[0-9]{8}-[0-9a-f]{12})?$"
SENTENCE = (
    "A plan does not take a list over. It chooses by the hours, the road and the law of its own"
    " weeks. Its random share is drawn"
    " by the same numbers of the period as the list's, but from all dealers that can be visited in"
    " its weeks, until its share of the hours is full: it can meet others than the list drew. What"
    " the list must have in the plan is chosen in the form; of the rest of its dealers a plan takes"
    " those that its own draw or choice brings in."
)


@dataclass(frozen=True)
class Missing:
    """A dealer asked for from the list that the plan does not hold, and why where it is known."""

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
    require : {"mandatory", "all"} or None
        Which of its dealers the plan must hold.
    n_mandatory, n_all, n_drawn : int
        How many are mandatory, how many there are, and how many of the mandatory were drawn at
        random.
    missing : tuple of Missing
        Of the mandatory dealers; of all where all are asked for.
    """

    list_id: str
    day: str
    office: str
    require: Require | None
    n_mandatory: int
    n_all: int
    n_drawn: int
    missing: tuple[Missing, ...] = ()

    @property
    def sentence(self) -> str:
        """Say how the plan holds the list's dealers."""
        m = len(self.missing)
        if self.require == "all":
            n, whose, drawn = self.n_all, counted(self.n_all, "dealer"), ""
        else:
            n, whose = self.n_mandatory, counted(self.n_mandatory, "mandatory dealer")
            drawn = f", {self.n_drawn} of them drawn at random,"
        if not n:
            return f"The list has no {'dealer' if self.require == 'all' else 'mandatory dealer'}."
        if not m:
            return f"All {whose} of the list are in this plan."
        return (
            f"Of the list's {whose}{drawn} {n - m} {'is' if n - m == 1 else 'are'} in this plan"
            f" and {m} {'is' if m == 1 else 'are'} not:"
        )


def from_list(
    caller: Caller,
    list_id: str,
    require: Require | None,
    planned: tuple[KeptPlan, Plan] | None = None,
) -> FromList | None:
    """Return what is said of the list that a plan was opened from; None for no list.

    Parameters
    ----------
    planned : (KeptPlan, Plan), optional
        The plan with its changes by hand, and as it was made.

    Raises
    ------
    UnknownListError
        When there is none, or it is not the caller's to read.
    """
    if not list_id:
        return None
    document = list_for_plan(caller.runtime, caller.principal, list_id)
    dealers = listed_dealers(caller.runtime, caller.scope.view, document)
    offices = {one.office for one in dealers}
    must = wanted(dealers, "mandatory")
    return FromList(
        list_id,
        day_of(document["issued_at"]),
        offices.pop() if len(offices) == 1 else "",
        require,
        len(must),
        len(dealers),
        sum(one.is_drawn for one in must),
        ()
        if planned is None
        else _missing(caller, wanted(dealers, require or "mandatory"), planned),
    )


def _missing(
    caller: Caller, asked: Sequence[ListedDealer], planned: tuple[KeptPlan, Plan]
) -> tuple[Missing, ...]:
    doc, plan = planned
    why = why_not_planned(asked, plan, doc.office, {visit.dealer for visit in doc.visits})
    left_out = {move.partition("~")[0] for move in doc.moves if move.endswith("~out")}
    names = names_of(caller.scope.view, list(why))
    return tuple(
        Missing(dealer, names[dealer], said or ("left out by hand" if dealer in left_out else ""))
        for dealer, said in why.items()
        if dealer in names
    )
