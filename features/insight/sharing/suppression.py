"""Which cells are hidden: those unsafe alone, those hidden before, and what covers them.

Covering cells are chosen one after another: wherever the attack gives a hidden cell too narrow an
interval, the smallest published cell that shares a sum with it is hidden too, until the attack
fails everywhere. Then every covering cell abroad is tried the other way round, and shown where the
others cover for it: none of them can be shown without giving a cell away. The last attack is over
every hidden cell; a release that does not stand it is refused with the cells named. (A rest of the
country that covers too little ends hidden as a whole.)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from features.arrays import Flags, Ints
from features.errors import FeatureError
from features.insight.sharing.bound_cells import System
from features.insight.sharing.rules import Rules

if TYPE_CHECKING:
    from features.insight.sharing.attack import Bounds

_ROUNDS: Final = 200
_SLACK: Final = 1e-6


class UnprotectedReleaseError(FeatureError):
    """A release whose hidden cells can be worked out."""

    exit_code = 5


@dataclass(frozen=True)
class Pattern:
    """Which cells are hidden and why, with what the last attack found.

    Parameters
    ----------
    is_hidden, is_primary : ndarray of bool, shape (n_cells,)
    outsider, insider : Bounds
    """

    is_hidden: Flags
    is_primary: Flags
    outsider: Bounds
    insider: Bounds


def protect(
    system: System, rules: Rules, *, before: Collection[tuple[str, str, str]] = ()
) -> Pattern:
    """Choose the hidden cells of a release.

    Parameters
    ----------
    system : System
    rules : Rules
    before : collection of keys
        Cells hidden in earlier releases of the year: the pattern never opens within a year.

    Raises
    ------
    UnprotectedReleaseError
        When the last attack finds a cell out.
    """
    from features.insight.sharing.attack import bounds  # a solver, slow to import

    system.check()
    unsafe = np.array([not cell.is_safe(rules) for cell in system.cells])
    kept = np.array([cell.key in before for cell in system.cells])
    is_primary = unsafe | kept
    is_hidden = is_primary.copy()
    floor = np.array([cell.most for cell in system.cells], dtype=np.float64)
    doubtful = np.flatnonzero(is_hidden)
    for _ in range(_ROUNDS):
        if not len(doubtful):
            break
        outside = bounds(system, is_hidden, only=doubtful, enough=rules.min_width)
        inside = bounds(
            system, is_hidden, only=doubtful, at_least=floor, enough=rules.min_width_insider
        )
        is_bad = _is_narrow(outside, rules.min_width) | _is_narrow(inside, rules.min_width_insider)
        bad = outside.place[is_bad]
        if not len(bad):
            break
        added = _covers(system, is_hidden, bad, rules)
        if not added:
            break
        is_hidden[added] = True
        doubtful = np.unique(np.concatenate([bad, added]))
    is_hidden = _without_needless(system, is_hidden, is_primary, rules)
    pattern = Pattern(
        is_hidden,
        is_primary,
        bounds(system, is_hidden, enough=rules.min_width),
        bounds(system, is_hidden, at_least=floor, enough=rules.min_width_insider),
    )
    require_protected(system, pattern, rules)
    return pattern


def _without_needless(system: System, is_hidden: Flags, is_primary: Flags, rules: Rules) -> Flags:
    """Show every covering cell abroad that the others cover for: what is left there is needed.

    The largest are tried first. A cell that cannot be shown stays so when others are shown, since
    that only narrows intervals. Cells at home, which few read, are not worth the time.
    """
    from features.insight.sharing.attack import Probe  # a solver, slow to import

    kept = is_hidden.copy()
    covers = [
        place
        for place in np.flatnonzero(is_hidden & ~is_primary).tolist()
        if system.cells[place].is_sought
    ]
    if not covers:
        return kept
    covers.sort(key=lambda place: (-system.cells[place].n, place))
    floor = np.array([cell.most for cell in system.cells], dtype=np.float64)
    outside = Probe(system, is_hidden, np.zeros(len(floor)), rules.min_width)
    inside = Probe(system, is_hidden, floor, rules.min_width_insider)
    for place in covers:
        if not outside.show(place):
            continue
        if inside.show(place):
            kept[place] = False
        else:
            outside.hide(place)
    return kept


def require_protected(system: System, pattern: Pattern, rules: Rules) -> None:
    """Refuse a release that the attack finds out.

    Raises
    ------
    UnprotectedReleaseError
        Naming the cells, never their values.
    """
    is_bad = _is_narrow(pattern.outsider, rules.min_width)
    is_bad |= _is_narrow(pattern.insider, rules.min_width_insider)
    if not is_bad.any():
        return
    names = [" / ".join(system.cells[p].key) for p in pattern.outsider.place[is_bad]]
    raise UnprotectedReleaseError(
        f"{len(names)} hidden cells of the release can be worked out too closely.",
        found="; ".join(names[:20]),
        expected=f"intervals at least {rules.min_width} wide",
        fix="publish coarser tables: raise min_group in release_rules.toml",
    )


def _is_narrow(found: Bounds, least: float) -> Flags:
    return np.asarray(found.width < least - _SLACK, dtype=np.bool_)


def _covers(system: System, is_hidden: Flags, bad: Ints, rules: Rules) -> list[int]:
    """Return for each sum that gives hidden cells away the cheapest published cell of it.

    A cell is given away by the nearest sum with a published member, of several by the one in which
    least is open; one cover a sum and round.
    """
    n = system.values
    members = [np.array([total, *parts]) for total, parts in system.sums]
    of: dict[int, list[int]] = {}
    for k, own in enumerate(members):
        for place in own.tolist():
            of.setdefault(place, []).append(k)
    is_told = [bool((~is_hidden[own]).any()) for own in members]
    beside = [float(n[own[is_hidden[own]]].sum()) for own in members]
    added: set[int] = set()
    for place in bad.tolist():
        found = _nearest(place, (of, members, is_told, is_hidden))
        if not found:
            continue
        own = members[min(found, key=lambda k: (beside[k], k))].tolist()
        if added & set(own):
            continue
        # One at home before one abroad, since those are what readers look for; at home a part
        # before a total, abroad a total before a corridor; then the smallest that is wide enough.
        covers = [m for m in own if not is_hidden[m]]
        covers.sort(key=lambda m: (*_regret(system, m, own[0]), n[m] < rules.min_width, n[m], m))
        added.add(covers[0])
    return sorted(added)


def _regret(system: System, place: int, total: int) -> tuple[bool, bool]:
    """How much readers miss a cell of a sum: of two cells the lower is hidden first."""
    is_sought = system.cells[place].is_sought
    return is_sought, (place == total) != is_sought


def _nearest(
    place: int, known: tuple[dict[int, list[int]], list[Ints], list[bool], Flags]
) -> list[int]:
    """Return the sums with a published member that are fewest hidden cells away from a cell."""
    of, members, is_told, is_hidden = known
    cells, seen = {place}, set[int]()
    while cells:
        sums = {k for cell in cells for k in of.get(cell, ())} - seen
        told = sorted(k for k in sums if is_told[k])
        if told or not sums:
            return told
        seen |= sums
        cells = {m for k in sums for m in members[k][is_hidden[members[k]]].tolist()} - cells
    return []
