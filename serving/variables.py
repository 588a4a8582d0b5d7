"""The variables of the environment that the service reads: `VARIABLES` is the one list of them.

What is read, checked and printed in the documentation is this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from features.errors import did_you_mean
from serving.errors import InvalidRequestError

_PREFIX: Final = "FFL_RISK_"
# How alike a name must be to that of a setting to be taken for a slip of the hand.
_NEAR: Final = 0.8


@dataclass(frozen=True)
class Variable:
    """One variable of the environment.

    Parameters
    ----------
    kind : str
        ``text``, ``secret`` (``NAME_FILE`` may name a file that holds it), ``number``,
        ``integer``, ``flag`` or ``choice``.
    low, high : float
        Bounds of a number, both allowed.
    choices : tuple of str
        Of a choice.
    """

    name: str
    kind: Literal["text", "secret", "number", "integer", "flag", "choice"]
    default: Any
    meaning: str
    low: float = 0.0
    high: float = math.inf
    choices: tuple[str, ...] = ()

    def read(self, environment: Mapping[str, str]) -> Any:
        """Return the value, checked.

        Raises
        ------
        InvalidRequestError
            One line: what is wrong with which variable, and what it may be.
        """
        text = environment.get(self.name, "").strip()
        if self.kind == "secret" and (file := environment.get(f"{self.name}_FILE")):
            text = self._secret(Path(file), is_set=bool(text))
        if not text:
            return self.default
        if self.kind == "flag":
            return self._flag(text)
        if self.kind == "choice":
            return self._choice(text)
        return self._number(text) if self.kind in {"number", "integer"} else text

    def _secret(self, file: Path, *, is_set: bool) -> str:
        if is_set:
            raise InvalidRequestError(
                f"{self.name} and {self.name}_FILE are both set.",
                expected="one of them",
                fix="leave the other out; which one counts would be a guess",
            )
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidRequestError(
                f"The file that {self.name}_FILE names cannot be read.",
                found=type(error).__name__,
                fix="check that it exists and that the service may read it",
            ) from None
        if not text:
            # Taken for unset, a lost password would quietly mean another store, or none to tell.
            raise InvalidRequestError(
                f"The file that {self.name}_FILE names is empty.",
                fix="write the secret to it, or leave the variable out for the default",
            )
        return text

    def _flag(self, text: str) -> bool:
        if text.lower() not in {"1", "true", "yes", "0", "false", "no"}:
            raise self._wrong(text, "true or false")
        return text.lower() in {"1", "true", "yes"}

    def _choice(self, text: str) -> str:
        if text not in self.choices:
            near = did_you_mean(text, self.choices)
            raise self._wrong(text, " or ".join(self.choices) + near)
        return text

    def _number(self, text: str) -> float:
        kind, read = ("whole number", int) if self.kind == "integer" else ("number", float)
        expected = f"a {kind} from {self.low:g}"
        expected += f" to {self.high:g}" if math.isfinite(self.high) else " up"
        try:
            value = read(text)
        except ValueError:
            raise self._wrong(text, expected) from None
        if not self.low <= value <= self.high or not math.isfinite(value):
            raise self._wrong(text, expected)
        return value

    def _wrong(self, text: str, expected: str) -> InvalidRequestError:
        return InvalidRequestError(
            f"{self.name} cannot be used.",
            found=repr(text[:40]),
            expected=expected,
            fix="set it so, or leave it out for the default",
        )


VARIABLES: Final[Mapping[str, Variable]] = {
    one.name.removeprefix("FFL_RISK_").lower(): one
    for one in (
        Variable("FFL_RISK_HOME", "text", "var", "State folder"),
        Variable(
            "FFL_RISK_SIGNALS", "text", "",
            "Folder of an agency's own families of signals, for every command and the service",
        ),
        Variable(
            "FFL_RISK_TIME_ZONE", "text", "",
            "Time zone whose day is today and in which people read moments, such as "
            "`America/Chicago` or `+10:00`; by default the machine's own",
        ),
        Variable("FFL_RISK_SPARK_MASTER", "text", "local[*]", "Cluster of `--engine spark`"),
        Variable(
            "FFL_RISK_STORE_URL", "secret", "",
            "SQLAlchemy URL of the store; SQLite in the state folder by default. A SQLite URL that "
            "ends with `?synchronous=FULL` has every commit wait for the disk",
        ),
        Variable(
            "FFL_RISK_AUDIT_KEY_FILE", "text", "",
            "File of the key of the audit chain; `audit.key` in the state folder by default",
        ),
        Variable(
            "FFL_RISK_AUDIT_HEADS", "text", "",
            "Where the head of the audit chain is noted outside the store: a file's path, "
            "`syslog:/dev/log` or `syslog:HOST:PORT`; nowhere by default",
        ),
        Variable(
            "FFL_RISK_WORKERS", "integer", 1,
            "Worker processes; each holds the table in memory", 1, 64,
        ),
        Variable(
            "FFL_RISK_RATE", "number", 300.0,
            "Requests per second of one identity, in each worker", 0.001,
        ),
        Variable(
            "FFL_RISK_BURST", "number", 600.0,
            "Requests one identity may make at once, in each worker", 1,
        ),
        Variable(
            "FFL_RISK_QUEUE", "integer", 256, "Requests in progress at once, in each worker", 1
        ),
        Variable("FFL_RISK_TIMEOUT", "number", 10.0, "Seconds one request may take", 0.1, 3_600),
        Variable(
            "FFL_RISK_HEADER_TIMEOUT", "number", 10.0,
            "Seconds a client may take to send the headers of a request", 0.1, 3_600,
        ),
        Variable(
            "FFL_RISK_CONNECTIONS", "integer", 1_000,
            "Connections open at once, in each worker, as far as its file descriptors reach", 1,
        ),
        Variable(
            "FFL_RISK_HEAVY", "integer", 1,
            "Plans, files and long lists made at once, in each worker", 1, 64,
        ),
        Variable(
            "FFL_RISK_HEAVY_TIMEOUT", "number", 60.0,
            "Seconds one plan, file or long list may take", 0.1, 3_600,
        ),
        Variable(
            "FFL_RISK_TABLE_STALE_DAYS", "integer", 45,
            "Days after which every answer says that its records are old, and past which an event "
            "moves its own dealers' scores alone", 1,
        ),
        Variable(
            "FFL_RISK_TABLE_REFUSED_DAYS", "integer", 365,
            "Days after which no list and no plan is made from a table: it knows nothing of the "
            "twelve months in which a dealer may have been inspected", 1,
        ),
        Variable(
            "FFL_RISK_DRAW_MONTHS", "choice", "3",
            "Months of the period that a random draw of an office belongs to",
            choices=("1", "2", "3", "4", "6", "12"),
        ),
        Variable(
            "FFL_RISK_SESSION_HOURS", "number", 8.0, "Hours a browser session lasts", 0.01, 8_760
        ),
        Variable("FFL_RISK_HTTPS", "flag", False, "Behind HTTPS: cookies are then marked Secure"),
        Variable(
            "FFL_RISK_LOG_FORMAT", "choice", "text", "Form of a line of the log",
            choices=("text", "json"),
        ),
        Variable("FFL_RISK_PROXIES", "text", "", "Proxies in front, believed about who asks"),
        Variable(
            "FFL_RISK_WEBHOOK_ORIGINS", "text", "",
            "Where webhooks may go besides https at public addresses, comma-separated, such as "
            "`https://hooks.example.gov:8443, http://10.0.0.7:9000`",
        ),
        Variable(
            "FFL_RISK_OTLP_ENDPOINT", "text", "",
            "Collector of traces (OTLP over HTTP), such as http://127.0.0.1:4318; none by default",
        ),
        Variable(
            "FFL_RISK_OTLP_SHARE", "number", 1.0,
            "Share of requests that are traced, where the caller has not decided", 0, 1,
        ),
        Variable(
            "FFL_RISK_LEAST_FREE_MB", "number", 64.0,
            "Megabytes that must be free where the state is kept; below, the service is not ready",
        ),
        Variable(
            "FFL_RISK_CLOCK_TOLERANCE", "number", 300.0,
            "Seconds by which the clock may be behind the newest audit record, or apart from the "
            "database server's; beyond, the service does not start", 1, 86_400,
        ),
        Variable(
            "FFL_RISK_RETRAIN_DAYS", "integer", 365,
            "Days after which the monthly run trains again, whatever drift says", 1,
        ),
        Variable(
            "FFL_RISK_SETTLED_SECONDS", "number", 300.0,
            "Seconds for which a delivery in the inbox must not have changed to be taken in",
        ),
        Variable(
            "FFL_RISK_INBOX_MAPPINGS", "text", "",
            "TOML file that says which deliveries in the inbox are read through which mapping",
        ),
        Variable(
            "FFL_RISK_NOTIFY_COMMAND", "text", "",
            "Command that is told how a run ended: one line on its standard input; no shell",
        ),
        Variable(
            "FFL_RISK_NOTIFY_URL", "secret", "",
            "Address that is told how a run ended: a JSON document by POST",
        ),
        Variable(
            "FFL_RISK_NOTIFY_ON", "choice", "always", "Which runs are told",
            choices=("always", "failure"),
        ),
        Variable("FFL_RISK_OIDC_ISSUER", "text", "", "Issuer whose access tokens are accepted"),
        Variable("FFL_RISK_OIDC_AUDIENCE", "text", "", "Audience those tokens must carry"),
        Variable(
            "FFL_RISK_OIDC_JWKS_URL", "text", "",
            "Where the issuer's keys are; discovered from the issuer by default",
        ),
        Variable(
            "FFL_RISK_OIDC_ALGORITHMS", "text", "RS256,ES256", "Accepted signature algorithms"
        ),
        Variable(
            "FFL_RISK_OIDC_CLIENT_ID", "text", "",
            "This service at the issuer: with it people sign in to the pages there",
        ),
        Variable(
            "FFL_RISK_OIDC_CLIENT_SECRET", "secret", "",
            "Its secret at the issuer, if it has one",
        ),
        Variable(
            "FFL_RISK_OIDC_SCOPE", "text", "openid", "Scopes that are asked for at the sign-in"
        ),
        Variable(
            "FFL_RISK_PUBLIC_URL", "text", "",
            "Address of this service as browsers know it; as they ask for it by default",
        ),
        Variable(
            "FFL_RISK_OIDC_SKEW", "number", 30.0, "Seconds of clock difference allowed", 0, 600
        ),
    )
}  # fmt: skip


def require_known(environment: Mapping[str, str]) -> None:
    """Refuse a name that is nearly one of a setting: what it was to say would not be heard."""
    secrets = {f"{one.name}_FILE" for one in VARIABLES.values() if one.kind == "secret"}
    known = {one.name for one in VARIABLES.values()} | secrets
    for name in sorted(environment):
        if not name.startswith(_PREFIX) or name in known:
            continue
        if name.removesuffix("_FILE") in known:
            raise InvalidRequestError(
                f"{name} is no setting: {name.removesuffix('_FILE')} is not read from a file.",
                expected=" or ".join(sorted(secrets)),
            )
        own = {one.removeprefix(_PREFIX): one for one in known}
        if near := get_close_matches(name.removeprefix(_PREFIX), own, n=1, cutoff=_NEAR):
            raise InvalidRequestError(
                f"{name} is no setting.", expected=own[near[0]], fix="correct its name"
            )


def as_markdown() -> str:
    """Return the table of all variables, as docs/service/settings.md holds it."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for one in VARIABLES.values():
        name = f"`{one.name}`" + (f", `{one.name}_FILE`" if one.kind == "secret" else "")
        default = "" if one.default in {"", False} else f"`{one.default}`"
        meaning = one.meaning
        if one.choices:
            meaning += f": {' or '.join(one.choices)}"
        lines.append(f"| {name} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"
