"""A typed client of the service, on the standard library and the service's own types.

>>> from serving.api.client import Client
>>> client = Client("http://localhost:3000", token="ffl_...", purpose="licensing")
>>> answer = client.score(["1-56-21093"])  # doctest: +SKIP
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

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
from serving.errors import ServingError

Answer = TypeVar("Answer", bound=BaseModel)


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
    """Asks the service over one kept-open connection. Not for several threads at once.

    Parameters
    ----------
    url : str
        Where the service is, such as ``https://ffl-risk.example``.
    token : str
        A token of `ffl-risk tokens issue`, or an access token of the issuer.
    purpose : {"licensing", "criminal_investigation", "statistics"}, optional
        Recorded with every access.
    """

    def __init__(
        self, url: str, *, token: str, purpose: str | None = None, timeout: float = 30.0
    ) -> None:
        parts = urlsplit(url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(parts.netloc, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        if purpose is not None:
            self._headers["Ffl-Risk-Purpose"] = purpose

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
        """
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RefusedError(_problem(answer.status, content))
        return content


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
