"""In what order the reasons of several dealers are said: first what tells one from the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from operator import le
from typing import TYPE_CHECKING, Final

from serving.scores.words.reason_sentences import is_weak

if TYPE_CHECKING:
    from serving.contract.records.scores import ReasonRecord

# Units whose values are few kinds: a step or a code says much the same of all who have one.
KINDS: Final = frozenset({"code", "yes or no", "step"})
_MOST_ALIKE: Final = 0.25


def told_apart(rows: Sequence[Sequence[ReasonRecord]]) -> list[list[ReasonRecord]]:
    """Put the reasons that many of the rows share after those that tell a row from the others.

    A sentence that more than a quarter of the rows have, word for word, says little of one of them;
    so does a reason of few kinds, whichever of them it is, and what would follow if something were
    found: it tells where a dealer stands on a ladder, not what it did. What raises stays before
    what lowers, what could not be measured at the end, and all else in its order.

    Parameters
    ----------
    rows : sequence of sequence of ReasonRecord
        The reasons of each dealer that is shown beside the others, the largest contribution first.
    """
    traits = [[_traits(one) for one in reasons] for reasons in rows]
    n_with = Counter(chain.from_iterable({key for key, _ in own} for own in traits))
    shared = {key for key, n in n_with.items() if n > _MOST_ALIKE * len(rows)}
    out = []
    for reasons, own in zip(rows, traits, strict=True):
        turns = [turn | (key in shared) for key, turn in own]
        is_sorted = all(map(le, turns, turns[1:]))
        in_order = (
            range(len(turns)) if is_sorted else sorted(range(len(turns)), key=turns.__getitem__)
        )
        out.append([reasons[i] for i in in_order])
    return out


def _traits(reason: ReasonRecord) -> tuple[str, int]:
    """Return by what a reason is the same as another's, and its turn where it is nobody else's.

    The turn's bits, from the highest: whether it could not be measured, lowers, or is conditional.
    """
    sentence = reason["sentence"]
    key = reason["signal"] if reason["unit"] in KINDS else sentence
    turn = 4 * is_weak(reason) + 2 * (reason["contribution"] < 0) + sentence.startswith("If ")
    return key, turn
