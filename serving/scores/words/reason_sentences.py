"""Reasons in sentences: what is known of a dealer in plain words, and how it compares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from serving.scores.words.peers import Peers, Standing, compared
from serving.scores.words.wording import wording

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from serving.contract.records.dealers import ContributionRecord
    from serving.contract.records.scores import ReasonRecord
    from serving.scores.table.replaced_rows import ReplacedRows

# A reason, or one with what each head takes from it.
_Reason = TypeVar("_Reason", bound="ReasonRecord")
# Units that are no amounts: "more than 90% of peers" would say nothing.
_NOT_QUANTITIES: Final = frozenset({"code", "yes or no", "step", "log instances"})
_NO_SOURCE: Final = 1
_NOTHING: Final = 2
_MISSING: Final = {
    _NO_SOURCE: "no such records are held",
    _NOTHING: "nothing happened that it could be measured on",
    3: "too few cases to say",
}
# Listed for less than this, a dealer may have no whole years of three to be compared.
_YEARS_LISTED: Final = "license_years_listed"
_WHOLE_YEARS: Final = 3.0
_OPENING: Final = "its opening may be all of it"  # as `recent` in the wordings ends
# Said of a value whose place among peers would say nothing of it.
_BACKWARDS: Final = frozenset({"license_months_to_expiry"})
# What is said of a value is the same for every dealer that has it, and many have: zeros, ones.
_MOST_SAID: Final = 20_000
# Rows whose reasons are kept as they are said.
_MOST_ROWS: Final = 4_000


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
        self._at = {str(signal["name"]): j for j, signal in enumerate(signals)}
        self._of_rows: dict[tuple[int, int], list[ReasonRecord]] = {}
        self._said = lru_cache(maxsize=_MOST_SAID)(self._say)

    def reason(
        self, index: int, value: float, contribution: float, *, license_type: str, missing: int = 0,
        row: npt.NDArray[np.floating[Any]] | None = None,
    ) -> ReasonRecord:  # fmt: skip
        """Return one reason, ready for the contract's `Reason`; `row` is all of its signals."""
        known = value if math.isfinite(value) else None  # as a key, one NaN is not another
        said = self._said(index, known, license_type, missing, self._manner(index, row)).copy()
        said["contribution"] = rounded(contribution)
        return said

    def of_row(
        self,
        row: int,
        strongest: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]],
        *,
        license_types: npt.NDArray[Any],
        inputs: ReplacedRows,
        missing: ReplacedRows,
    ) -> list[ReasonRecord]:
        """Return the reasons of a row of the table, said once however often they are shown.

        Parameters
        ----------
        strongest : sequence of (array, array)
            The signal and the contribution of each row's first, second, ... reason.
        license_types : array of str, shape (n,)
        inputs, missing : rows of shape (n, p)
            All signals of every row, and why each is missing.
        """
        key = (row, len(strongest))
        if (kept := self._of_rows.get(key)) is None:
            kept, own, why = [], inputs[row], missing[row]
            for signals, contributions in strongest:
                contribution = float(contributions[row])
                if contribution:
                    at = int(signals[row])
                    kept.append(
                        self.reason(
                            at, float(own[at]), contribution, license_type=license_types[row],
                            missing=int(why[at]), row=own,
                        )
                    )  # fmt: skip
            kept = measured_first(kept)
            if len(self._of_rows) >= _MOST_ROWS:
                self._of_rows = {}
            self._of_rows[key] = kept
        return list(kept)

    def _say(
        self, index: int, known: float | None, license_type: str, missing: int, manner: str
    ) -> ReasonRecord:
        """Return a reason as far as it is that of every dealer with this value."""
        signal, value = self.signals[index], math.nan if known is None else known
        standing = self.peers.standing(str(signal["name"]), license_type, value)
        sentence = self._sentence(index, value, standing, missing=missing, manner=manner)
        told = None if manner else standing
        return {
            "signal": signal["name"],
            "family": signal["family"],
            "sentence": sentence,
            "value": None if known is None else rounded(known) + 0.0,  # no negative zero
            "unit": signal["unit"],
            "percentile": None if told is None else math.floor(told.upto + 1e-9),
            "share_below": None if told is None else round(told.below, 2),
            "peers": None if told is None else told.group,
            "contribution": 0.0,
            "restriction": signal["restriction"],
        }

    def sentence(self, index: int, value: float, *, license_type: str, missing: int = 0,
        row: npt.NDArray[np.floating[Any]] | None = None,
    ) -> str:  # fmt: skip
        """Say a signal's value, how it compares with peers', or why it is missing."""
        name = str(self.signals[index]["name"])
        standing = self.peers.standing(name, license_type, value)
        manner = self._manner(index, row)
        return self._sentence(index, value, standing, missing=missing, manner=manner)

    def _manner(self, index: int, row: npt.NDArray[np.floating[Any]] | None) -> str:
        """Return how a value is said beside the other signals of its dealer, empty for as it is."""
        words = self._wordings[index]
        if row is None or not (words.own or words.recent):
            return ""
        if words.own:
            counted = [row[self._at[name]] for name in words.own if name in self._at]
            return "" if any(n > 0 for n in counted) else "estimate"
        at = self._at.get(_YEARS_LISTED)
        is_recent = bool(words.recent) and at is not None and row[at] < _WHOLE_YEARS
        return "recent" if is_recent else ""

    def _sentence(
        self, index: int, value: float, standing: Standing | None, *, missing: int, manner: str
    ) -> str:
        signal = self.signals[index]
        words = self._wordings[index]
        if missing == _NO_SOURCE and not math.isfinite(value):
            return f"{words.unheld()}: {_MISSING[missing]}."
        if missing == _NOTHING and words.nothing and not math.isfinite(value):
            return f"{words.nothing}."
        if manner and math.isfinite(value):
            return f"{words.say_as(value, manner)}."
        text = words.say(value).rstrip(".")
        if not math.isfinite(value):
            has_why = bool(words.unknown) or missing not in _MISSING
            return f"{text}." if has_why else f"{text}: {_MISSING[missing]}."
        is_backwards = value < 0 and signal["name"] in _BACKWARDS
        if (
            not is_backwards
            and not signal.get("is_category")
            and signal["unit"] not in _NOT_QUANTITIES
        ):
            said = compared(standing, value, unit=signal["unit"])
            text += f"; {said}" if said else ""
        return text + "."

    def is_own(self, index: int) -> bool:
        """Whether a signal tells dealers of one county apart; else it is no dealer's own reason."""
        return not self._wordings[index].is_of_place

    def missing(self, code: int) -> str | None:
        """Say why a value is missing; None when it is observed."""
        return _MISSING.get(code)


def lack_unsaid(item: ContributionRecord) -> bool:
    """Whether a value is missing and its sentence does not say why already."""
    missing, sentence = item["missing"], item["sentence"]
    if not missing or missing in sentence:
        return False
    return sentence != f"{wording(item['signal'], {'name': item['signal']}).nothing}."


def measured_first(reasons: Sequence[_Reason]) -> list[_Reason]:
    """Put what could not be measured, and estimates that are no count of its own, at the end.

    So is a rise against years in which a dealer was not listed: an opening looks the same.

    A fact such as "No compliance or recall inspection on record" has no value and is a reason
    nonetheless.
    """
    return sorted(reasons, key=is_weak)


def is_weak(reason: ReasonRecord) -> bool:
    """Whether a reason could not be measured, is no count of its own, or may be an opening."""
    sentence = reason["sentence"]
    if _OPENING in sentence:
        return True
    if reason["value"] is None:
        return "not known" in sentence or "unknown" in sentence
    return "similar dealers" in sentence and reason["percentile"] is None


def rounded(value: float) -> float:
    """Return the shortest number that a single-precision `value` stands for."""
    return float(f"{value:.7g}")
