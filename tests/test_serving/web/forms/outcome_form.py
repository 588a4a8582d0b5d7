"""The form of what an inspection found, filled in and sent as a browser does."""

from __future__ import annotations

import sqlalchemy as sa

from serving.store.tables import OUTCOMES


def outcome(**changes):
    return {
        "step": "check", "inspection_id": "I-7", "kind": "compliance", "selected_by": "risk",
        "opened_on": "2026-02-02", "outcome": "report", "citation_0": "27 CFR 478.124 (C)(1)",
        "willful_0": "1", "instances_0": "3",
    } | changes  # fmt: skip


def follow(visitor, dealer, fields):
    """Send the form and load the page that its answer is the address of."""
    sent = visitor.post(f"/dealers/{dealer}/outcomes", fields, at=f"/dealers/{dealer}/outcome")
    assert sent.status_code == 303, sent.text
    return visitor.get(sent.headers["location"])


def n_outcomes(service):
    with service.runtime.store.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(OUTCOMES))
