"""Releases for partners: made once a quarter and partner, written down, handed out as a zip."""

from __future__ import annotations

import io
import threading
import zipfile
from datetime import date
from pathlib import Path
from typing import Final

from features.errors import InvalidValueError, WarehouseError
from features.insight.sharing.quarters import Published, kept, released_year
from features.insight.sharing.release import Release, part_of, require_past
from features.insight.sharing.rules import (
    NoAgreementError,
    Partner,
    latest_release,
    partner_for,
    partners_for,
)
from features.insight.sharing.suppression import UnprotectedReleaseError
from serving.access.accounts import Principal
from serving.access.roles import PUBLIC_ONLY
from serving.errors import ConflictError, InvalidRequestError, NoReleaseError, NotReadyError
from serving.insight.cached import warehouse_of

_one_at_a_time = threading.Lock()
_PURPOSE: Final = "statistics"
_STAMP: Final = (1980, 1, 1, 0, 0, 0)  # a zip is the same bytes on any day


def releases_for(
    principal: Principal, home: Path, today: date, *, reach: date | None = None
) -> tuple[str, date, list[Partner]]:
    """Return the newest quarter released, its day, and the partners whose release a caller may get.

    Parameters
    ----------
    today : date
        On which agreements are in force.
    reach : date, optional
        The day to which the records reach: of a later quarter there is nothing to tell.

    Raises
    ------
    NotReadyError
        When the agreements cannot be read.
    """
    day = latest_release(min(today, reach or today))
    account = principal.name if principal.role in PUBLIC_ONLY else ""
    try:
        found = partners_for(home=home, on=today, released=day, account=account)
        return require_past(day, today), day, found
    except InvalidValueError as error:
        raise NotReadyError(error.what) from error


def share_for(
    principal: Principal,
    name: str,
    home: Path,
    *,
    released_on: date | None,
    today: date,
    agreement: str = "",
) -> Release:
    """Return a partner's release for a caller.

    A caller with the role `partner` gets what is for the public, and what an agreement that is in
    force today names the account for, from the agreement's first day on.

    Raises
    ------
    NoReleaseError
        When there is no such release for this caller.
    InvalidRequestError
        When the day is not one of release, or it is not told under which agreement.
    ConflictError
        When the release does not stand the attack.
    """
    day = released_on or latest_release(today)
    account = principal.name if principal.role in PUBLIC_ONLY else ""
    try:
        quarter = require_past(day, today)
        partner = partner_for(
            name, home=home, on=today, released=day, reference=agreement, account=account
        )
    except NoAgreementError as error:
        raise NoReleaseError("There is no release for this partner.") from error
    except InvalidValueError as error:
        raise InvalidRequestError(error.what, expected=error.expected) from error
    return part_of(_quarter(quarter, home), partner, (day, _PURPOSE))


def _quarter(quarter: str, home: Path) -> Published:
    """Return a quarter as it was released; the first time it is worked out, one at a time."""
    with _one_at_a_time:
        try:
            return kept(home, quarter) or released_year(warehouse_of(home), quarter, home)[-1]
        except UnprotectedReleaseError as error:
            raise ConflictError(
                "The release is refused: hidden cells could be worked out.", fix=error.fix
            ) from error
        except (WarehouseError, InvalidValueError) as error:
            raise NotReadyError(error.what, fix=error.fix or "") from error


def as_zip(release: Release) -> bytes:
    """Return a release as one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in release.files.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), content)
    return out.getvalue()
