"""What the audit's records cover: each column of each row that somebody may want otherwise."""

import shutil

import pytest
import sqlalchemy as sa

from serving.access.accounts import Directory
from serving.access.audit.audited_rows import KEPT, kept_now
from serving.access.audit.writer import Access, Ledger, append, verify
from serving.field.events.events import keep
from serving.field.referrals import case_requests, referral_life
from serving.field.referrals.referrals import Pattern, queue
from serving.store.database import Store
from serving.store.tables import (
    CASE_REQUESTS,
    DECISIONS,
    EVENTS,
    LISTS,
    PLANS,
    REFERRALS,
    SESSIONS,
)

KEY = b"k" * 32
LEDGER = Ledger(KEY, Access("feed", "scheduler", "", ""))
LATER = "2999-01-01T00:00:00.000000Z"
BEFORE = "2020-01-01T00:00:00.000000Z"
DEALER = "1-10-00001"
# Columns of covered rows that no record covers, and why.
LEFT = {
    "lists.document": "its digest is covered",
    "plans.document": "its digest is covered",
    "outcomes.collected_at": "when it went to the warehouse, told by the warehouse too",
    "events.collected_at": "when it went to the warehouse, told by the warehouse too",
    "sessions.expires_at": "signing out sets it",
    "sessions.revoked_at": "set for many at once by a change of their account, which is recorded",
}


@pytest.fixture
def store(tmp_path, new_store):
    shutil.copy(new_store, tmp_path / "service.db")
    return Store.open(f"sqlite:///{tmp_path / 'service.db'}")


def tips(*names):
    return [{"tip_id": name, "dealer": DEALER, "source": "public"} for name in names]


def fill(store):
    """Leave rows as the service leaves them, each with its record."""
    directory = Directory(store, LEDGER)
    for name, role in (("maria", "supervisor"), ("paul", "agent")):
        directory.add_account(name, role, areas=["nation"])
    directory.start_session(
        directory.principal_of_token(directory.issue_token("maria")), "licensing", hours=1,
        ledger=LEDGER,
    )  # fmt: skip
    for some in (("T1", "T2", "T3"), ("T4",), ("T1",)):
        keep(store, "tips", tips(*some), ledger=LEDGER)
    patterns = [Pattern("fast_recovery", (f"1-10-0000{n}",), {"records": [str(n)]}) for n in (1, 2)]
    queue(store, patterns, ledger=LEDGER)
    with store.read() as connection:
        number = connection.scalar(sa.select(sa.func.min(REFERRALS.c.referral_id)))
    take = referral_life.Step("take", "", "", "", "")
    referral_life.step(store, number, take, is_lead=False, ledger=LEDGER)
    asked = case_requests.Asked("HSI-1", "warrant", "HSI", "a named case", (DEALER,), "maria", 5)
    case_requests.ask(store, asked, ledger=LEDGER)
    listed = {
        "list_id": "L", "issued_at": BEFORE, "owner": "maria", "area": "{}",
        "as_of": sa.func.date(), "bundle": "b", "scored": "s", "recipe": {"overlay": {}},
        "document": b"{}", "sha256": "x",
    }  # fmt: skip
    decided = {
        "list_id": "L", "dealer": DEALER, "decision": "accept", "reason": "", "note": "",
        "legal_basis": "", "priority": 0.1, "who": "maria", "at": BEFORE,
    }  # fmt: skip
    planned = {
        "plan_id": "P", "version": 1, "office": "office0", "starts_on": sa.func.date(),
        "status": "kept", "owner": "maria", "who": "maria", "at": BEFORE, "investigators": ["ada"],
        "document": b"{}", "sha256": "y",
    }  # fmt: skip
    for kind, table, row in (
        ("list", LISTS, listed), ("decision", DECISIONS, decided), ("plan", PLANS, planned),
    ):  # fmt: skip
        with store.write() as connection:
            connection.execute(table.insert().values(**row))
            key = connection.scalar(sa.select(table.c[KEPT[kind].key]))
            LEDGER.add(connection, kind, "", kept=kept_now(connection, kind, key))


def test_each_column_of_a_covered_row_is_covered():
    covered = {
        f"{kind.table.name}.{name}"
        for kind in KEPT.values()
        for name in (*kind.columns, kind.key, kind.when)
    }
    every = {
        f"{table.name}.{column.name}"
        for table in {kind.table for kind in KEPT.values()}
        for column in table.columns
    }
    # A referral's step, a decision, a token: all else that their tables hold.
    assert every - covered == {name for name in LEFT if not name.startswith("events.")}


@pytest.mark.parametrize(
    ("table", "values", "named"),
    [
        (EVENTS, {"document": {"tip_id": "T1", "dealer": "1-10-00009"}}, "events"),
        (EVENTS, {"dealer": "1-10-00009"}, "events"),
        (EVENTS, {"who": "eve"}, "events"),
        (REFERRALS, {"dealers": ["1-10-00009"]}, "referral"),
        (REFERRALS, {"evidence": {}}, "referral"),
        (REFERRALS, {"taken_by": "eve"}, "referral"),
        (CASE_REQUESTS, {"why": "another reason"}, "case words"),
        (CASE_REQUESTS, {"decision_note": "so decided"}, "case words"),
        (LISTS, {"recipe": {}}, "list making"),
        (DECISIONS, {"legal_basis": "warrant"}, "decision basis"),
        (PLANS, {"investigators": ["eve"]}, "plan place"),
        (SESSIONS, {"who": "eve"}, "session"),
        (SESSIONS, {"areas": ["office:1"]}, "session"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_changed_behind_its_record_is_found(store, table, values, named):
    fill(store)
    verdict = verify(store, KEY)
    assert (verdict.is_intact, verdict.n_uncovered, verdict.why) == (True, 0, "")
    with store.write() as connection:
        connection.execute(table.update().values(**values))
    assert f"the {named} " in verify(store, KEY).why


@pytest.mark.parametrize(
    ("gone", "said"),
    [([2], "not as record"), ([4], "are gone"), ([1, 2, 3], "are gone"), ([3], "not as record")],
    ids=str,
)
def test_events_that_are_gone_are_found(store, gone, said):
    fill(store)
    with store.write() as connection:
        connection.execute(EVENTS.delete().where(EVENTS.c.event_id.in_(gone)))
    assert said in verify(store, KEY).why


@pytest.mark.parametrize("event_id", [None, 0], ids=["behind", "before"])
def test_an_event_put_in_without_a_record_is_found(store, event_id):
    fill(store)
    row = {
        "source_table": "tips", "key": "T9", "sha256": "x", "dealer": DEALER, "document": {},
        "who": "eve", "at": LATER,
    }  # fmt: skip
    with store.write() as connection:
        connection.execute(EVENTS.insert(), row | ({} if event_id is None else {"event_id": 0}))
    assert verify(store, KEY).why == "a row of events has no record"


def test_rows_from_before_are_counted_also_where_one_of_them_changes_since(store):
    """The first record of a kind may be about the oldest row: those after it are from before."""
    rows = [
        {"pattern": "fast_recovery", "dedup": str(n), "dealers": [DEALER], "evidence": {},
         "opened_at": f"2020-01-0{n}T00:00:00.000000Z"}
        for n in (1, 2)
    ]  # fmt: skip
    event = {
        "source_table": "tips", "key": "T0", "sha256": "x", "dealer": None, "document": {},
        "who": "feed", "at": BEFORE,
    }  # fmt: skip
    with store.write() as connection:
        connection.execute(REFERRALS.insert(), rows)
        connection.execute(EVENTS.insert(), event)
        append(connection, KEY, [LEDGER.base])
    take = referral_life.Step("take", "", "", "", "")
    referral_life.step(store, 1, take, is_lead=False, ledger=LEDGER)
    keep(store, "tips", tips("T1"), ledger=LEDGER)
    verdict = verify(store, KEY)
    assert (verdict.is_intact, verdict.n_uncovered, verdict.why) == (True, 2, "")
