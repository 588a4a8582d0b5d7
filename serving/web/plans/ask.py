"""What a plan is asked for with: its form and its address."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from serving.access.people import as_kept
from serving.contract.plan import RULES, FirstDay, Require
from serving.planning import PlanError
from serving.planning.workdays import Leave
from serving.web.plans.from_list import LIST_PATTERN

_MOST_MOVES: Final = 60
LEAVE_PARTS: Final = 3  # an investigator, a first and a last day
_MOST_LEAVE: Final = 40
_MOST_LATER: Final = 100
MOST_PEOPLE: Final = 40
_MANY: Final = frozenset({"move", "leave", "later"})


def _rule(name: str) -> Any:
    """Return the default and the bounds of a rule, as the API has them."""
    return RULES[name]


class Ask(BaseModel):
    """What is planned; all of it is in the address, and the same address gives the same plan."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, str_strip_whitespace=True)

    office: str = Field(default="", max_length=80)
    starts_on: FirstDay | None = None
    weeks: int = _rule("weeks")
    investigators: int = _rule("n_investigators")
    names: str = Field(default="", max_length=1_000)
    hours: float = _rule("hours_per_week")
    random_share: float = _rule("random_share")
    coverage_years: float | None = _rule("coverage_years")
    coverage_share: float = _rule("coverage_share")
    holidays: bool = True
    from_list: str = Field(default="", pattern=LIST_PATTERN)
    require: Literal["mandatory", "all", "none"] | None = None
    move: list[Annotated[str, Field(max_length=60)]] = Field(
        default_factory=list, max_length=_MOST_MOVES
    )
    leave: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=_MOST_LEAVE
    )
    later: list[Annotated[str, Field(max_length=40)]] = Field(
        default_factory=list, max_length=_MOST_LATER
    )

    @classmethod
    def read(cls, query: QueryParams) -> Ask:
        """Read the address; an empty field is one that was not filled in."""
        fields: dict[str, Any] = {n: v for n, v in query.items() if v and n not in _MANY}
        moves = [move for move in query.getlist("move") if move]
        if dealer := fields.get("move_dealer"):
            person = fields.get("move_investigator", "1")
            week = fields.get("move_week", "")
            moves.append(f"{dealer}~out" if week == "out" else f"{dealer}~{week}.{person}")
        leave = [one for one in query.getlist("leave") if one]
        person, first, last = (fields.get(f"leave_{part}", "") for part in ("of", "from", "to"))
        if person or first or last:
            # Of one investigator it is that one; what else is missing is asked for.
            alone = "1" if fields.get("investigators", "1") == "1" else ""
            leave.append(f"{person or alone}~{first}~{last or first}")
        later = list(dict.fromkeys(one for one in query.getlist("later") if one))
        return cls.model_validate(fields | {"move": moves, "leave": leave, "later": later})

    @property
    def required(self) -> Require | None:
        """Which dealers of the list must be in the plan; None for none, or without a list.

        An address from before it could be said asks for none.
        """
        return None if not self.from_list or self.require == "none" else self.require

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Name and value of all but the moves."""
        values = self.model_dump(mode="json", exclude=set(_MANY), exclude_none=True)
        shown = [(name, str(value)) for name, value in values.items() if value != ""]
        many = (("leave", self.leave), ("later", self.later))
        return [*shown, *((name, one) for name, values in many for one in values)]

    @property
    def people(self) -> tuple[str, ...]:
        """Who carries the plan out: the names given, then numbers."""
        given = self.named[: self.investigators]
        rest = range(len(given) + 1, self.investigators + 1)
        return (*given, *(f"investigator {n}" for n in rest))

    @property
    def named(self) -> list[str]:
        """The names given, each once."""
        given = [as_kept(name) for name in self.names.split(",") if name.strip()]
        return list(dict.fromkeys(given))

    @property
    def unfinished_leave(self) -> list[str]:
        """An absence without its investigator or its first day, as it was typed."""
        found = [one.split("~") for one in self.leave if one.count("~") == LEAVE_PARTS - 1]
        return next((one for one in found if not all(one)), ["", "", ""])

    @property
    def absences(self) -> tuple[Leave, ...]:
        """Whose days are off.

        Raises
        ------
        PlanError
            When one cannot be read, or is nobody's of this plan.
        """
        out = []
        for one in self.leave:
            if not all(one.split("~")):
                raise PlanError(
                    "An absence is not complete: nobody was taken to be away.",
                    expected="which investigator is away, and from which day",
                )
            try:
                person, first, last = one.split("~")
                read = Leave(int(person), date.fromisoformat(first), date.fromisoformat(last))
            except ValueError:
                raise PlanError(
                    "An absence cannot be read.", expected="an investigator, a first and a last day"
                ) from None
            if not 1 <= read.investigator <= self.investigators or read.last_on < read.first_on:
                raise PlanError(
                    "An absence does not fit this plan.",
                    found=f"investigator {read.investigator}, {read.first_on} to {read.last_on}",
                    expected=f"an investigator from 1 to {self.investigators}, days in order",
                )
            out.append(read)
        return tuple(out)
