"""What the feed of events is told to be stored is stored: the warehouse refuses no row of it."""

from __future__ import annotations

import random
from typing import get_args

import duckdb
import pytest

from features.schema import TABLES
from features.warehouse import Warehouse
from serving import clock
from serving.access.audit.writer import Access, Ledger
from serving.contract.field.events import EventTable
from serving.errors import InvalidRequestError
from serving.field.events.events import check_rows, keep
from serving.field.events.rescoring import collect_events

ROWS = {
    "traces": {
        "trace_id": "T", "requested_on": "2025-12-29", "completed_on": "2025-12-30",
        "recovered_on": "2025-12-28", "recovery_country": "MX", "requester": "police",
        "dealer": "1-10-00001", "sold_on": "2025-12-20", "purchaser_token": "9f86d081",
        "firearm_type": "pistol", "caliber": "9mm", "serial_status": "legible",
        "outcome": "purchaser", "known_on": "2025-12-30",
    },
    "multiple_sales": {
        "report_id": "R", "dealer": "1-10-00001", "sold_on": "2025-12-20",
        "reported_on": "2025-12-21", "kind": "handgun", "n_firearms": 2,
        "purchaser_token": "9f86d081", "known_on": "2025-12-22",
    },
    "thefts_losses": {
        "report_id": "L", "dealer": "1-10-00001", "discovered_on": "2025-12-20",
        "reported_on": "2025-12-21", "kind": "loss", "n_firearms": 2,
    },
    "seizures": {
        "seizure_id": "S", "seized_on": "2025-12-20", "reported_on": "2025-12-21",
        "agency": "CBP", "firearm_type": "rifle", "latitude": 31.5, "dealer": "1-10-00001",
        "trace_id": "T1", "known_on": "2025-12-22",
    },
    "ballistic_leads": {
        "lead_id": "B", "trace_id": "T1", "lead_on": "2025-12-20", "n_linked_events": 2,
    },
    "tips": {
        "tip_id": "P", "dealer": "1-10-00001", "received_on": "2025-12-20",
        "source": "public", "is_self_report": False,
    },
}  # fmt: skip
DAYS = (
    "2025-W10-1", "20251220", "2025-12-5", "2025-02-30", "1900-01-01", "1937-12-31", "1931-02-03",
    "2025-12-01", "2025-12-27", "2025-12-31", "2098-05-05", "9999-12-31", "n/a", "unknown", " ",
    "２０２５-12-20", " 2025-12-20 ", 20251220, None,
)  # fmt: skip
DEALERS = (
    "A-BC-DEFGH", "１-２３-４５６７８", "0-10-00001", "1-10-0000a", "1-10-A0001",
    "1-56-059-01-6F-21093", "15605901 6F21093", "unknown", "00000000", "1-10-00001 ",
    "nobody", 1, None,
)  # fmt: skip
TEXTS = (
    "n/a", "NULL", "-", "?", "none", "", " T9 ", "a, \"b\"; 'c'\\", "=1+1", "ñ", "\u200bT", "1.000",
    "true", "12.0", None,
)  # fmt: skip
STATES = ("TX", "Texas", "us-tx", "CHH", "Nuevo Le\u00f3n", "north", "n/a", None)
PORTS = (*TEXTS, "304", "304.0", "2304.0", "0304", "Laredo")
TOKENS = ("unknown", "0000000000", "x", "N/A", "a1b2c3d4", "", None)
NUMBERS = (0, 1, -1, 1.5, 100_001, 10**20, 31.123, True, "2", "n/a", None)


def odd(column):
    """Return values of every kind that a column may be sent."""
    if column.kind == "date":
        return DAYS
    if column.kind in ("integer", "number"):
        return NUMBERS
    if column.allowed:
        return [*TEXTS, *(code.upper() for code in column.allowed), "Rifle", "cbp", "hsi"]
    named = {
        "port_code": PORTS,
        "dealer": DEALERS,
        "purchaser_token": TOKENS,
        "recovery_state": STATES,
    }
    return named.get(column.name, TEXTS)


def odd_rows(table, seed, n=250):
    """Return rows in which one to three values are odd, each with a key of its own."""
    draw = random.Random(seed)
    contract = TABLES[table]
    columns = [c for c in contract.columns if c.name != contract.key[0]]
    rows = []
    for number in range(n):
        row = ROWS[table] | {contract.key[0]: f"K{number}"}
        for column in draw.sample(columns, draw.choice((1, 1, 2, 3))):
            row[column.name] = draw.choice(odd(column))
        if draw.random() < 0.2:
            row["known_on"] = draw.choice(DAYS)
        rows.append(row)
    keys = [ROWS[table] | {contract.key[0]: value} for value in TEXTS]
    return [*rows, *keys]


def stored(home, table):
    """Return the rows of the warehouse by the first column of their key, and the rejects."""
    warehouse = Warehouse.open(home)
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT * FROM {warehouse.scan(table)}")  # noqa: S608
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    rejects = warehouse.rejects(table)
    return {row[TABLES[table].key[0]]: row for row in rows}, rejects


@pytest.mark.parametrize("table", sorted(ROWS))
def test_what_the_feed_keeps_the_warehouse_stores_with_the_same_values(runtime, table):
    home = runtime.settings.home / "warehouse"
    checked = check_rows(table, odd_rows(table, 7), today=clock.today())
    assert checked.rows
    assert checked.rejected
    ledger = Ledger(runtime.audit_key, Access("feed", "scheduler", "", ""))
    keep(runtime.store, table, checked.rows, ledger=ledger)
    collect_events(runtime.store, home)
    rows, rejects = stored(home, table)
    assert rejects is None, rejects.to_pylist()[:3]
    assert len(rows) == len(checked.rows)
    for kept in checked.rows:
        one = rows[kept[TABLES[table].key[0]]]
        for column in TABLES[table].columns:
            if (table, column.name) == ("multiple_sales", "purchaser_token"):
                continue  # dropped when its time is over
            value = one[column.name]
            assert kept[column.name] == (str(value) if column.kind == "date" and value else value)


@pytest.mark.parametrize(
    ("change", "column", "code"),
    [
        ({"sold_on": "2025-W10-1"}, "sold_on", "bad_date"),
        ({"dealer": "A-BC-DEFGH"}, "dealer", "unparsed_license"),
        ({"dealer": "１-２３-４５６７８"}, "dealer", "unparsed_license"),
        ({"completed_on": "2025-12-28"}, "completed_on", "known_before_event"),
        ({"recovered_on": None, "sold_on": "2025-12-30"}, "requested_on", "sold_after_recovery"),
        ({"recovered_on": "2025-12-19"}, "recovered_on", "sold_after_recovery"),
        ({"known_on": "2025-12-27"}, "known_on", "known_before_event"),
        ({"known_on": "2025-12-29"}, "known_on", "known_before_event"),
        ({"requested_on": "1900-01-01"}, "requested_on", "missing_required"),
        ({"trace_id": "n/a"}, "trace_id", "missing_required"),
        ({"recovery_country": "US", "recovery_state": "CHH"}, "recovery_state", "unknown_code"),
    ],
    ids=str,
)
def test_a_row_that_the_warehouse_would_refuse_is_named_with_its_code(change, column, code):
    checked = check_rows("traces", [ROWS["traces"] | change], today=clock.today())
    (refused,) = checked.rejected
    assert (refused["row"], refused["column"], refused["code"]) == (0, column, code)
    assert refused["detail"].startswith(f"{column} ")


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        ({"dealer": 12345}, "unparsed_license",
         'dealer should be text in quotes, such as "5-74-90001"; a number was sent'),
        ({"trace_id": 12345}, "undecodable",
         'trace_id should be text in quotes, such as "T1"; a number was sent'),
        ({"sold_on": 20251220}, "bad_date",
         'sold_on should be a day written YYYY-MM-DD, such as "2024-02-20"; a number was sent'),
        ({"is_fifty_caliber": "yes"}, "unknown_code",
         "is_fifty_caliber should be true or false without quotes, such as false; text was sent"),
        ({"caliber": ["9mm"]}, "undecodable",
         'caliber should be text in quotes, such as "9mm"; a list was sent'),
        ({"requester": None}, "missing_required",
         'requester is required: agency that asked, such as "TXHPD0000"'),
        ({"firearm_type": "gun"}, "unknown_code",
         "firearm_type should be one of other, pistol, receiver, revolver, rifle, shotgun"),
        ({"known_on": "31.12.2025"}, "bad_date",
         'known_on should be a day written YYYY-MM-DD, such as "2026-01-31"'),
        ({"recovery_country": "Mexico"}, "unknown_code",
         'recovery_country should be text (ISO 3166-1 alpha-2), such as "US"'),
    ],
    ids=str,
)  # fmt: skip
def test_a_refused_row_is_told_what_its_column_takes_with_an_example(change, code, detail):
    checked = check_rows("traces", [ROWS["traces"] | change], today=clock.today())
    assert [(one["code"], one["detail"]) for one in checked.rejected] == [(code, detail)]


def test_a_token_that_stands_for_nothing_links_no_sales(runtime):
    sent = [ROWS["multiple_sales"] | {"purchaser_token": word} for word in ("unknown", "0000")]
    checked = check_rows("multiple_sales", sent, today=clock.today())
    assert [row["purchaser_token"] for row in checked.rows] == [None, None]


@pytest.mark.parametrize(
    "token", ["Jane.Doe", "Jane Doe", "123-45-6789", "1980-02-03", "703-555-0100"]
)
def test_a_token_that_can_be_read_refuses_the_request_and_stops_no_feed(service, token):
    sale = ROWS["multiple_sales"]
    body = {"table": "multiple_sales", "rows": [sale, sale | {"purchaser_token": token}]}
    refused = service.post("/v1/events", "scheduler", body)
    assert (refused.status_code, token in refused.text) == (422, False)
    with pytest.raises(InvalidRequestError, match="can be read"):
        check_rows("multiple_sales", body["rows"], today=clock.today())
    assert collect_events(service.runtime.store, service.runtime.settings.home) == []


def test_every_table_of_the_feed_is_tried():
    assert sorted(get_args(EventTable)) == sorted(ROWS)
