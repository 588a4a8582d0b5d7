"""What an inspection found is checked, told at its field, kept once, and not lost on the way."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import numpy as np
import pytest
import sqlalchemy as sa

from serving.store.database import instant
from serving.store.tables import SESSIONS
from serving.web.form_words import field_label
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import follow, n_outcomes, outcome


def test_an_outcome_is_checked_before_it_is_kept_and_stands_on_the_timeline_at_once(
    service, inspector, free
):
    at = f"/dealers/{free}/outcome"
    checked = follow(inspector, free, outcome())
    assert checked.status_code == 200
    assert "478.124(c)(1)" in checked.text
    assert "report of violations" in checked.text
    assert n_outcomes(service) == 0
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', checked.text))
    fields.pop("csrf")
    fields = {name: unescape(value) for name, value in fields.items()} | {"step": "save"}
    kept = inspector.post(f"/dealers/{free}/outcomes", fields, at=at)
    assert kept.status_code == 303
    page = inspector.get(f"/dealers/{free}").text
    assert "compliance inspection, outcome report of violations" in page
    assert "cited 478.124(c)(1)" in page
    assert "told by inspector" in page
    entries = service.get(f"/v1/dealers/{free}", "inspector").json()["timeline"]
    assert [e["table"] for e in entries if e["record_id"] == "I-7"] == ["outcomes"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"citation_0": "banana split"}, "citation_0"),
        ({"inspection_id": ""}, "inspection_id"),
        ({"outcome": ""}, "outcome"),
        ({"outcome": "none"}, "outcome"),
        ({"citation_0": "transaction form"}, "citation_0"),
        ({"opened_on": "2999-01-01"}, "opened_on"),
        ({"closed_on": "2026-01-01"}, "closed_on"),
        ({"hours": "many"}, "hours"),
        ({"instances_0": "three"}, "instances_0"),
        ({"instances_0": "9" * 40}, "instances_0"),
        ({"citation_1": "", "instances_1": "4"}, "citation_1"),
        ({"citation_1": "", "willful_1": "1"}, "citation_1"),
        (
            {"firearms_unaccounted_initial": "3", "firearms_unaccounted_final": "7"},
            "firearms_unaccounted_final",
        ),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(
    service, inspector, free, changes, field
):
    answer = follow(inspector, free, outcome(**changes))
    assert answer.status_code == 422
    assert f'href="#{field}"' in answer.text
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', answer.text)
    assert f'id="{field}-error"' in answer.text
    assert answer.text.split("<title>")[1].startswith("Error: ")
    for name, value in outcome(**changes).items():
        if (
            name not in {"step", "kind", "selected_by", "outcome", "willful_0", "willful_1"}
            and value
        ):
            assert f'value="{value}"' in answer.text, name
    assert n_outcomes(service) == 0


def test_more_missing_at_the_end_than_at_first_is_called_by_its_name(inspector, free):
    counts = {"firearms_unaccounted_initial": "3", "firearms_unaccounted_final": "7"}
    answer = follow(inspector, free, outcome(**counts))
    assert "Enter no more than the 3 unaccounted for at first" in answer.text
    assert "Enter a number of firearms" not in answer.text


def test_the_number_of_another_dealers_inspection_is_refused(service, inspector, free):
    columns = service.runtime.snapshot.columns
    never = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    other = str(columns["dealer"][never][1])
    body = {"inspection_id": "I-7", "dealer": other, "opened_on": "2026-02-02", "outcome": "none"}
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    answer = follow(inspector, free, outcome())
    assert answer.status_code == 422
    assert "another dealer" in answer.text


def test_a_change_of_outcome_is_said_before_it_is_kept(service, inspector, free):
    body = {"inspection_id": "I-7", "dealer": free, "opened_on": "2026-02-02", "outcome": "none"}
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    answer = follow(inspector, free, outcome(outcome="revocation"))
    assert "Outcome: no violation becomes revocation or denied renewal" in answer.text
    assert "Citations: none become 478.124(c)(1)" in answer.text
    assert n_outcomes(service) == 1


def test_a_form_whose_session_ended_is_given_back_after_signing_in(service, inspector, free):
    inspector.get(f"/dealers/{free}/outcome")
    past = instant(datetime.now(UTC) - timedelta(minutes=1))
    with service.runtime.store.write() as connection:
        connection.execute(sa.update(SESSIONS).values(expires_at=past))
    service.runtime.directory.__dict__.get("_sessions", {}).clear()
    lost = inspector.http.post(
        f"/dealers/{free}/outcomes", data=outcome(csrf="old"), follow_redirects=False
    )
    assert lost.status_code == 401
    assert "your form is given back" in lost.text
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', lost.text))
    fields = {name: unescape(value) for name, value in hidden.items()}
    fields |= {"token": service.tokens["inspector"], "purpose": "licensing"}
    back = inspector.http.post("/sign-in", data=fields, follow_redirects=False)
    assert back.status_code == 303
    back = inspector.get(back.headers["location"])
    assert back.status_code == 200
    assert "Your form is still here" in back.text
    assert "Citation 1" in back.text
    assert "27 CFR 478.124 (C)(1)" in unescape(back.text)
    assert 'name="csrf" value="old"' not in back.text
    hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', back.text))
    sent = {name: unescape(value) for name, value in hidden.items()}
    assert inspector.http.post(f"/dealers/{free}/outcomes", data=sent).status_code == 200
    assert n_outcomes(service) == 0


def test_a_form_of_another_site_is_never_given_back(service, free):
    visitor = Visitor(service, "inspector")
    visitor.http.cookies.clear()
    answer = visitor.http.post(
        f"/dealers/{free}/outcomes", data=outcome(), follow_redirects=False,
        headers={"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"},
    )  # fmt: skip
    assert answer.status_code == 303
    assert "I-7" not in answer.text


def test_a_trace_visit_that_becomes_a_compliance_one_is_stopped_at_the_check(service, inspector):
    columns = service.runtime.snapshot.columns
    last = columns["last_inspected_on"].astype("datetime64[D]")
    is_own = (columns["office"] == "office0") & (last > np.datetime64("2025-02-10"))
    dealer = str(columns["dealer"][np.flatnonzero(is_own)[0]])
    told = {"inspection_id": "I-7", "dealer": dealer, "kind": "trace", "opened_on": "2026-02-02",
            "closed_on": "2026-02-02", "outcome": "none"}  # fmt: skip
    assert service.post("/v1/outcomes", "chief", told).status_code == 200
    answer = follow(inspector, dealer, outcome(closed_on="2026-02-02"))
    assert answer.status_code == 422
    assert 'id="legal_basis-error"' in answer.text
    assert n_outcomes(service) == 1


def test_each_label_of_the_form_says_alone_what_it_asks(inspector, free):
    page = inspector.get(f"/dealers/{free}/outcome").text
    said = dict(re.findall(r'<label for="(\w+)">([^<]*)', page))
    for field in ("firearms_unaccounted_initial", "firearms_unaccounted_final"):
        assert said[field].lower() == field_label(field)


def test_what_was_told_is_put_right_without_being_typed_again(service, inspector, free):
    body = {
        "inspection_id": "I-7", "dealer": free, "opened_on": "2026-02-02", "outcome": "report",
        "closed_on": "2026-02-05", "hours": 12.5, "kind": "recall", "selected_by": "complaint",
        "firearms_unaccounted_initial": 5, "firearms_unaccounted_final": 2,
        "violations": [{"citation": "478.124(c)(1)", "is_willful": True, "instances": 3},
                       {"citation": "478.21(a)"}],
    }  # fmt: skip
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    (address,) = re.findall(r'href="([^"]+\?inspection=[^"]+)"', inspector.get("/work").text)
    form = inspector.get(unescape(address))
    assert form.status_code == 200
    main = form.text.partition('<form class="card"')[2].partition("</form>")[0]
    fields = {n: unescape(v) for n, v in re.findall(r'name="(\w+)"[^>]* value="([^"]*)"', main)}
    fields = {n: v for n, v in fields.items() if not n.startswith("willful") and n != "csrf"}
    fields |= dict.fromkeys(re.findall(r'name="(willful_\d+)" value="1" checked', main), "1")
    for name, options in re.findall(r'<select id="\w+" name="(\w+)"[^>]*>(.*?)</select>', main):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', options)
        fields[name] = (chosen[1] or chosen[2]) if chosen else ""
    again = follow(inspector, free, fields | {"step": "check", "outcome": "warning_letter"})
    assert again.status_code == 200
    changes = re.findall(r"<li>([^<]*becomes?[^<]*)</li>", again.text)
    assert changes == ["Outcome: report of violations becomes warning letter"], again.text
    assert "Citations: " not in again.text


def test_a_number_of_which_nothing_was_told_opens_an_empty_form(inspector, free):
    form = inspector.get(f"/dealers/{free}/outcome?inspection=I-never")
    assert form.status_code == 200
    assert "I-never" not in form.text
