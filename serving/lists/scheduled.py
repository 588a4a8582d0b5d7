"""Lists issued by schedule: one for each office and week, waiting when its people sign in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import sqlalchemy as sa

from features.domain.agency_day import begin_of
from features.errors import did_you_mean
from serving.access.accounts import Principal
from serving.contract.answers import Area, RankRequest
from serving.contract.records.lists import ListSummaryRecord
from serving.errors import InvalidRequestError
from serving.lists.issued import IssuedAlreadyError, issue
from serving.lists.owners import office_of, schedule_for
from serving.runtime import Runtime
from serving.settings import RANDOM_SHARE
from serving.store.database import Store
from serving.store.tables import LISTS


@dataclass(frozen=True)
class Order:
    """What a schedule issues for each office.

    Parameters
    ----------
    offices : sequence of str
        Only these; every office of the published table when empty.
    k : int
        Dealers on each list.
    random_share : float
        Share of each drawn at random.
    is_again : bool
        Whether an office that has its list of the week gets another.
    """

    offices: Sequence[str] = ()
    k: int = 50
    random_share: float = RANDOM_SHARE
    is_again: bool = False


@dataclass(frozen=True)
class Scheduled:
    """The list of one office for a week.

    Parameters
    ----------
    is_new : bool
        Whether it was issued just now, not earlier in the week.
    """

    office: str
    list_id: str
    n_dealers: int
    is_new: bool


def monday_of(day: date) -> date:
    """Return the first day of a week.

    >>> monday_of(date(2026, 1, 1))
    datetime.date(2025, 12, 29)
    """
    return day - timedelta(days=day.weekday())


def issue_for_week(
    runtime: Runtime, order: Order, *, by: Principal, today: date
) -> list[Scheduled]:
    """Issue the week's list of every office that has none yet.

    Each list is one transaction: a run that was cut short is taken up by the next, and a second
    run in the week changes nothing, one at the same time neither.

    Parameters
    ----------
    by : Principal
        Who runs it, as the audit shall say.

    Raises
    ------
    InvalidRequestError
        When an office is not in the published table.
    StaleTableError
        When the records are too old to send anybody anywhere by.
    """
    runtime.follow()
    waiting = {} if order.is_again else waiting_lists(runtime.store, today)
    out = []
    for office in _offices(runtime, order.offices):
        if office in waiting:
            out.append(Scheduled(office, *waiting[office], is_new=False))
            continue
        request = RankRequest(
            area=Area(office=office), k=order.k, random_share=order.random_share,
            purpose="licensing",
        )  # fmt: skip
        since = "" if order.is_again else begin_of(monday_of(today))
        try:
            document = issue(runtime, schedule_for(office), request, by=by, once_since=since)
        except IssuedAlreadyError:  # by another run, while this one composed
            found = waiting_lists(runtime.store, today)[office]
            out.append(Scheduled(office, *found, is_new=False))
            continue
        out.append(Scheduled(office, document["list_id"], len(document["rows"]), is_new=True))
    return out


def waiting_lists(store: Store, today: date) -> dict[str, tuple[str, int]]:
    """Return id and length of each office's newest list of this week from the schedule."""
    since = begin_of(monday_of(today))
    query = (
        sa.select(LISTS.c.list_id, LISTS.c.owner, LISTS.c.document)
        .where(LISTS.c.issued_at >= since, LISTS.c.owner.startswith("schedule:"))
        .order_by(LISTS.c.issued_at)
    )
    with store.read() as connection:
        rows = connection.execute(query).all()
    return {
        office_of(row.owner): (row.list_id, len(json.loads(row.document)["rows"])) for row in rows
    }


def newest_of_week(found: Iterable[ListSummaryRecord], today: date) -> list[ListSummaryRecord]:
    """Return the summaries of the lists that wait: the newest of the week for each office."""
    since = begin_of(monday_of(today))
    newest: dict[str, ListSummaryRecord] = {}
    for one in found:
        if one["office"] and one["issued_at"] >= since:
            newest.setdefault(one["office"], one)
    return [newest[office] for office in sorted(newest)]


def _offices(runtime: Runtime, asked: Sequence[str]) -> list[str]:
    """Return the offices to issue for, in their order."""
    names = np.unique(runtime.snapshot.columns["office"].astype(str)).tolist()
    known = [name for name in names if name]
    for office in asked:
        if office not in known:
            raise InvalidRequestError(
                f"No dealer of the published table belongs to office "
                f"{office!r}{did_you_mean(office, known, end='.')}",
                expected=", ".join(known[:12]) + (", …" if len(known) > 12 else ""),
            )
    return sorted(set(asked)) or known
