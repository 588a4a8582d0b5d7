"""Who is asking: accounts, tokens, sessions, roles and areas.

Tokens are ``ffl_ID_SECRET``: the identifier finds the row, of the 256-bit secret only its SHA-256
is stored. There is no default password and no account made by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from features.errors import did_you_mean
from serving.errors import ConflictError, InvalidRequestError, UnauthenticatedError
from serving.store.database import Store, instant
from serving.store.tables import ACCOUNTS, SESSIONS, TOKENS

COOKIE: Final = "ffl_risk_session"

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping

Role = Literal["inspector", "supervisor", "analyst", "scheduler", "partner", "auditor", "admin"]
ROLES: Final[tuple[str, ...]] = get_args(Role)
Purpose = Literal["licensing", "criminal_investigation", "statistics"]
PURPOSES: Final[tuple[str, ...]] = get_args(Purpose)

# A revoked token or a disabled account stops being accepted within this many seconds.
CACHE_SECONDS: Final = 2.0
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,79}")
_TOKEN: Final = re.compile(r"ffl_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Principal:
    """An authenticated caller.

    Parameters
    ----------
    areas : frozenset of str
        ``nation``, ``division:NAME`` or ``office:NAME``.
    via : str
        ``token``, ``session`` or ``oidc``.
    csrf : str
        Of a session: what its forms must carry.
    """

    name: str
    role: str
    areas: frozenset[str]
    via: str = "token"
    csrf: str = ""
    purpose: str = ""

    @property
    def is_national(self) -> bool:
        """Whether the whole country is this caller's area."""
        return "nation" in self.areas or self.role in {"analyst", "scheduler"}

    @property
    def offices(self) -> frozenset[str]:
        """The offices that are named as the caller's own."""
        return frozenset(a.removeprefix("office:") for a in self.areas if a.startswith("office:"))

    @property
    def divisions(self) -> frozenset[str]:
        """The divisions that are named as the caller's own."""
        return frozenset(
            a.removeprefix("division:") for a in self.areas if a.startswith("division:")
        )


def check_account(name: str, role: str, areas: Sequence[str]) -> None:
    """Refuse an account that makes no sense."""
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} cannot be an account name.",
            expected="2 to 80 of a-z, 0-9, '.', '_', '@', '-'",
        )
    if role not in ROLES:
        raise InvalidRequestError(
            f"{role!r} is not a role{did_you_mean(role, ROLES)}.", expected=", ".join(ROLES)
        )
    for area in areas:
        if area != "nation" and not re.fullmatch(r"(office|division):[^:\x00-\x1f]{1,80}", area):
            raise InvalidRequestError(
                f"{area!r} is not an area.", expected="nation, division:NAME or office:NAME"
            )
    if role == "inspector" and not any(a.startswith("office:") for a in areas):
        raise InvalidRequestError(
            "An inspector needs at least one office.", fix="give --area 'office:NAME'"
        )
    if role == "supervisor" and not areas:
        raise InvalidRequestError(
            "A supervisor needs an area.", fix="give --area 'division:NAME' or --area nation"
        )


class Directory:
    """Local accounts, tokens and sessions.

    Parameters
    ----------
    store : Store
        Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache: dict[str, tuple[float, str, Principal]] = {}
        self._lock = threading.Lock()

    # Accounts

    def add_account(
        self, name: str, role: str, *, areas: Sequence[str] = (), password: str | None = None
    ) -> None:
        """Make an account; without a password it can only use tokens."""
        check_account(name, role, areas)
        row = {
            "name": name,
            "role": role,
            "areas": sorted(set(areas)),
            "password_hash": hash_password(password) if password is not None else None,
            "is_active": True,
            "created_at": instant(),
        }
        try:
            with self._store.write() as connection:
                connection.execute(ACCOUNTS.insert(), row)
        except IntegrityError:
            raise ConflictError(f"There is already an account {name!r}.") from None

    def accounts(self) -> list[dict[str, Any]]:
        """Return every account, without password hashes."""
        columns = [c for c in ACCOUNTS.c if c.name != "password_hash"]
        with self._store.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(ACCOUNTS.c.name))
            return [dict(row._mapping) for row in rows]

    def set_active(self, name: str, is_active: bool) -> None:
        """Enable or disable an account."""
        statement = ACCOUNTS.update().where(ACCOUNTS.c.name == name).values(is_active=is_active)
        self._change(statement, f"There is no account {name!r}.")

    # Tokens

    def issue_token(self, account: str, *, label: str = "", days: float = 30.0) -> str:
        """Make a token and return it; it cannot be shown again."""
        if not 0 < days <= 366:
            raise InvalidRequestError(
                "A token lasts between a moment and 366 days.", found=f"{days:g} days"
            )
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        row = {
            "token_id": token_id,
            "account": account,
            "label": label[:80],
            "secret_sha256": _sha256(secret),
            "created_at": instant(),
            "expires_at": instant(datetime.now(UTC) + timedelta(days=days)),
        }
        with self._store.write() as connection:
            if connection.execute(sa.select(ACCOUNTS).where(ACCOUNTS.c.name == account)).first():
                connection.execute(TOKENS.insert(), row)
                return f"ffl_{token_id}_{secret}"
        raise InvalidRequestError(f"There is no account {account!r}.", fix="ffl-risk users add")

    def tokens(self) -> list[dict[str, Any]]:
        """Return every token's facts, never its secret."""
        columns = [c for c in TOKENS.c if c.name != "secret_sha256"]
        with self._store.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(TOKENS.c.created_at))
            return [dict(row._mapping) for row in rows]

    def revoke_token(self, token_id: str) -> None:
        """Make a token useless from now on."""
        statement = TOKENS.update().where(TOKENS.c.token_id == token_id)
        self._change(statement.values(revoked_at=instant()), f"There is no token {token_id!r}.")

    def remembered(self, token: str) -> Principal | None:
        """Return who a token stands for if that was looked up a moment ago."""
        cached = self._cache.get(token)
        if cached and time.monotonic() - cached[0] < CACHE_SECONDS and cached[1] > instant():
            return cached[2]
        return None

    def principal_of_token(self, token: str) -> Principal:
        """Return who a token stands for.

        Raises
        ------
        UnauthenticatedError
            When it is unknown, expired or revoked, or its account disabled: all alike.
        """
        if known := self.remembered(token):
            return known
        now = time.monotonic()
        matched = _TOKEN.fullmatch(token)
        row = self._token_row(matched[1]) if matched else None
        if (
            matched is None
            or row is None
            or not hmac.compare_digest(row["secret_sha256"], _sha256(matched[2]))
            or row["revoked_at"]
            or row["expires_at"] <= instant()
            or not row["is_active"]
        ):
            raise UnauthenticatedError(
                "The token is not accepted.",
                expected="a token that is known, not expired and not revoked",
                fix="ask an administrator for a new one: ffl-risk tokens issue ACCOUNT",
            )
        principal = _principal(row, "token")
        with self._lock:
            if len(self._cache) > 10_000:
                self._cache.clear()
            self._cache[token] = (now, row["expires_at"], principal)
        return principal

    def _token_row(self, token_id: str) -> RowMapping | None:
        query = sa.select(TOKENS, ACCOUNTS).join(ACCOUNTS, ACCOUNTS.c.name == TOKENS.c.account)
        with self._store.read() as connection:
            row = connection.execute(query.where(TOKENS.c.token_id == token_id)).first()
        return row._mapping if row else None

    # Browser sessions

    def sign_in(self, name: str, password: str) -> Principal:
        """Return who a name and password stand for; takes as long for a name that is not there."""
        with self._store.read() as connection:
            row = connection.execute(sa.select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
        known = row._mapping if row else None
        kept = known["password_hash"] if known and known["is_active"] else None
        if not password_matches(kept, password) or known is None:
            raise UnauthenticatedError("The name or the password is wrong.")
        return _principal(known, "session")

    def start_session(self, principal: Principal, purpose: str, *, hours: float) -> str:
        """Open a session and return the value of its cookie."""
        cookie = secrets.token_urlsafe(32)
        row = {
            "session_sha256": _sha256(cookie),
            "account": principal.name,
            "csrf": secrets.token_urlsafe(32),
            "purpose": purpose,
            "created_at": instant(),
            "expires_at": instant(datetime.now(UTC) + timedelta(hours=hours)),
        }
        with self._store.write() as connection:
            connection.execute(SESSIONS.insert(), row)
        return cookie

    def principal_of_session(self, cookie: str) -> Principal:
        """Return who a session cookie stands for."""
        query = (
            sa.select(SESSIONS, ACCOUNTS)
            .join(ACCOUNTS, ACCOUNTS.c.name == SESSIONS.c.account)
            .where(SESSIONS.c.session_sha256 == _sha256(cookie))
        )
        with self._store.read() as connection:
            row = connection.execute(query).first()
        kept = row._mapping if row else None
        if (
            kept is None
            or kept["revoked_at"]
            or not kept["is_active"]
            or kept["expires_at"] <= instant()
        ):
            raise UnauthenticatedError("The session is over.", fix="sign in again")
        return _principal(kept, "session", csrf=kept["csrf"], purpose=kept["purpose"])

    def end_session(self, cookie: str) -> None:
        """Sign out."""
        statement = SESSIONS.update().where(SESSIONS.c.session_sha256 == _sha256(cookie))
        with self._store.write() as connection:
            connection.execute(statement.values(revoked_at=instant()))

    def _change(self, statement: sa.Update, message: str) -> None:
        with self._store.write() as connection:
            changed = connection.execute(statement).rowcount
        self._cache.clear()
        if not changed:
            raise InvalidRequestError(message)


def _principal(row: RowMapping, via: str, *, csrf: str = "", purpose: str = "") -> Principal:
    return Principal(row["name"], row["role"], frozenset(row["areas"]), via, csrf, purpose)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hash_password(password: str) -> str:
    """Return the Argon2id hash of a password of at least 12 characters."""
    if len(password) < 12:
        raise InvalidRequestError("A password needs at least 12 characters.")
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def password_matches(kept: str | None, password: str) -> bool:
    """Return whether the password is the kept one; None never matches but takes as long."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(kept or _UNMATCHED, password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


# The hash of a random password that nobody has.
_UNMATCHED: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$"
    "c29tZXNhbHRzb21lc2FsdA$tZ0o5QvZz5oJm9n6qkz7f0kq8wVtJm1x0bq0m6cQm3M"
)
