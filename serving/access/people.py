"""Who can be handed work: people of the service by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from serving.access.accounts import Principal
from serving.access.roles import NEEDS_OFFICE
from serving.store.database import Store
from serving.store.tables import ACCOUNTS, SESSIONS


def not_known(store: Store, names: Iterable[str], roles: Collection[str]) -> list[str]:
    """Return those names under which nobody of some roles can see what is handed to them.

    Somebody is known who has an active account of such a role, or who has signed in with it
    through the agency's own accounts.

    Parameters
    ----------
    names : iterable of str
        As a form gave them, in their order.
    roles : collection of str
    """
    asked = list(dict.fromkeys(names))
    accounts = sa.select(ACCOUNTS.c.name).where(
        ACCOUNTS.c.name.in_(asked), ACCOUNTS.c.role.in_(roles), ACCOUNTS.c.is_active
    )
    elsewhere = sa.select(SESSIONS.c.who).where(
        SESSIONS.c.who.in_(asked), SESSIONS.c.role.in_(roles), SESSIONS.c.account.is_(None)
    )
    with store.read() as connection:
        known = set(connection.execute(accounts.union(elsewhere)).scalars())
    return [name for name in asked if name not in known]


def one_known(store: Store, name: str, roles: Collection[str]) -> Principal | None:
    """Return who of some roles signs in under a name, with role and areas, None when nobody does.

    Somebody of the agency's own accounts is who they were when they signed in last.
    """
    account = sa.select(ACCOUNTS.c.role, ACCOUNTS.c.areas).where(
        ACCOUNTS.c.name == name, ACCOUNTS.c.role.in_(roles), ACCOUNTS.c.is_active
    )
    elsewhere = (
        sa.select(SESSIONS.c.role, SESSIONS.c.areas)
        .where(SESSIONS.c.who == name, SESSIONS.c.account.is_(None))
        .order_by(SESSIONS.c.created_at.desc())
    )
    with store.read() as connection:
        found = connection.execute(account).first() or connection.execute(elsewhere).first()
    if found is None or found.role not in roles:
        return None
    return Principal(name, found.role, frozenset(found.areas))


def inspectors_of(store: Store, offices: Collection[str]) -> list[str]:
    """Return the account names of the active inspectors of some offices, by name.

    Those of the agency's own accounts are known once they have signed in.

    Parameters
    ----------
    offices : collection of str
        The caller's own: who inspects elsewhere is not told.
    """
    wanted = {f"office:{office}" for office in offices}
    accounts = sa.select(ACCOUNTS.c.name, ACCOUNTS.c.areas).where(
        ACCOUNTS.c.role.in_(NEEDS_OFFICE), ACCOUNTS.c.is_active
    )
    elsewhere = sa.select(SESSIONS.c.who, SESSIONS.c.areas).where(
        SESSIONS.c.role.in_(NEEDS_OFFICE), SESSIONS.c.account.is_(None)
    )
    with store.read() as connection:
        rows = [*connection.execute(accounts), *connection.execute(elsewhere)]
    return sorted({str(name) for name, areas in rows if wanted & set(areas)})
