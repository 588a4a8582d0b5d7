"""The agents' page says what was seen, of whom, and for how long, in words."""

from __future__ import annotations

import re
from html import unescape

import pytest

from serving.access.audit.writer import Access, Ledger
from serving.field.referrals.referrals import Pattern, queue
from tests.test_serving.pages import Visitor


@pytest.fixture
def queued(service):
    columns = service.runtime.snapshot.columns
    own = str(columns["dealer"][columns["office"] == "office0"][0])
    division = columns["division"][columns["dealer"] == own][0]
    far = str(columns["dealer"][columns["division"] != division][0])
    patterns = [
        Pattern("fast_recovery", (own,), {
            "records": ["traces T1"], "recovery_country": "MX", "destination": "mexico",
            "days_from_sale_to_recovery": 1}),
        Pattern("several_dealers", (own, far), {
            "records": ["multiple_sales M1", "multiple_sales M2"], "n_firearms": 7,
            "first_on": "2026-01-02", "last_on": "2026-01-04"}),
    ]  # fmt: skip
    ledger = Ledger(service.runtime.audit_key, Access("operator:x", "operator", "", ""))
    assert queue(service.runtime.store, patterns, ledger=ledger) == 2
    return own, far


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", unescape(page)))


def test_a_referral_is_said_in_words_with_its_dealers_by_name(service, queued):
    own, far = queued
    columns = service.runtime.snapshot.columns
    row, other = service.runtime.snapshot.row_of[own], service.runtime.snapshot.row_of[far]
    page = Visitor(service, "agent").get("/referrals").text
    text = text_of(page)
    assert "A firearm recovered within 60 days of its sale" in text
    assert "Recovered in Mexico 1 day after its sale." in text
    assert "One purchaser at several dealers within 7 days" in text
    assert "7 firearms sold from 2026-01-02 to 2026-01-04." in text
    assert "open for less than a day" in text
    assert "report of a multiple sale M1" in text
    assert "trace T1" in text
    name = str(columns["business_name"][row] or columns["licensee_name"][row])
    assert name in text
    assert f'href="/dealers/{own}"' not in page  # an agent opens no dossier
    assert f"outside your area ; {far}" in text
    assert str(columns["city"][other]) not in text or columns["city"][other] == columns["city"][row]
    assert "_" not in re.sub(r"<[^>]+>", "", page[page.index("<main") : page.index("</main")])


def test_a_dealer_without_a_score_is_said_to_have_none(service):
    runtime = service.runtime
    evidence = {"records": ["traces T9"], "recovery_country": "MX", "destination": "mexico"}
    ledger = Ledger(runtime.audit_key, Access("operator:x", "operator", "", ""))
    queue(runtime.store, [Pattern("fast_recovery", ("1-11-90002",), evidence)], ledger=ledger)
    assert "without a score ; 1-11-90002" in text_of(
        Visitor(service, "chief").get("/referrals").text
    )


def test_a_referral_is_not_closed_without_a_result_and_the_page_says_what_to_do(service, queued):
    agent = Visitor(service, "agent")
    number = re.search(r'id="r-(\d+)"', agent.get("/referrals").text)[1]
    path = f"/referrals/{number}/steps"
    assert agent.post(path, {"step": "take"}, at="/referrals").status_code == 303
    refused = agent.post(path, {"step": "close"}, at="/referrals")
    assert refused.status_code == 422
    assert "Choose a result to close the referral." in refused.text
    closed = agent.post(path, {"step": "close", "result": "lawful"}, at="/referrals")
    assert closed.status_code == 303


def test_whoever_may_open_a_dossier_has_the_way_to_it(service, queued):
    own, far = queued
    page = Visitor(service, "supervisor").get("/referrals").text
    assert f'href="/dealers/{own}"' in page
    assert f'href="/dealers/{far}"' not in page
