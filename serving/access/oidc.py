"""Access tokens of an OpenID Connect issuer: verified, never trusted."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from jwt import PyJWK

from serving.access.accounts import Principal, check_account
from serving.errors import InvalidRequestError, NotReadyError, UnauthenticatedError
from serving.settings import OidcSettings

# Keys are fetched again when a token names an unknown one, but not more often than this.
MIN_REFETCH_SECONDS: Final = 10.0
MAX_AGE_SECONDS: Final = 3_600.0
_REFUSED: Final = "The access token is not accepted."
_ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


class Verifier:
    """Checks signature, issuer, audience, lifetime and claims of access tokens.

    Roles come from the claim ``ffl_risk_role``, areas from ``ffl_risk_areas``, the account's name
    from ``sub``, prefixed so that it cannot be mistaken for a local account.

    Parameters
    ----------
    settings : OidcSettings
    """

    def __init__(self, settings: OidcSettings) -> None:
        # `none` and shared-secret algorithms would let anyone who knows a public key sign.
        unsafe = set(settings.algorithms) - _ASYMMETRIC
        if unsafe or not settings.algorithms:
            raise InvalidRequestError(
                "FFL_RISK_OIDC_ALGORITHMS names an algorithm that cannot be accepted.",
                found=", ".join(sorted(unsafe)) or "none at all",
                expected=", ".join(sorted(_ASYMMETRIC)),
            )
        self._settings = settings
        self._keys: dict[str, PyJWK] = {}
        self._fetched = -MAX_AGE_SECONDS
        self._lock = threading.Lock()

    def principal(self, token: str) -> Principal:
        """Return who an access token stands for.

        Raises
        ------
        UnauthenticatedError
            When anything about it is not as it must be.
        """
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(str(header.get("kid", "")))
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(self._settings.algorithms),
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.skew_seconds,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(_REFUSED, found=type(error).__name__) from None
        return _principal(claims)

    def _key(self, key_id: str) -> PyJWK:
        now = time.monotonic()
        with self._lock:
            is_old = now - self._fetched > MAX_AGE_SECONDS
            may_refetch = now - self._fetched > MIN_REFETCH_SECONDS
            if is_old or (key_id not in self._keys and may_refetch):
                self._keys = self._fetch()
                self._fetched = now
            key = self._keys.get(key_id)
        if key is None:
            raise UnauthenticatedError(_REFUSED, found="signed with a key the issuer does not name")
        return key

    def _fetch(self) -> dict[str, PyJWK]:
        try:
            url = self._settings.jwks_url or str(
                _read_json(f"{self._settings.issuer}/.well-known/openid-configuration")["jwks_uri"]
            )
            keys = _read_json(url)["keys"]
            return {
                str(key["kid"]): PyJWK(key)
                for key in keys
                if key.get("use", "sig") == "sig" and key.get("kty") != "oct"
            }
        except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError):
            raise NotReadyError(
                "The keys of the issuer cannot be read, so no access token can be checked.",
                fix="try again; if it lasts, tell the operator of the service",
            ) from None


def _read_json(url: str) -> dict[str, Any]:
    if urlsplit(url).scheme not in {"https", "http"}:
        raise ValueError(url)
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - scheme checked above
        document = json.loads(answer.read(1 << 20))
    if not isinstance(document, dict):
        raise ValueError(url)
    return document


def _principal(claims: dict[str, Any]) -> Principal:
    areas = claims.get("ffl_risk_areas", [])
    role = claims.get("ffl_risk_role", "")
    if not isinstance(areas, list) or not all(isinstance(a, str) for a in areas):
        raise UnauthenticatedError(_REFUSED, found="ffl_risk_areas is not a list of texts")
    try:
        check_account("oidc", str(role), areas)
    except InvalidRequestError as error:
        raise UnauthenticatedError(_REFUSED, found=error.what) from None
    return Principal(f"oidc:{claims['sub']}"[:120], str(role), frozenset(areas), "oidc")
