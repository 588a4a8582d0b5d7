"""The random share: drawn so that each dealer's probability is known and never zero.

A draw belongs to an office and a period. Every dealer has one random number in each period, made
from the period's seed, its office and its key; a draw takes the lowest. Asking again, for more
places or for a wider area, therefore meets the same dealers first, and a dealer that has been
visited makes room for the next without moving any other. The seed is made from the key of the
audit: nobody can shop for a draw, and whoever holds the key can prove which one it had to be. Each
office has a seed of its own, made one way from the period's: whoever guesses one office's from what
was drawn there knows no other's. No seed is shown; a list carries the `name` of its draw.

References
----------
Ohlsson (1995), coordination of samples using permanent random numbers.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays import Floats, Ints
from features.domain.asof import add_months

Hashes = npt.NDArray[np.uint64]

SEED_BITS: Final = 53  # exact in every JSON reader
_SECRET_BITS: Final = 256  # of a period: more than anybody can try
# Lists are for a quarter unless the settings say otherwise.
PERIOD_MONTHS: Final = 3
# So many times the share drawn, and the lowest of each stratum are nearly always among them.
_LOW: Final = 20.0


@dataclass(frozen=True)
class Draw:
    """The random numbers of one period.

    Parameters
    ----------
    seed : int
        Of 256 bits where the audit's key made it. One below 2**53 is `short`: its numbers
        are made as earlier versions made them.
    starts_on, ends_on : date
        The period's first day and the first day after it.
    """

    seed: int
    starts_on: date
    ends_on: date

    @classmethod
    def kept(cls, key: bytes, as_of: date, *, months: int = PERIOD_MONTHS) -> Draw:
        """Return the draw of the period that holds `as_of`, fixed by the audit's key."""
        starts_on, ends_on = period(as_of, months)
        text = f"draw {starts_on.isoformat()} {ends_on.isoformat()}".encode()
        digest = hmac.new(key, text, hashlib.sha256).digest()
        # The bit above the digest's: no seed of the audit's key is taken for a short one.
        seed = 1 << _SECRET_BITS | int.from_bytes(digest, "big")
        return cls(seed, starts_on, ends_on)

    @classmethod
    def short(cls, key: bytes, as_of: date, *, months: int = PERIOD_MONTHS) -> Draw:
        """Return the draw as earlier versions made it, and as a country that is invented has it."""
        kept = cls.kept(key, as_of, months=months)
        return replace(kept, seed=(kept.seed >> (_SECRET_BITS - SEED_BITS)) % 2**SEED_BITS)

    def name(self, area: str) -> int:
        """Return what a list of an area carries of its draw: it tells none of the numbers.

        Lists of one area and period carry the same, and whoever has the audit's key can make it
        anew. Lists of earlier versions carried the seed.

        Examples
        --------
        >>> one = Draw.kept(b"key", date(2026, 5, 17))
        >>> one.name("office A") == one.name("office A") != one.name("office B")
        True
        """
        return self._secret(f"name of {area}") >> (64 - SEED_BITS) if self._is_secret else self.seed

    @property
    def _is_secret(self) -> bool:
        return self.seed >= 1 << SEED_BITS

    def numbers(
        self, office: npt.NDArray[Any], dealer: npt.NDArray[Any], *, use: str = "list"
    ) -> Floats:
        """Return each dealer's random number, 0 to 1, shape (n,).

        Parameters
        ----------
        office, dealer : array of str, shape (n,)
        use : str
            What it serves; another use has other numbers, independent of these.
        """
        offices, place = np.unique(office.astype(str), return_inverse=True)
        return self.numbers_of(offices.tolist(), place, hashes(dealer), use=use)

    def numbers_of(
        self,
        offices: Sequence[str],
        place: npt.NDArray[np.integer],
        dealers: Hashes,
        *,
        use: str = "list",
    ) -> Floats:
        """Return what `numbers` does, of dealers whose `hashes` are known.

        Parameters
        ----------
        offices : sequence of str
            Names.
        place : array of int, shape (n,)
            Each dealer's among them.
        dealers : array of uint64, shape (n,)
        """
        own = np.array([self._of_office(f"{use} {name}") for name in offices], dtype=np.uint64)
        mixed = _mix(own[place], dealers)
        return np.asarray((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-SEED_BITS)

    def start(self, office: npt.NDArray[Any], *, use: str = "list") -> float:
        """Return where the rounding of places among strata begins, 0 to 1, for a set of offices."""
        return self.start_of(set(office.astype(str).tolist()), use=use)

    def start_of(self, offices: Iterable[str], *, use: str = "list") -> float:
        """Return what `start` does, of different names."""
        names = "\n".join(sorted(offices))
        mixed = self._of_office(f"{use} of {names}")
        return float((np.uint64(mixed) >> np.uint64(11)).astype(np.float64) * 2.0**-SEED_BITS)

    def _of_office(self, use: str) -> int:
        """Return 64 bits of a use at an office, or at several."""
        if self._is_secret:
            return self._secret(use)
        own = np.array([_hash_of(use)], dtype=np.uint64)
        return int(_mix(own, np.uint64(self.seed))[0])

    def _secret(self, text: str) -> int:
        key = self.seed.to_bytes(_SECRET_BITS // 8 + 1, "big")
        return int.from_bytes(hmac.digest(key, text.encode(), "sha256")[:8], "big")


def period(as_of: date, months: int) -> tuple[date, date]:
    """Return the first day of the period that holds `as_of`, and the first day after it.

    >>> period(date(2026, 5, 17), 3)
    (datetime.date(2026, 4, 1), datetime.date(2026, 7, 1))
    """
    first = (as_of.month - 1) // months * months + 1
    starts_on = as_of.replace(month=first, day=1)
    return starts_on, add_months(starts_on, months)


def chance_of_draw(k: int, share: float) -> float:
    """Return how likely a list of `k` has a place that is drawn outside its own.

    A list too short for a whole place by rounding has one as often as its share says: one of three
    places at a tenth, three times in ten.

    >>> [chance_of_draw(k, share) for k, share in ((50, 0.1), (4, 0.1), (1, 1.0), (3, 0.0))]
    [1.0, 0.4, 1.0, 0.0]
    """
    wanted = k * share
    return wanted if wanted < 0.5 else 1.0


def random_places(k: int, share: float) -> tuple[int, int]:
    """Return how many places are drawn inside and outside the model's part of a list of `k`.

    Half of the share is drawn inside: it costs the list nothing, and tells most of what the list
    finds. A list that is mostly random has fewer places inside than that. Whether a short list has
    the one place said here is decided by lot (`chance_of_draw`).

    Parameters
    ----------
    k : int
    share : float
        0 to 1.

    Examples
    --------
    >>> random_places(50, 0.1), random_places(50, 0.0), random_places(50, 1.0)
    ((2, 3), (0, 0), (0, 50))
    >>> random_places(1, 0.1)
    (0, 1)
    """
    n = round(k * share)
    if share > 0:
        n = max(1, n)
    n_inside = min(n // 2, k - n)
    return n_inside, n - n_inside


def lowest(
    rows: Ints, n: int, *, numbers: Floats, strata: Ints, start: float
) -> tuple[Ints, float]:
    """Draw `n` of `rows` with equal probability, spread over the strata in proportion.

    Each stratum gives ``n * size / total`` rows, rounded down or up by one systematic pass from
    `start`, so that a stratum too small for a place of its own keeps its probability; within a
    stratum the lowest numbers are drawn.

    Parameters
    ----------
    rows : array of int, shape (m,)
        What may be drawn.
    n : int
        How many to draw, at most m.
    numbers : array of shape (m,)
        The random number of each row.
    strata : array of int, shape (m,)
        Stratum of each row; neighbors in number are alike.
    start : float
        0 to 1.

    Returns
    -------
    (array of int, float)
        The drawn rows, lowest number first, and the probability ``n / m`` that each had.

    Examples
    --------
    >>> drawn, probability = lowest(np.arange(4), 2, numbers=np.array([0.9, 0.2, 0.4, 0.8]),
    ...                             strata=np.array([0, 0, 1, 1]), start=0.5)
    >>> drawn.tolist(), probability
    ([1, 2], 0.5)
    """
    n = min(n, len(rows))
    if n == 0:
        return rows[:0], 0.0
    codes = strata if int(strata.min()) >= 0 and int(strata.max()) < len(rows) else None
    if codes is None:
        codes = np.unique(strata, return_inverse=True)[1]
    sizes = np.bincount(codes)
    there = np.flatnonzero(sizes)
    # Rounding of the last edge must not fall behind n: it is set, not computed.
    edges = np.floor(np.cumsum(sizes[there]) * (n / len(rows)) + start).astype(np.int64)
    edges[-1] = n
    quota = np.zeros(len(sizes), dtype=np.int64)
    quota[there] = np.diff(np.concatenate([[0], np.minimum(edges, n)]))
    # Only low numbers are drawn: of many rows few need to be put in order.
    low = np.flatnonzero(numbers < _LOW * n / len(rows))
    if (np.bincount(codes[low], minlength=len(sizes)) < quota).any():
        low = np.arange(len(rows))
    order = low[np.lexsort((numbers[low], codes[low]))]
    of = codes[order]
    rank = np.arange(len(order)) - np.searchsorted(of, of)
    taken = order[rank < quota[of]]
    return rows[taken[np.argsort(numbers[taken], kind="stable")]], n / len(rows)


def _mix(a: Hashes, b: Hashes | np.uint64) -> Hashes:
    """Return one 64-bit hash of two (SplitMix64), the same on every machine."""
    z = (a ^ b) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def hashes(keys: npt.NDArray[Any]) -> Hashes:
    """Return the hash of each dealer's key, which random numbers are made of."""
    return np.asarray(pd.util.hash_array(keys.astype(object), categorize=False), dtype=np.uint64)


@lru_cache(maxsize=4096)
def _hash_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
