"""In what order the reasons of several dealers are said: first what tells one from the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from serving.scores.words.reason_sentences import measured_first

if TYPE_CHECKING:
    from serving.contract.records.scores import ReasonRecord

# Units whose values are few kinds: a step or a code says much the same of all who have one.
KINDS: Final = frozenset({"code", "yes or no", "step"})
_MOST_ALIKE: Final = 0.25


def told_apart(rows: Sequence[Sequence[ReasonRecord]]) -> list[list[ReasonRecord]]:
    """Put the reasons that many of the rows share after those that tell a row from the others.

    A sentence that more than a quarter of the rows have, word for word, says little of one of them;
    so does a reason of few kinds, whichever of them it is. What raises stays before what lowers,
    and all else in its order.

    Parameters
    ----------
    rows : sequence of sequence of ReasonRecord
        The reasons of each dealer that is shown beside the others, the largest contribution first.
    """
    n_with = Counter(key for reasons in rows for key in {_key(one) for one in reasons})
    shared = {key for key, n in n_with.items() if n > _MOST_ALIKE * len(rows)}
    ordered = [
        sorted(reasons, key=lambda one: (one["contribution"] < 0, _key(one) in shared))
        for reasons in rows
    ]
    return [measured_first(reasons) for reasons in ordered]


def _key(reason: ReasonRecord) -> str:
    return reason["signal"] if reason["unit"] in KINDS else reason["sentence"]
