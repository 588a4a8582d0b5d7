"""Whose a list is: a person's who asked for it, or an office's, issued by schedule.

The schedule's name holds a sign that no account's name may hold, so nobody can pass for it.
"""

from __future__ import annotations

from typing import Final

from serving.access.accounts import Principal

SCHEDULE: Final = "schedule:"


def schedule_for(office: str) -> Principal:
    """Return in whose name the list of an office is issued by schedule."""
    return Principal(SCHEDULE + office, "schedule", frozenset({f"office:{office}"}), "schedule")


def office_of(owner: str) -> str:
    """Return the office whose list it is; empty for a person's.

    >>> office_of("schedule:776085"), office_of("maria")
    ('776085', '')
    """
    return owner.removeprefix(SCHEDULE) if owner.startswith(SCHEDULE) else ""


def owner_in_words(owner: str) -> str:
    """Say whose list it is.

    >>> owner_in_words("maria"), owner_in_words("schedule:785110")
    ('maria', 'everybody of the office, by schedule')
    """
    return "everybody of the office, by schedule" if office_of(owner) else owner


def own_names(principal: Principal) -> list[str]:
    """Return the owners whose lists are a caller's to work with: itself, and its offices'."""
    return [principal.name, *sorted(SCHEDULE + office for office in principal.offices)]


def is_own(principal: Principal, owner: str) -> bool:
    """Whether a list is a caller's to work with."""
    return owner in own_names(principal)
