"""Check the rows of an event and keep them: durable before they are acknowledged.

The rules are those of the data contract, as the warehouse applies them when the rows reach it: a
row that passes here is stored there, with the same values.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, TypedDict

import sqlalchemy as sa
from sqlalchemy import Connection

from features.domain.agency_day import day_of
from features.domain.license_number import dealer_key
from features.domain.missing_values import NO_DATES, is_null_word
from features.domain.name_numbers import NAMES, port, whole
from features.domain.number_words import counted
from features.openjson import Row
from features.reference.destinations import COUNTRY_COLUMNS, countries
from features.reference.geography.state_boxes import is_in_country
from features.reference.geography.state_codes import COUNTRY_OF_STATE, state_code
from features.schema import EARLIEST_DAY, TABLES, UPPER_CASE, Column, Table, day_orders
from features.sources.privacy import n_readable, person_columns
from features.warehouse import Warehouse, WarehouseMissingError
from serving.access.audit.audited_rows import events_kept_now
from serving.access.audit.writer import Ledger
from serving.contract.records.field import RejectedRecord
from serving.errors import InvalidRequestError
from serving.field.events.event_refusals import MOST_TEXT, refused
from serving.store import journal
from serving.store.database import Store, insert_new, instant
from serving.store.tables import EVENTS

# Stands for rows that were kept before, among the places of those of a request.
KEPT_BEFORE: Final = -1
_POINT: Final = {"latitude", "longitude"}
_DAY: Final = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass
class Checked:
    """Rows that passed, and why the others did not."""

    rows: list[Row] = field(default_factory=list)
    # The place of each of them in the request.
    places: list[int] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)


def check_rows(name: str, rows: Sequence[Mapping[str, Any]], *, today: date) -> Checked:
    """Check rows against the contract of a table.

    Raises
    ------
    InvalidRequestError
        When a row carries a column about a person, a purchaser's token that can be read, or a
        column that the table does not have: the whole request is then refused and nothing of it
        kept.
    """
    table = TABLES[name]
    known = {*table.names, "known_on"}
    for row in rows:
        if person_columns(row):
            raise InvalidRequestError(
                f"Rows of {name} may not carry a column about a person.",
                expected="purchaser_token, an opaque keyed hash made before the data comes here",
                fix="leave names, birth dates and identity numbers where they are (18 USC 926(a))",
            )
        if more := len(row.keys() - known):
            raise InvalidRequestError(
                f"A row has {counted(more, 'column')} that {name} does not have.",
                expected=", ".join(sorted(known)),
            )
    checked = Checked()
    for n, row in enumerate(rows):
        clean, fault = _check_row(table, row, today=today)
        if fault is None:
            checked.rows.append(clean)
            checked.places.append(n)
        else:
            checked.rejected.append(refused(name, n, *fault, sent=row))
    tokens = [row["purchaser_token"] for row in checked.rows if row.get("purchaser_token")]
    if n_readable(tokens):
        raise InvalidRequestError(
            f"Rows of {name} may not carry a purchaser_token that can be read.",
            expected="an opaque keyed hash, made before the data comes here",
            fix="send hashes in place of names, dates and identity numbers (18 USC 926(a))",
        )
    return checked


def _check_row(
    table: Table, row: Mapping[str, Any], *, today: date
) -> tuple[Row, tuple[str, str] | None]:
    clean: Row = {}
    for column in (*table.columns, Column("known_on", "date", is_required=False)):
        value = _given(column, row.get(column.name))
        if value is None:
            if column.is_required:
                return clean, (column.name, "missing_required")
            clean[column.name] = None
            continue
        value, code = _check_value(column, value, today=today)
        if code:
            return clean, (column.name, code)
        clean[column.name] = value
    for name, country in COUNTRY_OF_STATE.items():
        if clean.get(name):
            state = state_code(clean[name], clean[country])
            if state is None:
                return clean, (name, "unknown_code")
            clean[name] = state or None
    if clean.keys() >= _POINT and not _is_place(*(clean[name] for name in sorted(_POINT))):
        clean |= dict.fromkeys(_POINT)  # as ingest has it: what can be no place is not known
    return clean, _check_order(table, clean)


def _is_place(latitude: float | None, longitude: float | None) -> bool:
    return latitude is not None and longitude is not None and is_in_country(latitude, longitude)


def _given(column: Column, value: Any) -> Any:
    """Return a value without blanks around it, None where it stands for nothing."""
    if not isinstance(value, str):
        return value
    text = value.strip(" ")
    is_typed = column.kind != "string" or column.name == "dealer"
    is_nothing = is_null_word(text, column.name, column.allowed, is_typed=is_typed)
    if column.kind == "date" and _DAY.fullmatch(text):
        is_nothing = text in NO_DATES
    return None if not text or is_nothing else text


def _check_value(column: Column, value: Any, *, today: date) -> tuple[Any, str]:
    """Return the value as it is kept, and a reason code when it cannot be."""
    if column.name == "dealer":
        key = dealer_key(value) if isinstance(value, str) else None
        return key, "" if key else "unparsed_license"
    if column.kind == "date":
        return value, _fault_of_date(value, today)
    if column.kind == "boolean":
        return value, "" if isinstance(value, bool) else "unknown_code"
    if column.kind in {"integer", "number"}:
        return _check_number(column, value)
    if not isinstance(value, str) or not 0 < len(value) <= MOST_TEXT or not value.isprintable():
        return None, "undecodable"
    value = value.upper() if column.name in UPPER_CASE else value
    value = whole(value) if column.name in NAMES else value
    value = port(value) if column.name == "port_code" else value
    if column.allowed:  # in any case, as ingest reads them
        value = next((code for code in column.allowed if code.lower() == value.lower()), value)
    if column.name in COUNTRY_COLUMNS and value not in countries():
        return value, "unknown_code"
    return value, "unknown_code" if column.allowed and value not in column.allowed else ""


def _fault_of_date(value: Any, today: date) -> str:
    """Return the reason code of a date that cannot be kept, empty when it can.

    Days are compared as texts from here on, so only one way to write them passes.
    """
    try:
        when = date.fromisoformat(value) if _DAY.fullmatch(str(value)) else None
    except ValueError:
        when = None
    if when is None:
        return "bad_date"
    if when > today:
        return "future_date"
    return "out_of_range" if value < EARLIEST_DAY else ""


def _check_number(column: Column, value: Any) -> tuple[Any, str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (column.kind == "integer" and not isinstance(value, int)):
        return None, "unknown_code"
    low = -math.inf if column.minimum is None else column.minimum
    high = 2**53 if column.maximum is None else column.maximum
    return value, "" if low <= value <= high else "out_of_range"


def _check_order(table: Table, row: Mapping[str, Any]) -> tuple[str, str] | None:
    broken = ((order.broken_by(row), order.reason) for order in day_orders(table))
    return next(((column, reason) for column, reason in broken if column), None)


def dealers_of(
    store: Store, warehouse: Path | None, name: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the dealer of each trace that ballistic leads name: a lead names none itself."""
    wanted = sorted({str(row["trace_id"]) for row in rows if row.get("trace_id")})
    if name != "ballistic_leads" or not wanted:
        return {}
    found = _stored_dealers(warehouse, wanted)
    query = sa.select(EVENTS.c.key, EVENTS.c.dealer).where(
        EVENTS.c.source_table == "traces",
        EVENTS.c.key.in_(wanted),
        EVENTS.c.dealer.is_not(None),
    )
    with store.read() as connection:
        return found | {row.key: row.dealer for row in connection.execute(query)}


def _stored_dealers(warehouse: Path | None, traces: Sequence[str]) -> dict[str, str]:
    import duckdb

    opened = _opened(warehouse)
    if opened is None or not opened.has("traces"):
        return {}
    query = (
        f"SELECT trace_id, dealer FROM {opened.scan('traces')} "  # noqa: S608 - own names
        "WHERE superseded_on IS NULL AND dealer IS NOT NULL "
        "AND trace_id IN (SELECT unnest($traces))"
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        return dict(connection.execute(query, {"traces": list(traces)}).fetchall())


@dataclass(frozen=True)
class KeptRows:
    """What became of checked rows.

    Parameters
    ----------
    ids : tuple of int
        The event ids of the new rows.
    n_known : int
        How many were here already, word for word.
    clashes : mapping
        By the place of a row that is not kept the places of the rows that say something else of
        its key and day: a load would let none of them stand. `KEPT_BEFORE` is what is kept already.
    """

    ids: tuple[int, ...]
    n_known: int
    clashes: Mapping[int, Sequence[int]]


def keep(
    store: Store,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    ledger: Ledger,
    warehouse: Path | None = None,
) -> KeptRows:
    """Keep rows with the record of it; one that is here already, word for word, is kept once."""
    from features.ingest.clashes import clashes

    ids: list[int] = []
    n_known = 0
    refused: dict[int, list[int]] = {}
    dealers: set[str] = set()
    now = instant()
    traced = dealers_of(store, warehouse, name, rows)
    records = [_record(name, row, traced) for row in rows]
    dated = [_dated(row, now) for row in rows]
    found = {n: set(others) for n, others in clashes(name, dated, _opened(warehouse)).items()}
    with store.write() as connection:
        # Under the order's lock: the ids of events then grow as their transactions commit, and
        # whoever has read them up to one has read all before it.
        journal.lock(connection)
        before = _of_keys(connection, name, records)
        if before:
            told = [_dated(one.document, one.at) for one in before]
            for place, others in clashes(name, [*dated, *told]).items():
                found.setdefault(place, set()).update(others)
        known = {one.sha256 for one in before}
        for n, record in enumerate(records):
            if record["sha256"] not in known and n in found:
                places = {m if 0 <= m < len(rows) else KEPT_BEFORE for m in found[n]}
                refused[n] = sorted(places)
                continue
            event_id = insert_new(connection, EVENTS, {**record, "who": ledger.base.who, "at": now})
            if event_id is None:
                n_known += 1
            else:
                ids.append(event_id)
                dealers.add(str(record["dealer"] or ""))
        if ids:
            journal.note(connection, "event", f"{name}:{ids[0]}-{ids[-1]}", dealers - {""})
        kept = events_kept_now(connection, ids)
        ledger.add(connection, "events", f"{name} {len(ids)} rows", kept=kept)
    return KeptRows(tuple(ids), n_known, refused)


class _Record(TypedDict):
    source_table: str
    key: str
    sha256: str
    dealer: str | None
    document: Row


def _record(name: str, row: Mapping[str, Any], traced: Mapping[str, str]) -> _Record:
    text = json.dumps(row, sort_keys=True, ensure_ascii=False)
    return {
        "source_table": name,
        "key": "\x1f".join(str(row[column]) for column in TABLES[name].key)[:200],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "dealer": traced.get(str(row.get("trace_id"))) or row.get("dealer"),
        "document": dict(row),
    }


def _dated(row: Mapping[str, Any], at: str) -> Mapping[str, Any]:
    """Return a row with the day since which it is known: as it says, else the day it arrived."""
    return {**row, "known_on": row.get("known_on") or day_of(at)}


def _of_keys(connection: Connection, name: str, records: Sequence[_Record]) -> list[Any]:
    """Return the rows of the same keys that are kept."""
    query = sa.select(EVENTS.c.sha256, EVENTS.c.document, EVENTS.c.at).where(
        EVENTS.c.source_table == name,
        EVENTS.c.key.in_(sorted({record["key"] for record in records})),
    )
    return list(connection.execute(query))


def _opened(warehouse: Path | None) -> Warehouse | None:
    if warehouse is None:
        return None
    try:
        return Warehouse.open(warehouse)
    except WarehouseMissingError:
        return None
