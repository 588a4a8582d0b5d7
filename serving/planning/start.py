"""Where an office's weeks start and end: a place, and what it is in words."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features import reference
from serving.errors import InvalidRequestError, NotReadyError
from serving.scores.visible_dealers import View

OFFICES: Final = "offices.toml"
_UNKNOWN: Final = "its address is not known here"


@dataclass(frozen=True)
class Start:
    """Where weeks start and end.

    Parameters
    ----------
    latitude, longitude : float
    words : str
        What is there, to be read after "from" or "at"; never a place that is elsewhere.
    """

    latitude: float
    longitude: float
    words: str


class _Office(BaseModel):
    """One office of the file, as the agency states it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)

    office: str = Field(min_length=1, max_length=80)
    address: str = Field(min_length=1, max_length=200)
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    office: list[_Office]


def given_start(latitude: float, longitude: float) -> Start:
    """Return a start that was asked for by its coordinates.

    >>> given_start(33.4, -112.0).words
    'the point given (33.4000, -112.0000)'
    """
    return Start(latitude, longitude, f"the point given ({latitude:.4f}, {longitude:.4f})")


def stated_starts(home: Path) -> dict[str, Start]:
    """Return the offices whose address the agency states in ``offices.toml`` of the home folder.

    Raises
    ------
    NotReadyError
        When the file is there and cannot be read.
    """
    path = home / OFFICES
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise NotReadyError(
            "The addresses of the offices cannot be read.",
            found=f"{path}: {_first_fault(error)}",
            expected="entries [[office]] with office, address, latitude and longitude",
            fix="mend the file, or take it away",
        ) from error
    return {
        one.office: Start(
            one.latitude, one.longitude, f"the office's address as stated, {one.address}"
        )
        for one in found.office
    }


def _first_fault(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    fault = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"


def office_start(view: View, rows: npt.NDArray[np.intp], office: str, *, home: Path) -> Start:
    """Return where an office's weeks start: at its stated address, else at what stands for it.

    That is the middle of the county that the office is named after, or else of its dealers.

    Raises
    ------
    InvalidRequestError
        When none of these is known.
    """
    stated = stated_starts(home)
    if office in stated:
        return stated[office]
    seats = reference.office_seats()
    if office in seats.index:
        latitude, longitude = seats.loc[[office], ["lat", "lon"]].to_numpy(dtype=np.float64)[0]
        county = f"{seats['county_name'][office]}, {seats['state'][office]}"
        words = f"the middle of {county}, which stands for the office: {_UNKNOWN}"
        return Start(float(latitude), float(longitude), words)
    columns = view.snapshot.columns
    places = np.column_stack([columns["latitude"][rows], columns["longitude"][rows]])
    places = places[np.isfinite(places).all(axis=1)].astype(np.float64)
    if not len(places):
        raise InvalidRequestError(
            "Where this office lies is not known.",
            fix=f"give the start point of the visits, or state the office's address in {OFFICES}",
        )
    # The dealer nearest to the middle: the middle itself may be open sea.
    distance = np.square(places - np.median(places, axis=0)).sum(axis=1)
    latitude, longitude = places[int(np.argmin(distance))].tolist()
    return Start(latitude, longitude, f"the middle of the office's dealers: {_UNKNOWN}")
