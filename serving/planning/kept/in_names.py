"""Sentences of a plan in the names of people and dealers, where they were written in numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_PERSON: Final = re.compile(r"\binvestigator (\d+)")
_DEALER: Final = re.compile(r"\b\d-\d{2}-[0-9A-Z]{5}\b")


def in_names(sentence: str, investigators: Sequence[str], dealers: Mapping[str, str]) -> str:
    """Return a sentence with names for numbers and keys; what has no name stays as it is.

    Parameters
    ----------
    investigators : sequence of str
        In the order of their numbers, from 1.
    dealers : mapping of str to str
        Names of dealers by key.

    >>> in_names("Week 2 of investigator 1 takes 45 hours.", ["maria"], {})
    'Week 2 of maria takes 45 hours.'
    >>> in_names("3-46-Q0225 needs 2 investigator-weeks.", [], {"3-46-Q0225": "Badger Arms"})
    'Badger Arms (3-46-Q0225) needs 2 investigator-weeks.'
    """

    def person(found: re.Match[str]) -> str:
        number = int(found[1])
        return investigators[number - 1] if 1 <= number <= len(investigators) else found[0]

    def dealer(found: re.Match[str]) -> str:
        name = dealers.get(found[0])
        return f"{name} ({found[0]})" if name else found[0]

    return _DEALER.sub(dealer, _PERSON.sub(person, sentence))


def dealers_in(sentences: Iterable[str]) -> frozenset[str]:
    """Return the keys of the dealers that sentences name."""
    return frozenset(key for sentence in sentences for key in _DEALER.findall(sentence))


def move_in_words(move: str, investigators: Sequence[str], dealers: Mapping[str, str]) -> str:
    """Return a change by hand in words.

    >>> move_in_words("3-46-Q0225~2.1", ["maria", "omar"], {"3-46-Q0225": "Badger Arms"})
    'Badger Arms (3-46-Q0225) to week 2, maria'
    >>> move_in_words("3-46-Q0225~out", ["maria"], {})
    '3-46-Q0225 left out'
    """
    dealer, _, where = move.partition("~")
    if where == "out":
        return in_names(f"{dealer} left out", investigators, dealers)
    week, _, person = where.partition(".")
    with_person = f", investigator {person}" if len(investigators) > 1 else ""
    return in_names(f"{dealer} to week {week}{with_person}", investigators, dealers)
