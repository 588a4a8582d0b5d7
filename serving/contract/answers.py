"""What goes in and out over HTTP, as types. The OpenAPI document is made from them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from unicodedata import normalize

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from serving.access.roles import Purpose
from serving.contract.plain_values import Count, Day, Number
from serving.settings import MAX_KEYS, MAX_LIST, RANDOM_SHARE

# What may justify a visit before that day; an override names one and is audited.
LegalBasis = Literal["warrant", "criminal_investigation_of_another", "trace_of_a_firearm"]

DealerKey = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=40),
    Field(
        description="Dealer key R-DD-SSSSS, or a license number in any of its spellings",
        examples=["1-56-21093"],
    ),
]
# PostgreSQL holds every character but this one.
NO_NUL = r"^[^\x00]*$"
# In the one spelling of each letter in which the warehouse keeps names.
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=NO_NUL),
    BeforeValidator(lambda text: normalize("NFC", text) if isinstance(text, str) else text),
]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
ListId = Annotated[str, StringConstraints(pattern=r"^L-[0-9]{8}-[0-9a-f]{12}$")]
# UTC in ISO 8601 with microseconds.
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Why = Literal["model", "random", "recall", "coverage", "manual"]
Note = Annotated[str, StringConstraints(max_length=2_000, pattern=NO_NUL)]


class Request(BaseModel):
    """Base of what is accepted: a field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=4_000)

    purpose: Purpose | None = Field(
        default=None, description="Why; the header Ffl-Risk-Purpose says the same"
    )


class Answer(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(extra="forbid")


class Basis(Answer):
    """What an answer was made from."""

    as_of: date = Field(description="Only facts known before this day were read")
    bundle: str = Field(description="Name of the bundle")
    bundle_sha256: str
    scored: str = Field(description="Name of the scored table")
    fingerprint: str = Field(description="SHA-256 of the scored table's content")
    restriction: Literal["public", "restricted"]
    records_to: date | None = Field(
        default=None,
        description="The day to which the records reach; on them it is said who may be visited",
    )
    age_days: int | None = Field(default=None, ge=0, description="Days from then to the answer")
    is_stale: bool = Field(default=False, description="Whether that is longer than it should be")


class HeadScore(Answer):
    """What one head says."""

    value: float = Field(description="Calibrated probability, or expected count in 12 months")
    lower: float = Field(
        description="Lower end of its interval: for a probability, of dealers with such a record; "
        "what no signal tells of the single dealer is left out"
    )
    upper: float = Field(description="Upper end of the same interval")


class Reason(Answer):
    """One signal that moves the priority."""

    signal: str
    family: str
    sentence: str
    value: float | None = Field(description="The dealer's value; null when it is missing")
    unit: str
    percentile: int | None = Field(description="Share of peers at or below the value, in per cent")
    share_below: float | None = Field(
        default=None, description="Share of peers with strictly less, in per cent"
    )
    peers: str | None = Field(
        default=None,
        description="Who the peers are: `peers` are the dealers of the same license type whose "
        "value is known; `all dealers` stand in for them where fewer than 200 are",
    )
    contribution: float = Field(description="What it adds to the priority (log odds)")
    restriction: Literal["public", "restricted"]


class Score(Answer):
    """The scores of one dealer."""

    dealer: str
    status: Literal["scored"] = "scored"
    as_of: date
    heads: dict[str, HeadScore]
    priority: float = Field(description="Weighted sum of the heads on the log scale")
    percentile: float = Field(
        ge=0, le=100, description="Share of dealers that do not stand before it, ties by their lot"
    )
    national_rank: int = Field(ge=1)
    office: str
    office_rank: int = Field(ge=1)
    support: float = Field(description="Likeness to inspected dealers, 0 to 1")
    is_eligible: bool = Field(
        description="Whether the twelve-month rule allows a visit on the as-of day of the scores"
    )
    eligible_on: date | None = Field(description="First day it does; null when never inspected")
    reasons: list[Reason] | None = None


class Unknown(Answer):
    """A dealer that this caller cannot see: absent, outside the area, or misspelled."""

    dealer: str = Field(description="As asked")
    status: Literal["unknown"] = "unknown"


class ScoreRequest(Request):
    """Which dealers to score."""

    dealers: list[DealerKey] = Field(min_length=1, max_length=MAX_KEYS)
    with_reasons: bool = Field(default=False, description="Add the strongest reasons of each")


class ScoreAnswer(Answer):
    """One entry for each dealer asked for, in that order."""

    basis: Basis
    scores: list[Annotated[Score | Unknown, Field(discriminator="status")]]
    disclaimers: list[str]


class Radius(BaseModel):
    """A circle on the earth."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    latitude: Number = Field(ge=-90, le=90)
    longitude: Number = Field(ge=-180, le=180)
    km: Number = Field(gt=0, le=5_000)


class Area(BaseModel):
    """Where; what is given applies together. Nothing given means the caller's whole area."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    office: Name | None = None
    division: Name | None = None
    state: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    county: Annotated[str, StringConstraints(pattern=r"^[0-9]{5}$")] | None = Field(
        default=None, description="Five-digit county FIPS code"
    )
    box: tuple[Number, Number, Number, Number] | None = Field(
        default=None, description="West, south, east, north in degrees"
    )
    radius: Radius | None = None


class ManualPick(BaseModel):
    """A dealer put on the list by hand."""

    model_config = ConfigDict(extra="forbid", str_max_length=400)

    dealer: DealerKey
    reason: Name
    legal_basis: LegalBasis | None = Field(
        default=None, description="Needed for a dealer that is not eligible yet"
    )


class RankRequest(Request):
    """What to list."""

    area: Area = Field(default_factory=Area)
    k: Count = Field(default=50, ge=1, le=MAX_LIST, description="How many dealers")
    as_of: Day | None = Field(default=None, description="Must be the published one, if given")
    license_types: list[Annotated[str, StringConstraints(pattern=r"^(0[126789]|1[01])$")]] = Field(
        default_factory=list, max_length=8, description="Only these types; all when empty"
    )
    random_share: Number = Field(
        default=RANDOM_SHARE, ge=0, le=1, allow_inf_nan=False,
        description="Share of the list drawn at random, half of it among the model's own places; "
        "it keeps later evaluation honest",
    )  # fmt: skip
    with_recalls: bool = Field(default=True, description="Begin with dealers due for a recall")
    n_coverage: Count = Field(
        default=0, ge=0, le=MAX_LIST, description="Places for the dealers longest unseen"
    )
    manual: list[ManualPick] = Field(default_factory=list, max_length=100)
    limit: Count = Field(default=500, ge=1, le=MAX_LIST, description="Rows of the first page")


class RowChange(Answer):
    """What changed for one dealer since the last list."""

    previous_position: int | None = Field(description="Null when it was not on the last list")
    priority: float | None = Field(description="New priority less the old one")


class Premises(Answer):
    """A dealer and where it is: what every answer that names one at its door has."""

    dealer: str
    license_number: str
    license_type: str
    licensee_name: str
    business_name: str
    street: str
    city: str
    state: str
    zip: str
    county: str
    office: str
    division: str


class AuditedRow(Premises):
    """One dealer on a list as an auditor reads it: who and why, no score."""

    position: int = Field(ge=1)
    why: list[Why]
    inclusion_probability: float = Field(
        gt=0, le=1, description="Probability, under the list's design, of being on it"
    )
    is_mandatory: bool = Field(
        default=False, description="Drawn to be visited whatever else is: the random share"
    )
    mandatory_probability: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Probability, given its place, of being mandatory; null where none was drawn",
    )
    note: str
    as_of: date = Field(description="Later than the list's for a dealer rescored after an event")
    last_inspected_on: date | None
    last_outcome: str | None
    last_kind: str | None = Field(
        default=None,
        description="Of what kind it was, `compliance` or `recall`; null when there is none, or"
        " where the scored table does not tell",
    )
    is_eligible: bool
    eligible_on: date | None


class ListRow(AuditedRow):
    """One dealer on a list."""

    heads: dict[str, HeadScore]
    priority: float
    percentile: float
    national_rank: int
    support: float
    has_insufficient_history: bool
    reasons: list[Reason]
    change: RowChange | None


class Design(Answer):
    """How the list was put together, enough to weigh its results later."""

    k: int
    n_in_area: int
    n_eligible: int
    n_by_why: dict[str, int]
    random_share: float
    random_seed: int = Field(
        description="Names the draw of this area and period and tells none of its numbers; made "
        "with the audit's key, which alone can check it"
    )
    n_mandatory: int = Field(default=0, description="Rows drawn to be visited whatever else is")
    draw_starts_on: date | None = Field(default=None, description="First day of the draw's period")
    draw_ends_on: date | None = Field(default=None, description="First day after the period")
    statement: str


class ListChange(Answer):
    """The list against the last one of the same caller and area."""

    previous_list: str
    n_entered: int
    n_left: int
    left: list[str]


class ListHead(Answer):
    """What is said of a list as a whole, to whoever reads it."""

    list_id: ListId
    issued_at: Instant
    owner: str
    role: str
    purpose: str
    area: Area
    area_in_words: str
    license_types: list[str] = Field(
        default_factory=list, description="Only these types are on it; all when empty"
    )
    basis: Basis
    design: Design
    disclaimers: list[str]


class IssuedList(ListHead):
    """A list exactly as issued; the same bytes for ever."""

    rows: list[ListRow]
    change: ListChange | None


class AuditedList(ListHead):
    """A list as an auditor reads it."""

    rows: list[AuditedRow]
    change: None = None
    next_cursor: int | None = None


class ListPage(IssuedList):
    """A page of a list: everything but the rows is whole."""

    next_cursor: int | None = Field(description="Ask for it with ?cursor=; null on the last page")


class ExplainRequest(Request):
    """Which dealer to explain."""

    dealer: DealerKey
    k: Count = Field(default=50, ge=1, le=MAX_LIST, description="Capacity of the office's list")


class Records(Answer):
    """The source records of one table that signals counted."""

    table: str
    n_records: int
    ids: list[str] = Field(description="The newest, at most 50")


class SignalContribution(Reason):
    """One signal's part, with the records behind it."""

    by_head: dict[str, float] = Field(description="What it adds to each head")
    missing: str | None = Field(description="Why there is no value, when there is none")
    records: list[Records] = Field(
        default_factory=list,
        description="The records that the value counts, in its own window and by its own rule; "
        "empty where it reads others, as of a county",
    )


class Change(Answer):
    """A change of one signal that lowers the priority."""

    signal: str
    sentence: str
    from_value: float | None
    to_value: float


class WayOff(Answer):
    """What would have to be otherwise for the dealer to be off its office's list."""

    is_on_list: bool
    threshold: float | None = Field(description="Priority of the last dealer on the list")
    successor_priority: float | None = Field(
        default=None,
        description="Priority of the first dealer after the list, behind which one is off it; null "
        "when all that may be visited are on it",
    )
    changes: list[Change]
    is_enough: bool = Field(description="Whether those changes together are enough")


class Explanation(Answer):
    """Why a dealer stands where it stands."""

    basis: Basis
    score: Score
    base: float = Field(description="Priority of an average dealer")
    additivity_error: float = Field(description="|base + contributions - priority|")
    contributions: list[SignalContribution] = Field(
        description="The largest first, of either sign; what could not be measured stands last"
    )
    by_family: dict[str, float]
    records: list[Records]
    way_off: WayOff
    disclaimers: list[str]
