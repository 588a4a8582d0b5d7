"""What inspections found: kept for ever, felt by the legal gate at once, a label tomorrow."""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from features.domain.asof import parse_date
from features.schema import TABLES
from serving.access.audit import Ledger
from serving.access.kept import kept_now
from serving.contract.field import OutcomeRequest
from serving.errors import ConflictError, InvalidRequestError, UnknownListError
from serving.field.ordered import design_of
from serving.scores.eligibility import CONSUMING_KINDS, is_recall_due, next_eligible
from serving.scores.snapshot import Snapshot
from serving.store.database import Store, instant
from serving.store.tables import OUTCOMES

_ATTEMPTS: Final = 5


@dataclass(frozen=True)
class Kept:
    """An outcome as kept."""

    inspection_id: str
    version: int
    dealer: str
    document: Mapping[str, Any]
    at: str


@dataclass(frozen=True)
class Author:
    """Who tells what an inspection found, and for which office.

    Parameters
    ----------
    name : str
    token : str
        Stands for the investigator when the outcome names none.
    office : str
        Office of the dealer on the day of the scores; empty when it is not known.
    ledger : Ledger
        Records the outcome in the transaction that keeps it.
    """

    name: str
    token: str
    office: str = ""
    ledger: Ledger = dataclasses.field(kw_only=True)


def keep(store: Store, request: OutcomeRequest, *, dealer: str, who: Author, today: date) -> Kept:
    """Keep an outcome; saying the same again changes nothing, saying otherwise adds a version.

    The design of the visit is taken from the list that ordered it (`serving.field.ordered`); a
    later version that names no list keeps the one named before.

    Raises
    ------
    InvalidRequestError
        When a date lies in the future.
    ConflictError
        When the inspection is known as one of another dealer, or was opened before the list.
    UnknownListError
        When there is no such list, or the dealer is not on it.
    """
    if max(request.opened_on, request.closed_on or request.opened_on) > today:
        raise InvalidRequestError(
            "An inspection cannot have been opened or closed in the future.",
            found=f"{request.opened_on} to {request.closed_on}",
            expected=f"no later than {today}",
        )
    told = request.model_dump(mode="json", exclude={"purpose"}) | {
        "dealer": dealer,
        "office": who.office or None,
        "investigator_token": request.investigator_token or who.token,
    }
    query = (
        sa.select(OUTCOMES)
        .where(OUTCOMES.c.inspection_id == request.inspection_id)
        .order_by(OUTCOMES.c.version.desc())
        .limit(1)
    )
    for _ in range(_ATTEMPTS):
        try:
            with store.write() as connection:
                last = connection.execute(query).first()
                if last is not None and last.dealer != dealer:
                    raise ConflictError(
                        "This inspection is known as one of another dealer.",
                        fix="check inspection_id",
                    )
                if told["list_id"] is None and last is not None:
                    told["list_id"] = last.document.get("list_id")
                document = told | design_of(connection, told, dealer=dealer)
                if last is not None and last.document == document:
                    who.ledger.add(connection, "outcomes", f"{dealer} {request.inspection_id}")
                    return _kept(last._mapping)
                row = {
                    "inspection_id": request.inspection_id,
                    "version": 1 if last is None else last.version + 1,
                    "dealer": dealer,
                    "document": document,
                    "list_id": document["list_id"] or "",
                    "who": who.name,
                    "at": instant(),
                }
                result = connection.execute(OUTCOMES.insert(), row)
                key = (result.inserted_primary_key or [0])[0]
                who.ledger.add(
                    connection,
                    "outcomes",
                    f"{dealer} {request.inspection_id}",
                    kept=kept_now(connection, "outcome", key),
                )
                return _kept(row)
        except IntegrityError:
            continue  # somebody else added a version at the same moment
    raise ConflictError("The inspection is being changed by someone else.", fix="try again")


def _kept(row: Mapping[str, Any] | sa.RowMapping) -> Kept:
    return Kept(row["inspection_id"], row["version"], row["dealer"], row["document"], row["at"])


def newest_outcomes(store: Store) -> list[Kept]:
    """Return the newest version of every outcome."""
    newest = (
        sa.select(OUTCOMES.c.inspection_id, sa.func.max(OUTCOMES.c.version).label("version"))
        .group_by(OUTCOMES.c.inspection_id)
        .subquery()
    )
    query = sa.select(OUTCOMES).join(
        newest,
        sa.and_(
            OUTCOMES.c.inspection_id == newest.c.inspection_id,
            OUTCOMES.c.version == newest.c.version,
        ),
    )
    with store.read() as connection:
        return [_kept(row._mapping) for row in connection.execute(query)]


def apply_outcomes(snapshot: Snapshot, outcomes: Sequence[Kept]) -> Snapshot:
    """Return the snapshot with the days of eligibility that the outcomes bring."""
    latest: dict[int, tuple[date, date, Kept]] = {}
    for kept in outcomes:
        row = snapshot.row_of.get(kept.dealer)
        if row is None or kept.document["kind"] not in CONSUMING_KINDS:
            continue
        closed = kept.document["closed_on"]
        opened = parse_date(kept.document["opened_on"])
        ended = max(opened, parse_date(closed) if closed else opened)
        when = next_eligible(opened, ended, as_of=snapshot.as_of)
        if row not in latest or when > latest[row][0]:
            latest[row] = (when, ended, kept)
    rows = np.array(sorted(latest), dtype=np.int64)
    if not len(rows):
        return snapshot
    known = snapshot.columns["eligible_on"][rows]
    new = np.array([latest[row][0] for row in rows.tolist()], dtype="datetime64[s]")
    # The later of two days holds: an older visit cannot shorten the wait for a newer one.
    is_news = np.isnat(known) | (new > known)
    rows, new = rows[is_news], new[is_news]
    kept_rows = [latest[row][2].document for row in rows.tolist()]
    ended_on = pd.Series([latest[row][1] for row in rows.tolist()], dtype="datetime64[s]")
    opened_on = np.array([d["opened_on"] for d in kept_rows], dtype="datetime64[s]")
    last_outcome = np.array([d["outcome"] for d in kept_rows], dtype=object)
    due = is_recall_due(ended_on, pd.Series(last_outcome), snapshot.as_of)
    return snapshot.changed(
        rows,
        eligible_on=new,
        last_inspected_on=opened_on,
        last_outcome=last_outcome,
        is_recall_due=due.to_numpy(dtype=bool),
    )


def collect(store: Store, warehouse: Path, *, today: date) -> int:
    """Move outcomes into the warehouse, so that the next training sees them; return how many.

    Only closed inspections are labels; open ones wait. An outcome is marked as collected after the
    warehouse has it: killed in between, the next run stores it again, which changes nothing.
    """
    from features.ingest import ingest

    waiting = [k for k in newest_outcomes(store) if k.document["closed_on"]]
    with store.read() as connection:
        query = sa.select(OUTCOMES.c.inspection_id, OUTCOMES.c.version)
        done = {
            (i, v) for i, v in connection.execute(query.where(OUTCOMES.c.collected_at.is_not(None)))
        }
    waiting = [k for k in waiting if (k.inspection_id, k.version) not in done]
    if not waiting:
        return 0
    waiting = _designed(store, waiting)
    with tempfile.TemporaryDirectory() as folder:
        ingest(_canonical_files(waiting, Path(folder)), warehouse, today=today)
    marked = OUTCOMES.update().values(collected_at=instant())
    with store.write() as connection:
        for kept in waiting:
            connection.execute(
                marked.where(
                    OUTCOMES.c.inspection_id == kept.inspection_id,
                    OUTCOMES.c.version == kept.version,
                )
            )
    return len(waiting)


def _designed(store: Store, outcomes: Sequence[Kept]) -> list[Kept]:
    """Join the design to outcomes that were kept by a version that did not know it."""
    out = []
    with store.read() as connection:
        for kept in outcomes:
            document = dict(kept.document)
            if "why" not in document:
                try:
                    document |= design_of(connection, document, dealer=kept.dealer)
                except (UnknownListError, ConflictError):
                    # Its list says nothing of it: what was claimed of chance cannot be shown.
                    told = document | {"list_id": None}
                    document |= design_of(connection, told, dealer=kept.dealer)
            out.append(replace(kept, document=document))
    return out


def _canonical_files(outcomes: Sequence[Kept], folder: Path) -> list[Path]:
    """Write the outcomes as canonical files; what was learned today is known from today on."""
    inspections, violations = folder / "inspections.csv", folder / "violations.csv"
    columns = (*TABLES["inspections"].names, "known_on")
    with inspections.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        for kept in outcomes:
            writer.writerow(_blank(kept.document) | {"known_on": kept.at[:10]})
    names = (*TABLES["violations"].names, "known_on")
    cited = [(kept, v) for kept in outcomes for v in kept.document["violations"]]
    if not cited:
        return [inspections]
    with violations.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, extrasaction="ignore")
        writer.writeheader()
        for kept, violation in cited:
            row = {"inspection_id": kept.inspection_id, "known_on": kept.at[:10]}
            writer.writerow(_blank(violation) | row)
    return [inspections, violations]


def _blank(document: Mapping[str, Any]) -> dict[str, Any]:
    texts: dict[Any, str] = {True: "true", False: "false"}
    return {
        name: "" if value is None else texts[value] if isinstance(value, bool) else value
        for name, value in document.items()
    }
