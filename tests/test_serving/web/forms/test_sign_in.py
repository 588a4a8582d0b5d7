"""The purpose that a person chose stands until that person chooses another."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from serving.access.roles import PURPOSES
from serving.store.database import instant
from serving.store.tables import SESSIONS
from tests.test_serving.pages import Visitor


def chosen(page):
    (one,) = re.findall(r'name="purpose" value="(\w+)" checked', page)
    return one


def end_all(service):
    past = instant(datetime.now(UTC) - timedelta(minutes=1))
    with service.runtime.store.write() as connection:
        connection.execute(sa.update(SESSIONS).values(expires_at=past))


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("wrong", [{"token": "ffl_no"}, {"name": "chief", "password": "x"}, {}])
def test_a_refused_sign_in_keeps_the_purpose(service, purpose, wrong):
    http = Visitor(service, "chief").http
    http.cookies.clear()
    secret = re.search(r'name="form_token" value="([^"]*)"', http.get("/sign-in").text)[1]
    fields = {"form_token": secret, "purpose": purpose} | wrong
    answer = http.post("/sign-in", data=fields, follow_redirects=False)
    assert answer.status_code in {401, 422}
    assert chosen(answer.text) == purpose


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_session_that_is_over_leaves_its_purpose_to_the_next(service, purpose):
    visitor = Visitor(service, "chief", purpose)
    end_all(service)
    assert chosen(visitor.http.get("/measures").text) == purpose
    lost = visitor.http.post("/lists", data={"k": "5"}, follow_redirects=False)
    assert lost.status_code == 401
    assert chosen(lost.text) == purpose


def test_who_comes_without_a_session_or_signed_out_begins_with_licensing(service):
    visitor = Visitor(service, "chief", "statistics")
    assert visitor.post("/sign-out", {}, at="/measures").status_code == 303
    assert chosen(visitor.get("/sign-in").text) == "licensing"
    visitor.http.cookies.set("ffl_risk_session", "nobody's")
    assert chosen(visitor.get("/sign-in").text) == "licensing"
