"""What becomes of a referral: taken, handed over, closed with a coded result.

Each step is a row that stays, with who, when and to whom; the referral itself says where it stands.
Nothing here waits for a list, and suspending lists and scores does not stop it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import sqlalchemy as sa

from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger, subjects
from serving.contract.field.referral import Result
from serving.contract.records.referrals import AfterStep, DaysRecord, StandingRecord, StepRecord
from serving.errors import ConflictError, InvalidRequestError, UnknownReferralError
from serving.store import journal
from serving.store.database import Store, instant
from serving.store.rows import picked
from serving.store.tables import REFERRAL_STEPS, REFERRALS

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, RowMapping

RESULTS: Final[tuple[str, ...]] = get_args(Result)


@dataclass(frozen=True)
class Step:
    """One step in the life of a referral.

    Parameters
    ----------
    kind : str
        ``take``, ``hand_over`` or ``close``.
    to_agency, to_who : str
        Of a handing over: to which agency, and to which account of this service if to one.
    result : str
        Of a closing.
    """

    kind: Literal["take", "hand_over", "close"]
    to_agency: str = ""
    to_who: str = ""
    result: str = ""
    note: str = ""


def step(
    store: Store, referral_id: int, what: Step, *, is_lead: bool, ledger: Ledger
) -> StandingRecord:
    """Take a step, with the record of it, and return the referral as it then stands.

    Parameters
    ----------
    is_lead : bool
        Whether the caller leads the area and may step in for who has taken the referral.

    Raises
    ------
    UnknownReferralError
        When there is none of that number.
    ConflictError
        When it is closed, or somebody else's.
    InvalidRequestError
        When the step does not say what it must.
    """
    _check(what)
    who = ledger.base.who
    with store.write() as connection:
        journal.lock(connection)
        found = _row(connection, referral_id)
        if found["closed_at"] is not None:
            raise ConflictError(
                "The referral is closed.", found=f"{found['result']}, {found['closed_at']}"
            )
        holder = found["taken_by"]
        if what.kind == "take" and holder == who:
            # Nothing is kept, and the referral is shown: that is an access as any other.
            ledger.add(connection, "referral", _subject(referral_id, what, found["dealers"]))
            return picked(StandingRecord, found)
        if holder is not None and holder != who and not (is_lead and what.kind != "take"):
            raise ConflictError(
                "The referral is somebody else's.", found=f"taken by {holder}",
                fix="ask them, or whoever leads the area, to hand it over",
            )  # fmt: skip
        if holder is None and what.kind != "take" and not is_lead:
            raise ConflictError("The referral was not taken yet.", fix="take it first")
        now = instant()
        journal.note(connection, "referral", str(referral_id), found["dealers"])
        subject = _subject(referral_id, what, found["dealers"])
        values = _after(what, found, who, now)
        which = REFERRALS.c.referral_id == referral_id
        connection.execute(REFERRALS.update().where(which).values(**values))
        _insert(connection, referral_id, what, at=now, subject=subject, ledger=ledger)
        return picked(StandingRecord, _row(connection, referral_id))


def _check(what: Step) -> None:
    if what.kind == "close" and what.result not in RESULTS:
        raise InvalidRequestError(
            "A referral is closed with a coded result.", expected=", ".join(RESULTS)
        )
    if what.kind == "close" and what.result == "other" and not what.note.strip():
        raise InvalidRequestError("The result other needs a note that says what it was.")
    if what.kind == "hand_over" and not (what.to_agency.strip() or what.to_who.strip()):
        raise InvalidRequestError("A referral is handed over to an agency, or to somebody.")


def _row(connection: Connection, referral_id: int) -> RowMapping:
    query = sa.select(REFERRALS).where(REFERRALS.c.referral_id == referral_id)
    if connection.dialect.name != "sqlite":  # SQLite's writers follow each other anyway
        query = query.with_for_update()
    row = connection.execute(query).first()
    if row is None:
        raise UnknownReferralError("There is no such referral within your area.")
    return row._mapping


def _subject(referral_id: int, what: Step, dealers: Iterable[str]) -> str:
    """Return what an audit record says of a step: which referral, what, and whom it shows."""
    parts = (str(referral_id), what.kind, what.result, subjects(dealers))
    return " ".join(part for part in parts if part)


def _insert(
    connection: Connection, referral_id: int, what: Step, *, at: str, subject: str, ledger: Ledger
) -> None:
    row = {
        "referral_id": referral_id,
        "step": what.kind,
        "who": ledger.base.who,
        "to_agency": what.to_agency.strip(),
        "to_who": what.to_who.strip(),
        "result": what.result,
        "note": what.note,
        "at": at,
    }
    result = connection.execute(REFERRAL_STEPS.insert(), row)
    key = int((result.inserted_primary_key or [0])[0])
    rows = (("referral_step", key), ("referral", referral_id))
    kept = " ".join(kept_now(connection, kind, number) for kind, number in rows)
    ledger.add(connection, "referral", subject, kept=kept)


def _after(what: Step, before: RowMapping, who: str, now: str) -> AfterStep:
    """Return what a step changes; when it was first taken, and the last agency, stay."""
    if what.kind == "close":
        return {"result": what.result, "closed_at": now}
    holder = who if what.kind == "take" else what.to_who.strip()
    return {
        "agency": what.to_agency.strip() or before["agency"],
        "taken_by": holder or None,
        "taken_at": before["taken_at"] or (now if holder else None),
    }


def steps_of(store: Store, referral_id: int) -> list[StepRecord]:
    """Return the steps of a referral, the first one first."""
    query = sa.select(REFERRAL_STEPS).where(REFERRAL_STEPS.c.referral_id == referral_id)
    with store.read() as connection:
        rows = connection.execute(query.order_by(REFERRAL_STEPS.c.step_id))
        return [picked(StepRecord, row._mapping) for row in rows]


def status_of(referral: StandingRecord) -> str:
    """Return ``open``, ``taken``, ``handed_over`` or ``closed``."""
    if referral["closed_at"]:
        return "closed"
    if referral["taken_by"]:
        return "taken"
    return "handed_over" if referral["agency"] else "open"


def days_of(referral: Mapping[str, Any], *, now: str) -> DaysRecord:
    """Return how many days a referral waited to be taken, and has been open.

    >>> days_of({"opened_at": "2026-01-01T00:00:00.000000Z", "taken_at": None,
    ...          "closed_at": "2026-01-03T12:00:00.000000Z"}, now="2026-02-01T00:00:00.000000Z")
    {'days_to_take': None, 'days_open': 2.5}
    """
    opened = datetime.fromisoformat(str(referral["opened_at"]))

    def days(until: str | None) -> float | None:
        if not until:
            return None
        return round((datetime.fromisoformat(until) - opened).total_seconds() / 86_400, 1)

    taken = referral["taken_at"]
    return {"days_to_take": days(taken), "days_open": days(referral["closed_at"] or now)}
