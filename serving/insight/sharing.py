"""Releases for partners: made once a quarter and partner, written down, handed out as a zip."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from pathlib import Path
from typing import Final

from features.errors import InvalidValueError
from features.insight.sharing.release import Quarter, Release, part_of, quarter_tables
from features.insight.sharing.rules import (
    NoAgreementError,
    accounts_of,
    latest_release,
    partner_for,
    quarter_of,
    rules_on,
)
from features.insight.sharing.suppress import UnprotectedReleaseError
from features.warehouse import Warehouse
from serving.access.accounts import Principal
from serving.errors import ConflictError, InvalidRequestError, NoReleaseError
from serving.insight.kept import kept, warehouse_of

_PURPOSE: Final = "statistics"
_STAMP: Final = (1980, 1, 1, 0, 0, 0)  # a zip is the same bytes on any day


def share_for(
    principal: Principal, name: str, home: Path, *, released_on: date | None, today: date
) -> Release:
    """Return a partner's release for a caller.

    A caller with the role `partner` gets what is for the public, and what an agreement names the
    account for.

    Raises
    ------
    NoReleaseError
        When there is no such release for this caller.
    InvalidRequestError
        When the day is not one of release.
    ConflictError
        When the release does not stand the attack.
    """
    day = released_on or latest_release(today)
    try:
        quarter = quarter_of(day)
        partner = partner_for(name, home=home, on=day)
    except NoAgreementError as error:
        raise NoReleaseError("There is no release for this partner.") from error
    except InvalidValueError as error:
        raise InvalidRequestError(error.what, expected=error.expected) from error
    is_own = name == "public" or principal.name in accounts_of(name, home=home, on=day)
    if principal.role == "partner" and not is_own:
        raise NoReleaseError("There is no release for this partner.")
    if day > today:
        raise InvalidRequestError(f"{quarter} is released on {day}, which is still to come.")
    warehouse = warehouse_of(home)
    try:
        made = kept_quarter(warehouse, quarter, day)
    except UnprotectedReleaseError as error:
        raise ConflictError(
            "The release is refused: hidden cells could be worked out.", fix=error.fix
        ) from error
    return part_of(made, partner, warehouse.fingerprint, (day, _PURPOSE))


def kept_quarter(warehouse: Warehouse, quarter: str, day: date) -> Quarter:
    """Return the tables of a quarter, worked out once for all partners."""
    rules = rules_on(day)
    return kept(
        warehouse,
        ("quarter", quarter, rules.starts_on),
        lambda: quarter_tables(warehouse, quarter, rules),
    )


def as_zip(release: Release) -> bytes:
    """Return a release as one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in release.files.items():
            archive.writestr(zipfile.ZipInfo(name, _STAMP), content)
    return out.getvalue()
