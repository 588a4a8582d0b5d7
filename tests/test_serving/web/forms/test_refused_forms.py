"""A refused form is answered by its page's address: it can be loaded again, and keeps its words."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from serving.web.sealed import told_of
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import n_outcomes, outcome


def sent(visitor, path, fields, *, at):
    """Send a form and return its answer as it is, without what follows."""
    csrf = re.search(r'name="csrf" value="([^"]*)"', visitor.get(at).text)[1]
    return visitor.http.post(path, data={"csrf": csrf, **fields}, follow_redirects=False)


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


@pytest.fixture
def plan(supervisor):
    ask = urlencode({"office": "office0", "weeks": 4, "hours": 30, "starts_on": "2026-01-12"})
    kept = supervisor.post("/plans", {"ask": ask}, at=f"/plan?{ask}")
    return kept.headers["location"].split("?")[0]


def forms(listed, free, plan):
    """Each form of a page with something wrong: path, fields, page, status, what stays."""
    at, dealer = f"/lists/{listed['list_id']}", listed["rows"][2]["dealer"]
    note = "saw <them> move out"
    return {
        "new list": ("/lists", {"k": "0", "box": "1,2,3"}, "/lists", 422, 'value="1,2,3"'),
        "foreign area": ("/lists", {"k": "7", "office": "office5"}, "/lists", 403, 'value="7"'),
        "decision": (
            f"{at}/decisions", {"dealer": dealer, "decision": "override", "note": note}, at, 422,
            f'value="{note}"',
        ),
        "hand over": (
            f"{at}/assign", {"dealer": dealer, "to": "Nobody"}, at, 422, 'value="Nobody"',
        ),
        "bulk": (f"{at}/accept", {}, at, 422, "none is ticked"),
        "bulk of a stranger": (
            f"{at}/accept", {"dealers": ["9-99-99999", dealer]}, at, 422,
            "1 accepted. Not accepted: 9-99-99999",
        ),
        "view": ("/views", {"list_id": listed["list_id"], "back": "why=model"}, at, 422, "a name"),
        "by hand": (
            f"/dealers/{free}/list", {"manual_reason": "", "k": "9"}, f"/dealers/{free}/place", 422,
            "Say why",
        ),
        "plan move": (
            f"{plan}/moves", {"move_dealer": "9-99-99999", "move_week": "2", "version": "1"}, plan,
            422, "<option selected>2</option>",
        ),
        "plan status": (f"{plan}/status", {"status": "handed_over", "version": "1"}, plan, 409, ""),
        "plan": ("/plans", {"ask": "office=office0&weeks=99", "note": note}, "/plan", 422, ""),
    }  # fmt: skip


def test_every_refused_form_is_a_page_that_can_be_loaded_again(service, supervisor, free, plan):
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 9}).json()
    for name, (path, fields, at, status, kept) in forms(listed, free, plan).items():
        answer = sent(supervisor, path, fields, at=at if name != "plan" else "/lists")
        assert answer.status_code == 303, name
        where = answer.headers["location"]
        assert where.startswith(at), name
        # Nothing that was typed is readable in it.
        assert not any(v and v in unescape(where) for v in (kept, "move+out", "Nobody")), name
        pages = [supervisor.get(where) for _ in range(2)]
        assert [page.status_code for page in pages] == [status, status], name
        if kept:
            assert all(kept in unescape(page.text) for page in pages), name
        if name != "plan":  # an address that no plan can be made from is told as a problem
            # Another session's address shows the page as it is, and nothing of what was typed.
            other = Visitor(service, "supervisor").get(where)
            assert other.status_code == 200, name
            assert "move out" not in other.text


def test_a_form_too_long_for_an_address_is_answered_with_the_page(service, supervisor, monkeypatch):
    monkeypatch.setattr("serving.web.sealed.MOST", 50)
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 9}).json()
    at, dealer = f"/lists/{listed['list_id']}", listed["rows"][2]["dealer"]
    form = {"dealer": dealer, "decision": "override", "note": "long"}
    answer = sent(supervisor, f"{at}/decisions", form, at=at)
    assert answer.status_code == 422
    assert 'value="long"' in answer.text


def test_an_outcome_refused_at_its_last_step_can_be_loaded_again_with_all_of_it(service, free):
    inspector = Visitor(service, "inspector")
    wrong = outcome(step="save", closed_on="2026-02-01", hours="12")
    answer = sent(inspector, f"/dealers/{free}/outcomes", wrong, at=f"/dealers/{free}/outcome")
    assert answer.status_code == 303
    for _ in range(2):
        shown = inspector.get(answer.headers["location"])
        assert shown.status_code == 422
        assert 'name="hours"' in shown.text
        assert 'value="12"' in shown.text
        assert "a closing day that is not before the opening" in unescape(shown.text)
    # What only the keeping itself refuses is said again too, at its field.
    first = outcome(step="save")
    assert sent(inspector, f"/dealers/{free}/outcomes", first, at="/work").status_code == 303
    assert n_outcomes(service) == 1
    columns = service.runtime.snapshot.columns
    own = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    other = str(next(d for d in columns["dealer"][own] if d != free))
    answer = sent(inspector, f"/dealers/{other}/outcomes", first, at="/work")
    shown = inspector.get(answer.headers["location"])
    assert shown.status_code in {409, 422}
    assert '<a href="#inspection_id">' in shown.text
    assert n_outcomes(service) == 1


def test_what_was_sealed_for_one_page_opens_on_no_other(supervisor, service):
    listed = service.post("/v1/rank", "supervisor", {"area": {"office": "office0"}, "k": 9}).json()
    at = f"/lists/{listed['list_id']}"
    form = {"dealer": listed["rows"][0]["dealer"], "decision": "override", "note": "opened nowhere"}
    where = sent(supervisor, f"{at}/decisions", form, at=at).headers["location"]
    draft = re.search(r"refused=([^&#]+)", where)[1]
    for path in ("/lists", "/work", "/referrals", f"/dealers/{form['dealer']}/place"):
        text = supervisor.get(f"{path}?refused={draft}")
        assert (text.status_code, "opened nowhere" in text.text) == (200, False), path
    assert supervisor.get(f"{at}?refused=nonsense").status_code == 200
    who = service.runtime.directory.principal_of_token(service.tokens["supervisor"])
    assert told_of("", who, "x") is None
