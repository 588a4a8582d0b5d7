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
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import quote

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
from serving.contract.plan import PlanAnswer, PlanAsk
from serving.errors import ServingError

Answer = TypeVar("Answer", bound=BaseModel)


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
        cursor: int | None = 0
        while cursor is not None:
            query = f"?cursor={cursor}&limit={limit}"
            content = self._ask("GET", f"/v1/lists/{quote(list_id)}{query}")
            page = ListPage.model_validate_json(content)
            yield page
            cursor = page.next_cursor

    def issued_list(self, list_id: str) -> IssuedList:
        """Return a list exactly as issued."""
        return IssuedList.model_validate_json(self._ask("GET", f"/v1/lists/{quote(list_id)}"))

    def list_file(self, list_id: str, kind: str) -> bytes:
        """Return a list as ``csv``, ``xlsx`` or ``pdf``."""
        return self._ask("GET", f"/v1/lists/{quote(list_id)}.{quote(kind)}")

    def dossier(self, dealer: str) -> Dossier:
        """Return all there is about one dealer."""
        return Dossier.model_validate_json(self._ask("GET", f"/v1/dealers/{quote(dealer)}"))

    def referrals(self) -> Referrals:
        """Return the queue of referrals."""
        return Referrals.model_validate_json(self._ask("GET", "/v1/referrals"))

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
