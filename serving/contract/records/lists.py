"""An issued list, and what is kept and shown about lists, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

from serving.contract.records.dealers import PremisesRecord
from serving.contract.records.scores import BasisRecord, Day, HeadRecord, ReasonRecord


class RowChangeRecord(TypedDict):
    """What changed for one dealer since the last list."""

    previous_position: int | None
    priority: float | None


class AuditedRowRecord(PremisesRecord):
    """One dealer on a list as an auditor reads it: who and why, no score.

    Lists of earlier versions lack what may be missing here.
    """

    position: int
    why: list[str]
    inclusion_probability: float
    is_mandatory: NotRequired[bool]
    mandatory_probability: NotRequired[float | None]
    note: str
    as_of: Day | None
    last_inspected_on: Day | None
    last_outcome: str | None
    last_kind: NotRequired[str | None]
    is_eligible: bool
    eligible_on: Day | None


class ListRowRecord(AuditedRowRecord):
    """One dealer on a list."""

    heads: dict[str, HeadRecord]
    priority: float
    percentile: float
    national_rank: int
    support: float
    has_insufficient_history: bool
    reasons: list[ReasonRecord]
    change: RowChangeRecord | None


class PublicEntryRecord(PremisesRecord):
    """What of a listed dealer may be given to it: no score that rests on restricted records.

    What somebody typed about it is not among it.
    """

    position: int
    why: list[str]
    inclusion_probability: float
    is_mandatory: NotRequired[bool]
    mandatory_probability: NotRequired[float | None]
    as_of: Day | None
    last_inspected_on: Day | None
    last_outcome: str | None
    last_kind: NotRequired[str | None]
    is_eligible: bool
    eligible_on: Day | None
    heads: NotRequired[dict[str, HeadRecord]]
    priority: NotRequired[float]
    percentile: NotRequired[float]
    national_rank: NotRequired[int]
    support: NotRequired[float]
    has_insufficient_history: bool
    reasons: list[ReasonRecord]
    change: NotRequired[RowChangeRecord | None]


class DesignRecord(TypedDict):
    """How a list was put together, enough to weigh its results later."""

    k: int
    n_in_area: int
    n_eligible: int
    n_by_why: dict[str, int]
    random_share: float
    random_seed: int
    n_mandatory: NotRequired[int]
    draw_starts_on: NotRequired[Day | None]
    draw_ends_on: NotRequired[Day | None]
    statement: str


class PublicDesignRecord(TypedDict):
    """How a list was put together, without what would tell of another list's random share."""

    k: int
    n_in_area: int
    n_eligible: int
    n_by_why: dict[str, int]
    random_share: float
    draw_starts_on: NotRequired[Day | None]
    draw_ends_on: NotRequired[Day | None]
    statement: str


class PublicListRecord(TypedDict):
    """What of a list may be given to somebody on it: neither who asked for it nor who is on it."""

    list_id: str
    issued_at: str
    area: dict[str, Any]
    area_in_words: str
    license_types: NotRequired[list[str]]
    basis: BasisRecord
    design: PublicDesignRecord
    disclaimers: list[str]


class ListChangeRecord(TypedDict):
    """A list against the last one of the same caller and area."""

    previous_list: str
    n_entered: int
    n_left: int
    left: list[str]


class ListHead(TypedDict):
    """What of a list is not its rows."""

    list_id: str
    issued_at: str
    owner: str
    role: str
    purpose: str
    area: dict[str, Any]
    area_in_words: str
    license_types: NotRequired[list[str]]
    basis: BasisRecord
    design: DesignRecord
    disclaimers: list[str]


class ListDocument(ListHead):
    """A list as issued, or as one reader may see it."""

    rows: list[ListRowRecord]
    change: ListChangeRecord | None


class AuditedListDocument(ListHead):
    """A list as an auditor reads it."""

    rows: list[AuditedRowRecord]
    change: None


class ListPageDocument(ListDocument):
    """A page of a list: everything but the rows is whole."""

    next_cursor: int | None


class PrincipalRecord(TypedDict):
    """For whom a list was made."""

    name: str
    role: str
    areas: list[str]


class IssueRecord(TypedDict):
    """What distinguishes one issue of a list from another of the same request."""

    list_id: str
    issued_at: str
    seed: int
    draw_months: NotRequired[int]


class RecipeRecord(TypedDict):
    """What rebuilds a list. It names held dealers and is shown to nobody."""

    request: dict[str, Any]
    principal: PrincipalRecord
    issue: IssueRecord
    hidden: list[str]
    n_visible: NotRequired[int]
    previous: str | None
    overlay: Mapping[str, Mapping[str, Any]]
    ages: NotRequired[dict[str, int]]
    champion: str
    warehouse_fingerprint: str
    version: str


class ListIdRecord(TypedDict):
    """What identifies a list."""

    list_id: str
    issued_at: str
    owner: str
    as_of: Day
    bundle: str


class ListedPlace(TypedDict):
    """Where a listed dealer is: what decides who may read the list."""

    dealer: str
    office: str
    division: str


class ListGist(TypedDict):
    """What identifies an issued list to people; it never changes."""

    list_id: str
    issued_at: str
    owner: str
    office: str
    area: str
    as_of: str


class SeenListRecord(ListGist):
    """What identifies a list that a caller may read, with the rows the caller sees."""

    n_rows: int


class ListSummaryRecord(SeenListRecord):
    """What identifies a list that a caller may read, and how far it is worked."""

    n_decided: int


class DecisionRecord(TypedDict):
    """A decision about a dealer of a list, as it is answered."""

    decision_id: int
    list_id: str
    dealer: str
    decision: str
    reason: str
    at: str
    revises: int | None


class KeptDecisionRecord(TypedDict):
    """A decision as it is kept, in the order of its columns."""

    decision_id: int
    list_id: str
    dealer: str
    decision: str
    reason: str
    note: str
    legal_basis: str
    who: str
    at: str


class StoredDecisionRecord(KeptDecisionRecord):
    """A decision as the store has it: with the priority that the dealer had."""

    priority: float | None


class HandedRecord(TypedDict):
    """A dealer of a list that somebody was handed, as kept."""

    assignment_id: int
    list_id: str
    dealer: str
    to: str
    who: str
    at: str


class AssignmentRecord(HandedRecord):
    """A dealer of a list that stands with somebody, decided or not, and how it was settled."""

    is_decided: bool
    settled: str
