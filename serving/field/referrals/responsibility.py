"""Which agency answers for what, where, on a day: a dated table, its overlaps and its gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Final

import sqlalchemy as sa

from features.domain.office_names import name_key
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.access.named_areas import ANSWERED_FOR, read_area
from serving.contract.records.referrals import GapRecord
from serving.errors import InvalidRequestError
from serving.store.database import Store, instant
from serving.store.tables import RESPONSIBILITIES

SUBJECTS: Final = (
    "inspections", "straw_purchases", "southbound_trafficking", "border_seizures",
    "foreign_traces", "dealer_thefts",
)  # fmt: skip


@dataclass(frozen=True)
class Responsibility:
    """An agency that answers for a subject in an area, from a day to the day before another."""

    responsibility_id: int
    agency: str
    area: str
    subject: str
    contact: str
    starts_on: date
    ends_on: date | None

    def is_in_force(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)


def add(
    store: Store,
    agency: str,
    *,
    area: str,
    subject: str,
    contact: str,
    starts_on: date,
    ends_on: date | None = None,
    ledger: Ledger,
) -> int:
    """Keep a row of the table, with the record of it, and return its number.

    Raises
    ------
    InvalidRequestError
        When the agency, area, subject or dates make no sense.
    """
    if not 0 < len(agency.strip()) <= 120 or not 0 < len(contact.strip()) <= 200:
        raise InvalidRequestError("An agency and whom to call there are needed.")
    area = read_area(area)
    if not ANSWERED_FOR.fullmatch(area):
        raise InvalidRequestError(
            f"{area!r} is not an area.",
            expected="nation, division:, office:, state:, port: or country:NAME",
        )
    if subject not in SUBJECTS:
        raise InvalidRequestError(f"{subject!r} is not a subject.", expected=", ".join(SUBJECTS))
    if ends_on is not None and ends_on <= starts_on:
        raise InvalidRequestError("It ends after it starts.", found=f"{starts_on} to {ends_on}")
    row = {
        "agency": agency.strip(), "area": area, "subject": subject, "contact": contact.strip(),
        "starts_on": starts_on, "ends_on": ends_on, "who": ledger.base.who, "at": instant(),
    }  # fmt: skip
    with store.write() as connection:
        result = connection.execute(RESPONSIBILITIES.insert(), row)
        key = int((result.inserted_primary_key or [0])[0])
        kept = kept_now(connection, "responsibility", key)
        ledger.add(connection, "responsibility", f"{key} {agency} {area} {subject}", kept=kept)
    return key


def end(store: Store, responsibility_id: int, on: date, *, ledger: Ledger) -> None:
    """Let a row end on a day, with the record of it."""
    which = RESPONSIBILITIES.c.responsibility_id == responsibility_id
    with store.write() as connection:
        starts_on = connection.scalar(sa.select(RESPONSIBILITIES.c.starts_on).where(which))
        if starts_on is None:
            raise InvalidRequestError(f"There is no row {responsibility_id}.")
        if on <= starts_on:
            raise InvalidRequestError("It ends after it starts.", found=f"{starts_on} to {on}")
        connection.execute(RESPONSIBILITIES.update().where(which).values(ends_on=on))
        kept = kept_now(connection, "responsibility", responsibility_id)
        ledger.add(connection, "responsibility", f"{responsibility_id} ends {on}", kept=kept)


def table(store: Store) -> list[Responsibility]:
    """Return every row, by subject, area and day."""
    names = Responsibility.__dataclass_fields__
    query = sa.select(*(RESPONSIBILITIES.c[name] for name in names))
    with store.read() as connection:
        rows = [Responsibility(**row._mapping) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (row.subject, row.area, row.starts_on))


def whom_to_call(
    rows: Iterable[Responsibility], areas: Sequence[str], *, subject: str, day: date
) -> list[Responsibility]:
    """Return who answers for a subject, the narrowest area named first.

    Parameters
    ----------
    areas : sequence of str
        The areas that a dealer or event lies in, the narrowest first; the nation is always one.
    """
    order = {name_key(area): n for n, area in enumerate([*areas, "nation"])}
    found = [
        row
        for row in rows
        if row.subject == subject and name_key(row.area) in order and row.is_in_force(day)
    ]
    return sorted(found, key=lambda row: (order[name_key(row.area)], row.agency))


def overlaps(rows: Iterable[Responsibility], day: date) -> list[tuple[Responsibility, ...]]:
    """Return pairs of agencies that answer for the same subject and area on a day."""
    in_force = [row for row in rows if row.is_in_force(day)]
    return [
        (one, other)
        for one, other in combinations(in_force, 2)
        if (one.subject, one.area) == (other.subject, other.area) and one.agency != other.agency
    ]


def gaps(rows: Iterable[Responsibility], areas: Iterable[str], day: date) -> list[GapRecord]:
    """Return the subjects that nobody answers for in some areas on a day.

    An area is covered by a row of its own or by one for the whole nation.
    """
    held = {(row.subject, row.area) for row in rows if row.is_in_force(day)}
    wanted = sorted(set(areas))
    out: list[GapRecord] = []
    for subject in SUBJECTS:
        if (subject, "nation") in held:
            continue
        missing = [area for area in wanted if (subject, area) not in held]
        if missing:
            out.append({"subject": subject, "areas": missing})
    return out
