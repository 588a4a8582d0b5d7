"""The kernels: one pass over sorted events gives every window of every as-of date.

Events come dealer by dealer; within one, only the last of equals depends on their order. An event
counts in a window of ``w`` days as of ``T`` when ``known_on < T <= known_on + w`` and
``T <= superseded_on``: on an ascending grid of as-of dates it enters at the first ``T > known_on``
and leaves at the first ``T > min(known_on + w, superseded_on)``. Additive measures are differences
at those two places, summed along the grid; the others walk the grid and keep what is inside.

Exactness: sums add whole numbers, or numbers rounded to 2^-20 (`quantize`), in double precision,
so that no order and no partition of the events can change a result.

The kernels are compiled once and kept on disk (numba's cache); `warm_up` compiles them all.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from features.arrays import Floats, Ints32

Bits = npt.NDArray[np.uint64]

# Two-level histogram of non-negative whole days: 1,024 blocks of 64, the last catches the rest.
_BLOCK = 64
_BLOCKS = 1024


def quantize(values: npt.NDArray[np.floating]) -> Floats:
    """Round to multiples of 2^-20, so that sums below 2^32 are exact in any order."""
    return np.round(np.asarray(values, dtype=np.float64) * 2.0**20) / 2.0**20


def leaves(as_of: Ints32, known_on: Ints32, superseded_on: Ints32, window_days: int) -> Ints32:
    """Index of the first as-of date that no longer sees each event, shape (n,)."""
    found = np.empty(len(known_on), dtype=np.int32)
    _leave(_table(as_of), int(as_of[0]), known_on, superseded_on, window_days, found)
    return found


def places(as_of: Ints32, days: Ints32) -> Ints32:
    """Index of the first as-of date after each day, shape (n,); ``len(as_of)`` when none is."""
    found = np.empty(len(days), dtype=np.int32)
    _leave(_table(as_of), int(as_of[0]), days, days, 0, found)
    return found


def _table(as_of: Ints32) -> Ints32:
    """Place of every day from the eve of the first date to the last.

    One look-up a day is several times faster than a search, and the span of days is short.
    """
    days = np.arange(int(as_of[0]) - 1, int(as_of[-1]) + 1)
    return np.searchsorted(as_of, days, side="right").astype(np.int32)


@numba.njit(cache=True, nogil=True)
def _leave(
    table: Any, first: int, known_on: Any, superseded_on: Any, window_days: int, into: Any
) -> None:
    """Look up the day on which each event leaves: the end of its window or of its version."""
    eve = first - 1
    latest = len(table) - 1
    for i in range(known_on.shape[0]):
        day = min(np.int64(known_on[i]) + window_days, np.int64(superseded_on[i]))
        into[i] = table[min(max(day - eve, 0), latest)]


@numba.njit(cache=True, nogil=True)
def group(dealer: Any, n_dealers: int) -> tuple[Any, Any]:
    """Put the rows of each dealer together in one counting pass.

    Returns
    -------
    start : ndarray of int64, shape (n_dealers + 1,)
        Where the rows of each dealer begin.
    place : ndarray of int64, shape (n_rows,)
        The rows in the order of the dealers; those of one dealer as they came.
    """
    start = np.zeros(n_dealers + 1, dtype=np.int64)
    for i in range(dealer.shape[0]):
        start[dealer[i] + 1] += 1
    for d in range(n_dealers):
        start[d + 1] += start[d]
    at = start[:-1].copy()
    place = np.empty(dealer.shape[0], dtype=np.int64)
    for i in range(dealer.shape[0]):
        place[at[dealer[i]]] = i
        at[dealer[i]] += 1
    return start, place


@numba.njit(cache=True, nogil=True)
def put(grid: Any, span: tuple[int, int], starts: Any, dealer: Any, into: Any) -> None:
    """Give the cells of some dealers to the rows of a cohort sorted by date, then dealer.

    Parameters
    ----------
    grid : ndarray, shape (n_dealers, n_as_of)
        One value a dealer and date.
    span : tuple of int
        The dealers of the grid, as the cohort counts them: first, and one past the last.
    starts : ndarray of int64, shape (n_as_of + 1,)
        Where the rows of each date begin.
    dealer : ndarray of int32, shape (n_rows,)
        Dealer of each row.
    into : ndarray, shape (n_rows,)
        Receives the values.
    """
    first, end = span
    for k in range(starts.shape[0] - 1):
        row = starts[k] + np.searchsorted(dealer[starts[k] : starts[k + 1]], first)
        while row < starts[k + 1] and dealer[row] < end:
            into[row] = grid[dealer[row] - first, k]
            row += 1


@numba.njit(cache=True, nogil=True)
def codes(start: Any, key: Any) -> tuple[Any, int]:
    """Give each distinct key of a dealer a number from 0, and the key 0 the number -1.

    Returns
    -------
    code : ndarray of int32, shape (n_rows,)
    n_codes : int
        More than any code.
    """
    code = np.full(key.shape[0], -1, dtype=np.int32)
    most = 0
    for d in range(start.shape[0] - 1):
        most = max(most, start[d + 1] - start[d])
    size = 2
    while size < 2 * most:
        size *= 2
    owner = np.full(size, -1, dtype=np.int64)  # row whose key stands in a slot
    used = np.empty(most, dtype=np.int64)
    n_codes = 1
    for d in range(start.shape[0] - 1):
        n = 0
        for i in range(start[d], start[d + 1]):
            if key[i] == 0:
                continue
            slot = np.int64(key[i] & np.uint64(size - 1))
            while owner[slot] >= 0 and key[owner[slot]] != key[i]:
                slot = (slot + 1) & (size - 1)
            if owner[slot] < 0:
                owner[slot] = i
                used[n] = slot
                code[i] = n
                n += 1
            else:
                code[i] = code[owner[slot]]
        for j in range(n):
            owner[used[j]] = -1
        n_codes = max(n_codes, n)
    return code, n_codes


@numba.njit(cache=True, nogil=True)
def _add_differences(
    dealer: Any, enters: Any, leaves: Any, bits: Any, values: Any, spec: Any, out: Any
) -> None:
    """Put +value where an event enters and -value where it leaves, for every measure.

    `spec` holds one row a measure: bit of its condition, row of its value (-1 counts), row of
    its window in `leaves`.
    """
    n_measures = spec.shape[0]
    for i in range(dealer.shape[0]):
        d = dealer[i]
        first = enters[i]
        for m in range(n_measures):
            if (bits[i] >> np.uint64(spec[m, 0])) & np.uint64(1):
                last = leaves[spec[m, 2], i]
                if last > first:
                    v = 1.0 if spec[m, 1] < 0 else values[spec[m, 1], i]
                    out[m, d, first] += v
                    out[m, d, last] -= v


@numba.njit(cache=True, nogil=True)
def _run_sums(out: Any, into: Any) -> None:
    """Sum the differences along the grid into the single-precision result."""
    for m in range(out.shape[0]):
        for d in range(out.shape[1]):
            total = 0.0
            for k in range(into.shape[2]):
                total += out[m, d, k]
                into[m, d, k] = total


def sums(
    dealer: Ints32,
    enters: Ints32,
    leaves: Ints32,
    *,
    bits: Bits,
    values: Floats,
    spec: Ints32,
    into: Any,
) -> None:
    """Evaluate additive measures for a block of dealers.

    Parameters
    ----------
    dealer : ndarray of int32, shape (n,)
        Dealer of each event, counted from the start of the block.
    enters : ndarray of int32, shape (n,)
        Index of the first as-of date that sees the event.
    leaves : ndarray of int32, shape (n_windows, n)
        Index of the first as-of date that no longer sees it, for each window.
    bits : ndarray of uint64, shape (n,)
        Bit ``b`` is set when the event meets condition ``b``.
    values : ndarray of float64, shape (n_values, n)
        Numbers to sum.
    spec : ndarray of int32, shape (n_measures, 3)
        Condition bit, value row (-1 counts events), window row.
    into : ndarray of float32, shape (n_measures, n_dealers, n_as_of)
        The result.
    """
    n_measures, n_dealers, n_as_of = into.shape
    scratch = np.zeros((n_measures, n_dealers, n_as_of + 1))
    _add_differences(dealer, enters, leaves, bits, values, spec, scratch)
    _run_sums(scratch, into)


@numba.njit(cache=True, nogil=True)
def last_rows(start: Any, enters: Any, leaves: Any, is_in: Any, rank: Any, into: Any) -> None:
    """Find the event of highest rank inside the window, for each dealer and as-of date.

    Among equals the later one. `start` holds the first event of each dealer and, at its end, the
    number of events; `into` (n_dealers, n_as_of) receives event indices, -1 where there is none.
    """
    n_dealers, n_as_of = into.shape
    for d in range(n_dealers):
        for k in range(n_as_of):
            into[d, k] = -1
        for i in range(start[d], start[d + 1]):
            if is_in[i]:
                for k in range(enters[i], min(leaves[i], n_as_of)):
                    if into[d, k] < 0 or rank[i] >= rank[into[d, k]]:
                        into[d, k] = i


@numba.njit(cache=True, nogil=True)
def _order_by(place: Any, lo: int, hi: int, n_as_of: int, order: Any, head: Any) -> None:
    """Sort the events [lo, hi) by their place on the grid; `head` gets the starts."""
    for k in range(n_as_of + 2):
        head[k] = 0
    for i in range(lo, hi):
        head[place[i] + 1] += 1
    for k in range(n_as_of + 1):
        head[k + 1] += head[k]
    for i in range(lo, hi):
        order[head[place[i]]] = i
        head[place[i]] += 1
    for k in range(n_as_of + 1, 0, -1):
        head[k] = head[k - 1]
    head[0] = 0


@numba.njit(cache=True, nogil=True)
def _kth(blocks: Any, cells: Any, kth: int) -> int:
    """Value of the kth smallest entry (from 0) of a two-level histogram."""
    seen = 0
    b = 0
    while seen + blocks[b] <= kth:
        seen += blocks[b]
        b += 1
    c = b * _BLOCK
    while seen + cells[c] <= kth:
        seen += cells[c]
        c += 1
    return c


@numba.njit(cache=True, nogil=True)
def quantiles(
    start: Any, enters: Any, leaves: Any, is_in: Any, days: Any, levels: Any, into: Any
) -> None:
    """Exact quantiles of whole days in the window, by a sliding two-level histogram.

    `days` are cut to [0, 65535]. `into` (n_levels, n_dealers, n_as_of) receives the linear
    interpolation between order statistics (numpy's default), NaN where nothing is inside.
    """
    n_levels, n_dealers, n_as_of = into.shape
    blocks = np.zeros(_BLOCKS, dtype=np.int64)
    cells = np.zeros(_BLOCKS * _BLOCK, dtype=np.int64)
    most = 0
    for d in range(n_dealers):
        most = max(most, start[d + 1] - start[d])
    by_entry = np.empty(most, dtype=np.int64)
    by_leave = np.empty(most, dtype=np.int64)
    entry_head = np.empty(n_as_of + 2, dtype=np.int64)
    leave_head = np.empty(n_as_of + 2, dtype=np.int64)
    for d in range(n_dealers):
        lo, hi = start[d], start[d + 1]
        _order_by(enters, lo, hi, n_as_of, by_entry, entry_head)
        _order_by(leaves, lo, hi, n_as_of, by_leave, leave_head)
        n = 0
        for k in range(n_as_of + 1):
            for j in range(entry_head[k], entry_head[k + 1]):
                i = by_entry[j]
                if is_in[i] and leaves[i] > enters[i]:
                    day = min(max(days[i], 0), _BLOCKS * _BLOCK - 1)
                    cells[day] += 1
                    blocks[day // _BLOCK] += 1
                    n += 1
            for j in range(leave_head[k], leave_head[k + 1]):
                i = by_leave[j]
                if is_in[i] and leaves[i] > enters[i]:
                    day = min(max(days[i], 0), _BLOCKS * _BLOCK - 1)
                    cells[day] -= 1
                    blocks[day // _BLOCK] -= 1
                    n -= 1
            if k < n_as_of:
                for q in range(n_levels):
                    if n == 0:
                        into[q, d, k] = np.nan
                    else:
                        at = levels[q] * (n - 1)
                        below = int(np.floor(at))
                        low = _kth(blocks, cells, below)
                        high = low
                        if at > below:
                            high = _kth(blocks, cells, below + 1)
                        into[q, d, k] = low + (at - below) * (high - low)


@numba.njit(cache=True, nogil=True)
def distinct(start: Any, enters: Any, leaves: Any, code: Any, n_codes: int, into: Any) -> None:
    """Count distinct codes inside the window; a negative code does not count.

    `into` (3, n_dealers, n_as_of) receives the number of distinct codes, the number of events
    whose code occurs more than once, and the sum of the squared counts of the codes.
    """
    n_dealers, n_as_of = into.shape[1], into.shape[2]
    count = np.zeros(n_codes + 1, dtype=np.int32)
    most = 0
    for d in range(n_dealers):
        most = max(most, start[d + 1] - start[d])
    by_entry = np.empty(most, dtype=np.int64)
    by_leave = np.empty(most, dtype=np.int64)
    entry_head = np.empty(n_as_of + 2, dtype=np.int64)
    leave_head = np.empty(n_as_of + 2, dtype=np.int64)
    for d in range(n_dealers):
        lo, hi = start[d], start[d + 1]
        _order_by(enters, lo, hi, n_as_of, by_entry, entry_head)
        _order_by(leaves, lo, hi, n_as_of, by_leave, leave_head)
        kinds = 0
        repeated = 0
        squares = 0
        for k in range(n_as_of + 1):
            for j in range(entry_head[k], entry_head[k + 1]):
                i = by_entry[j]
                c = code[i]
                if c >= 0 and leaves[i] > enters[i]:
                    squares += 2 * count[c] + 1
                    count[c] += 1
                    if count[c] == 1:
                        kinds += 1
                    elif count[c] == 2:
                        repeated += 2
                    else:
                        repeated += 1
            for j in range(leave_head[k], leave_head[k + 1]):
                i = by_leave[j]
                c = code[i]
                if c >= 0 and leaves[i] > enters[i]:
                    squares -= 2 * count[c] - 1
                    count[c] -= 1
                    if count[c] == 0:
                        kinds -= 1
                    elif count[c] == 1:
                        repeated -= 2
                    else:
                        repeated -= 1
            if k < n_as_of:
                into[0, d, k] = kinds
                into[1, d, k] = repeated
                into[2, d, k] = squares


@numba.njit(cache=True, nogil=True)
def distinct_sums(
    start: Any, enters: Any, leaves: Any, code: Any, n_codes: int, values: Any, into: Any
) -> None:
    """Sum the largest value of each code inside the window; a negative code does not count.

    `into` (n_dealers, n_as_of) receives the sums; a value below zero is taken for zero.
    """
    n_dealers, n_as_of = into.shape
    most = 0
    for d in range(n_dealers):
        most = max(most, start[d + 1] - start[d])
    by_code = np.empty(most, dtype=np.int64)
    head = np.empty(n_codes + 2, dtype=np.int64)
    shifted = code + np.int32(1)
    total = np.empty(n_as_of)
    largest = np.empty(n_as_of)
    for d in range(n_dealers):
        _order_by(shifted, start[d], start[d + 1], n_codes, by_code, head)
        total[:] = 0.0
        for c in range(1, n_codes + 1):
            if head[c] == head[c + 1]:
                continue
            largest[:] = 0.0
            for j in range(head[c], head[c + 1]):
                i = by_code[j]
                for k in range(enters[i], min(leaves[i], n_as_of)):
                    largest[k] = max(largest[k], values[i])
            total += largest
        for k in range(n_as_of):
            into[d, k] = total[k]


def warm_up() -> None:
    """Compile every kernel, or load what an earlier process compiled."""
    i32 = np.zeros(1, dtype=np.int32)
    start = np.array([0, 1], dtype=np.int64)
    is_in = np.ones(1, dtype=np.bool_)
    grid = np.zeros((1, 1, 1), dtype=np.float32)
    sums(
        i32,
        i32,
        np.ones((1, 1), dtype=np.int32),
        bits=np.ones(1, dtype=np.uint64),
        values=np.zeros((1, 1)),
        spec=np.zeros((1, 3), dtype=np.int32),
        into=grid,
    )
    last_rows(start, i32, i32 + np.int32(1), is_in, np.zeros(1), np.zeros((1, 1), dtype=np.int64))
    quantiles(start, i32, i32 + np.int32(1), is_in, i32, np.array([0.5]), grid)
    distinct(start, i32, i32 + np.int32(1), i32, 1, np.zeros((3, 1, 1)))
    distinct_sums(start, i32, i32 + np.int32(1), i32, 1, np.zeros(1), grid[0])
    leaves(i32, i32, i32, 1)
    group(i32, 1)
    codes(start, np.zeros(1, dtype=np.uint64))
    for kind in (np.float32, np.float64):
        put(np.zeros((1, 1), dtype=kind), (0, 1), start, i32, np.zeros(1, dtype=kind))
