"""Records of an audit, and what is found of them by hand: for every kind of store."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product

from serving.access.audit.reading import Sought, audit_page
from serving.store.database import Store
from serving.store.tables import AUDIT

# Action, digest of the row written, and whether it is a change.
_ACTIONS = (
    ("lists", None, False), ("decisions", "decision 1 aa\n", True), ("decisions", None, False),
    ("decisions", "", False), ("sign_in", None, True), ("assign", "assignment 1 bb\n", True),
)  # fmt: skip
_DAYS = (
    "2026-03-01T00:00:00.000000Z", "2026-03-01T23:59:59.999999Z", "2026-03-02T12:00:00.000000Z",
    "2024-02-29T08:00:00.000000Z",
)  # fmt: skip


def fill(store: Store) -> list[dict]:
    """Write records of two accounts, each action on each day; return them in order."""
    rows = []
    for who, at, (action, kept, is_change) in product(("ada", "Bo"), _DAYS, _ACTIONS):
        rows.append(
            {"seq": len(rows) + 1, "at": at, "who": who, "role": "inspector", "purpose": "",
             "action": action, "subject": "", "bundle": "", "scored": "", "list_id": "",
             "previous": "", "digest": "", "kept": kept, "is_change": is_change}
        )  # fmt: skip
    with store.write() as connection:
        connection.execute(
            AUDIT.insert(), [{k: v for k, v in row.items() if k != "is_change"} for row in rows]
        )
    return rows


def check_reading(store: Store) -> None:
    """Hold each filter, read in pages from either end, to a plain search."""
    rows = fill(store)
    days = (None, date(2024, 2, 29), date(2026, 3, 1), date(2026, 3, 2), date.max)
    for who, action, deed, first, last in product(
        ("", "ada", "ADA"), ("", "decisions"), ("", "look", "change"), days[:4], days
    ):
        wanted = [
            row["seq"]
            for row in rows
            if who in {"", row["who"]}
            and action in {"", row["action"]}
            and deed in {"", "change" if row["is_change"] else "look"}
            and (first is None or row["at"][:10] >= str(first))
            and (last is None or row["at"][:10] <= str(last))
        ]
        until = "" if last in (None, date.max) else str(last + timedelta(days=1))
        sought = Sought(who, action, deed, "" if first is None else str(first), until)
        for is_newest in (False, True):
            found, at, has_more = [], 0, True
            while has_more:
                end = {"before": at} if is_newest else {"after": at}
                page, has_more = audit_page(store, sought, limit=5, **end)
                assert len(page) == 5 or not has_more
                assert all(one["is_change"] is rows[one["seq"] - 1]["is_change"] for one in page)
                found += [one["seq"] for one in page]
                at = found[-1] if found else 0
            assert found == (wanted[::-1] if is_newest else wanted), (sought, is_newest)
