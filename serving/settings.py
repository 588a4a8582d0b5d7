"""Settings of the service, read once from the environment; secrets from files or the environment.

================================  ===============================================================
``FFL_RISK_HOME``                 state folder (`features.home`)
``FFL_RISK_STORE_URL[_FILE]``     SQLAlchemy URL of the store; SQLite under the home by default
``FFL_RISK_AUDIT_KEY_FILE``       key of the audit chain; ``audit.key`` under the home by default
``FFL_RISK_OIDC_ISSUER``          issuer whose access tokens are accepted; none by default
``FFL_RISK_OIDC_AUDIENCE``        audience those tokens must carry
``FFL_RISK_OIDC_JWKS_URL``        where the issuer's keys are; discovered from the issuer if unset
``FFL_RISK_OIDC_ALGORITHMS``      accepted signature algorithms; ``RS256,ES256`` by default
``FFL_RISK_OIDC_SKEW``            seconds of clock difference allowed; 30 by default
``FFL_RISK_RATE``                 requests per second of one identity; 300 by default
``FFL_RISK_BURST``                requests one identity may make at once; 600 by default
``FFL_RISK_QUEUE``                requests in progress at once; 256 by default
``FFL_RISK_TIMEOUT``              seconds one request may take; 10 by default
``FFL_RISK_SESSION_HOURS``        hours a browser session lasts; 8 by default
``FFL_RISK_HTTPS``                ``true`` behind HTTPS: cookies are then marked Secure
================================  ===============================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from features.home import home
from serving.errors import InvalidRequestError

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
    oidc: OidcSettings | None = None
    rate: float = 300.0
    burst: float = 600.0
    queue: int = 256
    timeout_seconds: float = 10.0
    session_hours: float = 8.0
    is_https: bool = False
    draw_months: int = 3

    @classmethod
    def from_environment(cls, folder: Path | None = None) -> Settings:
        """Read the settings; `folder` stands in for ``FFL_RISK_HOME``."""
        folder = folder or home()
        default_store = f"sqlite:///{(folder / 'service.db').absolute()}"
        key_file = os.environ.get("FFL_RISK_AUDIT_KEY_FILE")
        return cls(
            home=folder,
            store_url=_secret("FFL_RISK_STORE_URL") or default_store,
            audit_key_file=Path(key_file) if key_file else folder / "audit.key",
            oidc=_oidc(),
            rate=_number("FFL_RISK_RATE", 300.0),
            burst=_number("FFL_RISK_BURST", 600.0),
            queue=int(_number("FFL_RISK_QUEUE", 256)),
            timeout_seconds=_number("FFL_RISK_TIMEOUT", 10.0),
            session_hours=_number("FFL_RISK_SESSION_HOURS", 8.0),
            draw_months=_months("FFL_RISK_DRAW_MONTHS", 3),
            is_https=os.environ.get("FFL_RISK_HTTPS", "").lower() in {"1", "true", "yes"},
        )


def _oidc() -> OidcSettings | None:
    issuer = os.environ.get("FFL_RISK_OIDC_ISSUER", "").rstrip("/")
    if not issuer:
        return None
    audience = os.environ.get("FFL_RISK_OIDC_AUDIENCE", "")
    if not audience:
        raise InvalidRequestError(
            "FFL_RISK_OIDC_ISSUER is set without FFL_RISK_OIDC_AUDIENCE.",
            expected="the audience that access tokens for this service carry",
            fix="set both; a token made for another service must not be accepted here",
        )
    algorithms = os.environ.get("FFL_RISK_OIDC_ALGORITHMS", "RS256,ES256")
    return OidcSettings(
        issuer=issuer,
        audience=audience,
        jwks_url=os.environ.get("FFL_RISK_OIDC_JWKS_URL", ""),
        algorithms=tuple(a.strip() for a in algorithms.split(",") if a.strip()),
        skew_seconds=_number("FFL_RISK_OIDC_SKEW", 30.0),
    )


def _secret(name: str) -> str:
    """Return a secret from the file ``NAME_FILE`` names, else from ``NAME``."""
    if file := os.environ.get(f"{name}_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    return os.environ.get(name, "")


def _number(name: str, default: float) -> float:
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if value <= 0:
        raise InvalidRequestError(
            f"{name} is not a positive number.", found=repr(text), expected=f"such as {default:g}"
        )
    return value


def _months(name: str, default: int) -> int:
    value = _number(name, default)
    if value not in (1, 2, 3, 4, 6, 12):
        raise InvalidRequestError(
            f"{name} does not divide a year.",
            found=f"{value:g}",
            expected="1, 2, 3, 4, 6 or 12 months",
        )
    return int(value)
