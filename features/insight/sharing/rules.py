"""The rules of release in force on a day, the calendar, and who may receive what."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from features.domain.asof import add_months
from features.errors import FeatureError, InvalidValueError, did_you_mean
from features.openjson import Json
from features.reference.geography.places import states

AGREEMENTS: Final = "agreements.toml"


class NoAgreementError(FeatureError):
    """A partner with which no agreement is in force."""

    exit_code = 3


@dataclass(frozen=True)
class Rules:
    """What a cell must meet to be published; see ``release_rules.toml``."""

    starts_on: date
    min_firearms: int
    min_dealers: int
    max_dealer_share: float
    min_width: int
    min_width_insider: int
    min_group: int
    reference: str


@dataclass(frozen=True)
class Partner:
    """Who receives a release.

    Parameters
    ----------
    name, label : str
    tables : tuple of str
        Which tables.
    destinations : tuple of str
        Only these destinations; empty for all.
    agreement : str
        Reference of the agreement, empty where none is needed.
    states : tuple of str
        Only dealers of these states, where the partner is a state's; empty for all.
    """

    name: str
    label: str
    tables: tuple[str, ...]
    destinations: tuple[str, ...]
    agreement: str
    states: tuple[str, ...] = ()

    def subject(self, quarter: str) -> str:
        """Return what an audit record says was handed over: to whom, of when, under what."""
        under = f"under {self.agreement}" if self.agreement else ""
        return " ".join(filter(None, ("share", self.name, quarter, *self.states, under)))


@lru_cache(maxsize=1)
def _document() -> Json:
    text = (Path(__file__).parent / "release_rules.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def rules_on(day: date) -> Rules:
    """Return the rules in force on a day."""
    known = [Rules(**entry) for entry in _document()["rules"] if entry["starts_on"] <= day]
    if not known:
        raise InvalidValueError(f"No rules of release were in force on {day}.")
    return max(known, key=lambda rules: rules.starts_on)


# No release was made before there was a law to release by, and none is planned this far ahead.
_FIRST_YEAR, _LAST_YEAR = 1968, 2200


def release_day(quarter: str) -> date:
    """Return the day on which a quarter is released.

    >>> release_day("2024Q3")
    datetime.date(2024, 11, 15)
    """
    calendar = _document()["calendar"]
    return add_months(quarter_end(quarter), calendar["months_after"]).replace(day=calendar["day"])


def quarter_of(day: date) -> str:
    """Return the quarter that is released on a day.

    Raises
    ------
    InvalidValueError
        When the day is not on the calendar.

    Examples
    --------
    >>> quarter_of(date(2024, 11, 15))
    '2024Q3'
    """
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise InvalidValueError(
            f"{day} is no day of release.",
            found=str(day),
            expected=f"a day of the calendar, {_FIRST_YEAR} to {_LAST_YEAR}",
        )
    for months in range(1, 7):
        start = add_months(day.replace(day=1), -months)
        quarter = f"{start.year}Q{(start.month - 1) // 3 + 1}"
        if release_day(quarter) == day:
            return quarter
    near = sorted(_near(day), key=lambda one: abs((one - day).days))[:2]
    raise InvalidValueError(
        f"{day} is no day of release.",
        found=str(day),
        expected=f"a day of the calendar, such as {' or '.join(map(str, sorted(near)))}",
    )


def _near(day: date) -> list[date]:
    years = range(day.year - 1, day.year + 2)
    return [release_day(f"{year}Q{k}") for year in years for k in (1, 2, 3, 4)]


def latest_release(today: date) -> date:
    """Return the newest day of release up to a day."""
    return max(day for day in _near(today) if day <= today)


def quarter_start(quarter: str) -> date:
    """Return the first day of a quarter."""
    return date(int(quarter[:4]), 3 * int(quarter[5]) - 2, 1)


def quarter_end(quarter: str) -> date:
    """Return the first day after a quarter.

    >>> quarter_end("2024Q4")
    datetime.date(2025, 1, 1)
    """
    return add_months(quarter_start(quarter), 3)


def partner_for(
    name: str,
    *,
    home: Path,
    on: date,
    released: date | None = None,
    reference: str = "",
    account: str = "",
) -> Partner:
    """Return a partner that may receive a release.

    Parameters
    ----------
    on : date
        The day on which it is received: an agreement that has ended by then opens nothing.
    released : date, optional
        The day of the release, `on` by default: an agreement opens none from before its first day.
    reference : str
        Which agreement, where several are in force.
    account : str
        Only agreements that name this account count.

    Raises
    ------
    InvalidValueError
        When nobody is called so, several agreements with states are in force and none is named, or
        the agreement with a state does not name its states.
    NoAgreementError
        When an agreement is needed and ``agreements.toml`` of the home folder has none in force.
    """
    known = _document()["partner"]
    if name not in known:
        raise InvalidValueError(
            f"No partner is called {name!r}{did_you_mean(name, known, end='.')}",
            expected=", ".join(known),
        )
    entry = known[name]
    tables, destinations = entry["tables"].split(), entry.get("destinations", "").split()
    whole = Partner(name, entry["label"], tuple(tables), tuple(destinations), "")
    if not entry["needs_agreement"]:
        return whole
    found = _in_force(name, home, on, released or on)
    agreement = _one(found, name, home, on, reference=reference, account=account)
    told = str(agreement.get("reference") or "without reference")
    own = _states(agreement, name, told) if entry.get("own_states") else ()
    return replace(whole, agreement=told, states=own)


def partners_for(
    *, home: Path, on: date, released: date | None = None, account: str = ""
) -> list[Partner]:
    """Return the releases that may be received: the public ones, and one for each agreement.

    Parameters
    ----------
    on, released : date
        See `partner_for`.
    account : str
        Only agreements that name this account count; empty for all.
    """
    out = []
    for name, entry in _document()["partner"].items():
        if not entry["needs_agreement"]:
            out.append(partner_for(name, home=home, on=on))
            continue
        for agreement in _in_force(name, home, on, released or on):
            if account and account not in map(str, agreement.get("accounts", [])):
                continue
            reference = str(agreement.get("reference") or "")
            try:
                found = partner_for(
                    name, home=home, on=on, released=released, reference=reference, account=account
                )
            except InvalidValueError:
                continue  # it names no states, or no reference tells it from another
            out.append(found)
    return out


def _one(
    found: list[Json], name: str, home: Path, on: date, *, reference: str, account: str
) -> Json:
    if account:
        found = [one for one in found if account in map(str, one.get("accounts", []))]
    if reference:
        found = [one for one in found if one.get("reference") == reference]
    if not found:
        raise NoAgreementError(
            f"No agreement with {name} is in force on {on}.",
            found=f"none in {home / AGREEMENTS}" + (f" called {reference!r}" if reference else ""),
            expected=f"an entry [[agreement]] with partner = {name!r}, reference, starts_on, "
            "ends_on",
            fix="write the agreement there once it is signed",
        )
    told = sorted({tuple(map(str, one.get("states", []))) for one in found})
    if len(told) > 1:
        raise InvalidValueError(
            f"Several agreements with {name} are in force on {on}, with different states.",
            expected="one of: " + ", ".join(str(one.get("reference")) for one in found),
            fix="name the agreement (--agreement REFERENCE)",
        )
    return found[0]


def _states(agreement: dict[str, Any], name: str, reference: str) -> tuple[str, ...]:
    own = agreement.get("states")
    known = set(states()["state"])
    if not isinstance(own, list) or not own or not {str(one) for one in own} <= known:
        raise InvalidValueError(
            f"The agreement {reference} with {name} does not name its states.",
            found=repr(own), expected='states = ["TX"], with postal codes of states',
            fix=f"write them in {AGREEMENTS}",
        )  # fmt: skip
    return tuple(sorted(map(str, own)))


def _in_force(name: str, home: Path, on: date, released: date) -> list[Json]:
    """Return the agreements with a partner in force on a day that a release of a day is part of."""
    path = home / AGREEMENTS
    if not path.is_file():
        return []
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("agreement", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{path} cannot be read as TOML: {error}.") from error
    out = []
    for entry in entries:
        starts, ends = entry.get("starts_on"), entry.get("ends_on", date.max)
        is_dated = isinstance(starts, date) and isinstance(ends, date)
        if entry.get("partner") == name and is_dated and starts <= min(on, released) and on < ends:
            out.append(entry)
    return out
