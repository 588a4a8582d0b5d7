"""Reasons in sentences: a signal's template filled with the dealer's value and its peers'."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

# Units that are no amounts: "more than 90% of peers" would say nothing.
_NOT_QUANTITIES: Final = frozenset({"code", "yes or no", "step"})
# Peers are mentioned for a value among the highest or lowest of them.
_HIGH: Final = 80
_MISSING: Final = {
    1: "no source for it was ingested",
    2: "nothing happened to which it could refer",
    3: "too few cases to say",
}


class _Blanks(dict[str, Any]):
    """Fields of a template that the caller does not know stay readable."""

    def __missing__(self, key: str) -> str:
        return key.replace("_", " ")


class Peers:
    """Where a value stands among dealers of the same license type.

    Parameters
    ----------
    quantiles : DataFrame
        As `publish.peer_quantiles` makes it.
    """

    def __init__(self, quantiles: pd.DataFrame) -> None:
        self._of: dict[tuple[str, str], npt.NDArray[np.float32]] = {
            (str(license_type), str(signal)): np.asarray(values, dtype=np.float32)
            for license_type, signal, values in zip(
                quantiles["license_type"],
                quantiles["signal"],
                quantiles["quantiles"],
                strict=True,
            )
        }

        self._steps: dict[tuple[str, str], list[float]] = {}

    def quantiles(self, signal: str, license_type: str) -> npt.NDArray[np.float32] | None:
        """Return the 101 quantiles among peers, else among all dealers, else None."""
        among_peers = self._of.get((license_type, signal))
        return among_peers if among_peers is not None else self._of.get(("", signal))

    def percentile(self, signal: str, license_type: str, value: float) -> int | None:
        """Return the share of peers at or below `value`, in whole per cent."""
        if not math.isfinite(value):
            return None
        key = (license_type, signal)
        steps = self._steps.get(key)
        if steps is None:
            quantiles = self.quantiles(signal, license_type)
            if quantiles is None:
                return None
            # Asked thousands of times a request: a list answers sooner than an array.
            steps = self._steps[key] = quantiles.tolist()
        return max(0, bisect_right(steps, value) - 1)


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

    def reason(
        self, index: int, value: float, contribution: float, *, license_type: str
    ) -> dict[str, Any]:
        """Return one reason, ready for the contract's `Reason`."""
        signal = self.signals[index]
        name = signal["name"]
        percentile = self.peers.percentile(name, license_type, value)
        return {
            "signal": name,
            "family": signal["family"],
            "sentence": self.sentence(index, value, percentile, license_type=license_type),
            "value": rounded(value) if math.isfinite(value) else None,
            "unit": signal["unit"],
            "percentile": percentile,
            "contribution": rounded(contribution),
            "restriction": signal["restriction"],
        }

    def sentence(
        self, index: int, value: float, percentile: int | None, *, license_type: str
    ) -> str:
        """Fill the signal's template; a missing value is said to be missing."""
        signal = self.signals[index]
        if not math.isfinite(value):
            return f"{_capital(signal['definition'])}: not known."
        fields = _Blanks(
            value=self._worded(signal, value),
            percentile=percentile if percentile is not None else "an unknown",
            unit=signal["unit"],
            window=signal.get("window") or "",
        )
        template = str(signal["reason"] or signal["definition"] + ": {value}")
        text = _capital(template.format_map(fields).rstrip("."))
        is_quantity = not signal.get("is_category") and signal["unit"] not in _NOT_QUANTITIES
        if is_quantity and percentile is not None and "{percentile}" not in template:
            if percentile >= _HIGH:
                text += f"; more than {min(percentile, 99)}% of peers"
            elif percentile <= 100 - _HIGH:
                text += f"; less than {100 - max(percentile, 1)}% of peers"
        return text + "."

    @staticmethod
    def _worded(signal: Mapping[str, Any], value: float) -> str:
        words = signal.get("words") or ()
        if words and float(value).is_integer() and 0 <= value < len(words):
            return str(words[int(value)])
        if signal["unit"] == "yes or no":
            return "yes" if value else "no"
        if signal["unit"] == "share":
            return f"{100 * value:.2g}%" if value < 0.1 else f"{100 * value:.0f}%"
        return number(value)

    def missing(self, code: int) -> str | None:
        """Say why a value is missing; None when it is observed."""
        return _MISSING.get(code)


def number(value: float) -> str:
    """Write a number as a person would.

    >>> number(3.0), number(0.12345), number(1234.5)
    ('3', '0.12', '1,234')
    """
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}"


def rounded(value: float) -> float:
    """Return the shortest number that a single-precision `value` stands for."""
    return float(f"{value:.7g}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
