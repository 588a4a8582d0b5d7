"""Where a value stands among a dealer's peers, in counts that a sentence can be true to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats

# Below this many dealers of one type with a known value, peers are all dealers.
MIN_PEERS: Final = 200
# Of a signal with more distinct values than this, so many are kept, spread by rank: shares are then
# known to a tenth of a point, and stated at their lower end.
_MOST_STEPS: Final = 1_001
_QUANTILES: Final = np.linspace(0.0, 1.0, 101)
# Peers are mentioned for a value among the highest or lowest of them.
_REMARKABLE: Final = 80
_LEAST_BELOW: Final = 50
# Units of time, and of what cannot be counted: "as much as", not "as many as".
_TIMES: Final = frozenset({"years", "months", "days"})
_AMOUNTS: Final = frozenset({"km", "ratio", "index"})
_WORDS: Final = ("more than", "less than", "as much as or more than")
_WORDS_OF_COUNT: Final = ("more than", "fewer than", "as many as or more than")
_WORDS_OF_TIME: Final = (
    "a longer time than", "a shorter time than", "as long a time as or a longer one than",
)  # fmt: skip
_WORDS_OF_SHARE: Final = (
    "a larger share than", "a smaller share than", "as large a share as or a larger one than",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """What is certain about a value's place among those of its peers.

    Parameters
    ----------
    below, above, upto : float
        Shares of the peers, in per cent, whose known value is strictly less, strictly more, and
        not more; each the least that is certain.
    is_of_type : bool
        Whether the peers are the dealers of the same license type; else they are all dealers.
    is_of_known : bool
        Whether the value is not known of some of them: the shares are of the others.
    """

    below: float
    above: float
    upto: float
    is_of_type: bool
    is_of_known: bool = False

    @property
    def group(self) -> str:
        """Who the peers are, in the words of a sentence."""
        return "peers" if self.is_of_type else "all dealers"

    @property
    def those(self) -> str:
        """Whom a share is of: the peers, or those of them of whom the value is known."""
        return f"{self.group} where it is known" if self.is_of_known else self.group


def compared(standing: Standing | None, value: float, *, unit: str) -> str:
    """Return how a value compares with its peers', empty when there is nothing to say.

    The only place where a sentence compares. "More than N%" counts the peers strictly below, and
    "less than" those strictly above; a value that many share is not more than theirs. Nothing is
    said of a zero, which most often means that nothing happened. Times are longer or shorter,
    shares larger or smaller, things more or fewer, and other amounts more or less.

    >>> compared(Standing(97.4, 1.0, 99.0, True), 3.0, unit="traces")
    'more than 97% of peers'
    >>> compared(Standing(60.0, 1.0, 99.0, False), 1.0, unit="traces")
    'as many as or more than 99% of all dealers'
    >>> compared(Standing(97.4, 1.0, 99.0, True, is_of_known=True), 0.5, unit="share")
    'a larger share than 97% of peers where it is known'
    >>> compared(Standing(2.0, 97.4, 2.6, True), 0.2, unit="years")
    'a shorter time than 97% of peers'
    >>> compared(Standing(0.0, 3.0, 97.0, True), 0.0, unit="traces")
    ''
    """
    if standing is None or not math.isfinite(value) or value == 0:
        return ""
    more, less, alike = _words(unit)
    if standing.below >= _REMARKABLE:
        return f"{more} {_whole(standing.below)}% of {standing.those}"
    if standing.above >= _REMARKABLE:
        return f"{less} {_whole(standing.above)}% of {standing.those}"
    if standing.below >= _LEAST_BELOW and standing.upto >= _REMARKABLE:
        return f"{alike} {_whole(standing.upto)}% of {standing.those}"
    return ""


def _words(unit: str) -> tuple[str, str, str]:
    if unit in _TIMES:
        return _WORDS_OF_TIME
    if unit == "share":
        return _WORDS_OF_SHARE
    return _WORDS if unit in _AMOUNTS else _WORDS_OF_COUNT


def _whole(percent: float) -> int:
    """Round down: a share is never said to be larger than it is, nor ever to be all."""
    return min(math.floor(percent + 1e-9), 99)


class Peers:
    """The values of each signal, among dealers of one license type or among all.

    Parameters
    ----------
    table : DataFrame
        As `peer_table` makes it.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        names = ("quantiles", "values", "n_below", "n_upto")
        self._of: dict[tuple[str, str], tuple[npt.NDArray[np.float32], ...]] = {}
        self._n: dict[tuple[str, str], int] = {}
        self._is_of_known: dict[tuple[str, str], bool] = {}
        self._ranges: dict[tuple[str, ...], tuple[Floats, Floats]] = {}
        # A table of an earlier version does not say how many dealers there are.
        table = table if "n_dealers" in table else table.assign(n_dealers=table["n_peers"] + 1)
        columns = (
            table[name] for name in ("license_type", "signal", "n_peers", "n_dealers", *names)
        )
        for license_type, signal, n, n_dealers, *arrays in zip(*columns, strict=True):
            key = (str(license_type), str(signal))
            self._of[key] = tuple(np.asarray(one) for one in arrays)
            self._n[key], self._is_of_known[key] = int(n), n < n_dealers

    def quantiles(self, signal: str, license_type: str) -> npt.NDArray[np.float32] | None:
        """Return the 101 quantiles among peers, else among all dealers, else None."""
        key = self._key(signal, license_type)
        return None if key is None else self._of[key][0]

    def ranges(self, signals: tuple[str, ...]) -> tuple[Floats, Floats]:
        """Return the least and the greatest value of each signal among all dealers, (p,) each.

        Without end where nobody has the signal. The table holds single precision: a value copied
        from it must not count as beyond.
        """
        if signals not in self._ranges:
            ends = [self.quantiles(name, "") for name in signals]
            low = np.array([-np.inf if q is None else float(q[0]) for q in ends])
            high = np.array([np.inf if q is None else float(q[-1]) for q in ends])
            slack = 1e-6 * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high)))
            self._ranges = {signals: (low - slack, high + slack)}
        return self._ranges[signals]

    def standing(self, signal: str, license_type: str, value: float) -> Standing | None:
        """Return where a value stands, None for a missing value or a signal nobody has."""
        key = self._key(signal, license_type)
        if key is None or not math.isfinite(value):
            return None
        _, values, n_below, n_upto = self._of[key]
        n = self._n[key]
        at = int(np.searchsorted(values, np.float32(value), side="right")) - 1
        is_known = at >= 0 and values[at] == np.float32(value)
        upto = int(n_upto[at]) if at >= 0 else 0
        below = int(n_below[at]) if is_known else upto
        # Between two kept values lie some that are not kept: none of them is said to be above.
        n_next = upto if is_known else int(n_below[at + 1]) if at + 1 < len(values) else n
        return Standing(
            below=100.0 * below / n,
            above=100.0 * (n - n_next) / n,
            upto=100.0 * upto / n,
            is_of_type=bool(key[0]),
            is_of_known=self._is_of_known[key],
        )

    def _key(self, signal: str, license_type: str) -> tuple[str, str] | None:
        for key in ((license_type, signal), ("", signal)):
            if key in self._of:
                return key
        return None


def peer_table(inputs: pd.DataFrame, types: npt.NDArray[np.object_]) -> pd.DataFrame:
    """Return the values of each signal, over all dealers and over those of each license type.

    Returns
    -------
    DataFrame
        One row a license type (empty: all dealers) and signal with at least one known value:
        n_peers (whose value is known), n_dealers (of the group), 101 quantiles, and for kept values
        how many peers lie strictly below and up to it.
    """
    groups = {"": np.ones(len(inputs), dtype=bool)}
    for name in sorted(set(types)):
        groups[str(name)] = types == name
    matrix = inputs.to_numpy(dtype=np.float32)
    rows = []
    for name, mask in groups.items():
        for j, signal in enumerate(inputs.columns):
            column = matrix[mask, j]
            column = column[np.isfinite(column)]
            if len(column) >= (MIN_PEERS if name else 1):
                of = {"license_type": name, "signal": signal, "n_dealers": int(mask.sum())}
                rows.append({**of, **_steps(column)})
    columns = ["license_type", "signal", "n_peers", "n_dealers"]
    columns += ["quantiles", "values", "n_below", "n_upto"]
    return pd.DataFrame(rows, columns=columns)


def _steps(column: npt.NDArray[np.float32]) -> dict[str, object]:
    values, counts = np.unique(column, return_counts=True)
    upto = np.cumsum(counts)
    below = upto - counts
    if len(values) > _MOST_STEPS:
        ranks = np.linspace(0, len(column) - 1, _MOST_STEPS)
        kept = np.unique(np.searchsorted(upto, ranks, side="right"))
        values, below, upto = values[kept], below[kept], upto[kept]
    quantiles = np.quantile(column.astype(np.float64), _QUANTILES).astype(np.float32)
    return {
        "n_peers": len(column),
        "quantiles": quantiles,
        "values": values,
        "n_below": below.astype(np.int32),
        "n_upto": upto.astype(np.int32),
    }
