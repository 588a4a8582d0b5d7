"""Who is asking: accounts, tokens, sessions, roles and areas.

Tokens are ``ffl_ID_SECRET``: the identifier finds the row, of the 256-bit secret only its SHA-256
is stored. There is no default password and no account made by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from features.domain.office_names import name_key
from features.errors import did_you_mean
from serving import clock
from serving.access.account_rows import AccountRow, TokenRow
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.access.named_areas import AREA, read_areas
from serving.access.passwords import hash_password, password_matches
from serving.access.roles import NATIONAL, NEEDS_AREA, NEEDS_OFFICE, ROLES, one
from serving.errors import ConflictError, InvalidRequestError, UnauthenticatedError
from serving.store.database import Store, instant
from serving.store.rows import picked
from serving.store.tables import ACCOUNTS, SESSIONS, TOKENS

COOKIE: Final = "ffl_risk_session"

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, RowMapping

logger = logging.getLogger("ffl_risk.service")
_NOBODY: Final = "no account of that name"
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
    token_id : str
        Of a local token: what a session opened with it ends with.
    csrf : str
        Of a session: what its forms must carry.
    """

    name: str
    role: str
    areas: frozenset[str]
    via: str = "token"
    csrf: str = ""
    purpose: str = ""
    token_id: str = ""

    @property
    def is_national(self) -> bool:
        """Whether the whole country is this caller's area."""
        return "nation" in self.areas or (self.role in NATIONAL and not self.areas)

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

    def has_office(self, name: str) -> bool:
        """Whether an office is named as the caller's own, in whatever spelling."""
        return name_key(name) in map(name_key, self.offices)

    def has_division(self, name: str) -> bool:
        """Whether a division is named as the caller's own, in whatever spelling."""
        return name_key(name) in map(name_key, self.divisions)


def cookie_name(name: str, *, is_https: bool) -> str:
    """Return what a cookie is called: over https, by a name that no neighboring host can set.

    >>> cookie_name(COOKIE, is_https=True)
    '__Host-ffl_risk_session'
    """
    return f"__Host-{name}" if is_https else name


def check_account(name: str, role: str, areas: Sequence[str]) -> None:
    """Refuse an account that makes no sense."""
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} cannot be an account name.",
            expected="2 to 80 of a-z, 0-9, '.', '_', '@', '-'",
        )
    if role not in ROLES:
        raise InvalidRequestError(
            f"{role!r} is not a role{did_you_mean(role, ROLES, end='.')}", expected=", ".join(ROLES)
        )
    for area in areas:
        if area != "nation" and not AREA.fullmatch(area):
            raise InvalidRequestError(
                f"{area!r} is not an area.", expected="nation, division:NAME or office:NAME"
            )
    if role in NEEDS_OFFICE and not any(a.startswith("office:") for a in areas):
        raise InvalidRequestError(
            f"{one(role)} needs at least one office.", fix="give --area 'office:NAME'"
        )
    if role in NEEDS_AREA and not areas:
        raise InvalidRequestError(
            f"{one(role)} needs an area.",
            fix="give --area 'division:NAME' or --area nation",
        )


class Directory:
    """Local accounts, tokens and sessions.

    Parameters
    ----------
    store : Store
        Where they are kept.
    ledger : Ledger, optional
        Records every change in the transaction that makes it, for whoever the ledger says.
    """

    def __init__(self, store: Store, ledger: Ledger | None = None) -> None:
        self._store = store
        self._ledger = ledger
        self._cache: dict[str, tuple[float, str, Principal]] = {}
        self._lock = threading.Lock()

    # Accounts

    def add_account(
        self, name: str, role: str, *, areas: Sequence[str] = (), password: str | None = None
    ) -> None:
        """Make an account; without a password it can only use tokens."""
        areas = read_areas(areas)
        check_account(name, role, areas)
        row = {
            "name": name,
            "role": role,
            "areas": areas,
            "password_hash": hash_password(password) if password is not None else None,
            "is_active": True,
            "created_at": instant(),
        }
        try:
            with self._store.write() as connection:
                connection.execute(ACCOUNTS.insert(), row)
                self._leave(connection, "add_account", _in_words(name, role, areas), account=name)
        except IntegrityError:
            raise ConflictError(f"There is already an account {name!r}.") from None

    def accounts(self) -> list[AccountRow]:
        """Return every account, without password hashes."""
        columns = [c for c in ACCOUNTS.c if c.name != "password_hash"]
        with self._store.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(ACCOUNTS.c.name))
            return [picked(AccountRow, row._mapping) for row in rows]

    def set_active(self, name: str, is_active: bool) -> None:
        """Enable or disable an account; disabled, its sessions end at once."""
        action = "enable_account" if is_active else "disable_account"
        self._change_account(name, action, name, is_active=is_active)

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password; sessions opened with the old one end at once."""
        hashed = hash_password(password)
        self._change_account(name, "set_password", name, password_hash=hashed)

    def set_role(self, name: str, role: str, *, areas: Sequence[str] | None = None) -> None:
        """Give an account another role, and other areas when they are given."""
        given = self._areas_of(name) if areas is None else read_areas(areas)
        check_account(name, role, given)
        subject = _in_words(name, role, given)
        self._change_account(name, "set_role", subject, role=role, areas=given)

    def set_areas(self, name: str, areas: Sequence[str]) -> None:
        """Give an account other areas."""
        with self._store.read() as connection:
            role = connection.scalar(sa.select(ACCOUNTS.c.role).where(ACCOUNTS.c.name == name))
        if role is None:
            raise InvalidRequestError(f"There is no account {name!r}.")
        given = read_areas(areas)
        check_account(name, role, given)
        self._change_account(name, "set_areas", _in_words(name, role, given), areas=given)

    def end_sessions(self, name: str) -> int:
        """End every session of an identity, ``oidc:`` ones too; return how many were open."""
        own, is_alive = SESSIONS.c.who == name, SESSIONS.c.expires_at > instant()
        count = sa.select(sa.func.count()).where(own, is_alive, SESSIONS.c.revoked_at.is_(None))
        with self._store.write() as connection:
            n = int(connection.scalar(count) or 0)
            _end_sessions(connection, own)
            self._leave(connection, "end_sessions", f"{name} {n}")
        return n

    def _areas_of(self, name: str) -> list[str]:
        with self._store.read() as connection:
            areas = connection.scalar(sa.select(ACCOUNTS.c.areas).where(ACCOUNTS.c.name == name))
        if areas is None:
            raise InvalidRequestError(f"There is no account {name!r}.")
        return list(areas)

    def _change_account(self, name: str, action: str, subject: str, **values: Any) -> None:
        """Change an account and end its sessions: what they were opened for no longer holds."""
        with self._store.write() as connection:
            statement = ACCOUNTS.update().where(ACCOUNTS.c.name == name).values(**values)
            if not connection.execute(statement).rowcount:
                raise InvalidRequestError(f"There is no account {name!r}.")
            _end_sessions(connection, SESSIONS.c.account == name)
            self._leave(connection, action, subject, account=name)
        self._cache.clear()

    def _leave(self, connection: Connection, action: str, subject: str, **kept: str) -> None:
        """Record a change within its transaction."""
        if self._ledger is not None:
            rows = [kept_now(connection, kind, key) for kind, key in kept.items()]
            self._ledger.add(connection, action, subject, kept=" ".join(rows))

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
            "expires_at": instant(clock.now() + timedelta(days=days)),
        }
        with self._store.write() as connection:
            if connection.execute(sa.select(ACCOUNTS).where(ACCOUNTS.c.name == account)).first():
                connection.execute(TOKENS.insert(), row)
                self._leave(connection, "issue_token", f"{token_id} {account}", token=token_id)
                return f"ffl_{token_id}_{secret}"
        raise InvalidRequestError(f"There is no account {account!r}.", fix="ffl-risk users add")

    def tokens(self) -> list[TokenRow]:
        """Return every token's facts, never its secret."""
        columns = [c for c in TOKENS.c if c.name != "secret_sha256"]
        with self._store.read() as connection:
            rows = connection.execute(sa.select(*columns).order_by(TOKENS.c.created_at))
            return [picked(TokenRow, row._mapping) for row in rows]

    def revoke_token(self, token_id: str) -> None:
        """Make a token useless from now on, and end the sessions that were opened with it."""
        statement = TOKENS.update().where(TOKENS.c.token_id == token_id)
        with self._store.write() as connection:
            if not connection.execute(statement.values(revoked_at=instant())).rowcount:
                raise InvalidRequestError(f"There is no token {token_id!r}.")
            _end_sessions(connection, SESSIONS.c.token_id == token_id)
            self._leave(connection, "revoke_token", token_id, token=token_id)
        self._cache.clear()

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
        principal = _principal(row, "token", token_id=row["token_id"])
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
            # Never what was typed, which may be a password in the wrong field.
            logger.warning("a sign-in was refused: %s", known["name"] if known else _NOBODY)
            raise UnauthenticatedError("The name or the password is wrong.")
        return _principal(known, "session")

    def start_session(
        self, principal: Principal, purpose: str, *, hours: float, ledger: Ledger | None = None
    ) -> str:
        """Open a session and return the value of its cookie.

        Parameters
        ----------
        ledger : Ledger, optional
            Records that it was opened, in the same transaction.
        """
        cookie = secrets.token_urlsafe(32)
        is_local = principal.via != "oidc"
        row = {
            "session_sha256": _sha256(cookie),
            "who": principal.name,
            "account": principal.name if is_local else None,
            "token_id": principal.token_id or None,
            "role": principal.role,
            "areas": sorted(principal.areas),
            "csrf": secrets.token_urlsafe(32),
            "purpose": purpose,
            "created_at": instant(),
            "expires_at": instant(clock.now() + timedelta(hours=hours)),
        }
        with self._store.write() as connection:
            connection.execute(SESSIONS.insert(), row)
            if ledger is not None:
                kept = kept_now(connection, "session", str(row["session_sha256"]))
                ledger.add(connection, "sign_in", "", purpose=purpose, kept=kept)
        return cookie

    def principal_of_session(self, cookie: str) -> Principal:
        """Return who a session cookie stands for.

        Of a local account the account itself is asked each time, and the token that the session
        was opened with: disabled or revoked, the session is over. An issuer's identity keeps the
        role that it signed in with, for as long as the session lasts.
        """
        is_active = ACCOUNTS.c.is_active.label("account_is_active")
        token = (TOKENS.c.revoked_at.label("gone_at"), TOKENS.c.expires_at.label("token_until"))
        query = (
            sa.select(SESSIONS, is_active, ACCOUNTS.c.role.label("role_now"), *token)
            .outerjoin(ACCOUNTS, ACCOUNTS.c.name == SESSIONS.c.account)
            .outerjoin(TOKENS, TOKENS.c.token_id == SESSIONS.c.token_id)
            .where(SESSIONS.c.session_sha256 == _sha256(cookie))
        )
        with self._store.read() as connection:
            row = connection.execute(query).first()
        kept = row._mapping if row else None
        now = instant()
        if (
            kept is None
            or kept["revoked_at"]
            or kept["expires_at"] <= now
            or kept["gone_at"]
            or (kept["token_until"] or "9") <= now
            or (kept["account"] is not None and not kept["account_is_active"])
            or (kept["account"] is not None and kept["role_now"] != kept["role"])
        ):
            raise UnauthenticatedError("The session is over.", fix="sign in again")
        return Principal(
            kept["who"],
            kept["role"],
            frozenset(kept["areas"]),
            "session",
            kept["csrf"],
            kept["purpose"],
            kept["token_id"] or "",
        )

    def purpose_stated(self, cookie: str) -> str:
        """Return the purpose of a session, also of one that is over; empty when there is none."""
        query = sa.select(SESSIONS.c.purpose).where(SESSIONS.c.session_sha256 == _sha256(cookie))
        with self._store.read() as connection:
            return str(connection.scalar(query) or "")

    def end_session(self, cookie: str, *, ledger: Ledger | None = None) -> None:
        """Sign out: the session is over, and nobody revoked it."""
        own, now = SESSIONS.c.session_sha256 == _sha256(cookie), instant()
        over = SESSIONS.update().where(own, SESSIONS.c.expires_at > now).values(expires_at=now)
        with self._store.write() as connection:
            connection.execute(over)
            if ledger is not None:
                ledger.add(connection, "sign_out", "")


def _end_sessions(connection: Connection, which: sa.ColumnElement[bool]) -> None:
    """Revoke sessions, those that were over already too."""
    statement = SESSIONS.update().where(which, SESSIONS.c.revoked_at.is_(None))
    connection.execute(statement.values(revoked_at=instant()))


def _in_words(name: str, role: str, areas: Sequence[str]) -> str:
    return " ".join([name, role, *sorted(set(areas))])


def _principal(row: RowMapping, via: str, *, token_id: str = "") -> Principal:
    areas = frozenset(row["areas"])
    return Principal(row["name"], row["role"], areas, via, token_id=token_id)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
