"""What changed since the last list, and by what: records, places, or somebody's hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, TypedDict

from serving.contract.records.lists import ListDocument, ListRowRecord

_RANDOM: Final = "random"
_PLACES: Final = "places"
# Why a dealer came on, by the first of its reasons; those that the order brings are of two kinds.
_CAME: Final[Mapping[str, str]] = {
    "model": "by their records",
    _PLACES: "as more places go by priority",
    "recall": "as due for recall",
    "coverage": "as longest unseen",
    "manual": "by hand",
}
_WENT: Final[Mapping[str, str]] = {
    "model": "by their records or a visit",
    _PLACES: "as fewer places go by priority",
    "recall": "that had been due for recall",
    "coverage": "that had been longest unseen",
    "manual": "that had been put on by hand",
}


class ChangeInWords(TypedDict):
    """What changed since the last list, those drawn at random apart.

    `came` and `went` say by what, as numbers by why.
    """

    previous_list: str
    came: str
    went: str
    n_drawn: int
    left: list[ListRowRecord]
    n_drawn_before: int


def change_in_words(document: ListDocument, previous: ListDocument | None) -> ChangeInWords | None:
    """Say what changed since the last list; who was drawn at random then or now is told apart.

    Nothing is said against a list that the reader may not read: who went off it cannot be counted.
    """
    if document["change"] is None or previous is None:
        return None
    entered = [
        row
        for row in document["rows"]
        if row["change"] is None or row["change"]["previous_position"] is None
    ]
    left = set(document["change"]["left"])
    gone = [row for row in previous["rows"] if row["dealer"] in left]
    came, went = _by_why(entered), _by_why(gone)
    n_drawn, n_drawn_before = came.pop(_RANDOM, 0), went.pop(_RANDOM, 0)
    # The places that go by priority are what the list has left beside all others.
    grown = _by_why(document["rows"])["model"] - _by_why(previous["rows"])["model"]
    return {
        "previous_list": document["change"]["previous_list"],
        "came": _said(_parted(came, grown), "came on", _CAME),
        "went": _said(_parted(went, -grown), "went off", _WENT),
        "n_drawn": n_drawn,
        "left": [row for row in gone if row["why"][0] != _RANDOM],
        "n_drawn_before": n_drawn_before,
    }


def _by_why(rows: Iterable[ListRowRecord]) -> Counter[str]:
    return Counter(row["why"][0] for row in rows)


def _parted(counts: Counter[str], n_places: int) -> Counter[str]:
    """Tell those apart whom a change in the number of places moved, with no news of them."""
    n = min(max(n_places, 0), counts["model"])
    return counts + Counter({_PLACES: n}) - Counter({"model": n})


def _said(counts: Mapping[str, int], did: str, words: Mapping[str, str]) -> str:
    """Say how many did something, and by what.

    >>> _said({"model": 2, "manual": 1}, "came on", _CAME)
    '3 came on (2 by their records, 1 by hand)'
    >>> _said({"manual": 1}, "came on", _CAME), _said({}, "went off", _WENT)
    ('1 came on by hand', '0 went off')
    """
    found = [(counts[why], said) for why, said in words.items() if counts.get(why)]
    n = sum(number for number, _ in found)
    if len(found) == 1:
        return f"{n:,} {did} {found[0][1]}"
    parts = ", ".join(f"{number:,} {said}" for number, said in found)
    return f"{n:,} {did} ({parts})" if parts else f"{n:,} {did}"
