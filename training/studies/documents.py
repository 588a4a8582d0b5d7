"""The documents of the studies, key by key: what is written to JSON and shown on their pages."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from features.openjson import Json
from training.evaluation.documents import HoursRecord, MeasureRecord, StabilityRecord
from training.evaluation.metrics import IntervalRecord


class BoundsRecord(TypedDict):
    """Between what a figure lies."""

    low: float
    high: float


class RangeRecord(BoundsRecord):
    """A figure and its interval, whose level is said elsewhere."""

    value: float


class HeadComparison(TypedDict):
    """Two candidates on the rows of a head that both were judged on."""

    n: int
    n_positive: int
    recall_gain: NotRequired[RangeRecord]
    recall: NotRequired[dict[str, float]]
    list_overlap: NotRequired[float]
    curves: NotRequired[dict[str, list[float]]]


class ComparisonDocument(TypedDict):
    """Two candidates side by side."""

    capacity: float
    candidate: str
    against: str
    heads: dict[str, HeadComparison]


class DriftSummary(TypedDict):
    """What moved, and the one thing to do."""

    advice: str
    what_to_do: list[str]
    findings: Json | None
    absent_tables: list[str]
    tables: dict[str, dict[str, int]]
    drift: list[Json]


class DriftDocument(DriftSummary):
    """What moved since a champion was trained."""

    as_of: str
    bundle: str
    name: str
    version: str
    trained_as_of: str
    n_dealers: int


class GroupFairness(TypedDict):
    """How one group of dealers stands on the list of one head, and why."""

    group: str
    n: int
    n_positive: int
    list_share: float
    dealer_share: float
    rate: float
    mean_score: float
    recall: IntervalRecord | None
    bias: IntervalRecord | None
    bias_against: str
    reason: str


class StratumRecord(TypedDict):
    """What a score does alone, and what the rest loses without it, in one year or division."""

    alone: IntervalRecord
    added: IntervalRecord


class AssessedRecord(TypedDict):
    """Every figure of one score: in all, on the random share, by year and by division."""

    alone: IntervalRecord
    added: IntervalRecord
    lift: IntervalRecord
    alone_random: IntervalRecord | None
    added_random: IntervalRecord | None
    lift_random: IntervalRecord | None
    by_year: dict[str, StratumRecord]
    by_division: dict[str, StratumRecord]


class SignalRecord(AssessedRecord):
    """One signal as an indicator."""

    signal: str
    family: str
    direction: int
    share_seen: float
    verdict: str


class FamilyRecord(AssessedRecord):
    """One family of signals as an indicator."""

    family: str
    n_signals: int
    verdict: str


class AssessmentRecord(TypedDict):
    """What every indicator and family is worth."""

    n: int
    n_positive: int
    n_random: int
    n_random_positive: int
    capacity: float
    auc_of_all: IntervalRecord
    signals: list[SignalRecord]
    families: list[FamilyRecord]


class IndicatorsDocument(AssessmentRecord):
    """What every indicator and family is worth, and what it was judged on."""

    recipe: str
    data_fingerprint: str
    first_year: int
    last_year: int
    propensity_auc: float


class TruthFigures(TypedDict):
    """How well one scoring orders a simulated country by its true chances."""

    rate: float
    share_of_best: float
    share_of_learnable: float
    multiple_of_random: float
    recall: float


class CurvePoint(TypedDict):
    """The model and the logistic regression, fitted on a part of the labels."""

    n_labels: int
    n_positive: int
    auc_model: IntervalRecord
    auc_logistic: IntervalRecord
    gain: IntervalRecord


class InspectedRecord(TypedDict):
    """What inspections after a date say of every scoring."""

    figures: MeasureRecord
    hours: HoursRecord
    estimates: dict[str, IntervalRecord | None]


class JudgedDate(InspectedRecord):
    """Every scoring, judged at one as-of date."""

    as_of: str
    n_labels: int
    n_positive: int
    n_dealers: int
    stability: StabilityRecord
    learning_curve: NotRequired[list[CurvePoint]]
    truth: NotRequired[dict[str, TruthFigures]]


class BacktestDocument(TypedDict):
    """The head judged at each of the last as-of dates."""

    recipe: str
    data_fingerprint: str
    capacity: float
    dates: list[JudgedDate]
    left_out: list[str]


class ReasonFigures(TypedDict):
    """What visits found where people decided for one reason."""

    n: int
    n_inspected: int
    n_severe: int
    rate: RangeRecord | None
    bounds: BoundsRecord
    rate_of_accepted: float | None


class DecisionReason(ReasonFigures):
    """One reason, and whether it doubts the risk."""

    reason: str
    is_doubt: bool


class RivalRecord(TypedDict):
    """The list's order and the inspectors' on the same visits."""

    n: int
    n_severe: int
    share_kept: float
    auc_list: IntervalRecord
    auc_inspectors: IntervalRecord
    auc_gain: IntervalRecord
    recall_gain: RangeRecord


class RivalsDocument(TypedDict):
    """Decisions judged by what inspections found."""

    n_decisions: int
    n_overrides: int
    n_inspected: int
    n_random: int
    reasons: list[DecisionReason]
    rival: RivalRecord | None


class TrialRecord(TypedDict):
    """One trial of a search."""

    number: int
    loss: float | None
    is_given_up: bool
    parameters: dict[str, float | int]


class SearchRecord(TypedDict):
    """What a search has found so far."""

    parameters: dict[str, float | int]
    loss: float
    default_loss: float | None
    n_trials: int
    trials: list[TrialRecord]


class SearchDocument(SearchRecord):
    """What a search of one head has found, and in what."""

    recipe: str
    head: str
    trained_on: str
    n_labels: int
    data_fingerprint: str


class GroupShares(TypedDict):
    """Which share of a list a group has, has a right to, and how much of it was never seen."""

    dealers: int
    listed: float
    right: float
    never_seen: float


class StatedRecord(RangeRecord):
    """What a list was said to find."""


class YearRecord(TypedDict):
    """What the list of a year was said to find, and what it would find."""

    as_of: str
    n_listed: int
    n_visits: int
    true_yield: float
    visited_yield: float
    stated: StatedRecord | None
    gates: list[str]


class RoundRecord(YearRecord):
    """One year of a rehearsed loop."""

    round: int
    share_of_traced: float
    overlap: float | None
    groups: dict[str, GroupShares]


class RunRecord(TypedDict):
    """One country under one arm, with its rounds."""

    seed: int
    arm: str
    share: float
    obey: float
    name: str
    rounds: list[RoundRecord]


class StarvedRecord(TypedDict):
    """A group that the lists of a run passed over."""

    run: str
    group: str
    listed: float
    right: float


class LoopVerdict(TypedDict):
    """Whether stated intervals held, and which groups were passed over."""

    n_stated: int
    n_missed: int
    most_missed: int
    starved: list[StarvedRecord]


class RehearsalDocument(TypedDict):
    """A rehearsal: its plan, its runs and what they show."""

    plan: Json
    runs: list[RunRecord]
    verdict: LoopVerdict
