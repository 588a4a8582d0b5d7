"""What is measured of a head, key by key, as it is written to JSON and shown on a page."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from training.evaluation.metrics import IntervalRecord


class ScoringFigures(TypedDict):
    """How well one scoring orders the held-out rows; of a rule also what the model gains on it."""

    auc: IntervalRecord
    recall: IntervalRecord
    precision: IntervalRecord
    auc_gain: NotRequired[IntervalRecord]
    recall_gain: NotRequired[IntervalRecord]
    lift: float
    ndcg: float
    recall_worst: NotRequired[float]
    recall_best: NotRequired[float]


class CalibrationRecord(TypedDict):
    """How far stated probabilities are those that come true."""

    brier: float
    ece: float
    predicted: list[float]
    observed: list[float]
    size: list[float]
    observed_low: NotRequired[list[float]]  # absent before intervals were kept
    observed_high: NotRequired[list[float]]


class GroupRecord(TypedDict):
    """How one group of dealers stands on the list at capacity."""

    group: str
    n: int
    n_positive: int
    is_few: bool
    share_of_dealers: float
    share_of_list: float
    rate: float
    mean_score: float
    recall: float | None


class MeasureRecord(TypedDict):
    """The model and every rule on the held-out rows."""

    n: int
    n_positive: int
    rate: float
    n_clusters: int
    model: ScoringFigures
    rules: dict[str, ScoringFigures]
    calibration: CalibrationRecord
    curves: dict[str, list[float]]
    groups: NotRequired[dict[str, list[GroupRecord]]]


class ContributionSummary(TypedDict):
    """What each signal adds on average, and how that goes with its value."""

    signal: list[str]
    mean_absolute: list[float]
    direction: list[float]


class SectionRecord(TypedDict):
    """A section of a report: a title, a text and a table."""

    title: str
    text: str
    columns: list[str]
    rows: list[list[str]]


class TriedHalfLife(TypedDict):
    """What a half-life of labels gains."""

    half_life_years: float
    gain: float
    error: float


class RecencyRecord(TypedDict):
    """How fast labels fade, and what was tried."""

    half_life_years: float | None
    n_asked: int
    tried: list[TriedHalfLife]


class PerVisit(TypedDict):
    """What a visit finds and takes."""

    severe: IntervalRecord
    hours: IntervalRecord


class HoursRecord(TypedDict):
    """Value per 1,000 hours of the first rows by each scoring."""

    n: int
    n_without_hours: int
    capacity: float
    shares: list[float]
    figures: dict[str, dict[str, IntervalRecord]]
    per_visit: dict[str, PerVisit]
    curves: dict[str, list[float]]


class PairRecord(TypedDict):
    """Two lists that follow each other."""

    before: str
    after: str
    n_dealers: int
    overlap: float
    least: float
    most: float


class StabilityRecord(TypedDict):
    """How far consecutive lists of one model agree."""

    capacity: float
    pairs: list[PairRecord]
    shares: list[float]
    overlap: list[float]
