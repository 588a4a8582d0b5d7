"""A form that is sent twice makes one thing: one list, one plan."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import numpy as np
import pytest
import sqlalchemy as sa

from serving.store.tables import LISTS, PLANS
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import ASK


@pytest.fixture
def visitor(service):
    return Visitor(service, "supervisor")


def hidden(visitor, at):
    page = visitor.get(at).text
    return dict(re.findall(r'type="hidden" name="(csrf|once)" value="([^"]*)"', page))


def forms(service):
    """Return each form that makes a thing: its page, where it is sent, its fields, the table."""
    columns = service.runtime.snapshot.columns
    is_free = (columns["office"] == "office0") & np.isnat(columns["eligible_on"])
    free = str(columns["dealer"][is_free][0])
    return {
        "list": ("/lists", "/lists", {"k": "7"}, LISTS),
        "by hand": (
            f"/dealers/{free}/place", f"/dealers/{free}/list", {"manual_reason": "a call"}, LISTS,
        ),
        "plan": (f"/plan?{urlencode(ASK)}", "/plans", {"ask": urlencode(ASK)}, PLANS),
    }  # fmt: skip


def n_kept(service, table):
    with service.runtime.store.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


@pytest.mark.parametrize("name", ["list", "by hand", "plan"])
def test_what_is_sent_twice_is_kept_once(service, visitor, name):
    at, path, fields, table = forms(service)[name]
    fields |= hidden(visitor, at)

    def send(**changes):
        answer = visitor.http.post(path, data=fields | changes, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    # A plan is made in its caller's turn, which belongs to one loop of the test's client.
    with ThreadPoolExecutor(1 if name == "plan" else 2) as two:
        first, second = (sent.result() for sent in [two.submit(send) for _ in range(2)])
    assert first == second == send()
    assert n_kept(service, table) == 1
    # Asked for anew it is another one, and so is one with other answers.
    again = send(once=hidden(visitor, at)["once"])
    other = send(**({"k": "8"} if name != "plan" else {"note": "another"}))
    assert len({first, again, other}) == 3
    assert n_kept(service, table) == 3


def test_one_token_in_two_hands_is_two_forms(service, visitor):
    chief = Visitor(service, "chief")
    once = hidden(visitor, "/lists")["once"]
    found = {
        who.http.post(
            "/lists", data={"k": "7", **hidden(who, "/lists"), "once": once}, follow_redirects=False
        ).headers["location"]
        for who in (visitor, chief)
    }
    assert len(found) == 2
