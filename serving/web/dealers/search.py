"""Dealers found by name, place or number, or within an area of the map."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from serving.access.audit.writer import subjects
from serving.api.callers import Caller
from serving.contract.answers import Area
from serving.errors import InvalidRequestError
from serving.scores.areas import asked_rows
from serving.scores.visible_dealers import View
from serving.web.lists.pages import license_types
from serving.web.rendering import page
from serving.web.sign_in.visitor import PageRoute, may

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_MOST_FOUND: Final = 50
_TEXTS: Final = ("dealer", "license_number", "licensee_name", "business_name", "city", "zip")


class _Haystack:
    """What a search looks through, one line a dealer, made once a table."""

    def __init__(self) -> None:
        self._key: object = None
        self._texts: list[str] = []

    def of(self, view: View) -> list[str]:
        """Return the lines of the view's table."""
        columns = view.snapshot.columns
        # Rescored dealers keep their names: those columns stay the same object.
        key = columns["licensee_name"]
        if self._key is not key:
            lines = zip(*(columns[name].tolist() for name in _TEXTS), strict=True)
            self._texts = [" ".join(line).casefold() for line in lines]
            self._key = key
        return self._texts


_HAYSTACK: Final = _Haystack()


@dataclass(frozen=True)
class Within:
    """What of the map is searched through.

    Parameters
    ----------
    box : str
        West, south, east and north in degrees; empty for everywhere.
    state, license_type : str
        Codes; empty for all.
    top : str
        Only the highest so many percent; 0 for all.
    """

    box: str = ""
    state: str = ""
    license_type: str = ""
    top: str = "0"

    @property
    def words(self) -> str:
        """What of the caller's area is meant."""
        parts = [
            "the area chosen on the map" if self.box else "",
            f"the state {self.state}" if self.state else "",
            f"{dict(license_types()).get(self.license_type, '')} licenses"
            f" (type {self.license_type})" if self.license_type else "",
            f"the highest {self.top}%" if self.top != "0" else "",
        ]  # fmt: skip
        return ", ".join(part for part in parts if part)


@router.get("/dealers")
async def search(
    request: Request,
    caller: Annotated[Caller, Depends(may("dealers"))],
    q: Annotated[str, Query(max_length=100)] = "",
    box: Annotated[str, Query(max_length=80)] = "",
    state: Annotated[str, Query(pattern=r"^([A-Z]{2})?$")] = "",
    license_type: Annotated[str, Query(alias="type", pattern=r"^(\d{2})?$")] = "",
    top: Annotated[str, Query(pattern=r"^(0|1|10)$")] = "0",
) -> Response:
    """Find dealers by name, place or number, or those within what the map shows."""
    purpose = caller.purpose()
    within = Within(box, state, license_type, top)
    found, is_cut = await asyncio.to_thread(find_dealers, caller, q.strip(), within)
    await caller.record(subjects(str(row["dealer"]) for row in found), purpose=purpose)
    return page(
        request, "search.html", title="Find a dealer", active="dealers", me=caller.principal,
        q=q, found=found, is_cut=is_cut, is_asked=bool(q.strip() or box), within=within,
    )  # fmt: skip


def find_dealers(
    caller: Caller, q: str, within: Within | None = None
) -> tuple[list[dict[str, str | int]], bool]:
    """Return the dealers of the caller that a text or area finds, and whether there are more."""
    within = within or Within()
    scope = caller.scope
    view, columns = scope.view, scope.view.snapshot.columns
    if not q and not within.box:
        return [], False
    mask = view.is_visible & scope.own
    if within.box:
        mask = mask & asked_rows(view.snapshot, _area(within.box))
    if within.state:
        mask = mask & (columns["state"] == within.state)
    if within.license_type:
        mask = mask & (columns["license_type"] == within.license_type)
    if within.top != "0":
        mask = mask & (view.percentiles >= 100.0 - float(within.top))
    exact = scope.row(q) if q else None
    if exact is not None and not mask[exact]:
        exact = None
    rows = np.flatnonzero(mask) if exact is None else np.array([exact])
    if q and exact is None:
        texts, words = _HAYSTACK.of(view), q.casefold().split()
        rows = np.array(
            [row for row in rows.tolist() if all(word in texts[row] for word in words)],
            dtype=np.int64,
        )
    rows = rows[np.argsort(view.national_rank[rows], kind="stable")]
    found = [
        {name: columns[name][row] for name in (*_TEXTS, "state")}
        | {"office_rank": int(view.office_rank[row])}
        for row in rows[:_MOST_FOUND].tolist()
    ]
    return found, len(rows) > _MOST_FOUND


def _area(box: str) -> Area:
    try:
        west, south, east, north = (float(part) for part in box.split(","))
        return Area(box=(west, south, east, north))
    except ValueError:
        raise InvalidRequestError(
            "The area cannot be read.", expected="west,south,east,north in degrees"
        ) from None
