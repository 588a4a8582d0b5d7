"""The audit tells looking from doing, and gives what is asked for page by page."""

from __future__ import annotations

import ast
import re
from html import unescape
from pathlib import Path

import pytest

import serving
from serving.access.audit.reading import ACTIONS
from serving.store.database import Store
from tests.test_serving.access.audit.audit_rows import check_reading
from tests.test_serving.pages import Visitor

ROOT = Path(serving.__file__).parent
_WRITERS = {"add", "_leave", "_change_account"}


@pytest.fixture
def inspector_list(service):
    return service.post("/v1/rank", "inspector", {"k": 3}).json()


def test_every_filter_finds_what_a_plain_search_finds(tmp_path):
    with_store = Store.open(f"sqlite:///{tmp_path / 'service.db'}")
    check_reading(with_store)
    with_store.close()


def test_every_action_that_the_code_records_can_be_asked_for():
    named = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in _WRITERS and len(node.args) > 2:
                name = node.args[1]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    named.add(name.value)
    assert {"decisions", "save_view", "issue_token", "set_role"} <= named
    assert named <= set(ACTIONS)


def test_a_look_at_a_form_is_no_decision_and_a_decision_is_no_look(service, inspector_list):
    inspector, auditor = Visitor(service, "inspector"), Visitor(service, "auditor")
    inspector.get("/work")
    at, dealer = f"/lists/{inspector_list['list_id']}", inspector_list["rows"][0]["dealer"]
    form = {"dealer": dealer, "decision": "accept"}
    assert inspector.post(f"{at}/decisions", form, at=at).status_code == 303

    def kinds(query):
        text = auditor.get(f"/audit?{query}").text
        rows = re.findall(r'<tr><td class="num">.*?</tr>', text, re.DOTALL)
        return [re.search(r">(?:<b>)?(changed|looked at)<", row)[1] for row in rows]

    both = kinds("who=inspector&action=decisions")
    assert set(both) == {"changed", "looked at"}
    for deed, word in (("change", "changed"), ("look", "looked at")):
        found = kinds(f"who=inspector&action=decisions&deed={deed}")
        assert found == [word] * both.count(word)
        told = service.get(
            f"/v1/audit?who=inspector&action=decisions&deed={deed}", "auditor"
        ).json()
        assert [one["is_change"] for one in told["records"]] == [deed == "change"] * len(found)
    assert kinds("who=inspector&action=sign_in") == ["changed"]
    assert kinds("from_day=2001-01-01&to_day=2001-01-31") == []


def test_pages_go_on_from_a_number_and_keep_what_was_asked(service, inspector_list, monkeypatch):
    monkeypatch.setattr("serving.web.oversight.audit._MOST", 3)
    auditor = Visitor(service, "auditor")
    for _ in range(4):
        Visitor(service, "inspector").get("/work")
    seen, path = [], "/audit?who=inspector&deed=look"
    while path:
        text = auditor.get(path).text
        seen += [int(n) for n in re.findall(r'<tr><td class="num">(\d+)', text)]
        older = re.search(r'href="(/audit\?[^"]*before=\d+)"', text)
        path = unescape(older[1]) if older else ""
        assert not path or "who=inspector&deed=look" in path
    told = service.get("/v1/audit?who=inspector&deed=look&limit=1000", "auditor").json()
    assert seen == [one["seq"] for one in told["records"]][::-1]
    assert len(seen) > 3
    assert told["next_since"] is None


def test_a_term_that_cannot_be_read_is_said_at_its_field_and_kept(service):
    auditor = Visitor(service, "auditor")
    for query, field in (
        ("from_day=soon&who=ada", "from_day"),
        ("from_day=2026-02-02&to_day=2026-02-01&who=ada", "to_day"),
        ("action=nothing&who=ada", "action"), ("deed=both&who=ada", "deed"),
    ):  # fmt: skip
        answer = auditor.get(f"/audit?{query}")
        assert answer.status_code == 422
        assert f'<a href="#{field}">' in answer.text
        assert 'name="who" value="ada"' in answer.text
        assert re.search(rf'id="{field}"[^>]* aria-invalid="true"', answer.text)
    for query in ("deed=both", "from_day=soon", "action=A"):
        assert service.get(f"/v1/audit?{query}", "auditor").status_code == 422
