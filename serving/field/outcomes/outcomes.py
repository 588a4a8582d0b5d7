"""What inspections found: kept for ever, felt by the legal gate at once, a label tomorrow."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from features.domain.agency_day import day_of
from features.domain.asof import parse_date
from features.openjson import Row
from features.reference.legal.citation import normalize
from features.reference.legal.twelve_month_rule import CONSUMING_KINDS, is_recall_due, next_eligible
from features.schema import TABLES
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import Ledger
from serving.contract.field.outcomes import OutcomeRequest
from serving.errors import ConflictError, InvalidRequestError, UnknownListError
from serving.field.events.refused_rows import OnRefused, log_refused, refused_rows
from serving.field.outcomes.inspection_on_record import OnRecord, changes_nothing, standing
from serving.field.outcomes.ordering_list import design_of
from serving.scores.snapshot import Snapshot
from serving.store import journal
from serving.store.database import Store, instant, spaced_id
from serving.store.tables import OUTCOMES
from serving.store.warehouse_progress import Collected

_ATTEMPTS: Final = 5
_MOST_AT_ONCE: Final = 500


@dataclass(frozen=True)
class Kept:
    """An outcome as kept.

    Parameters
    ----------
    records_since : str or None
        Since which day the records had the inspection that this version, just kept, stands for.
    """

    inspection_id: str
    version: int
    dealer: str
    document: Mapping[str, Any]
    at: str
    records_since: str | None = None


@dataclass(frozen=True)
class Author:
    """Who tells what an inspection found, and for which office.

    Parameters
    ----------
    name : str
    token : str
        Stands for the investigator when neither the outcome nor what is on record names one.
    office : str
        Office of the dealer on the day of the scores; empty when it is not known.
    ledger : Ledger
        Records the outcome in the transaction that keeps it.
    """

    name: str
    token: str
    office: str = ""
    ledger: Ledger = field(kw_only=True)


# From every version of a dealer's outcomes to the legal basis of a visit before its day, or "".
Gate = Callable[[Sequence[Kept]], str]


def keep(
    store: Store,
    request: OutcomeRequest,
    *,
    dealer: str,
    who: Author,
    today: date,
    gate: Gate | None = None,
    in_records: OnRecord | None = None,
) -> Kept:
    """Keep an outcome; saying the same again changes nothing, saying otherwise adds a version.

    `gate` is told every version of the dealer's outcomes, by whichever worker or home, and refuses
    by raising; nothing can be added between its look and the keeping. The basis on which it lets a
    visit pass before its day is on record. `in_records` is the inspection as the records have it
    (`serving.field.outcomes.inspection_on_record`).

    The design of the visit is that of the list or plan that ordered it; a later version that names
    none keeps the one named before, and one that names no investigator the one on record.

    Raises
    ------
    InvalidRequestError
        When a date lies in the future.
    ConflictError
        When the inspection is known as one of another dealer, or was opened before the list.
    UnknownListError
        When there is no such list, or the dealer is not on it.
    UnknownPlanError
        When no version of the plan that was approved has the dealer.
    """
    if (day := max(request.opened_on, request.closed_on or request.opened_on)) > today:
        raise InvalidRequestError(
            "An inspection cannot have been opened or closed in the future.",
            found=str(day),
            expected=f"no later than {today}",
        )
    for _ in range(_ATTEMPTS):
        try:
            with store.write() as connection:
                journal.lock(connection)
                before, document = _next(connection, request, dealer, who, in_records)
                last = _told_last(connection, request.inspection_id)
                if last is not None and changes_nothing(before, document):
                    who.ledger.add(connection, "outcomes", f"{dealer} {request.inspection_id}")
                    return _kept(last._mapping)
                basis = "" if gate is None else gate(versions_of(connection, dealer))
                row = {
                    "inspection_id": request.inspection_id,
                    "version": 1 if last is None else last.version + 1,
                    "dealer": dealer,
                    "document": document,
                    "list_id": document["list_id"] or "",
                    "who": who.name,
                    "at": instant(),
                }
                key = spaced_id(connection, OUTCOMES.c.outcome_id)
                connection.execute(OUTCOMES.insert(), {"outcome_id": key, **row})
                journal.note(connection, "outcome", request.inspection_id, [dealer])
                who.ledger.add(
                    connection,
                    "outcomes",
                    f"{dealer} {request.inspection_id}",
                    kept=kept_now(connection, "outcome", key),
                )
                if basis:
                    subject = f"{dealer} {request.inspection_id} {basis}"
                    who.ledger.add(connection, "override_legal_gate", subject)
                since = None if before is None or before.version else before.at
                return replace(_kept(row), records_since=since)
        except IntegrityError:
            continue  # somebody else added a version at the same moment
    raise ConflictError("The inspection is being changed by someone else.", fix="try again")


def preview(
    store: Store,
    request: OutcomeRequest,
    *,
    dealer: str,
    who: Author,
    in_records: OnRecord | None = None,
) -> tuple[OnRecord | None, Mapping[str, Any]]:
    """Return how an inspection stands, and the document that `keep` would keep of it."""
    with store.read() as connection:
        return _next(connection, request, dealer, who, in_records)


def _next(
    connection: sa.Connection,
    request: OutcomeRequest,
    dealer: str,
    who: Author,
    in_records: OnRecord | None,
) -> tuple[OnRecord | None, Mapping[str, Any]]:
    last = _told_last(connection, request.inspection_id)
    if last is not None and last.dealer != dealer:
        raise ConflictError(
            "This inspection is known as one of another dealer.", fix="check inspection_id"
        )
    told = None if last is None else OnRecord(last.document, last.at, last.version, last.who)
    before = standing(told, in_records)
    known = {} if before is None else before.document
    document = request.model_dump(mode="json", exclude={"purpose"}) | {
        "dealer": dealer,
        "office": who.office or None,
        "investigator_token": request.investigator_token
        or known.get("investigator_token")
        or who.token,
    }
    if document["list_id"] is None and document["plan_id"] is None and told is not None:
        document |= {name: told.document.get(name) for name in ("list_id", "plan_id")}
    return before, document | design_of(connection, document, dealer=dealer)


def _told_last(connection: sa.Connection, inspection_id: str) -> sa.Row[Any] | None:
    query = sa.select(OUTCOMES).where(OUTCOMES.c.inspection_id == inspection_id)
    return connection.execute(query.order_by(OUTCOMES.c.version.desc()).limit(1)).first()


def _kept(row: Mapping[str, Any] | sa.RowMapping) -> Kept:
    return Kept(row["inspection_id"], row["version"], row["dealer"], row["document"], row["at"])


def versions_of(connection: sa.Connection, dealer: str) -> list[Kept]:
    """Return every version of every outcome of a dealer, in the order kept."""
    query = sa.select(OUTCOMES).where(OUTCOMES.c.dealer == dealer).order_by(OUTCOMES.c.outcome_id)
    return [_kept(row._mapping) for row in connection.execute(query)]


def newest_outcomes(store: Store, dealers: Iterable[str] | None = None) -> list[Kept]:
    """Return the newest version of every outcome, or of those of some dealers."""
    with store.read() as connection:
        if dealers is None:
            return _newest(connection, None)
        found: list[Kept] = []
        wanted = sorted(set(dealers))
        for first in range(0, len(wanted), _MOST_AT_ONCE):
            found += _newest(connection, wanted[first : first + _MOST_AT_ONCE])
        return found


def _newest(connection: sa.Connection, dealers: Sequence[str] | None) -> list[Kept]:
    newest = sa.select(
        OUTCOMES.c.inspection_id, sa.func.max(OUTCOMES.c.version).label("version")
    ).group_by(OUTCOMES.c.inspection_id)
    if dealers is not None:
        newest = newest.where(OUTCOMES.c.dealer.in_(dealers))
    last = newest.subquery()
    query = sa.select(OUTCOMES).join(
        last,
        sa.and_(
            OUTCOMES.c.inspection_id == last.c.inspection_id,
            OUTCOMES.c.version == last.c.version,
        ),
    )
    rows = connection.execute(query.order_by(OUTCOMES.c.outcome_id))
    return [_kept(row._mapping) for row in rows]


_FELT: Final = (
    "eligible_on", "last_inspected_on", "last_outcome", "last_kind", "is_recall_due",
)  # fmt: skip


def apply_outcomes(snapshot: Snapshot, outcomes: Sequence[Kept]) -> Snapshot:
    """Return the snapshot with the days of eligibility that the outcomes bring.

    Parameters
    ----------
    snapshot : Snapshot
    outcomes : sequence of Kept
        All that are known of each dealer among them, in their newest versions. What they bring is
        worked out from the published table each time, so that an outcome put right later leaves
        nothing of the first telling behind, and all workers come to the same.
    """
    latest: dict[int, tuple[date, date, Kept | None]] = {}
    for kept in outcomes:
        row = snapshot.row_of.get(kept.dealer)
        if row is None:
            continue
        if kept.document["kind"] not in CONSUMING_KINDS:
            latest.setdefault(row, (date.min, date.min, None))
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
    values = {name: _published(snapshot, name, rows) for name in _FELT}
    told = [latest[row] for row in rows.tolist()]
    eligible = np.array([one[0] for one in told], dtype="datetime64[s]")
    known = values["eligible_on"]
    has_visit = np.array([one[2] is not None for one in told])
    # The later of two days holds: an older visit cannot shorten the wait for a newer one.
    places = np.flatnonzero(has_visit & (np.isnat(known) | (eligible > known)))
    visits = [(told[k][1], told[k][2]) for k in places.tolist()]
    documents = [kept.document for _, kept in visits if kept is not None]
    outcome = np.array([d["outcome"] for d in documents], dtype=object)
    days = pd.Series([day for day, _ in visits], dtype="datetime64[s]")
    due = is_recall_due(days, pd.Series(outcome, dtype=object), snapshot.as_of)
    values["eligible_on"][places] = eligible[places]
    values["last_inspected_on"][places] = np.array(
        [d["opened_on"] for d in documents], dtype="datetime64[s]"
    )
    values["last_outcome"][places] = outcome
    values["last_kind"][places] = np.array([d["kind"] for d in documents], dtype=object)
    values["is_recall_due"][places] = due.to_numpy(dtype=bool)
    is_news = np.zeros(len(rows), dtype=bool)
    for name, new in values.items():
        old = snapshot.columns[name][rows]
        is_same = np.asarray(new == old, dtype=bool)
        if new.dtype.kind == "M":
            is_same |= np.isnat(new) & np.isnat(old)
        is_news |= ~is_same
    if not is_news.any():
        return snapshot
    return snapshot.changed(rows[is_news], **{name: v[is_news] for name, v in values.items()})


def _published(snapshot: Snapshot, name: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Return what the table says of some rows, as it was published."""
    scored = snapshot.table.scored
    column = scored[name].to_numpy() if name in scored else np.full(len(scored), "", dtype=object)
    taken: npt.NDArray[Any] = column[rows].astype(snapshot.columns[name].dtype)
    return taken


def collect(
    store: Store, warehouse: Path, *, today: date, on_refused: OnRefused = log_refused
) -> int:
    """Move outcomes into the warehouse, so that the next training sees them; return how many.

    Open inspections wait. A row that the warehouse refuses holds up no other: it stays in its
    rejects, and `on_refused` is told. What was told on a day that is still to come
    by this machine's clock, as after it was set back, is taken in all the same. How far the
    warehouse has come is noted in it after it has them: killed in between, the next run stores them
    again, which changes nothing.
    """
    from features.ingest import ingest

    done = Collected.of(store, warehouse)
    with store.read() as connection:
        last = int(connection.scalar(sa.select(sa.func.max(OUTCOMES.c.outcome_id))) or 0)
        query = sa.select(OUTCOMES.c.inspection_id, OUTCOMES.c.version)
        new = {
            (i, v)
            for i, v in connection.execute(query.where(OUTCOMES.c.outcome_id > done.outcome_id))
        }
        newest = _newest(connection, None) if new else []
    waiting = [k for k in newest if k.document["closed_on"] and (k.inspection_id, k.version) in new]
    refused: Counter[str] = Counter()
    if waiting:
        with store.read() as connection:
            earlier = _earlier(connection, waiting)
        waiting = [_corrected(kept, earlier[kept.inspection_id]) for kept in waiting]
        waiting = _designed(store, waiting)
        today = max(today, *(date.fromisoformat(day_of(kept.at)) for kept in waiting))
        with tempfile.TemporaryDirectory() as folder:
            files = _canonical_files(waiting, Path(folder))
            refused = refused_rows(
                ingest(files, warehouse, max_rejects=1.0, today=today, is_told=True)
            )
    if last > done.outcome_id and warehouse.is_dir():
        replace(Collected.of(store, warehouse), outcome_id=last).save(warehouse)
    if refused:
        on_refused(refused)
    return len(waiting) - sum(n for what, n in refused.items() if what.startswith("inspections "))


def _earlier(connection: sa.Connection, outcomes: Sequence[Kept]) -> dict[str, list[Kept]]:
    """Return the versions of each inspection that the warehouse may have, oldest first."""
    out: dict[str, list[Kept]] = {kept.inspection_id: [] for kept in outcomes}
    newest = {kept.inspection_id: kept.version for kept in outcomes}
    ids = [i for i, version in newest.items() if version > 1]
    query = sa.select(OUTCOMES).order_by(OUTCOMES.c.version)
    for first in range(0, len(ids), _MOST_AT_ONCE):
        some = ids[first : first + _MOST_AT_ONCE]
        for row in connection.execute(query.where(OUTCOMES.c.inspection_id.in_(some))):
            kept = _kept(row._mapping)
            if kept.version < newest[kept.inspection_id] and kept.document["closed_on"]:
                out[kept.inspection_id].append(kept)
    return out


def _corrected(kept: Kept, earlier: Sequence[Kept]) -> Kept:
    """Take back what earlier versions cited and this one does not, and follow them by a day.

    A citation has a row of its own, which no new version of the inspection ends. Two versions of
    one day would be in dispute, and neither would stand.
    """
    day = date.min
    for one in (*earlier, kept):
        day = max(_known_day(one), day + timedelta(days=1))
    cited = [dict(violation) for violation in kept.document["violations"]]
    stands = {normalize(violation["citation"]).text for violation in cited}
    gone = {
        normalize(violation["citation"]).text
        for one in earlier
        for violation in one.document["violations"]
    } - stands
    cited += [{"citation": text, "instances": 0} for text in sorted(gone)]
    return replace(kept, document={**kept.document, "violations": cited}, at=day.isoformat())


def _known_day(kept: Kept) -> date:
    """Return since when an outcome is known: told by UTC, it may be of a day that is still to come.

    Where the day begins first a visit is closed and told while it is yesterday elsewhere.
    """
    return max(date.fromisoformat(day_of(kept.at)), parse_date(kept.document["closed_on"]))


def _designed(store: Store, outcomes: Sequence[Kept]) -> list[Kept]:
    """Join the design to outcomes that were kept by a version that did not know it."""
    out = []
    with store.read() as connection:
        for kept in outcomes:
            document = dict(kept.document)
            if "mandatory_places" not in document:
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
    inspections, violations = [], []
    for kept in outcomes:
        # One column names what ordered the visit, a list or a plan.
        ordered = kept.document["list_id"] or kept.document.get("plan_id") or ""
        visit = {"inspection_id": kept.inspection_id, "known_on": day_of(kept.at)}
        inspections.append(_blank(kept.document) | visit | {"list_id": ordered})
        violations += [_blank(one) | visit for one in kept.document["violations"]]
    files = [_canonical(folder, "inspections", inspections)]
    return [*files, _canonical(folder, "violations", violations)] if violations else files


def _canonical(folder: Path, table: str, rows: Sequence[Row]) -> Path:
    path = folder / f"{table}.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        columns = (*TABLES[table].names, "known_on")
        writer = csv.DictWriter(stream, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _blank(document: Mapping[str, Any]) -> Row:
    texts: dict[Any, str] = {True: "true", False: "false"}
    return {
        name: "" if value is None else texts[value] if isinstance(value, bool) else value
        for name, value in document.items()
    }
