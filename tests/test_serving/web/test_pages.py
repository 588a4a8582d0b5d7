"""The pages over HTTP: who reaches what, what they say, what they refuse."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from serving import clock
from serving.runtime import Runtime
from serving.server.app import build_app
from serving.web.sign_in.form import local_address
from tests.test_serving.server.test_clock_set_back import Hands

PASSWORD = "correct horse battery"
ACCOUNTS = {
    "inspector": ("inspector", ["office:office0"]),
    "supervisor": ("supervisor", ["division:division0"]),
    "analyst": ("analyst", []),
    "partner": ("partner", []),
    "agent": ("agent", ["division:division0"]),
    "auditor": ("auditor", []),
    "admin": ("admin", []),
}
ADDRESSES = (
    "/lists", "/map", "/dealers", "/plan", "/model", "/referrals", "/responsibilities", "/audit",
)  # fmt: skip


class Visitor:
    """A browser without scripts."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.http = TestClient(build_app(runtime), base_url="http://localhost:3000")

    def account(self, name: str) -> None:
        """Make the account when it is first used: hashing a password is slow on purpose."""
        if name in ACCOUNTS and not any(
            a["name"] == name for a in self.runtime.directory.accounts()
        ):
            role, areas = ACCOUNTS[name]
            self.runtime.directory.add_account(name, role, areas=areas, password=PASSWORD)

    def get(self, path: str, **more):
        return self.http.get(path, **more)

    def secret(self, path: str = "/lists", name: str = "csrf") -> str:
        return re.search(rf'name="{name}" value="([^"]*)"', self.get(path).text)[1]

    def sign_in(self, name: str, *, purpose: str = "licensing", password: str = PASSWORD, **more):
        self.account(name)
        fields = {"name": name, "password": password, "purpose": purpose} | more
        fields["form_token"] = self.secret("/sign-in", "form_token")
        return self.http.post("/sign-in", data=fields, follow_redirects=False)

    def post(self, path: str, **fields):
        fields.setdefault("csrf", self.secret())
        sent = self.http.post(path, data=fields, follow_redirects=False)
        where = sent.headers.get("location", "")
        return self.get(where) if "refused=" in where else sent


@pytest.fixture
def visitor(runtime: Runtime) -> Visitor:
    return Visitor(runtime)


def issue(visitor: Visitor, **fields) -> str:
    answer = visitor.post("/lists", **({"k": "20", "random_share": "0.10"} | fields))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


@pytest.mark.parametrize("path", [*ADDRESSES, "/", "/lists/L-20260101-000000000000"])
def test_nobody_sees_a_page_without_signing_in(visitor, path):
    answer = visitor.get(f"{path}?q=1", follow_redirects=False)
    assert answer.status_code == 303
    target = urlsplit(answer.headers["location"])
    assert target.path == "/sign-in"
    assert parse_qs(target.query)["next"] == [f"{path}?q=1"]


REACHED = {
    "inspector": {"/lists", "/map", "/dealers", "/model"},
    "supervisor": set(ADDRESSES) - {"/audit"},
    "analyst": {"/map", "/dealers", "/model"},
    "partner": {"/model", "/responsibilities"},
    "agent": {"/referrals", "/responsibilities"},
    "auditor": {"/lists", "/model", "/audit", "/responsibilities"},
    "admin": set(),
}


@pytest.mark.parametrize("name", REACHED)
def test_each_role_reaches_its_pages_and_sees_links_to_no_others(visitor, name):
    visitor.sign_in(name)
    menu = visitor.get("/").text
    for path in ADDRESSES:
        answer = visitor.get(path)
        # Who answers for what is no secret; not everybody needs the link.
        may = path in REACHED[name] or (path == "/responsibilities" and name != "admin")
        assert answer.status_code == (200 if may else 403), path
        assert (f'<a href="{path}"' in menu) == (path in REACHED[name]), path


def test_the_purpose_statistics_reaches_no_dealer(visitor):
    visitor.sign_in("supervisor", purpose="statistics")
    assert visitor.get("/lists").status_code == 403
    assert visitor.get("/dealers?q=shop").status_code == 403
    assert visitor.get("/model").status_code == 200


def test_only_wrong_passwords_count_against_a_name(visitor):
    for _ in range(12):
        assert visitor.sign_in("analyst").status_code == 303
    wrong = [visitor.sign_in("analyst", password="guess").status_code for _ in range(8)]
    assert wrong[0] == 401
    assert wrong[-1] == 429
    # The owner is never locked out by them.
    assert visitor.sign_in("analyst").status_code == 303


def test_a_wrong_password_is_told_apart_from_nothing(visitor):
    wrong = visitor.sign_in("inspector", password="not this one at all")
    absent = visitor.sign_in("nobody-at-all", password="not this one at all")
    assert wrong.status_code == absent.status_code == 401
    assert "The name or the password is wrong." in wrong.text
    assert "The name or the password is wrong." in absent.text


def test_one_signs_in_with_a_token_too(visitor, runtime):
    visitor.account("inspector")
    token = runtime.directory.issue_token("inspector")
    assert visitor.sign_in("", token=token, password="").headers["location"] == "/"
    assert visitor.get("/lists").status_code == 200


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(visitor):
    cookie = visitor.sign_in("inspector").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_signing_out_ends_the_session_on_the_server(visitor):
    visitor.sign_in("inspector")
    kept = dict(visitor.http.cookies)
    assert visitor.post("/sign-out").headers["location"] == "/sign-in"
    visitor.http.cookies.update(kept)
    assert visitor.get("/lists", follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    ("asked", "landed"),
    [
        ("/lists?q=a", "/lists?q=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/sign-out", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
    ],
)
def test_signing_in_leads_nowhere_else(visitor, asked, landed):
    assert local_address(asked) == landed
    assert visitor.sign_in("inspector", next=asked).headers["location"] == landed


@pytest.mark.parametrize("path", ["/lists", "/sign-out"])
def test_a_form_of_another_site_is_refused(visitor, path):
    visitor.sign_in("supervisor")
    assert visitor.post(path, csrf="guessed").status_code == 403
    secret = visitor.secret()
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        answer = visitor.http.post(
            path, data={"csrf": secret}, headers=headers, follow_redirects=False
        )
        assert answer.status_code == 403


def test_every_page_says_from_what_for_whom_and_that_it_is_no_evidence(visitor):
    visitor.sign_in("supervisor")
    for path in (*ADDRESSES, issue(visitor)):
        page = visitor.get(path)
        text = unescape(page.text)
        assert "It is not evidence" in text, path
        assert "Firearm traces help an investigation" in text, path
        assert "2026-01-01" in text, path
        assert "invented-1" in text, path
        assert "f" * 12 in text, path
        assert "supervisor, for licensing" in text, path
        assert page.headers["cache-control"] == "no-store"


def test_nothing_on_a_page_is_inline_or_remote(visitor):
    visitor.sign_in("supervisor")
    for path in (*ADDRESSES, issue(visitor), "/plan?office=office0&weeks=1"):
        page = visitor.get(path)
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(r"\son[a-z]+=|style=|<style|javascript:", page.text), path
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', page.text):
            assert address.startswith(("/", "#", "?")), address


def test_a_list_is_issued_filtered_and_decided(visitor):
    visitor.sign_in("inspector")
    path = issue(visitor)
    page = visitor.get(path).text
    dealers = re.findall(r'<tr id="d-([^"]+)"', page)
    assert len(dealers) == 20
    one = visitor.get(f"{path}?q={dealers[3]}").text
    assert re.findall(r'<tr id="d-([^"]+)"', one) == [dealers[3]]
    refused = visitor.post(f"{path}/decisions", dealer=dealers[0], decision="override")
    assert refused.status_code == 422
    kept = visitor.post(
        f"{path}/decisions", dealer=dealers[0], decision="override", reason="safety",
        back="sort=name&q=shop",
    )  # fmt: skip
    target = urlsplit(kept.headers["location"])
    assert target.fragment == f"d-{dealers[0]}"
    assert parse_qs(target.query)["sort"] == ["name"]
    open_ones = visitor.get(f"{path}?decided=open").text
    assert f'id="d-{dealers[0]}"' not in open_ones
    assert "overridden" in visitor.get(f"{path}?decided=override").text


def test_one_inspector_does_not_read_the_list_of_another_office(visitor, runtime):
    visitor.sign_in("supervisor")
    path = issue(visitor)
    other = Visitor(runtime)
    other.sign_in("inspector")
    assert other.get(path).status_code == 404
    assert path.rsplit("/", 1)[1] not in other.get("/lists").text


def test_a_list_of_an_area_that_is_not_ones_own_is_refused_in_words(visitor):
    visitor.sign_in("inspector")
    answer = visitor.post("/lists", k="5", office="office5", random_share="0")
    assert answer.status_code == 403
    assert "The area asked for is not yours." in answer.text


@pytest.mark.parametrize("fields", [{"k": "many"}, {"k": "0"}, {"box": "1,2,3"}, {"box": "a"}])
def test_an_unusable_form_is_answered_with_the_form(visitor, fields):
    visitor.sign_in("supervisor")
    answer = visitor.post("/lists", **fields)
    assert answer.status_code == 422
    assert "The form holds something unusable." in answer.text


def test_a_held_dealer_leaves_no_trace_on_any_page(visitor, runtime):
    visitor.sign_in("supervisor")
    path = issue(visitor)
    dealer = re.findall(r'<tr id="d-([^"]+)"', visitor.get(path).text)[0]
    from datetime import date

    from serving.scores import holds

    holds.place(
        runtime.store, dealer, owners=["somebody"], starts_on=date(2025, 1, 1), ends_on=None
    )
    runtime.refresh_holds()
    for address in (path, "/map", f"/dealers?q={dealer}", "/plan?office=office0&weeks=2"):
        answer = visitor.get(address)
        body = answer.text.replace(f'value="{dealer}"', "")  # what was searched for stands there
        assert dealer not in body, address
    assert visitor.get(f"/dealers/{dealer}").status_code == 404
    assert "19 dealers to visit" in visitor.get(path).text
    assert re.search(r'class="num">19</td>', visitor.get("/lists").text)


def test_absent_and_foreign_dealers_are_answered_alike(visitor, runtime):
    visitor.sign_in("inspector")
    columns = runtime.snapshot.columns
    foreign = columns["dealer"][columns["office"] != "office0"][0]
    first, second = visitor.get(f"/dealers/{foreign}"), visitor.get("/dealers/9-99-99999")
    assert first.status_code == second.status_code == 404

    def body(answer):
        return re.sub(r'name="csrf" value="[^"]*"', "", answer.text)

    assert body(first) == body(second)


def test_a_hostile_name_is_text(visitor, runtime, snapshot_of):
    snapshot = snapshot_of()
    names = snapshot.columns["business_name"].copy()
    hostile = '"><script>alert(1)</script>\u202e' + "x" * 300
    names[:] = hostile
    from dataclasses import replace

    runtime.replace(replace(snapshot, columns={**snapshot.columns, "business_name": names}))
    visitor.sign_in("supervisor")
    dealer = snapshot.columns["dealer"][snapshot.columns["office"] == "office0"][0]
    for path in (issue(visitor), f"/dealers/{dealer}", "/plan?office=office0&weeks=1", "/map"):
        text = visitor.get(path).text
        assert "<script>alert" not in text, path
    calendar = visitor.get("/plan.ics?office=office0&weeks=1").text
    assert "\u202e" not in calendar


@pytest.fixture
def june(monkeypatch):
    """Let it be the first of June 2026 under the service."""
    hands = Hands()
    monkeypatch.setattr(clock, "_clock", clock.Clock(hands.wall, hands.steady))


def test_an_outcome_is_recorded_and_the_legal_gate_answers_in_words(june, visitor, runtime):
    visitor.sign_in("inspector")
    columns = runtime.snapshot.columns
    is_own = columns["office"] == "office0"
    free = columns["dealer"][is_own & (columns["n_inspections"] == 0)][0]
    fields = {
        "inspection_id": "I-1", "kind": "compliance", "opened_on": "2026-02-02",
        "outcome": "report",
        "citations": "478.124(c)(1)\n478.125(e) *", "hours": "12.5", "selected_by": "risk",
    }  # fmt: skip
    kept = visitor.post(f"/dealers/{free}/outcomes", **fields)
    assert kept.headers["location"] == f"/dealers/{free}?saved=1"
    page = visitor.get(f"/dealers/{free}").text
    assert "Not before 2027-02-02" in page
    assert "The compliance inspection opened 2026-02-02 used up" in page
    said = visitor.get(kept.headers["location"]).text
    assert "Training reads it once the visit is closed" in said
    again = visitor.post(
        f"/dealers/{free}/outcomes",
        **(fields | {"inspection_id": "I-2", "opened_on": "2026-03-02"}),
    )
    shown = visitor.get(again.headers["location"])
    assert shown.status_code == 422
    assert "twelve months before" in shown.text
    missing = visitor.post(f"/dealers/{free}/outcomes", **(fields | {"outcome": ""}))
    assert visitor.get(missing.headers["location"]).status_code == 422


def test_every_look_at_a_dealer_is_in_the_audit(visitor, runtime):
    import sqlalchemy as sa

    from serving.store.tables import AUDIT

    visitor.sign_in("supervisor")
    dealer = runtime.snapshot.columns["dealer"][runtime.snapshot.columns["office"] == "office0"][0]
    visitor.get(f"/dealers/{dealer}")
    visitor.get("/plan?office=office0&weeks=4&investigators=3")
    with runtime.store.read() as connection:
        rows = connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq)).all()
    actions = [row.action for row in rows]
    assert actions[-3:] == ["sign_in", "dealers", "plan"]
    assert rows[-2].subject == dealer
    assert rows[-2].purpose == "licensing"


def test_the_plan_page_moves_a_visit_and_says_what_it_costs(visitor):
    visitor.sign_in("supervisor")
    address = "/plan?office=office0&weeks=3&hours=40&random_share=0.1&starts_on=2026-01-05"
    page = visitor.get(address).text
    assert "At most possible" in page
    dealers = re.findall(r'data-dealer="([^"]+)"', page)
    moved = visitor.get(f"{address}&move_dealer={dealers[0]}&move_week=out").text
    assert "Your change" in moved
    assert "changes together" not in moved
    assert "At most possible" in moved
    assert "proven for the plan as made, before the changes by hand" in moved
    assert dealers[0] not in re.findall(r'data-dealer="([^"]+)"', moved)
    # The last change is told by itself, then all of them together, which make up the sum.
    said = visitor.get(f"{address}&move={dealers[0]}~out&move={dealers[1]}~out").text
    alone = visitor.get(f"{address}&move={dealers[1]}~out").text
    assert "The last change drives " in said
    assert "All 2 changes together drive " in said
    assert "It drives " in alone
    pattern = r"(?:change|changes) the expected findings by −([0-9]+\.[0-9]+)"
    last, both = (float(one) for one in re.findall(pattern, said))
    (first,) = (float(one) for one in re.findall(pattern, moved))
    assert both == pytest.approx(first + last, abs=0.011)
    crowded = "".join(f"&move={dealer}~1.1" for dealer in dealers)
    assert "more than there are" in visitor.get(address + crowded).text
    assert visitor.get(f"{address}&move=9-99-99999~1.1").status_code == 422


def test_a_plan_for_a_foreign_office_or_with_nonsense_is_refused(visitor):
    visitor.sign_in("supervisor")
    assert visitor.get("/plan?office=office5").status_code == 403
    for query in ("weeks=900", "hours=abc", "starts_on=tomorrow", "move=" + "x" * 100):
        assert visitor.get(f"/plan?office=office0&{query}").status_code == 422


def test_an_impossible_plan_names_what_to_relax(visitor):
    visitor.sign_in("supervisor")
    answer = visitor.get(
        "/plan?office=office0&weeks=4&investigators=3&coverage_years=1&coverage_share=1"
    )
    assert answer.status_code == 409
    assert "Any one of these makes it possible" in answer.text
    assert "coverage share" in answer.text
    offers = re.findall(r'<li><a href="(/plan\?[^"]*)">', answer.text)
    assert len(offers) >= 2
    for offer in offers:
        made = visitor.get(unescape(offer))
        assert made.status_code == 200, offer
        assert "Keep this plan" in made.text


def test_the_map_zooms_to_a_state_and_lists_what_it_shows(visitor):
    visitor.sign_in("supervisor")
    whole = visitor.get("/map").text
    assert "Arizona" in whole
    inner = unescape(re.search(r'href="(/map\?[^"]*w=[^"]*)" aria-label="Zoom in"', whole)[1])
    page = visitor.get(inner).text
    box = unescape(re.search(r'id="use-area" href="(/lists\?[^"]*)"', page)[1])
    assert "Only dealers within the area chosen on the map." in visitor.get(box).text
    assert visitor.get("/map?w=nan&x=1&y=1").status_code == 422


def test_the_model_page_shows_what_was_measured_when_it_is_there(visitor, runtime, monkeypatch):
    import json

    visitor.sign_in("partner")
    assert "Indicator efficacy" not in visitor.get("/model").text
    home = runtime.settings.home
    (home / "reports").mkdir()
    interval = {"value": 0.7, "low": 0.6, "high": 0.8}
    one = {"signal": "traces_count", "auc": interval, "auc_random": None}
    (home / "reports" / "indicators.json").write_text(json.dumps({"n": 10, "signals": [one]}))
    moved = {
        "name": "x_y", "stability_index": 0.3, "share_missing_then": 0, "share_missing_now": 0.5,
        "advice": "train again",
    }  # fmt: skip
    (home / "reports" / "drift.json").write_text(json.dumps({"advice": "watch", "drift": [moved]}))
    (home / "champion.json").write_text('{"bundle": "000001", "candidate": "../../etc"}')
    bundle = runtime.snapshot.bundle
    stated = {**bundle.manifest, "as_of": "2018-01-01", "trained_on": "2019-01-01"}
    monkeypatch.setattr(type(bundle), "manifest", stated)
    page = visitor.get("/model").text
    # The day of the card, and beside it that of the newest signals.
    assert "<dt>Learned from findings known before</dt><dd>2019-01-01</dd>" in page
    assert "<dd>as of 2018-01-01; what was found is of the time after</dd>" in page
    assert "traces count" in page
    assert "0.60 to 0.80" in page
    assert "train again" in page
    (home / "reports" / "drift.json").write_text("{broken")
    assert visitor.get("/model").status_code == 200
