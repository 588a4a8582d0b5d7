"""What a trace or a seizure says about a firearm, and the groups that signals count."""

from __future__ import annotations

from typing import Final

HANDGUNS: Final = frozenset({"pistol", "revolver"})
LONG_GUNS: Final = frozenset({"rifle", "shotgun"})

NAMES: Final = {
    "pistol": "pistol",
    "revolver": "revolver",
    "rifle": "rifle",
    "shotgun": "shotgun",
    "receiver": "frame or receiver",
    "other": "other firearm",
}

# Serial states under which no chain of custody can be followed.
UNTRACEABLE_SERIALS: Final = frozenset({"obliterated", "none"})


def is_handgun(firearm_type: str) -> bool:
    """Whether a firearm type is a handgun, as the multiple-sale report counts them.

    >>> is_handgun("revolver"), is_handgun("receiver")
    (True, False)
    """
    return firearm_type in HANDGUNS


def is_long_gun(firearm_type: str) -> bool:
    """Whether a firearm type is a long gun.

    >>> is_long_gun("rifle")
    True
    """
    return firearm_type in LONG_GUNS
