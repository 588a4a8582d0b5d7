"""Forms: whatever a page changes, it changes for nobody but who sent that page's own form."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa

from serving.store.tables import METADATA
from tests.test_serving.access.holds.test_hold_matrix import every_route
from tests.test_serving.hold_country import Country
from tests.test_serving.pages import Visitor

REFUSED = "did not come from this service"
GIVEN = {
    "list_id": "L-20260101-ffffffffffff", "plan_id": "P-20260101-ffffffffffff", "kind": "csv",
    "dealer": "1-10-00000", "referral_id": "7", "request_id": "C-20260101-ffffffffffff",
    "decision_id": "7", "inspection_id": "I1", "partner": "hsi", "name": "none",
}  # fmt: skip
# How a browser tells where a form came from, when it was not this service's own page.
ELSEWHERE = (
    {"Origin": "https://evil.example"}, {"Origin": "http://localhost.evil.example:3000"},
    {"Origin": "http://localhost:3001"}, {"Origin": "http://evil.example@localhost:3000"},
    {"Origin": ""}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "cross-site"},
)  # fmt: skip


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    from tests.test_serving.conftest import make_snapshot

    made = Country(tmp_path_factory.mktemp("forms"), make_snapshot())
    made.client.base_url = "http://localhost:3000"
    yield made
    made.close()


def routes_of(country, *methods):
    """Paths of the routes that take a method, their places filled."""
    found = {tuple(one.split(" ", 1)) for one in every_route(country.app.app.app.routes)}
    filled = {path: re.sub(r"{(\w+)}", lambda m: GIVEN[m[1]], path) for _, path in found}
    return sorted(filled[path] for method, path in found if method in methods)


def kept(country):
    """How many rows each table of the store has."""
    with country.runtime.store.read() as connection:
        return {
            table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in METADATA.sorted_tables
        }


def principal(country, name):
    return country.runtime.directory.principal_of_session(country.sessions[name])


def send(country, path, form, headers=None, who="chief"):
    country.client.cookies.clear()
    return country.client.post(
        path, data=form, headers=cookie(country, who) | (headers or {}), follow_redirects=False
    )


def cookie(country, who):
    return {"Cookie": f"ffl_risk_session={country.sessions[who]}"}


def test_every_route_that_takes_a_form_refuses_one_of_elsewhere(country):
    """Without the session's secret, with another session's, or from another site."""
    paths = [path for path in routes_of(country, "POST") if not path.startswith("/v1/")]
    assert {"/lists", "/plans", "/sign-in", "/views", "/sign-out"} <= set(paths)
    own, other = (principal(country, name).csrf for name in ("chief", "owner"))
    assert own
    assert own != other
    before = kept(country)
    for path in paths:
        # In the place of a secret: nothing, what is guessed, another's, a part, one too long.
        for secret in (None, "", "guessed", other, own[:-1], own + "x", "\u00e9", [other, own, ""]):
            form = {} if secret is None else {"csrf": secret, "form_token": secret}
            answer = send(country, path, form)
            assert (answer.status_code, REFUSED in answer.text) == (403, True), (path, secret)
        for headers in ELSEWHERE:
            answer = send(country, path, {"csrf": own, "form_token": own}, headers)
            assert (answer.status_code, REFUSED in answer.text) == (403, True), (path, headers)
        # By an address a secret is in logs and histories: it counts for nothing there.
        answer = country.client.post(
            f"{path}?csrf={own}&form_token={own}", follow_redirects=False,
            headers=cookie(country, "chief"),
        )  # fmt: skip
        assert answer.status_code == 403, path
    assert kept(country) == before
    # The same forms with the secret are let in: what is refused above is refused for that alone.
    for path in paths:
        if path in {"/sign-in", "/sign-out"}:
            continue
        for headers in ({}, {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-origin"}):
            assert REFUSED not in send(country, path, {"csrf": own}, headers).text, path
    last = {"csrf": principal(country, "supervisor").csrf}
    assert send(country, "/sign-out", last, who="supervisor").status_code == 303


def test_a_cookie_alone_writes_nothing_by_the_api_and_no_address_writes_when_read(country):
    before = kept(country)
    for path in routes_of(country, "POST", "PUT", "PATCH", "DELETE"):
        if not path.startswith("/v1/"):
            continue
        for kind in ("application/json", "text/plain"):
            answer = country.client.post(
                path, content=b"{}", headers=cookie(country, "chief") | {"Content-Type": kind}
            )
            assert answer.status_code in {401, 422}, (path, kind)
    assert kept(country) == before
    # What is only looked at is noted in the audit, and changes nothing else; its headers alone can
    # be asked for.
    for path in routes_of(country, "GET"):
        heads, answer = (
            country.client.request(
                method, path, follow_redirects=False, headers=cookie(country, "owner")
            )
            for method in ("HEAD", "GET")
        )
        assert answer.status_code < 500 or answer.status_code == 503, path
        assert (heads.status_code, heads.content) == (answer.status_code, b""), path
        assert heads.headers.get("content-type") == answer.headers.get("content-type")
    after = kept(country)
    assert {name for name in after if after[name] != before[name]} <= {"audit", "audit_head"}


class Forms(HTMLParser):
    """The forms of a page: how and where they are sent, and what lies hidden in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, list[tuple[str, str]]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("method", "get"), given.get("action", ""), []))
        if tag in {"input", "button", "select", "textarea"} and self.found:
            self.found[-1][2].append((given.get("name", ""), given.get("value") or ""))
            assert "formaction" not in given


ODD = ("9" * 30, "9999-12-31", "x~\x00\u202e\u0661")


def test_each_form_of_a_page_carries_its_sessions_secret_and_only_where_it_is_sent(service):
    """Sent in an address, the secret would stand in histories and in the log of a proxy."""
    seen = {}
    for name in ("chief", "inspector", "auditor"):
        browser = Visitor(service, name)
        pages, waiting = set(), ["/"]
        while waiting:
            path = waiting.pop()
            answer = browser.get(path)
            if not answer.headers["content-type"].startswith("text/html"):
                continue
            own = re.search(r'name="csrf" value="([^"]*)"', answer.text)
            for method, action, fields in Forms(answer.text).found:
                shape = re.sub(r"[LP]-\d{8}-\w+|\d-\d\d-\d{5}", "_", action)
                seen.setdefault((method, shape), (name, action, dict(fields)))
                secrets = [value for field, value in fields if field in {"csrf", "form_token"}]
                assert secrets == ([own[1]] if method == "post" else []), (path, action)
                assert not re.search(r"csrf|form_token", action), path
            for found in re.findall(r'href="(/[^"#]*)"', answer.text):
                shape = re.sub(r"[0-9a-f]{12}|\d-\d\d-\d{5}|=[^&]*", "_", found)
                if shape not in pages and not urlsplit(found).path.startswith("/static"):
                    pages.add(shape)
                    waiting.append(found.replace("&amp;", "&"))
        if name == "chief":
            fill_oddly(browser, seen)
    assert {("post", "/lists"), ("post", "/sign-out"), ("get", "/map")} <= set(seen)


def fill_oddly(browser, seen):
    """Whatever stands in a field, it is taken or refused in words, never a fault."""
    seen[("get", "/plan")][2].update({"leave": "", "move": "", "move_dealer": "", "weeks": "1"})
    for (method, shape), (_, action, fields) in seen.items():
        for field in set(fields) - {"csrf"} if shape != "/sign-out" else ():
            for value in ODD:
                filled = fields | {field: value}
                more = {"params": filled} if method == "get" else {"data": filled}
                answer = browser.http.request(method, action, follow_redirects=False, **more)
                assert answer.status_code < 500, (action, field, value)
