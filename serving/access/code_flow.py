"""The authorization code flow with PKCE (RFC 7636), for people who sign in with an issuer.

What must be remembered between leaving for the issuer and coming back rides in a cookie that only
this service can make: nothing is stored, any worker can finish what another began, and a code that
was not asked for by this very browser opens nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass
from http.client import HTTPException
from typing import Final
from urllib.parse import urlencode, urlsplit

from features.openjson import Json
from serving import clock
from serving.access.accounts import Principal
from serving.access.oidc import Verifier, principal_of, read_json
from serving.errors import NotReadyError, UnauthenticatedError

LIFETIME_SECONDS: Final = 600
_SECONDS: Final = 4.0
_STARTED_ELSEWHERE: Final = "This sign-in was not begun here, or too long ago."


@dataclass(frozen=True)
class Journey:
    """What is remembered while somebody is with the issuer."""

    state: str
    nonce: str
    verifier: str
    next_page: str
    purpose: str
    until: int

    @classmethod
    def begin(cls, *, next_page: str, purpose: str) -> Journey:
        """Leave for the issuer."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        until = int(clock.now().timestamp()) + LIFETIME_SECONDS
        return cls(state, nonce, verifier, next_page, purpose, until)

    def sealed(self, key: bytes) -> str:
        """Return it as the value of a cookie that cannot be forged."""
        body = base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()
        return f"{body}.{_seal(key, body)}"

    @classmethod
    def opened(cls, cookie: str, key: bytes, *, state: str) -> Journey:
        """Return what a cookie remembers.

        Raises
        ------
        UnauthenticatedError
            When it is not of this service's making, is too old, or is of another sign-in.
        """
        body, _, seal = cookie.partition(".")
        if not hmac.compare_digest(_seal(key, body).encode(), seal.encode("utf-8", "replace")):
            raise UnauthenticatedError(_STARTED_ELSEWHERE, fix="sign in again")
        found = cls(**json.loads(base64.urlsafe_b64decode(body)))
        is_same = hmac.compare_digest(found.state.encode(), state.encode("utf-8", "replace"))
        if not is_same or found.until < clock.now().timestamp():
            raise UnauthenticatedError(_STARTED_ELSEWHERE, fix="sign in again")
        return found


def _seal(key: bytes, body: str) -> str:
    # A key of its own for this use, derived from the service's secret.
    own = hmac.new(key, b"ffl-risk sign-in journey", hashlib.sha256).digest()
    return hmac.new(own, body.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def address(verifier: Verifier, journey: Journey, *, redirect_uri: str) -> str:
    """Return where the issuer asks somebody to sign in."""
    challenge = hashlib.sha256(journey.verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": verifier.settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": verifier.settings.scope,
        "state": journey.state,
        "nonce": journey.nonce,
        "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    endpoint = str(_discovered(verifier)["authorization_endpoint"])
    joined = "&" if urlsplit(endpoint).query else "?"
    return f"{endpoint}{joined}{urlencode(query)}"


def arrive(verifier: Verifier, journey: Journey, *, code: str, redirect_uri: str) -> Principal:
    """Exchange a code and return who signed in.

    Raises
    ------
    UnauthenticatedError
        When the issuer does not take the code, or its token is not for this sign-in.
    NotReadyError
        When the issuer does not answer.
    """
    settings = verifier.settings
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": settings.client_id,
        "code_verifier": journey.verifier,
    }
    if settings.client_secret:
        form["client_secret"] = settings.client_secret
    endpoint = str(_discovered(verifier)["token_endpoint"])
    try:
        answer = read_json(endpoint, until=time.monotonic() + _SECONDS, form=form)
        token = answer["id_token"]
    except (OSError, HTTPException, ValueError, KeyError) as error:
        if getattr(error, "code", 500) in {400, 401} or isinstance(error, KeyError):
            raise UnauthenticatedError("The issuer does not take the code.") from None
        raise _away() from None
    claims = verifier.claims(str(token), audience=settings.client_id)
    nonce = str(claims.get("nonce", ""))
    if not hmac.compare_digest(nonce.encode(), journey.nonce.encode()):
        raise UnauthenticatedError("The issuer's answer is not of this sign-in.")
    return principal_of(claims)


def _discovered(verifier: Verifier) -> Json:
    try:
        found = verifier.discover()
        if found.get("issuer", verifier.settings.issuer) != verifier.settings.issuer:
            raise ValueError("issuer")
    except (OSError, HTTPException, ValueError) as error:
        raise _away() from error
    return found


def _away() -> NotReadyError:
    return NotReadyError(
        "The issuer does not answer.", fix="try again shortly, or sign in with a local account"
    )
