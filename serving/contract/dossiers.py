"""The dossier: all there is about one dealer, with its dated facts."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from serving.contract.answers import (
    Answer,
    Basis,
    Premises,
    Score,
)


class TimelineEntry(Answer):
    """One dated fact about a dealer."""

    on: date
    table: str
    what: str
    record_id: str


class HighPowered(Answer):
    """Firearms of the classes that the published reports single out; shown beside the priority.

    Unweighted, and no part of any score.
    """

    n_traces: int = Field(description="Semi-automatic rifles and rifles of .50 caliber traced")
    n_in_rifle_reports: int = Field(description="Rifles in reports of multiple sales")


class DossierTraces(Answer):
    """Traces that count toward the dealer, by where, what and how soon, as counts."""

    n_traces: int
    by_time_to_crime: dict[str, int]
    by_recovery: dict[str, int]
    by_destination: dict[str, int]
    by_class: dict[str, int]
    n_lawful_exports: int = Field(description="Left by lawful export or to a government; apart")
    n_unserialized: int = Field(description="Without a serial number; they count toward nobody")
    high_powered: HighPowered


class Successor(Answer):
    """Another license at the same premises or under the same licensee name."""

    dealer: str
    licensee_name: str
    city: str
    state: str
    relation: str


class Dossier(Premises):
    """All there is about one dealer."""

    basis: Basis
    score: Score
    timeline: list[TimelineEntry]
    citations: dict[str, int]
    traces: DossierTraces
    related: list[Successor]
    lists: list[str] = Field(description="Lists of this caller that it was on")
    disclaimers: list[str]
