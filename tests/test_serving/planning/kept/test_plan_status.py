"""What a kept plan's papers say of its status, note and draw, and who follows its versions."""

from __future__ import annotations

import io
from datetime import date
from urllib.parse import urlencode

import openpyxl
import pytest

from serving import clock
from serving.contract.kept_plan import KeptPlan
from serving.planning.kept.files import about
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import ASK, events, keep

NOTE = "Call Gonzalez before week 2"


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


def plain(text):
    return text.replace("\r\n ", "").replace("\\", "")


def step(visitor, at, status):
    assert visitor.post(f"{at}/status", {"status": status}, at=at).status_code == 303


def test_a_calendar_says_how_far_a_plan_is(service, supervisor):
    proposal = plain(supervisor.get(f"/plan.ics?{urlencode(ASK)}").text)
    assert {one["STATUS"] for one in events(proposal)} == {"TENTATIVE"}
    assert "Not kept yet: a proposal." in proposal
    at = f"/plans/{keep(supervisor)}"
    steps = (("draft", "TENTATIVE", "Draft"), ("approved", "CONFIRMED", "Approved"),
             ("handed_over", "CONFIRMED", "Handed over"),
             ("withdrawn", "CANCELLED", "Withdrawn"))  # fmt: skip
    for version, (status, word, said) in enumerate(steps, start=1):
        if version > 1:
            step(supervisor, at, status)
        text = plain(service.get(f"/v1{at}.ics", "supervisor").text)
        found = events(text)
        assert {(one["STATUS"], one["SEQUENCE"]) for one in found} == {(word, str(version))}
        sentence = f"{said}, version {version} by supervisor."
        assert sentence in text.partition("BEGIN:VEVENT")[0]
        assert all(sentence in one["DESCRIPTION"] for one in found)


def test_a_note_goes_on_with_its_plan_into_every_file(service, supervisor):
    ask = urlencode(ASK)
    kept = supervisor.post("/plans", {"ask": ask, "note": NOTE}, at=f"/plan?{ask}")
    at = kept.headers["location"].partition("?")[0]
    step(supervisor, at, "approved")
    step(supervisor, at, "handed_over")
    inspector = Visitor(service, "inspector")
    page = inspector.get(at).text
    assert NOTE in page
    plan = KeptPlan.model_validate(service.get(f"/v1{at}", "inspector").json())
    assert (plan.version, plan.note) == (3, NOTE)
    assert f"Note: {NOTE}" in about(plan)
    assert f"Note: {NOTE}" in plain(service.get(f"/v1{at}.ics", "inspector").text)
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"/v1{at}.xlsx", "inspector").content))
    cells = [str(c.value) for sheet in book for row in sheet for c in row if c.value]
    assert f"Note: {NOTE}" in cells
    # No link of an inspector leads to a version that is not theirs to see.
    assert "version=3" in page
    assert "version=1" not in page
    assert inspector.get(f"{at}?version=1").status_code == 404
    assert "version=1" in supervisor.get(at).text


def test_only_a_drawn_visit_has_a_probability_of_the_draw(service, supervisor):
    at = f"/v1/plans/{keep(supervisor, random_share='0.2')}"
    plan = KeptPlan.model_validate(service.get(at, "supervisor").json())
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"{at}.xlsx", "supervisor").content))
    head, *rows = book["Plan"].iter_rows(values_only=True)
    column = head.index("Probability of the draw")
    assert {visit.why for visit in plan.visits} > {"random"}
    for visit, row in zip(plan.visits, rows, strict=True):
        expected = visit.inclusion_probability if visit.why == "random" else None
        assert row[column] == (None if expected is None else pytest.approx(expected, abs=1e-4))


@pytest.mark.parametrize(
    ("today", "is_past", "is_over"),
    [(date(2026, 1, 13), False, False), (date(2026, 1, 19), True, False),
     (date(2026, 2, 1), True, False), (date(2026, 2, 2), True, True)],
)  # fmt: skip
def test_a_week_is_past_when_it_is_over(supervisor, monkeypatch, today, is_past, is_over):
    at = f"/plans/{keep(supervisor)}"
    monkeypatch.setattr(clock, "today", lambda: today)
    page = supervisor.get(f"/plan?{urlencode(ASK)}").text
    assert ("The first week of this plan, from 2026-01-12, is past." in page) is is_past
    assert ("The weeks of this plan are over." in supervisor.get(at).text) is is_over
