"""Where a caller may look, and where a request asks to look."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.arrays import Flags
from features.domain.office_names import is_any_of
from serving.access.accounts import Principal
from serving.contract.answers import Area
from serving.errors import OutsideAreaError
from serving.scores.snapshot import Snapshot
from serving.scores.visible_dealers import View
from serving.scores.words.wording import types_in_words

_NAMED: Final = ("office", "division", "state", "county")


def own_rows(snapshot: Snapshot, principal: Principal) -> Flags:
    """Return the rows within the caller's own area, shape (n,)."""
    if principal.is_national:
        return np.ones(len(snapshot.columns["dealer"]), dtype=bool)
    mask: Flags = snapshot.where("office", principal.offices)
    return mask | snapshot.where("division", principal.divisions)


def is_own(columns: Mapping[str, npt.NDArray[Any]], principal: Principal) -> Flags:
    """Return which of some dealers lie within a caller's own area: `own_rows` of a few."""
    if principal.is_national:
        return np.ones(len(columns["dealer"]), dtype=bool)
    mask: Flags = is_any_of(columns["office"], principal.offices)
    return mask | is_any_of(columns["division"], principal.divisions)


def asked_rows(snapshot: Snapshot, area: Area) -> Flags:
    """Return the rows within all that the request names, shape (n,)."""
    mask: Flags = np.ones(len(snapshot.columns["dealer"]), dtype=bool)
    for name in _NAMED:
        wanted = getattr(area, name)
        if wanted is not None:
            mask &= snapshot.where(name, [wanted])
    return _within_shapes(snapshot.columns, area, mask)


def is_asked(columns: Mapping[str, npt.NDArray[Any]], area: Area) -> Flags:
    """Return which of some dealers lie within all that a request names: `asked_rows` of a few."""
    mask: Flags = np.ones(len(columns["dealer"]), dtype=bool)
    for name in _NAMED:
        wanted = getattr(area, name)
        if wanted is not None:
            mask &= is_any_of(columns[name], [wanted])
    return _within_shapes(columns, area, mask)


def _within_shapes(columns: Mapping[str, npt.NDArray[Any]], area: Area, mask: Flags) -> Flags:
    latitude, longitude = columns["latitude"], columns["longitude"]
    if area.box is not None:
        west, south, east, north = area.box
        mask &= (latitude >= south) & (latitude <= north)
        # A box whose west lies east of its east crosses the 180th meridian.
        inside = (longitude >= west) & (longitude <= east)
        mask &= inside if west <= east else (longitude >= west) | (longitude <= east)
    if area.radius is not None:
        from features.reference import geodesic_km

        near = np.flatnonzero(mask & np.isfinite(latitude) & np.isfinite(longitude))
        center = np.full(len(near), area.radius.latitude), np.full(len(near), area.radius.longitude)
        km = geodesic_km(*center, latitude[near], longitude[near])
        mask[:] = False
        mask[near[km <= area.radius.km]] = True
    return mask


def as_spelled(snapshot: Snapshot, area: Area) -> Area:
    """Return an area by the names that the scored table has: one area has one draw, and one list.

    A name that the table does not have stays as it was asked for.
    """
    named = {name: getattr(area, name) for name in _NAMED if getattr(area, name) is not None}
    return area.model_copy(
        update={name: snapshot.spelling(name, asked) for name, asked in named.items()}
    )


def rows_for(view: View, principal: Principal, area: Area) -> Flags:
    """Return the rows that the request names and the caller may see.

    A dealer that does not exist for the caller makes no difference to the answer, nor to whether
    there is one.

    Raises
    ------
    OutsideAreaError
        When it names an office or division that is not the caller's, or a place none of which is.
    """
    asked = asked_rows(view.snapshot, area) & view.is_visible
    if principal.is_national:
        return asked
    own = own_rows(view.snapshot, principal)
    named_own = (area.office is None or principal.has_office(area.office)) and (
        area.division is None or principal.has_division(area.division)
    )
    is_inside = named_own or _offices_of(principal, view, area)
    if not is_inside or (asked.any() and not (asked & own).any()):
        raise OutsideAreaError(
            "The area asked for is not yours.",
            found=in_words(area),
            expected=f"within {own_in_words(principal)}",
        )
    return asked & own


def _offices_of(principal: Principal, view: View, area: Area) -> bool:
    """Whether the office asked for lies within a division of the caller."""
    if area.division is not None and not principal.has_division(area.division):
        return False
    in_office = view.snapshot.where("office", [str(area.office)]) & view.is_visible
    divisions = set(view.snapshot.columns["division"][in_office])
    return bool(divisions) and all(map(principal.has_division, divisions))


def own_in_words(principal: Principal) -> str:
    """Say which area a caller has."""
    if principal.is_national:
        return "the whole country"
    return ", ".join(sorted(a.replace(":", " ", 1) for a in principal.areas)) or "no area"


def in_words(area: Area, license_types: Collection[str] = ()) -> str:
    """Say which area a request names, and which types of license of it alone.

    >>> in_words(Area(office="785110"), ["07", "02"])
    'office 785110, license types 02, 07 only'
    """
    parts = [f"{name} {getattr(area, name)}" for name in _NAMED if getattr(area, name) is not None]
    if area.box is not None:
        parts.append("longitude {0:g} to {2:g}, latitude {1:g} to {3:g}".format(*area.box))
    if area.radius is not None:
        circle = area.radius
        parts.append(f"within {circle.km:g} km of {circle.latitude:g}, {circle.longitude:g}")
    where = ", ".join(parts) or "everything within the caller's area"
    return f"{where}, {types_in_words(license_types)} only" if license_types else where
