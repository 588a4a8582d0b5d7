"""Tell somebody how a run ended: by a command of their choice, by a webhook, or both."""

from __future__ import annotations

import json
import shlex
import subprocess
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

from serving.errors import InvalidRequestError
from serving.schedule.run import Result
from serving.settings import Settings

_SECONDS: Final = 20
_OF_SHELLS: Final = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1"})


@dataclass(frozen=True)
class Hooks:
    """Who is told.

    Parameters
    ----------
    command : tuple of str
        Gets the line on standard input; no shell reads it.
    url : str
        Gets a JSON document by POST. It may hold a secret and is never part of a message.
    only_failures : bool
        Nobody is told of what went well.
    """

    command: tuple[str, ...] = ()
    url: str = ""
    only_failures: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Hooks:
        """Read the settings.

        Raises
        ------
        InvalidRequestError
            When the command has an open quote or needs a shell, or the URL is none of HTTP.
        """
        try:
            command = tuple(shlex.split(settings.notify_command))
        except ValueError as error:
            raise InvalidRequestError(
                "FFL_RISK_NOTIFY_COMMAND cannot be read.",
                found=str(error),
                expected="a program and its arguments, quoted as for a shell",
            ) from None
        if signs := _OF_SHELLS.intersection(command):
            raise InvalidRequestError(
                "FFL_RISK_NOTIFY_COMMAND is written for a shell, and none reads it.",
                found=" ".join(sorted(signs)),
                expected="a program and its arguments",
                fix="put it in a script and name that",
            )
        if settings.notify_url and urlsplit(settings.notify_url).scheme not in {"http", "https"}:
            raise InvalidRequestError(
                "FFL_RISK_NOTIFY_URL cannot be used.",
                expected="an address that begins with https:// or http://",
            )
        return cls(command, settings.notify_url, settings.notify_on == "failure")

    def tell(self, result: Result) -> list[str]:
        """Tell everybody, and return what went wrong with that; the run is over either way."""
        if self.only_failures and result.exit_code == 0:
            return []
        faults = [self._run(result.line)] if self.command else []
        if self.url:
            faults.append(self._post(document_of(result)))
        return [fault for fault in faults if fault]

    def _run(self, line: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - the operator names it
                self.command,
                input=f"{line}\n",
                text=True,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the command of FFL_RISK_NOTIFY_COMMAND did not run ({type(error).__name__})"
        code = done.returncode
        return f"the command of FFL_RISK_NOTIFY_COMMAND left with {code}" if code else ""

    def _post(self, document: Notification) -> str:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked
            self.url, json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        try:
            with _OPENER.open(request, timeout=_SECONDS):
                return ""
        except (OSError, HTTPException, ValueError) as error:
            told = getattr(error, "code", type(error).__name__)
            return f"the address of FFL_RISK_NOTIFY_URL did not take it ({told})"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An address that sends elsewhere is told as a fault, not followed."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)


class Notification(TypedDict):
    """What a webhook gets when a routine has run; ``text`` is what chat programs show."""

    text: str
    routine: str
    period: str
    exit_code: int
    ended_at: str
    steps: dict[str, str]


def document_of(result: Result) -> Notification:
    """Return what a webhook gets; ``text`` is what chat programs show."""
    record = result.record
    return {
        "text": result.line,
        "routine": record.routine,
        "period": record.period,
        "exit_code": result.exit_code,
        "ended_at": record.ended_at,
        "steps": {step.name: step.outcome for step in record.steps},
    }
