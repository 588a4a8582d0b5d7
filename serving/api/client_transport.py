"""Asking the service: kept connections, what is asked again, pages, and refusals in words."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ValidationError

from serving.api.problems import Problem
from serving.contract.answers import ListPage
from serving.contract.changes import ListSummaries
from serving.contract.field.kept_records import KeptDecisions, KeptOutcomes
from serving.contract.field.referral import Referrals
from serving.contract.kept_plan import PlanList
from serving.errors import ServingError

Asked = int | float | str | Sequence[str] | None
Answer = TypeVar("Answer", bound=BaseModel)
Page = TypeVar("Page", ListPage, ListSummaries, KeptDecisions, KeptOutcomes, PlanList, Referrals)


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


class Asking:
    """One caller's connections to the service; `Client` says what may be asked."""

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

    def __enter__(self) -> Self:
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

    def _pages(
        self, path: str, page: type[Page], *, cursor: int | str | None = None, **query: Any
    ) -> Iterator[Page]:
        while True:
            found = self._get(path, page, cursor=cursor, **query)
            yield found
            cursor = found.next_cursor
            if cursor is None:
                return

    def _get(self, path: str, answer: type[Answer], **query: Asked) -> Answer:
        return self._understood(answer, self._read(path, **query))

    def _read(self, path: str, **query: Asked) -> bytes:
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)

    def _post(self, path: str, body: BaseModel, answer: type[Answer]) -> Answer:
        content = body.model_dump_json(exclude_none=True).encode()
        return self._understood(answer, self._ask("POST", path, content))

    def _understood(self, answer: type[Answer], content: bytes) -> Answer:
        try:
            return answer.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise UnreachableError(
                f"What answers at {self._place()} is not this service, or another version of it.",
                found=f"{place}: {first['msg']}".removeprefix(": ")[:200],
                expected=f"the JSON of {answer.__name__}",
                fix="check the address; bring client and service to one version",
            ) from None

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
                raise RefusedError(problem_in(answer.status_code, answer.content))
            if not answer.is_success:  # a way elsewhere is not gone: the token would go along
                raise self._elsewhere(answer)
            return answer.content
        raise AssertionError("unreachable")  # the last attempt returns or raises

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        return UnreachableError(
            f"No answer came from {self._place()}.",
            found=f"{type(error).__name__}: {error}"[:200],
            expected="a running service at that address",
            fix="check the address, that the service runs (GET /healthz), and the way there",
        )

    def _elsewhere(self, answer: httpx.Response) -> UnreachableError:
        return UnreachableError(
            f"What answers at {self._place()} leads elsewhere.",
            found=f"status {answer.status_code} to {answer.headers.get('location', '')}"[:200],
            expected="an answer of the service itself",
            fix="give the address that it leads to, if it is the service's",
        )

    def _place(self) -> str:
        address = self._connection.base_url
        return f"{address.scheme}://{address.netloc.decode('ascii')}"


def _wait(told: str | None, attempt: int) -> float:
    """Return the seconds to wait: as told, else longer each time."""
    seconds = (
        float(told)
        if told is not None and told.isascii() and told.isdigit()
        else 0.5 * 2.0**attempt
    )
    return min(seconds, _LONGEST_WAIT)


def problem_in(status: int, content: bytes) -> Problem:
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
