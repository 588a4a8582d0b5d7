"""Who is not on a plan is counted by why: left out by hand is not outdone by others."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import numpy as np
import pytest

from serving.contract.kept_plan import KeptPlan
from serving.planning.kept.files import about
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import ASK, keep


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


@pytest.fixture
def only(service):
    """The one dealer of the office that may be visited, due for recall."""
    columns = service.runtime.snapshot.columns
    n = len(columns["dealer"])
    late = np.full(n, np.datetime64("2030-01-01", "s"))
    outcome = np.full(n, "none", dtype=object)
    placed = np.isfinite(columns["latitude"]) & (columns["office"] == "office0")
    one = np.flatnonzero(placed)[0]
    late[one], outcome[one] = np.datetime64("2025-06-01", "s"), "warning_letter"
    service.runtime.update(
        lambda s: s.changed(np.arange(n), eligible_on=late, last_outcome=outcome)
    )
    return str(columns["dealer"][one])


def text_of(page):
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_one_left_out_by_hand_is_counted_as_that(service, supervisor):
    plan = service.get(f"/v1/plans/{keep(supervisor)}", "supervisor").json()
    dealers = list(dict.fromkeys(visit["dealer"] for visit in plan["visits"]))
    address = f"/plan?{urlencode(ASK)}"
    others = re.compile(r"(\d+) dealers? that may be visited in these weeks: the hours go")
    made = text_of(supervisor.get(address).text)
    assert "left out by hand" not in made
    outs = "".join(f"&move={dealer}~out" for dealer in dealers[:2])
    changed = text_of(supervisor.get(address + outs).text)
    assert "2 dealers : left out by hand" in changed.replace("dealers:", "dealers :")
    assert others.findall(changed) == others.findall(made)


def test_a_plan_emptied_by_hand_says_so_and_takes_its_visit_back(service, supervisor, only):
    address = f"/plan?{urlencode(ASK)}"
    page = supervisor.get(f"{address}&move={only}~out").text
    assert "All visits are left out by hand" in page
    assert "No dealer can be visited" not in page
    assert re.search(rf'<option value="{only}">Left out: ', page)
    assert "Keep this plan" not in page
    plan_id = keep(supervisor)
    at = f"/plans/{plan_id}"
    asked = {"move_dealer": only, "move_week": "out"}
    assert supervisor.post(f"{at}/moves", asked, at=at).status_code == 303
    emptied = KeptPlan.model_validate(service.get(f"/v1{at}", "supervisor").json())
    assert not emptied.visits
    assert "All visits were left out by hand." in about(emptied)
    assert f"Changed by hand: {only} left out." in about(emptied)
    kept = supervisor.get(at).text
    assert "All visits were left out by hand." in kept
    assert re.search(rf'<option value="{only}">Left out: ', kept)
    back = {"move_dealer": only, "move_week": "2"}
    assert supervisor.post(f"{at}/moves", back, at=at).status_code == 303
    again = service.get(f"/v1{at}", "supervisor").json()
    assert {visit["dealer"] for visit in again["visits"]} == {only}


def test_a_plan_that_breaks_a_rule_is_not_said_to_be_approvable(service, supervisor, monkeypatch):
    said = "9-99-99999 was drawn at random and found no place."
    monkeypatch.setattr("serving.planning.planner._shortfalls", lambda *_, **__: (said,))
    at = f"/plans/{keep(supervisor, names='inspector, gus', investigators='2')}"
    made = supervisor.get(at).text
    assert "This one can be approved without them." in made
    plan = service.get(f"/v1{at}", "supervisor").json()
    for dealer in dict.fromkeys(visit["dealer"] for visit in plan["visits"]):
        asked = {"move_dealer": dealer, "move_week": "1", "move_investigator": "2"}
        assert supervisor.post(f"{at}/moves", asked, at=at).status_code == 303
    broken = supervisor.get(at).text
    assert "This plan breaks a rule." in broken
    assert "Left out, though required" in broken
    assert "can be approved without them" not in broken
