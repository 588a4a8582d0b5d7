"""Settings of the service, read once from the environment; secrets from files or the environment.

`serving.variables` lists what is read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from features.domain.agency_day import zone
from features.home import home
from serving.errors import InvalidRequestError
from serving.variables import VARIABLES, require_known

MAX_BODY_BYTES = 1 << 20
MAX_KEYS = 1_000
MAX_LIST = 5_000
# Share of a list, and of a plan's hours, that is drawn at random where nothing else is asked for.
RANDOM_SHARE = 0.10


@dataclass(frozen=True)
class OidcSettings:
    """What an access token of the issuer must satisfy."""

    issuer: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...]
    skew_seconds: float
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scope: str = "openid"
    public_url: str = ""


@dataclass(frozen=True)
class Settings:
    """Everything the service is told from outside.

    Parameters
    ----------
    home : Path
        State folder.
    store_url : str
        SQLAlchemy URL. Never logged: it may hold a password.
    audit_key_file : Path
        File of the secret that keys the audit chain; made at first use, mode 0600.
    oidc : OidcSettings or None
        None accepts local tokens and sessions only.
    draw_months : int
        Length of the period that a random draw of an office belongs to.
    """

    home: Path
    store_url: str
    audit_key_file: Path
    audit_heads: str = ""
    oidc: OidcSettings | None = None
    workers: int = 1
    rate: float = 300.0
    burst: float = 600.0
    queue: int = 256
    timeout_seconds: float = 10.0
    header_seconds: float = 10.0
    connections: int = 1_000
    heavy: int = 1
    heavy_seconds: float = 60.0
    stale_days: int = 45
    refused_days: int = 365
    draw_months: int = 3
    session_hours: float = 8.0
    is_https: bool = False
    log_format: Literal["text", "json"] = "text"
    least_free_mb: float = 64.0
    otlp_endpoint: str = ""
    otlp_share: float = 1.0
    clock_tolerance: float = 300.0
    retrain_days: int = 365
    settled_seconds: float = 300.0
    inbox_mappings: str = ""
    notify_command: str = ""
    notify_url: str = field(default="", repr=False)
    notify_on: Literal["always", "failure"] = "always"
    webhook_origins: str = ""
    proxies: str = ""

    @classmethod
    def from_environment(cls, folder: Path | None = None) -> Settings:
        """Read the settings; `folder` stands in for ``FFL_RISK_HOME``."""
        folder = folder or home()
        require_known(os.environ)
        read = {key: variable.read(os.environ) for key, variable in VARIABLES.items()}
        zone(read["time_zone"])  # one that is not known ends the start, not the first request
        return cls(
            home=folder,
            store_url=_store_url(read["store_url"], folder),
            audit_key_file=Path(read["audit_key_file"] or folder / "audit.key"),
            audit_heads=read["audit_heads"],
            oidc=_oidc(read),
            workers=read["workers"],
            rate=read["rate"],
            burst=read["burst"],
            queue=read["queue"],
            timeout_seconds=read["timeout"],
            header_seconds=read["header_timeout"],
            connections=read["connections"],
            heavy=read["heavy"],
            heavy_seconds=read["heavy_timeout"],
            stale_days=read["table_stale_days"],
            refused_days=read["table_refused_days"],
            draw_months=int(read["draw_months"]),
            session_hours=read["session_hours"],
            is_https=read["https"],
            log_format=read["log_format"],
            least_free_mb=read["least_free_mb"],
            otlp_endpoint=_otlp_endpoint(read["otlp_endpoint"]),
            otlp_share=read["otlp_share"],
            clock_tolerance=read["clock_tolerance"],
            retrain_days=read["retrain_days"],
            settled_seconds=read["settled_seconds"],
            inbox_mappings=read["inbox_mappings"],
            notify_command=read["notify_command"],
            notify_url=read["notify_url"],
            notify_on=read["notify_on"],
            webhook_origins=read["webhook_origins"],
            proxies=read["proxies"],
        )


def worker_count() -> int:
    """Return how many workers are asked for."""
    return int(VARIABLES["workers"].read(os.environ))


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite file, whatever characters its name has.

    Pasted into a URL, a ``?`` would begin its options and a ``%`` an escape.
    """
    import sqlalchemy as sa  # slow to import, and `--help` reads these settings' defaults

    url = sa.URL.create("sqlite", database=str(path.absolute()))
    return url.render_as_string(hide_password=False)


def _store_url(text: str, folder: Path) -> str:
    if not text:
        return sqlite_url(folder / "service.db")
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError

    try:
        url = sa.make_url(text)
        backend = url.get_backend_name()
    except ArgumentError:
        backend = ""
    if backend not in {"sqlite", "postgresql"}:
        # The URL may hold a password, so it is not shown.
        raise InvalidRequestError(
            "FFL_RISK_STORE_URL cannot be used.",
            found=f"a URL of {backend[:40]!r}" if backend else "no database URL",
            expected="postgresql://USER@HOST/NAME or sqlite:////PATH",
        )
    if backend == "sqlite" and url.database in {None, "", ":memory:"}:
        raise InvalidRequestError(
            "FFL_RISK_STORE_URL cannot be used.",
            found="a store in memory: each process would have one of its own, gone at its end",
            expected="sqlite:////PATH of a file",
        )
    return text


def _otlp_endpoint(text: str) -> str:
    expected = "an address such as http://127.0.0.1:4318; /v1/traces is added to it"
    return _address("FFL_RISK_OTLP_ENDPOINT", text, expected).rstrip("/")


def _address(name: str, text: str, expected: str) -> str:
    """Return an address that can be asked, or nothing where none was given."""
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_whole = is_whole and not (parts.query or parts.fragment) and parts.port != 0
    except ValueError:
        is_whole = False
    if text and (not is_whole or any(sign.isspace() for sign in text)):
        raise InvalidRequestError(
            f"{name} cannot be used.", found=repr(text[:40]), expected=expected
        )
    return text


def _oidc(read: Mapping[str, Any]) -> OidcSettings | None:
    # As it stands in the tokens, a last slash included.
    issuer = _address(
        "FFL_RISK_OIDC_ISSUER", read["oidc_issuer"], "an address such as https://login.example.org"
    )
    if not issuer:
        for key in ("audience", "jwks_url", "client_id", "client_secret"):
            if read[f"oidc_{key}"]:
                raise InvalidRequestError(
                    f"FFL_RISK_OIDC_{key.upper()} is set without FFL_RISK_OIDC_ISSUER.",
                    expected="the issuer whose tokens are accepted, or none of its settings",
                    fix="set both; else nobody signs in there, and nothing says why",
                )
        return None
    if read["oidc_client_secret"] and not read["oidc_client_id"]:
        raise InvalidRequestError(
            "FFL_RISK_OIDC_CLIENT_SECRET is set without FFL_RISK_OIDC_CLIENT_ID.",
            expected="both, or neither",
        )
    audience = read["oidc_audience"]
    if not audience:
        raise InvalidRequestError(
            "FFL_RISK_OIDC_ISSUER is set without FFL_RISK_OIDC_AUDIENCE.",
            expected="the audience that access tokens for this service carry",
            fix="set both; a token made for another service must not be accepted here",
        )
    algorithms = read["oidc_algorithms"]
    return OidcSettings(
        issuer=issuer,
        audience=audience,
        jwks_url=_address(
            "FFL_RISK_OIDC_JWKS_URL", read["oidc_jwks_url"],
            "an address such as https://login.example.org/keys",
        ),
        algorithms=tuple(a.strip() for a in algorithms.split(",") if a.strip()),
        skew_seconds=read["oidc_skew"],
        client_id=read["oidc_client_id"],
        client_secret=read["oidc_client_secret"],
        scope=read["oidc_scope"],
        public_url=_address(
            "FFL_RISK_PUBLIC_URL", read["public_url"], "an address such as https://risk.example.org"
        ),
    )  # fmt: skip
