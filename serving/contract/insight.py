"""The wire of what stands beside the ranking: flows, completeness, repeats, staffing, measures."""

from __future__ import annotations

from features.insight.completeness import AgencyQuarter, Training
from features.insight.flows.clusters import Cluster, Community, Pattern
from features.insight.flows.corridors import Corridor
from features.insight.flows.follow import Link
from features.insight.flows.hubs import CountyHub, DealerHub
from features.insight.marginal_yield import Yield
from features.insight.measures.measure import Measured
from features.insight.repeats import DealerHistory, OfficeHistory
from features.insight.staffing import Row
from serving.contract.answers import Answer, Basis


class FlowAnswer(Answer):
    """A flow: links with evidence, corridors with excess, hubs, clusters. No link implies wrong."""

    basis: Basis
    subject: str
    kind: str
    label: str
    first: str
    as_of: str
    n_traces: int
    by_band: dict[str, int]
    by_class: dict[str, int]
    by_destination: dict[str, int]
    links: list[Link]
    corridors: list[Corridor]
    dealers: list[DealerHub]
    fast_dealers: list[DealerHub]
    counties: list[CountyHub]
    clusters: list[Cluster]
    patterns: list[Pattern]
    communities: list[Community]
    statements: list[str]
    disclaimers: list[str]


class CompletenessAnswer(Answer):
    """Who submits traces from Mexico, and where training would add most."""

    basis: Basis
    as_of: str
    agencies: str
    rows: list[AgencyQuarter]
    training: list[Training]
    statements: list[str]
    disclaimers: list[str]


class RepeatsAnswer(Answer):
    """Who was warned and cited again, or ended softer than recommended, within the caller's area.

    Sums by office are over the dealers that the caller sees.
    """

    basis: Basis
    as_of: str
    years: int
    offices: list[OfficeHistory]
    dealers: list[DealerHistory]
    statements: list[str]
    disclaimers: list[str]


class StaffingAnswer(Answer):
    """What another number of investigators would do: the country, its border, each office."""

    basis: Basis
    as_of: str
    hours_per_investigator: float
    interval_months: int
    marginal: Yield
    areas: list[Row]
    offices: list[Row]
    statements: list[str]
    disclaimers: list[str]


class MeasuresAnswer(Answer):
    """Performance measures of a period; partners get the public variant.

    `rule` says what `against_target` and `against_year_before` of a measure rest on.
    """

    period: str
    starts_on: str
    ends_on: str
    is_public: bool
    measures: list[Measured]
    figures: dict[str, float | None]
    rule: str = ""
    disclaimers: list[str]
