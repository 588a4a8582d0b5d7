"""A typed client of the service, on httpx and the service's own types.

>>> from serving.api.client import Client
>>> client = Client("http://localhost:3000", token="ffl_...", purpose="licensing")
>>> answer = client.score(["1-56-21093"])  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import httpx

from serving.api.client_transport import Asking, RefusedError, UnreachableError, problem_in
from serving.contract.answers import (
    ExplainRequest,
    Explanation,
    IssuedList,
    ListPage,
    RankRequest,
    ScoreAnswer,
    ScoreRequest,
)
from serving.contract.audit import AuditPage, AuditRecord
from serving.contract.changes import Changes, ListSummaries, ListSummary
from serving.contract.dossiers import Dossier
from serving.contract.features import FeaturesAnswer, FeaturesRequest
from serving.contract.field.decisions import DecisionAnswer, DecisionRequest
from serving.contract.field.events import EventsAnswer, EventsRequest
from serving.contract.field.kept_records import (
    KeptDecision,
    KeptDecisions,
    KeptOutcome,
    KeptOutcomes,
)
from serving.contract.field.outcomes import OutcomeAnswer, OutcomeRequest
from serving.contract.field.referral import (
    CaseAnswer,
    CaseDecision,
    CaseRequest,
    ReferralAnswer,
    Referrals,
    ResponsibilityAnswer,
    StepRequest,
)
from serving.contract.kept_plan import KeptPlan, PlanList, PlanSummary
from serving.contract.plan import PlanAnswer, PlanAsk

if TYPE_CHECKING:
    from serving.contract.insight import (
        CompletenessAnswer,
        FlowAnswer,
        MeasuresAnswer,
        RepeatsAnswer,
        StaffingAnswer,
    )

__all__ = ["Client", "RefusedError", "UnreachableError"]
FlowFile = Literal["csv", "graphml", "geojson", "svg", "map.svg"]


class Client(Asking):
    """Asks the service over connections that are kept open. Not for several threads at once.

    What is refused for now (429, 503) and what broke on the way is tried again, a write under the
    same `Idempotency-Key`, so that it is kept once however often it is sent.

    Parameters
    ----------
    url : str
        Where the service is, with the prefix it has there, such as ``https://host.example/risk``.
    token : str
        A token of `ffl-risk tokens issue`, or an access token of the issuer.
    purpose : {"licensing", "criminal_investigation", "statistics"}, optional
        Recorded with every access.
    timeout : float
        Seconds to wait for one answer.
    retries : int
        How often one request is tried again.
    """

    def score(self, dealers: Sequence[str], *, with_reasons: bool = False) -> ScoreAnswer:
        """Score up to 1,000 dealers."""
        body = ScoreRequest(dealers=list(dealers), with_reasons=with_reasons)
        return self._post("/v1/score", body, ScoreAnswer)

    def score_features(self, rows: Sequence[Mapping[str, float | None]]) -> FeaturesAnswer:
        """Score rows of signals."""
        body = FeaturesRequest(rows=[dict(row) for row in rows])
        return self._post("/v1/score_features", body, FeaturesAnswer)

    def rank(self, request: RankRequest) -> ListPage:
        """Issue a list and return its first page."""
        return self._post("/v1/rank", request, ListPage)

    def explain(self, dealer: str, *, k: int = 50) -> Explanation:
        """Explain one dealer."""
        return self._post("/v1/explain", ExplainRequest(dealer=dealer, k=k), Explanation)

    def decide(self, request: DecisionRequest) -> DecisionAnswer:
        """Accept or override a listed dealer."""
        return self._post("/v1/decisions", request, DecisionAnswer)

    def report_outcome(self, request: OutcomeRequest) -> OutcomeAnswer:
        """Say what an inspection found."""
        return self._post("/v1/outcomes", request, OutcomeAnswer)

    def send_events(self, request: EventsRequest) -> EventsAnswer:
        """Send new rows of a table."""
        return self._post("/v1/events", request, EventsAnswer)

    def plan(self, request: PlanAsk) -> PlanAnswer:
        """Plan an office's visits."""
        return self._post("/v1/plan", request, PlanAnswer)

    def list_pages(self, list_id: str, *, limit: int = 500) -> Iterator[ListPage]:
        """Return a list page by page."""
        yield from self._pages(f"/v1/lists/{_part(list_id)}", ListPage, cursor=0, limit=limit)

    def issued_list(self, list_id: str) -> IssuedList:
        """Return a list exactly as issued."""
        return self._get(f"/v1/lists/{_part(list_id)}", IssuedList)

    def list_file(self, list_id: str, kind: str) -> bytes:
        """Return a list as ``csv``, ``xlsx`` or ``pdf``."""
        return self._ask("GET", f"/v1/lists/{_part(list_id)}.{_part(kind)}")

    def lists(self) -> Iterator[ListSummary]:
        """Return what identifies each list that the caller may read, the newest first."""
        for page in self._pages("/v1/lists", ListSummaries):
            yield from page.lists

    def decision(self, decision_id: int) -> KeptDecision:
        """Return one decision."""
        return self._get(f"/v1/decisions/{decision_id}", KeptDecision)

    def decisions(
        self, *, dealer: str | None = None, list_id: str | None = None
    ) -> Iterator[KeptDecision]:
        """Return decisions in the order of their keeping."""
        for page in self._pages("/v1/decisions", KeptDecisions, dealer=dealer, list_id=list_id):
            yield from page.decisions

    def outcome(self, inspection_id: str, *, version: int | None = None) -> KeptOutcome:
        """Return a version of an outcome, by default the newest."""
        return self._get(f"/v1/outcomes/{_part(inspection_id)}", KeptOutcome, version=version)

    def outcomes(
        self, *, dealer: str | None = None, list_id: str | None = None
    ) -> Iterator[KeptOutcome]:
        """Return outcomes, every version, in the order of their keeping."""
        for page in self._pages("/v1/outcomes", KeptOutcomes, dealer=dealer, list_id=list_id):
            yield from page.outcomes

    def plans(self) -> Iterator[PlanSummary]:
        """Return what identifies each plan that is kept, the newest first."""
        for page in self._pages("/v1/plans", PlanList):
            yield from page.plans

    def kept_plan(self, plan_id: str, *, version: int | None = None) -> KeptPlan:
        """Return a version of a plan, by default the newest."""
        return self._get(f"/v1/plans/{_part(plan_id)}", KeptPlan, version=version)

    def plan_file(self, plan_id: str, kind: str) -> bytes:
        """Return a plan as ``ics``, ``xlsx`` or ``pdf``."""
        return self._ask("GET", f"/v1/plans/{_part(plan_id)}.{_part(kind)}")

    def changes(self, since: int = 0) -> Iterator[Changes]:
        """Return what was written after a number, page by page, up to now.

        Keep `next` of the last page, and give it as `since` to go on another time.
        """
        while True:
            page = self._get("/v1/changes", Changes, since=since)
            if page.next == since:
                return
            yield page
            since = page.next

    def audit(self, since: int = 0, *, who: str = "") -> Iterator[AuditRecord]:
        """Return audit records after a number."""
        following: int | None = since
        while following is not None:
            page = self._get("/v1/audit", AuditPage, since=following, who=who or None)
            yield from page.records
            following = page.next_since

    def dossier(self, dealer: str) -> Dossier:
        """Return all there is about one dealer."""
        return self._get(f"/v1/dealers/{_part(dealer)}", Dossier)

    def referrals(self) -> Referrals:
        """Return the queue of referrals, its newest page."""
        return self._get("/v1/referrals", Referrals)

    def referral_pages(self) -> Iterator[Referrals]:
        """Return the whole queue of referrals page by page, the newest first."""
        yield from self._pages("/v1/referrals", Referrals)

    def referral(self, referral_id: int) -> ReferralAnswer:
        """Return one referral with its steps, and whom to call."""
        return self._get(f"/v1/referrals/{referral_id}", ReferralAnswer)

    def step(self, referral_id: int, request: StepRequest) -> ReferralAnswer:
        """Take, hand over or close a referral."""
        return self._post(f"/v1/referrals/{referral_id}/steps", request, ReferralAnswer)

    def ask_case(self, request: CaseRequest) -> CaseAnswer:
        """Ask for named dealers in a case."""
        return self._post("/v1/case_requests", request, CaseAnswer)

    def decide_case(self, request_id: str, decision: CaseDecision) -> CaseAnswer:
        """Approve dealers of a case request."""
        path = f"/v1/case_requests/{_part(request_id)}/decision"
        return self._post(path, decision, CaseAnswer)

    def case(self, request_id: str) -> CaseAnswer:
        """Return a case request and its approved rows."""
        return self._get(f"/v1/case_requests/{_part(request_id)}", CaseAnswer)

    def responsibilities(self) -> ResponsibilityAnswer:
        """Return which agency answers for what, where."""
        return self._get("/v1/responsibilities", ResponsibilityAnswer)

    def flow(self, subject: str = "US", *, years: int = 5) -> FlowAnswer:
        """Follow firearms from or to a dealer, port, state or county."""
        from serving.contract.insight import FlowAnswer

        return self._get("/v1/flows", FlowAnswer, subject=subject, years=years)

    def flow_file(self, kind: FlowFile, subject: str = "US", *, years: int = 5) -> bytes:
        """Return a flow as a file."""
        return self._read("/v1/flows", subject=subject, years=years, format=kind)

    def completeness(self) -> CompletenessAnswer:
        """Return who submits traces from Mexico."""
        from serving.contract.insight import CompletenessAnswer

        return self._get("/v1/completeness", CompletenessAnswer)

    def repeats(self, *, years: int = 5) -> RepeatsAnswer:
        """Return who was cited again after a warning, or ended softer than recommended."""
        from serving.contract.insight import RepeatsAnswer

        return self._get("/v1/repeats", RepeatsAnswer, years=years)

    def repeats_file(self, *, years: int = 5) -> bytes:
        """Return the same as CSV."""
        return self._read("/v1/repeats", years=years, format="csv")

    def staffing(
        self,
        investigators: Mapping[str, float] | None = None,
        *,
        hours: float | None = None,
        border_share: float | None = None,
    ) -> StaffingAnswer:
        """Return what another number of investigators, by office, would do."""
        from serving.contract.insight import StaffingAnswer

        people = [f"{office}={n:g}" for office, n in (investigators or {}).items()]
        return self._get(
            "/v1/staffing", StaffingAnswer, investigators=people or None, hours=hours,
            border_share=border_share,
        )  # fmt: skip

    def share(
        self, partner: str, *, released_on: date | None = None, agreement: str | None = None
    ) -> bytes:
        """Return a partner's release, by default the newest, as a zip of tables with a manifest."""
        day = None if released_on is None else released_on.isoformat()
        return self._read(f"/v1/shares/{_part(partner)}", released_on=day, agreement=agreement)

    def measures(self, year: int | None = None) -> MeasuresAnswer:
        """Return the performance measures of a year, by default the last full one."""
        from serving.contract.insight import MeasuresAnswer

        return self._get("/v1/measures", MeasuresAnswer, year=year)

    def measures_file(self, kind: Literal["csv", "html"], year: int | None = None) -> bytes:
        """Return the same as a file."""
        return self._read("/v1/measures", year=year, format=kind)

    @contextmanager
    def export(self, form: Literal["csv", "arrow"] = "csv") -> Iterator[Iterator[bytes]]:
        """Open the file of every score, to be read a part at a time while it is written.

        Raises
        ------
        RefusedError, UnreachableError
            When it is refused, no answer came, or the answer broke off.
        """
        try:
            with self._connection.stream("GET", f"v1/scores/export?format={form}") as answer:
                if answer.status_code >= 400:
                    raise RefusedError(problem_in(answer.status_code, answer.read()))
                if not answer.is_success:
                    raise self._elsewhere(answer)
                yield answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None


def _part(text: str) -> str:
    """Return a text as one part of a path: a slash or a dot-dot in it leads nowhere else."""
    return quote(text, safe="").replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")
