"""What is shown of one dealer: its explanation and its dossier, key by key."""

from __future__ import annotations

from datetime import date
from typing import TypedDict

from serving.contract.records.scores import BasisRecord, ReasonRecord, ScoreRecord


class PremisesRecord(TypedDict):
    """Who is licensed, and where."""

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


class SourceRecords(TypedDict):
    """The source records of one table that signals counted."""

    table: str
    n_records: int
    ids: list[str]


class ContributionRecord(ReasonRecord):
    """What one signal adds, to the priority and to each head."""

    by_head: dict[str, float]
    missing: str | None
    records: list[SourceRecords]


class ChangeRecord(TypedDict):
    """A change of one signal that lowers the priority."""

    signal: str
    sentence: str
    from_value: float | None
    to_value: float


class WayOffRecord(TypedDict):
    """What would have to be otherwise for a dealer to be off its office's list."""

    is_on_list: bool
    threshold: float | None
    successor_priority: float | None
    changes: list[ChangeRecord]
    is_enough: bool


class ExplanationDocument(TypedDict):
    """Why a dealer stands where it stands."""

    basis: BasisRecord
    score: ScoreRecord
    base: float
    additivity_error: float
    contributions: list[ContributionRecord]
    by_family: dict[str, float]
    records: list[SourceRecords]
    way_off: WayOffRecord
    disclaimers: list[str]


class TimelineRecord(TypedDict):
    """One dated fact about a dealer."""

    on: date
    table: str
    what: str
    record_id: str


class HighPoweredRecord(TypedDict):
    """Firearms of the classes that the published reports single out."""

    n_traces: int
    n_in_rifle_reports: int


class TracesRecord(TypedDict):
    """The traces that count toward a dealer, as counts, and apart those that do not."""

    n_traces: int
    by_time_to_crime: dict[str, int]
    by_recovery: dict[str, int]
    by_destination: dict[str, int]
    by_class: dict[str, int]
    n_lawful_exports: int
    n_unserialized: int
    high_powered: HighPoweredRecord


class RelatedRecord(TypedDict):
    """Another license at the same premises or under the same name."""

    dealer: str
    licensee_name: str
    city: str
    state: str
    relation: str


class FactsRecord(TypedDict):
    """What the warehouse holds about a dealer."""

    timeline: list[TimelineRecord]
    citations: dict[str, int]
    traces: TracesRecord


class DossierDocument(PremisesRecord, FactsRecord):
    """All there is about one dealer."""

    basis: BasisRecord
    score: ScoreRecord
    related: list[RelatedRecord]
    lists: list[str]
    disclaimers: list[str]
