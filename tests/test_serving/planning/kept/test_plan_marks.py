"""What stands on a plan beside its visits: who was overridden since, and who is sent out twice."""

from __future__ import annotations

import io
import re
from datetime import date, timedelta
from html import unescape
from types import SimpleNamespace

import numpy as np
import openpyxl
import pytest

from serving.contract.kept_plan import KeptPlan, PlanSummary
from serving.planning.kept.clashes import clashes
from serving.planning.kept.files import about, plan_ics
from serving.planning.kept.overrides import Override, marked
from serving.scores import holds
from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import ASK, keep


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


def kept_plan(service, visitor):
    answer = service.get(f"/v1/plans/{keep(visitor)}", "supervisor")
    return KeptPlan.model_validate(answer.json())


def decide(service, dealer, decision, reason):
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 60}).json()
    assert dealer in {row["dealer"] for row in listed["rows"]}
    body = {
        "list_id": listed["list_id"], "dealer": dealer, "decision": decision, "reason": reason,
    }  # fmt: skip
    assert service.post("/v1/decisions", "supervisor", body).status_code == 200


def test_a_planned_dealer_whose_place_is_known_no_more_stays_where_it_was_planned(
    service, supervisor
):
    plan = kept_plan(service, supervisor)
    lost, other = plan.visits[0], plan.visits[-1]
    snapshot = service.runtime.snapshot
    row = np.array([snapshot.row_of[lost.dealer]])
    nowhere = np.array([np.nan], dtype=snapshot.columns["latitude"].dtype)
    service.runtime.replace(snapshot.changed(row, latitude=nowhere, longitude=nowhere))
    at = f"/plans/{plan.plan_id}"
    week = 1 if other.week > 1 else 3
    move = {"move_dealer": other.dealer, "move_week": str(week)}
    assert supervisor.post(f"{at}/moves", move, at=at).status_code == 303
    after = KeptPlan.model_validate(service.get(f"/v1{at}", "supervisor").json())
    (kept,) = [visit for visit in after.visits if visit.dealer == lost.dealer]
    assert (kept.week, kept.latitude, kept.longitude) == (lost.week, lost.latitude, lost.longitude)
    assert all(np.isfinite(visit.km) for visit in after.visits)
    assert "nan" not in re.sub(r"<[^>]+>", " ", supervisor.get(at).text).lower().split()


def test_an_overridden_dealer_is_marked_wherever_the_plan_is_shown(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    dealer = service.get(at, "supervisor").json()["visits"][0]["dealer"]
    before = service.get(f"{at}.pdf", "supervisor").content
    assert "overridden" not in supervisor.get(f"/plans/{plan_id}").text
    decide(service, dealer, "override", "capacity")
    plan = service.get(at, "supervisor").json()
    said = {visit["override"] for visit in plan["visits"] if visit["dealer"] == dealer}
    (words,) = said
    assert re.fullmatch(r"overridden \d{4}-\d\d-\d\d: no capacity", words)
    assert {v["override"] for v in plan["visits"] if v["dealer"] != dealer} <= {""}
    page = supervisor.get(f"/plans/{plan_id}").text
    assert page.count(words) >= 2
    query = "&".join(f"{name}={value}" for name, value in ASK.items())
    assert supervisor.get(f"/plan?{query}").text.count(words) >= 2
    assert words in service.get(f"{at}.ics", "supervisor").text.replace("\r\n ", "")
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"{at}.xlsx", "supervisor").content))
    head = [cell.value for cell in book["Plan"][1]]
    column = head.index("Visited or overridden since")
    told = {row[head.index("Dealer key")]: row[column]
            for row in book["Plan"].iter_rows(min_row=2, values_only=True)}  # fmt: skip
    assert told[dealer] == words
    assert service.get(f"{at}.pdf", "supervisor").content != before
    assert any(words in line for line in about(KeptPlan.model_validate(plan)))
    decide(service, dealer, "accept", None)
    assert words not in supervisor.get(f"/plans/{plan_id}").text


def test_the_mark_of_an_override_is_taken_off_by_a_visit_since(service, supervisor):
    plan = kept_plan(service, supervisor)
    dealer = plan.visits[0].dealer
    found = {dealer: Override("safety", date(2026, 1, 5))}
    assert marked(plan, found).visits[0].override == "overridden 2026-01-05: safety"
    assert "overridden 2026-01-05: safety" in plan_ics(marked(plan, found)).replace("\r\n ", "")
    for day, is_marked in ((date(2026, 1, 4), True), (date(2026, 1, 5), False)):
        visits = [visit.model_copy(update={"last_inspected_on": day}) for visit in plan.visits]
        later = marked(plan.model_copy(update={"visits": visits}), found)
        assert bool(later.visits[0].override) == is_marked


def other(**changes) -> PlanSummary:
    start = SimpleNamespace(
        plan_id="P-20260101-000000000002", version=1, status="handed_over", office="office0",
        starts_on=date(2026, 1, 12), weeks=2, n_dealers=3, investigators=["maria"], owner="sue",
        who="sue", at="2026-01-01T00:00:00.000000Z",
    )  # fmt: skip
    return PlanSummary(**{**vars(start), **changes})


def test_a_clash_is_of_the_same_people_in_the_same_weeks(service, supervisor):
    plan = kept_plan(service, supervisor)
    plan = plan.model_copy(update={"investigators": ["maria", "omar"], "weeks": 3})
    (found,) = clashes(plan, [other()])
    assert found.sentence == ("maria is in another plan, handed over, of 2 weeks from 2026-01-12")
    ends = plan.starts_on + timedelta(weeks=3)
    for changes in (
        {"status": "draft"}, {"status": "withdrawn"}, {"investigators": ["gus"]},
        {"starts_on": ends}, {"starts_on": plan.starts_on - timedelta(weeks=2)},
        {"plan_id": plan.plan_id}, {"investigators": ["investigator 1"]},
    ):  # fmt: skip
        assert clashes(plan, [other(**changes)]) == []
    assert clashes(plan, [other(starts_on=ends - timedelta(days=7), office="elsewhere")])
    nameless = plan.model_copy(update={"investigators": ["investigator 1"]})
    assert clashes(nameless, [other(investigators=["investigator 1"])])
    assert not clashes(nameless, [other(investigators=["investigator 1"], office="elsewhere")])


def test_a_second_plan_for_the_same_weeks_and_people_is_warned_of(service, supervisor):
    first, second = keep(supervisor), keep(supervisor)
    for status in ("approved", "handed_over"):
        supervisor.post(f"/plans/{first}/status", {"status": status}, at=f"/plans/{first}")
    page = unescape(supervisor.get(f"/plans/{second}").text)
    said = "inspector is in another plan, handed over, of 3 weeks from 2026-01-12"
    assert f'{said}: <a href="/plans/{first}">' in page
    assert "in another plan" not in supervisor.get(f"/plans/{first}").text
    supervisor.post(f"/plans/{second}/status", {"status": "approved"}, at=f"/plans/{second}")
    assert f"/plans/{second}" in supervisor.get(f"/plans/{first}").text


def tell(service, dealer, day, number="I1"):
    told = {"inspection_id": number, "dealer": dealer, "opened_on": day, "closed_on": day,
            "outcome": "none"}  # fmt: skip
    answer = service.post("/v1/outcomes", "chief", told)
    assert answer.status_code == 200, answer.text


def change(supervisor, at, dealer, week):
    return supervisor.post(f"{at}/moves", {"move_dealer": dealer, "move_week": week}, at=at)


def test_a_recorded_visit_is_marked_wherever_the_plan_is_shown(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    dealer = service.get(at, "supervisor").json()["visits"][0]["dealer"]
    before = service.get(f"{at}.pdf", "supervisor").content
    tell(service, dealer, "2026-01-13")
    words = "visited since, on 2026-01-13: outcome told"
    plan = service.get(at, "supervisor").json()
    assert {v["dealer"] for v in plan["visits"] if v["override"] == words} == {dealer}
    assert supervisor.get(f"/plans/{plan_id}").text.count(words) >= 2
    calendar = service.get(f"{at}.ics", "supervisor").text.replace("\r\n ", "")
    assert words in calendar.replace("\\,", ",")
    book = openpyxl.load_workbook(io.BytesIO(service.get(f"{at}.xlsx", "supervisor").content))
    cells = [str(cell.value) for row in book["Plan"].iter_rows() for cell in row]
    assert words in cells
    assert any(words in line for line in about(KeptPlan.model_validate(plan)))
    assert service.get(f"{at}.pdf", "supervisor").content != before
    # The older version says it too, and a later one still does.
    other = plan["visits"][-1]["dealer"]
    assert change(supervisor, f"/plans/{plan_id}", other, "out").status_code == 303
    for version in (1, 2):
        seen = service.get(f"{at}?version={version}", "supervisor").json()["visits"]
        assert {v["override"] for v in seen if v["dealer"] == dealer} == {words}


def test_a_visit_before_the_records_ended_is_not_called_later(service, supervisor):
    plan = kept_plan(service, supervisor)
    tell(service, plan.visits[0].dealer, "2025-12-01")
    seen = service.get(f"/v1/plans/{plan.plan_id}", "supervisor").json()["visits"][0]
    assert seen["override"] == "visited on 2025-12-01, outcome told since"


def test_a_plan_handed_over_can_be_changed_after_a_visit_and_a_closure(service, supervisor):
    plan_id = keep(supervisor, weeks="5")
    at = f"/plans/{plan_id}"
    for status in ("approved", "handed_over"):
        supervisor.post(f"{at}/status", {"status": status}, at=at)
    plan = service.get(f"/v1{at}", "supervisor").json()
    dealers = list(dict.fromkeys(visit["dealer"] for visit in plan["visits"]))
    assert len(dealers) >= 4
    visited, closed, other = dealers[0], dealers[1], dealers[2]
    decide(service, closed, "override", "out_of_business")
    tell(service, visited, "2026-01-13")

    def of(dealer, plan):
        return [{k: v[k] for k in ("week", "investigator", "hours", "name")}
                for v in plan["visits"] if v["dealer"] == dealer]  # fmt: skip

    # Another is left out: both stay where they are, marked, and the plan can be approved.
    assert change(supervisor, at, other, "out").status_code == 303
    after = service.get(f"/v1{at}", "supervisor").json()
    for dealer in (visited, closed):
        assert of(dealer, after) == of(dealer, plan)
    marks = {v["dealer"]: v["override"] for v in after["visits"]}
    assert marks[visited].startswith("visited since, on 2026-01-13")
    assert marks[closed].endswith(": out of business")
    assert after["broken"] == []
    # Neither is moved to another week; who it is is said by name, and no other dealer is.
    week = "3" if of(visited, plan)[0]["week"] != 3 else "2"
    refused = change(supervisor, at, visited, week)
    assert refused.status_code == 422
    alert = unescape(re.search(r'role="alert">.*?</div>', refused.text, re.DOTALL)[0])
    assert f"{of(visited, plan)[0]['name']} ({visited}) can be visited no more" in alert
    assert "Leave it out" in alert
    assert "did you mean" not in alert
    # Both are left out, one after the other, and it is approved and handed over again.
    for dealer in (visited, closed):
        assert change(supervisor, at, dealer, "out").status_code == 303
    for status in ("approved", "handed_over"):
        assert supervisor.post(f"{at}/status", {"status": status}, at=at).status_code == 303
    last = service.get(f"/v1{at}", "inspector").json()
    assert {v["dealer"] for v in last["visits"]} == set(dealers[3:])


def test_what_newer_records_forbid_is_named_as_breaking_a_rule(service, supervisor):
    plan = kept_plan(service, supervisor)
    at = f"/plans/{plan.plan_id}"
    dealers = list(dict.fromkeys(visit.dealer for visit in plan.visits))
    runtime = service.runtime
    row = [runtime.snapshot.row_of[dealers[0]]]
    late = np.array([np.datetime64("2026-12-01", "s")])
    runtime.update(lambda s: s.changed(np.array(row), eligible_on=late))
    assert change(supervisor, at, dealers[1], "out").status_code == 303

    def broken():  # leaving another dealer out may break a rule of its own, by the day's draw
        named = service.get(f"/v1{at}", "supervisor").json()["broken"]
        return [one for one in named if f"({dealers[0]})" in one]

    (told,) = broken()
    assert told.endswith(
        f"({dealers[0]}) may lawfully be visited from 2026-12-01 on, after this plan: leave it out."
    )
    assert supervisor.post(f"{at}/status", {"status": "approved"}, at=at).status_code == 409
    assert change(supervisor, at, dealers[0], "out").status_code == 303
    assert broken() == []


def test_a_plan_names_the_dealers_that_another_plan_of_its_weeks_holds(service, supervisor):
    first = keep(supervisor)
    held = {v["dealer"] for v in service.get(f"/v1/plans/{first}", "supervisor").json()["visits"]}
    query = "&".join(f"{name}={value}" for name, value in ASK.items())
    said = f'also in plan <a href="/plans/{first}">{first}</a>, draft, of 3 weeks from 2026-01-12.'
    assert said in supervisor.get(f"/plan?{query}").text
    for status in ("approved", "handed_over"):
        supervisor.post(f"/plans/{first}/status", {"status": status}, at=f"/plans/{first}")
    second = keep(supervisor, names="gus")
    at = f"/v1/plans/{second}"
    plan = service.get(at, "supervisor").json()
    (also,) = plan["also_in"]
    assert (also["plan_id"], also["status"]) == (first, "handed_over")
    assert set(also["dealers"]) == held & {v["dealer"] for v in plan["visits"]} != set()
    words = f"also in plan {first}, handed over"
    for visit in plan["visits"]:
        assert visit["elsewhere"] == (words if visit["dealer"] in held else "")
    assert said.replace("draft", "handed over") in supervisor.get(f"/plans/{second}").text
    assert f"{first}\\, handed over" in service.get(f"{at}.ics", "supervisor").text.replace(
        "\r\n ", ""
    )
    assert any(f"in plan {first}, handed over" in s for s in about(KeptPlan.model_validate(plan)))
    # A dealer held from the reader is in neither; whoever may not see a plan is not told of it.
    dealer = also["dealers"][0]
    holds.place(service.runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    (also,) = service.get(at, "supervisor").json()["also_in"]
    assert dealer not in also["dealers"]
    (also,) = service.get(at, "chief").json()["also_in"]
    assert dealer in also["dealers"]
    for status in ("approved", "handed_over"):
        supervisor.post(f"/plans/{second}/status", {"status": status}, at=f"/plans/{second}")
    assert service.get(f"/v1/plans/{first}", "inspector").json()["also_in"] == []
    # Other weeks, or a plan withdrawn, hold nobody here.
    later = keep(supervisor, starts_on="2026-02-02")
    assert service.get(f"/v1/plans/{later}", "supervisor").json()["also_in"] == []
    supervisor.post(f"/plans/{second}/status", {"status": "withdrawn"}, at=f"/plans/{second}")
    assert service.get(f"/v1/plans/{first}", "supervisor").json()["also_in"] == []


def test_a_plan_says_with_whom_a_dealer_is_until_it_is_visited(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/v1/plans/{plan_id}"
    dealer = service.get(at, "supervisor").json()["visits"][0]["dealer"]
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 60}).json()
    path = f"/lists/{listed['list_id']}"
    form = {"dealer": dealer, "to": "inspector"}
    assert supervisor.post(f"{path}/assign", form, at=path).status_code == 303
    words = r"[Ww]ith inspector since \d{4}-\d\d-\d\d, handed over on a list"

    def told(name):
        visits = service.get(at, name).json()["visits"]
        assert {v["elsewhere"] for v in visits if v["dealer"] != dealer} <= {""}
        return next(v["elsewhere"] for v in visits if v["dealer"] == dealer)

    assert re.fullmatch(words, told("supervisor"))
    assert len(re.findall(words, supervisor.get(f"/plans/{plan_id}").text)) >= 2
    tell(service, dealer, "2026-01-13")
    assert told("supervisor") == ""


def test_a_name_that_nobody_has_is_told_when_the_plan_is_made(service, supervisor):
    query = "&".join(f"{name}={value}" for name, value in (ASK | {"names": "bob"}).items())
    said = "Nobody who can see plans signs in as bob:"
    assert said in supervisor.get(f"/plan?{query}").text
    query = "&".join(f"{name}={value}" for name, value in ASK.items())
    assert "signs in as" not in supervisor.get(f"/plan?{query}").text


def test_who_cannot_change_a_plan_is_not_told_to(service, supervisor):
    plan_id = keep(supervisor)
    at = f"/plans/{plan_id}"
    dealer = service.get(f"/v1{at}", "supervisor").json()["visits"][0]["dealer"]
    for status in ("approved", "handed_over"):
        supervisor.post(f"{at}/status", {"status": status}, at=at)
    decide(service, dealer, "override", "capacity")
    assert "Leave them out, or keep them" in supervisor.get(at).text
    page = Visitor(service, "inspector").get(at).text
    assert "Visited since, overridden on a list" in page
    assert "Leave them out" not in page
    assert "supervisor or a supervisor can leave them out" in page
