"""In what order the reasons of several dealers are said: first what tells one from the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
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
    keys = [[_key(one) for one in reasons] for reasons in rows]
    n_with = Counter(chain.from_iterable(map(set, keys)))
    shared = {key for key, n in n_with.items() if n > _MOST_ALIKE * len(rows)}
    out = []
    for reasons, own in zip(rows, keys, strict=True):
        turns = [
            (is_weak(one), one["contribution"] < 0, key in shared or _is_conditional(one))
            for one, key in zip(reasons, own, strict=True)
        ]
        out.append([reasons[i] for i in sorted(range(len(turns)), key=turns.__getitem__)])
    return out


def _is_conditional(reason: ReasonRecord) -> bool:
    return reason["sentence"].startswith("If ")


def _key(reason: ReasonRecord) -> str:
    return reason["signal"] if reason["unit"] in KINDS else reason["sentence"]
