"""The documents that are made have the keys of the wire's types, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from serving.access.audit.reading import ReadRecord
from serving.contract import answers, audit, changes, dossiers, features
from serving.contract.field import decisions, events, kept_records, outcomes, referral
from serving.contract.records import audit as audits
from serving.contract.records import dealers, lists, referrals, scores
from serving.contract.records import field as records_field

PAIRS: list[tuple[Any, type[BaseModel]]] = [
    (scores.BasisRecord, answers.Basis),
    (scores.HeadRecord, answers.HeadScore),
    (scores.ReasonRecord, answers.Reason),
    (scores.ScoreRecord, answers.Score),
    (scores.UnknownRecord, answers.Unknown),
    (scores.ScoresDocument, answers.ScoreAnswer),
    (scores.RowScoreRecord, features.FeatureScore),
    (scores.RowScoresDocument, features.FeaturesAnswer),
    (dealers.ContributionRecord, answers.SignalContribution),
    (dealers.SourceRecords, answers.Records),
    (dealers.ChangeRecord, answers.Change),
    (dealers.WayOffRecord, answers.WayOff),
    (dealers.ExplanationDocument, answers.Explanation),
    (dealers.TimelineRecord, dossiers.TimelineEntry),
    (dealers.HighPoweredRecord, dossiers.HighPowered),
    (dealers.TracesRecord, dossiers.DossierTraces),
    (dealers.RelatedRecord, dossiers.Successor),
    (dealers.DossierDocument, dossiers.Dossier),
    (lists.RowChangeRecord, answers.RowChange),
    (lists.AuditedRowRecord, answers.AuditedRow),
    (lists.ListRowRecord, answers.ListRow),
    (lists.DesignRecord, answers.Design),
    (lists.ListChangeRecord, answers.ListChange),
    (lists.ListDocument, answers.IssuedList),
    (lists.ListPageDocument, answers.ListPage),
    (lists.ListSummaryRecord, changes.ListSummary),
    (lists.DecisionRecord, decisions.DecisionAnswer),
    (lists.KeptDecisionRecord, kept_records.KeptDecision),
    (records_field.OutcomeRecord, outcomes.OutcomeAnswer),
    (records_field.CitationRecord, outcomes.Citation),
    (records_field.KeptOutcomeRecord, kept_records.KeptOutcome),
    (records_field.DecisionsDocument, kept_records.KeptDecisions),
    (records_field.OutcomesDocument, kept_records.KeptOutcomes),
    (records_field.RejectedRecord, events.RejectedEvent),
    (records_field.EventsDocument, events.EventsAnswer),
    (records_field.ChangeRecord, changes.Change),
    (referrals.ReferralRecord, referral.Referral),
    (referrals.StepRecord, referral.ReferralStep),
    (referrals.ResponsibleRecord, referral.Responsible),
    (referrals.ReferralDocument, referral.ReferralAnswer),
    (referrals.CaseDocument, referral.CaseAnswer),
    (referrals.GapRecord, referral.Gap),
    (referrals.ResponsibilitiesDocument, referral.ResponsibilityAnswer),
    (dealers.PremisesRecord, referral.CaseRow),
    (ReadRecord, audit.AuditRecord),
    (audits.AuditDocument, audit.AuditPage),
]


@pytest.mark.parametrize(("made", "wire"), PAIRS, ids=lambda kind: kind.__name__)
def test_a_record_has_the_keys_of_its_type_on_the_wire(made: Any, wire: type[BaseModel]) -> None:
    assert set(made.__annotations__) == set(wire.model_fields)


@pytest.mark.parametrize(("made", "wire"), PAIRS, ids=lambda kind: kind.__name__)
def test_only_what_the_wire_does_not_ask_for_may_lack(made: Any, wire: type[BaseModel]) -> None:
    needed = {name for name, about in wire.model_fields.items() if about.is_required()}
    assert needed <= made.__required_keys__
