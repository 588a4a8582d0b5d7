"""No page answers a form by itself: each can be gone back to, by its own session."""

from __future__ import annotations

import ast
import re
from html import unescape
from pathlib import Path

import pytest

import serving.web
from serving.access.accounts import Principal
from serving.web.sealed import opened, sealed
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import follow, n_outcomes, outcome

WEB = Path(serving.web.__file__).parent


@pytest.fixture
def free(service):
    columns = service.runtime.snapshot.columns
    own = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    return str(columns["dealer"][own][0])


def person(name: str = "ada", csrf: str = "secret") -> Principal:
    return Principal(name=name, role="inspector", areas=frozenset(), purpose="licensing", csrf=csrf)


def test_a_sealed_form_opens_for_its_session_and_subject_alone():
    fields = [("outcome", "report"), ("citation_0", "478.124(c)(1)"), ("note", "Ünïcode \u202e '")]
    text = sealed(fields, person(), "1-04-00001")
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", text)
    assert opened(text, person(), "1-04-00001") == fields
    assert opened(text, person(csrf="other"), "1-04-00001") is None
    assert opened(text, person(name="eve"), "1-04-00001") is None
    assert opened(text, person(), "1-04-00002") is None
    assert opened(text[:-3] + "abc", person(), "1-04-00001") is None
    assert opened("no such thing ü", person(), "1-04-00001") is None


def test_every_step_of_an_outcome_is_a_page_that_can_be_asked_again(service, free):
    visitor = Visitor(service, "inspector")
    for step, words in (("check", "Check before it is kept"), ("more", "Citation 5"),
                        ("edit", "478.124 (C)(1)")):  # fmt: skip
        sent = visitor.post(
            f"/dealers/{free}/outcomes", outcome(step=step), at=f"/dealers/{free}/outcome"
        )
        address = sent.headers["location"]
        assert "I-7" not in address
        assert "report" not in address
        pages = [visitor.get(address) for _ in range(2)]
        assert [page.status_code for page in pages] == [200, 200]
        assert all(words in unescape(page.text) for page in pages)
    assert n_outcomes(service) == 0
    other = Visitor(service, "inspector").get(address)
    assert "belongs to another session" in other.text
    assert "I-7" not in other.text


def test_a_form_too_long_for_an_address_is_answered_all_the_same(service, free, monkeypatch):
    monkeypatch.setattr("serving.web.dealers.outcomes.MOST", 100)
    sent = Visitor(service, "inspector").post(
        f"/dealers/{free}/outcomes", outcome(), at=f"/dealers/{free}/outcome"
    )
    assert sent.status_code == 200
    assert "Check before it is kept" in sent.text


def test_all_that_is_wrong_is_said_at_once(service, free):
    columns = service.runtime.snapshot.columns
    own = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    other = str(columns["dealer"][own][1])
    for dealer, number in ((other, "I-7"), (free, "I-8")):
        body = {
            "inspection_id": number, "dealer": dealer, "opened_on": "2026-01-20", "outcome": "none",
        }  # fmt: skip
        assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    wrong = outcome(
        outcome="", hours="many", closed_on="2026-02-01", citation_0="banana", instances_0="x"
    )
    page = follow(Visitor(service, "inspector"), free, wrong)
    assert page.status_code == 422
    shown = re.findall(r'<li><a href="#(\w+)">', page.text)
    assert shown == [
        "inspection_id", "closed_on", "outcome", "hours", "legal_basis", "citation_0",
        "instances_0",
    ]  # fmt: skip
    text = unescape(page.text)
    assert "is not a citation" in text
    assert "how many instances" in text
    assert "twelve months before" in text


def test_a_wrong_token_or_password_leaves_the_focus_at_its_field(service):
    visitor = Visitor(service, "inspector")
    visitor.http.cookies.clear()
    for fields, at in (
        ({"token": "ffl_wrong"}, "token"), ({"name": "ada", "password": "x"}, "password"),
        ({}, "name"),
    ):  # fmt: skip
        secret = visitor._secret("/sign-in", "form_token")
        answer = visitor.http.post(
            "/sign-in", data=fields | {"purpose": "licensing", "form_token": secret}
        )
        assert answer.status_code in {401, 422}
        focused = re.findall(r'<input id="(\w+)"[^>]* autofocus aria-invalid="true"', answer.text)
        assert focused == [at]
        assert ("<details open>" in answer.text) == (at == "token")


# What a handler of a form may answer with: an address, by itself or by what makes one of it.
_ADDRESSES = r"RedirectResponse|_to\(|_changed\(|refuse\(|_list_again\(|_go_on\(|return answer"


def returns_of(handler: ast.AsyncFunctionDef) -> list[str]:
    """The answers of a handler itself, not those of functions within it."""
    waiting: list[ast.AST] = [*handler.body]
    found = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            found.append(ast.unparse(node))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


def test_every_form_is_answered_with_an_address_refused_or_not():
    """Whoever adds one meets this list. Before a session there is nothing to seal with."""
    pages = set()
    for path in sorted(WEB.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef) and any(
                ast.unparse(one).startswith("router.post") for one in node.decorator_list
            ):
                answers = returns_of(node)
                assert answers, node.name
                if not all(re.search(_ADDRESSES, answer) for answer in answers):
                    pages.add(f"{path.relative_to(WEB)} {node.name}")
    assert pages == {"sign_in/pages.py sign_in"}
