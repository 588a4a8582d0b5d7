"""Who can be handed work: people of the service by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import sqlalchemy as sa

from features.domain.office_names import name_key
from serving.access.accounts import Principal
from serving.access.roles import NEEDS_OFFICE
from serving.store.database import Store
from serving.store.tables import ACCOUNTS, SESSIONS

# What the name of somebody begins with who signs in through the issuer.
ISSUERS: Final = "oidc:"


def as_kept(typed: str) -> str:
    """Return the name that somebody typed, as the service keeps it.

    A local account has no capital. What an issuer calls somebody is the issuer's to spell.

    >>> as_kept(" Maria "), as_kept("OIDC:Kx7-Qq")
    ('maria', 'oidc:Kx7-Qq')
    """
    name = typed.strip()
    if name[: len(ISSUERS)].lower() == ISSUERS:
        return ISSUERS + name[len(ISSUERS) :]
    return name.lower()


def people(
    connection: sa.Connection, names: Iterable[str], roles: Collection[str]
) -> dict[str, Principal]:
    """Return who of some names can use what is handed to some roles, with their areas.

    Somebody can who has an active account of such a role, or who signed in with it last through
    the agency's own accounts and was not locked out since.

    Parameters
    ----------
    names : iterable of str
        As the service keeps them.
    roles : collection of str
    """
    asked = list(dict.fromkeys(names))
    columns = (ACCOUNTS.c.name, ACCOUNTS.c.role, ACCOUNTS.c.areas)
    accounts = sa.select(*columns).where(ACCOUNTS.c.name.in_(asked), ACCOUNTS.c.is_active)
    found = _elsewhere(connection, SESSIONS.c.who.in_(asked)) | {
        name: Principal(name, role, frozenset(areas))
        for name, role, areas in connection.execute(accounts)
    }
    return {name: who for name, who in found.items() if who.role in roles}


def _elsewhere(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> dict[str, Principal]:
    """Return those who signed in through an issuer, as their newest session has them.

    Whose sessions the operator has ended since is not among them: that is how such a person is
    locked out.
    """
    query = sa.select(SESSIONS.c.who, SESSIONS.c.role, SESSIONS.c.areas, SESSIONS.c.revoked_at)
    query = query.where(SESSIONS.c.account.is_(None), *which).order_by(SESSIONS.c.created_at)
    newest = {name: rest for name, *rest in connection.execute(query)}
    return {
        name: Principal(name, role, frozenset(areas))
        for name, (role, areas, revoked_at) in newest.items()
        if revoked_at is None
    }


def not_known(store: Store, names: Iterable[str], roles: Collection[str]) -> list[str]:
    """Return those names under which nobody of some roles can see what is handed to them."""
    asked = list(dict.fromkeys(names))
    with store.read() as connection:
        known = people(connection, asked, roles)
    return [name for name in asked if name not in known]


def one_known(store: Store, name: str, roles: Collection[str]) -> Principal | None:
    """Return who of some roles signs in under a name, None when nobody does."""
    with store.read() as connection:
        return people(connection, [name], roles).get(name)


def inspectors_of(store: Store, offices: Collection[str]) -> list[str]:
    """Return the account names of the active inspectors of some offices, by name.

    Those of the agency's own accounts are known once they have signed in.

    Parameters
    ----------
    offices : collection of str
        The caller's own: who inspects elsewhere is not told.
    """
    wanted = {name_key(f"office:{office}") for office in offices}
    accounts = sa.select(ACCOUNTS.c.name, ACCOUNTS.c.areas).where(
        ACCOUNTS.c.role.in_(NEEDS_OFFICE), ACCOUNTS.c.is_active
    )
    with store.read() as connection:
        found = {str(name): frozenset(areas) for name, areas in connection.execute(accounts)}
        for name, who in _elsewhere(connection).items():
            if who.role in NEEDS_OFFICE:
                found[name] = who.areas
    return sorted(
        name for name, areas in found.items() if wanted & {name_key(area) for area in areas}
    )
