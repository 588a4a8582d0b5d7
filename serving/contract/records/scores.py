"""What is said of one dealer's scores, key by key."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias, TypedDict

# A day as it is made; read back from a document that was kept it is text.
Day: TypeAlias = date | str


class BasisRecord(TypedDict):
    """What an answer was made from."""

    as_of: str
    bundle: str
    bundle_sha256: str
    scored: str
    fingerprint: str
    restriction: Literal["public", "restricted"]
    records_to: str
    age_days: int
    is_stale: bool


class HeadRecord(TypedDict):
    """What one head says: a value within its interval."""

    value: float
    lower: float
    upper: float


class ReasonRecord(TypedDict):
    """One signal that moves the priority, in a sentence and in figures."""

    signal: str
    family: str
    sentence: str
    value: float | None
    unit: str
    percentile: int | None
    share_below: float | None
    peers: str | None
    contribution: float
    restriction: Literal["public", "restricted"]


class ScoreRecord(TypedDict):
    """The scores of one dealer, as one caller may see them."""

    dealer: str
    status: Literal["scored"]
    as_of: date | None
    heads: dict[str, HeadRecord]
    priority: float
    percentile: float
    national_rank: int
    office: str
    office_rank: int
    support: float
    is_eligible: bool
    eligible_on: date | None
    reasons: list[ReasonRecord] | None


class UnknownRecord(TypedDict):
    """A dealer that is not there for the caller."""

    dealer: str
    status: Literal["unknown"]


class ScoresDocument(TypedDict):
    """One entry for each dealer asked for."""

    basis: BasisRecord
    scores: list[ScoreRecord | UnknownRecord]
    disclaimers: list[str]


class RowScoreRecord(TypedDict):
    """What the bundle says of one row of signals."""

    heads: dict[str, HeadRecord]
    priority: float
    support: float


class RowScoresDocument(TypedDict):
    """What the bundle says of what-if rows, one entry a row."""

    basis: BasisRecord
    scores: list[RowScoreRecord]
    out_of_range: list[str]
    disclaimers: list[str]


class ExportDocument(TypedDict):
    """What an export of all scores is made from and what must be said with it."""

    basis: BasisRecord
    statement: str
    disclaimers: list[str]
