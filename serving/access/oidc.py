"""Tokens of an OpenID Connect issuer: verified, never trusted.

The issuer's keys are fetched by one caller at a time, outside any lock, within a deadline, and a
fetch that failed is remembered: an issuer that hangs, and whoever sends junk meanwhile, holds up
nobody whose key is known.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from features.openjson import Json
from serving.access.accounts import Principal, check_account
from serving.access.named_areas import read_areas
from serving.errors import InvalidRequestError, NotReadyError, UnauthenticatedError
from serving.settings import OidcSettings

if TYPE_CHECKING:
    from jwt import PyJWK

logger = logging.getLogger("ffl_risk.service")
# Keys are fetched again when a token names an unknown one, but not more often than this, whether
# the last time went well or not.
MIN_REFETCH_SECONDS: Final = 10.0
MAX_AGE_SECONDS: Final = 3_600.0
# While the issuer does not answer, the keys known last stand for so long.
STALE_SECONDS: Final = 6 * 3_600.0
_FETCH_SECONDS: Final = 4.0
_ABANDONED_SECONDS: Final = 20.0
_FIRST_WAIT_SECONDS: Final = 1.0
_MOST_BYTES: Final = 1 << 20
_LONGEST_SUBJECT: Final = 255  # OpenID Connect Core 1.0, section 2
_REFUSED: Final = "The access token is not accepted."
_ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


class Verifier:
    """Checks signature, issuer, audience, lifetime and claims of an issuer's tokens.

    Roles come from the claim ``ffl_risk_role``, areas from ``ffl_risk_areas``, the account's name
    from ``sub``, prefixed so that it cannot be mistaken for a local account, and never cut.

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
        self.settings = settings
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched: float | None = None
        self._tried = -MAX_AGE_SECONDS
        self._under_way: float | None = None
        self._changed = threading.Condition()

    def principal(self, token: str) -> Principal:
        """Return who an access token stands for.

        Raises
        ------
        UnauthenticatedError
            When anything about it is not as it must be.
        NotReadyError
            When the issuer's keys were never read and cannot be now.
        """
        return principal_of(self.claims(token, audience=self.settings.audience))

    def claims(self, token: str, *, audience: str) -> Json:
        """Return the claims of a token that the issuer made for `audience`."""
        import jwt  # slow to import, and not needed without an issuer

        try:
            header = jwt.get_unverified_header(token)
            self._glance(token, header, audience)
            key = self._key(str(header.get("kid", "")))
            claims: Json = jwt.decode(
                token,
                key.key,
                algorithms=list(self.settings.algorithms),
                audience=audience,
                issuer=self.settings.issuer,
                leeway=self.settings.skew_seconds,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, TypeError, ValueError) as error:
            raise UnauthenticatedError(_REFUSED, found=type(error).__name__) from None
        return claims

    def _glance(self, token: str, header: Mapping[str, Any], audience: str) -> None:
        """Refuse what could not be accepted under any key, before a key is looked for."""
        if header.get("alg") not in self.settings.algorithms:
            raise UnauthenticatedError(_REFUSED, found="an algorithm that is not accepted")
        import jwt

        jwt.decode(
            token,
            audience=audience,
            issuer=self.settings.issuer,
            leeway=self.settings.skew_seconds,
            options={
                "verify_signature": False,
                "verify_aud": True,
                "verify_iss": True,
                "verify_exp": True,
                "require": ["exp", "iat", "iss", "aud", "sub"],
            },
        )

    def _key(self, key_id: str) -> PyJWK:
        now = time.monotonic()
        keys, fetched = self._keys, self._fetched
        age = None if fetched is None else now - fetched
        key = keys.get(key_id)
        if key is None or age is None or age > MAX_AGE_SECONDS:
            if self._may_fetch(now):
                self._refetch(now)
            elif age is None:
                self._wait_for_first()
            keys, fetched = self._keys, self._fetched
            if fetched is None or time.monotonic() - fetched > STALE_SECONDS:
                raise NotReadyError(
                    "The keys of the issuer cannot be read, so no access token can be checked.",
                    fix="try again; if it lasts, tell the operator of the service",
                )
            key = keys.get(key_id)
        if key is None:
            raise UnauthenticatedError(_REFUSED, found="signed with a key the issuer does not name")
        return key

    def _may_fetch(self, now: float) -> bool:
        """Take the right to fetch, if nobody has it and the last try is long enough ago."""
        with self._changed:
            is_busy = self._under_way is not None and now - self._under_way < _ABANDONED_SECONDS
            if is_busy or now - self._tried <= MIN_REFETCH_SECONDS:
                return False
            self._under_way = now
            return True

    def _refetch(self, begun: float) -> None:
        keys: Mapping[str, PyJWK] | None = None
        try:
            keys = self._fetch()
        except (OSError, HTTPException, ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("the issuer's keys cannot be read: %s", type(error).__name__)
        finally:
            with self._changed:
                self._tried = time.monotonic()
                if keys:
                    self._keys, self._fetched = keys, self._tried
                if self._under_way == begun:
                    self._under_way = None
                self._changed.notify_all()

    def _wait_for_first(self) -> None:
        """Give the first fetch a moment: at the start many may come at once."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way is None, timeout=_FIRST_WAIT_SECONDS)

    def _fetch(self) -> Mapping[str, PyJWK]:
        import jwt

        until = time.monotonic() + _FETCH_SECONDS
        url = self.settings.jwks_url or str(self.discover(until=until)["jwks_uri"])
        keys: dict[str, PyJWK] = {}
        for entry in read_json(url, until=until)["keys"]:
            try:
                if entry.get("use", "sig") == "sig" and entry.get("kty") != "oct":
                    keys[str(entry["kid"])] = jwt.PyJWK(entry)
            except (jwt.PyJWTError, AttributeError, KeyError, TypeError, ValueError) as error:
                # One that this service cannot use says nothing about the others.
                logger.warning("a key of the issuer is passed over: %s", type(error).__name__)
        if not keys:
            raise ValueError("no key")
        return keys

    def discover(self, *, until: float | None = None) -> Json:
        """Return what the issuer says of itself."""
        url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        return read_json(url, until=until or time.monotonic() + _FETCH_SECONDS)


def read_json(url: str, *, until: float, form: Mapping[str, str] | None = None) -> Json:
    """Read a JSON object, by POST when a form is given, before a moment of the monotonic clock."""
    if urlsplit(url).scheme not in {"https", "http"}:
        raise ValueError(url)
    body = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(url, body, {"Accept": "application/json"})  # noqa: S310 - checked
    parts: list[bytes] = []
    seconds = max(0.1, until - time.monotonic())
    with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - scheme checked
        while part := answer.read1(1 << 16):
            parts.append(part)
            if time.monotonic() > until or sum(map(len, parts)) > _MOST_BYTES:
                raise TimeoutError(url)
    document = json.loads(b"".join(parts))
    if not isinstance(document, dict):
        raise ValueError(url)
    return document


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """Return who verified claims stand for.

    Raises
    ------
    UnauthenticatedError
        When they name nobody, or no role or area of this service.
    """
    areas = claims.get("ffl_risk_areas", [])
    role = claims.get("ffl_risk_role", "")
    subject = claims.get("sub")
    if (
        not isinstance(subject, str)
        or not subject.strip()
        or subject != subject.strip()
        or not subject.isprintable()
        or len(subject) > _LONGEST_SUBJECT
    ):
        raise UnauthenticatedError(
            _REFUSED,
            found="a sub that names nobody",
            expected=f"1 to {_LONGEST_SUBJECT} printable characters",
        )
    if not isinstance(areas, list) or not all(isinstance(a, str) for a in areas):
        raise UnauthenticatedError(_REFUSED, found="ffl_risk_areas is not a list of texts")
    areas = read_areas(areas)
    try:
        check_account("oidc", str(role), areas)
    except InvalidRequestError as error:
        raise UnauthenticatedError(_REFUSED, found=error.what) from None
    return Principal(f"oidc:{subject}", str(role), frozenset(areas), "oidc")
