"""A typed client of the service, on httpx and the service's own types.

>>> from serving.api.client import Client
>>> client = Client("http://localhost:3000", token="ffl_...", purpose="licensing")
>>> answer = client.score(["1-56-21093"])  # doctest: +SKIP
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import BaseModel

from serving.api.problems import Problem
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
from serving.contract.field import (
    DecisionAnswer,
    DecisionRequest,
    Dossier,
    EventsAnswer,
    EventsRequest,
    FeaturesAnswer,
    FeaturesRequest,
    OutcomeAnswer,
    OutcomeRequest,
    Referrals,
)
from serving.contract.kept import KeptDecision, KeptDecisions, KeptOutcome, KeptOutcomes
from serving.contract.kept_plan import KeptPlan, PlanList, PlanSummary
from serving.contract.plan import PlanAnswer, PlanAsk
from serving.contract.referral import (
    CaseAnswer,
    CaseDecision,
    CaseRequest,
    ReferralAnswer,
    ResponsibilityAnswer,
    StepRequest,
)
from serving.errors import ServingError

Answer = TypeVar("Answer", bound=BaseModel)
Page = TypeVar("Page", ListPage, ListSummaries, KeptDecisions, KeptOutcomes, PlanList)


# Told to come back later; anything else would be answered the same again.
_PASSING: Final = frozenset({429, 503})
_LONGEST_WAIT: Final = 30.0


class UnreachableError(ServingError):
    """No answer came: no such host, nothing listening there, or the connection broke."""

    code = "unreachable"
    status = 503
    exit_code = 4


class RefusedError(ServingError):
    """The service refused a request.

    Attributes
    ----------
    problem : Problem
        What it said; `problem.code` is stable.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(
            problem.detail,
            found=problem.found or "",
            expected=problem.expected or "",
            fix=problem.fix or "",
        )


class Client:
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

    def __init__(
        self,
        url: str,
        *,
        token: str,
        purpose: str | None = None,
        timeout: float = 70.0,
        retries: int = 3,
    ) -> None:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if purpose is not None:
            headers["Ffl-Risk-Purpose"] = purpose
        self._retries = retries
        try:
            self._connection = httpx.Client(
                base_url=url.rstrip("/") + "/", headers=headers, timeout=timeout, trust_env=False
            )
        except httpx.InvalidURL as error:
            raise UnreachableError("The address is not a URL.", found=str(error)) from None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

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
                    raise RefusedError(_problem(answer.status_code, answer.read()))
                yield answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _pages(
        self, path: str, page: type[Page], *, cursor: int | str | None = None, **query: Any
    ) -> Iterator[Page]:
        while True:
            found = self._get(path, page, cursor=cursor, **query)
            yield found
            cursor = found.next_cursor
            if cursor is None:
                return

    def _get(self, path: str, answer: type[Answer], **query: int | str | None) -> Answer:
        given = {name: value for name, value in query.items() if value is not None}
        return answer.model_validate_json(
            self._ask("GET", f"{path}?{urlencode(given)}" if given else path)
        )

    def _post(self, path: str, body: BaseModel, answer: type[Answer]) -> Answer:
        content = body.model_dump_json(exclude_none=True).encode()
        return answer.model_validate_json(self._ask("POST", path, content))

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request and return the body of its answer.

        Raises
        ------
        RefusedError
            When the answer is a problem document.
        UnreachableError
            When no answer came.
        """
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        for attempt in range(self._retries + 1):
            is_last = attempt == self._retries
            try:
                answer = self._connection.request(
                    method, path.lstrip("/"), content=body, headers=headers
                )
            except httpx.TransportError as error:
                if is_last or isinstance(error, httpx.ConnectError | httpx.UnsupportedProtocol):
                    raise self._unreachable(error) from None
                continue  # a connection that was closed while nobody used it, or broke
            if answer.status_code in _PASSING and not is_last:
                time.sleep(_wait(answer.headers.get("retry-after"), attempt))
                continue
            if answer.status_code >= 400:
                raise RefusedError(_problem(answer.status_code, answer.content))
            return answer.content
        raise AssertionError("unreachable")  # the last attempt returns or raises

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        address = self._connection.base_url
        return UnreachableError(
            f"No answer came from {address.scheme}://{address.netloc.decode('ascii')}.",
            found=f"{type(error).__name__}: {error}"[:200],
            expected="a running service at that address",
            fix="check the address, that the service runs (GET /healthz), and the way there",
        )


def _part(text: str) -> str:
    """Return a text as one part of a path: a slash or a dot-dot in it leads nowhere else."""
    return quote(text, safe="").replace(".", "%2E") if set(text) == {"."} else quote(text, safe="")


def _wait(told: str | None, attempt: int) -> float:
    """Return the seconds to wait: as told, else longer each time."""
    seconds = float(told) if told is not None and told.isdigit() else 0.5 * 2.0**attempt
    return min(seconds, _LONGEST_WAIT)


def _problem(status: int, content: bytes) -> Problem:
    """Read a problem document; something between may have answered in its place."""
    try:
        document: Any = json.loads(content)
        return Problem.model_validate(document)
    except ValueError:
        return Problem(
            type="about:blank",
            title="No problem document",
            status=status,
            code="unreadable",
            detail=f"Status {status} without a problem document.",
        )
