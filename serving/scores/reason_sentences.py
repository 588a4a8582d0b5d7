"""Reasons in sentences: what is known of a dealer in plain words, and how it compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from serving.scores.peers import Peers, Standing, compared
from serving.scores.wording import wording

if TYPE_CHECKING:
    from serving.contract.records.scores import ReasonRecord

# Units that are no amounts: "more than 90% of peers" would say nothing.
_NOT_QUANTITIES: Final = frozenset({"code", "yes or no", "step", "log instances"})
# Units of what cannot be counted: "as much as", not "as many as".
_NOT_COUNTS: Final = frozenset({"share", "km", "ratio", "index", "years", "months", "days"})
_NO_SOURCE: Final = 1
_MISSING: Final = {
    _NO_SOURCE: "no such records are held",
    2: "nothing happened that it could be measured on",
    3: "too few cases to say",
}
# What is said of a value is the same for every dealer that has it, and many have: zeros, ones.
_MOST_SAID: Final = 20_000
# Sentence, percentile, share below and group of a value.
_Said = tuple[str, int | None, float | None, str | None]


class Sentences:
    """Writes the reasons of one bundle.

    Parameters
    ----------
    signals : sequence of mapping
        The bundle's signals: name, family, unit, definition, reason, restriction.
    peers : Peers
    """

    def __init__(self, signals: Sequence[Mapping[str, Any]], peers: Peers) -> None:
        self.signals = signals
        self.peers = peers
        self._wordings = [wording(str(signal["name"]), signal) for signal in signals]
        self._said = lru_cache(maxsize=_MOST_SAID)(self._say)

    def reason(
        self, index: int, value: float, contribution: float, *, license_type: str, missing: int = 0
    ) -> ReasonRecord:
        """Return one reason, ready for the contract's `Reason`."""
        signal = self.signals[index]
        is_known = math.isfinite(value)
        sentence, percentile, below, group = self._said(
            index, value if is_known else None, license_type, missing
        )
        return {
            "signal": signal["name"],
            "family": signal["family"],
            "sentence": sentence,
            "value": rounded(value) if is_known else None,
            "unit": signal["unit"],
            "percentile": percentile,
            "share_below": below,
            "peers": group,
            "contribution": rounded(contribution),
            "restriction": signal["restriction"],
        }

    def _say(self, index: int, value: float | None, license_type: str, missing: int) -> _Said:
        value = math.nan if value is None else value  # as a key, one missing value is not another
        standing = self.peers.standing(str(self.signals[index]["name"]), license_type, value)
        sentence = self._sentence(index, value, standing, missing=missing)
        if standing is None:
            return sentence, None, None, None
        percentile = math.floor(standing.upto + 1e-9)
        return sentence, percentile, round(standing.below, 2), standing.group

    def sentence(self, index: int, value: float, *, license_type: str, missing: int = 0) -> str:
        """Say a signal's value, how it compares with peers', or why it is missing."""
        name = str(self.signals[index]["name"])
        standing = self.peers.standing(name, license_type, value)
        return self._sentence(index, value, standing, missing=missing)

    def _sentence(
        self, index: int, value: float, standing: Standing | None, *, missing: int
    ) -> str:
        signal = self.signals[index]
        words = self._wordings[index]
        if missing == _NO_SOURCE and not math.isfinite(value):
            return f"{words.unheld()}: {_MISSING[missing]}."
        text = words.say(value).rstrip(".")
        if not math.isfinite(value):
            has_why = bool(words.unknown) or missing not in _MISSING
            return f"{text}." if has_why else f"{text}: {_MISSING[missing]}."
        if not signal.get("is_category") and signal["unit"] not in _NOT_QUANTITIES:
            said = compared(standing, value, is_count=signal["unit"] not in _NOT_COUNTS)
            text += f"; {said}" if said else ""
        return text + "."

    def is_own(self, index: int) -> bool:
        """Whether a signal tells dealers of one county apart; else it is no dealer's own reason."""
        return not self._wordings[index].is_of_place

    def missing(self, code: int) -> str | None:
        """Say why a value is missing; None when it is observed."""
        return _MISSING.get(code)


def rounded(value: float) -> float:
    """Return the shortest number that a single-precision `value` stands for."""
    return float(f"{value:.7g}")
