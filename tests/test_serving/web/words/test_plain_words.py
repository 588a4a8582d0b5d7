"""Small words of the pages: numbers with their nouns, and what happened in the place of "yes"."""

from __future__ import annotations

import re

from features.insight.measures.writing import as_text
from serving.scores.words.wording import wording
from serving.web.rendering import environment
from tests.test_serving.pages import Visitor

_SINGULAR = re.compile(r"(?<![\d.,])1 (?:times|dealers|visits|weeks|years|places|rows|records)\b")


def test_my_work_says_how_what_was_handed_over_was_settled(service, inspector):
    ask = {"area": {"office": "office0"}, "k": 5, "random_share": 0}
    listed = service.post("/v1/rank", "supervisor", ask).json()
    supervisor, at = Visitor(service, "supervisor"), f"/lists/{listed['list_id']}"
    rows = [row for row in listed["rows"] if row["is_eligible"]]
    visited, accepted, waiting = (row["dealer"] for row in rows[:3])
    for dealer in (visited, accepted, waiting):
        form = {"dealer": dealer, "to": "inspector", "back": ""}
        assert supervisor.post(f"{at}/assign", form, at=at).status_code == 303
    for dealer in (visited, accepted):
        body = {"list_id": listed["list_id"], "dealer": dealer, "decision": "accept"}
        assert service.post("/v1/decisions", "supervisor", body).status_code == 200
    body = {"inspection_id": "I-1", "dealer": visited, "opened_on": "2026-01-20", "outcome": "none"}
    assert service.post("/v1/outcomes", "inspector", body).status_code == 200
    handed = inspector.get("/work").text.split("My decisions")[0]

    def said(dealer: str) -> str:
        (row,) = (row for row in handed.split("<tr>") if f"/dealers/{dealer}?" in row)
        return row.rsplit("<td>", 1)[1].split("<")[0].strip()

    assert re.fullmatch(r"visited, outcome told \d{4}-\d\d-\d\d", said(visited))
    assert re.fullmatch(r"accepted \d{4}-\d\d-\d\d", said(accepted))
    assert said(waiting) == "not yet"


def test_one_is_never_said_with_a_plural():
    assert as_text(1.0, "times") == "1.0 times"
    for name in ("traces_over_expected_3y", "traces_trend_1y", "volume_growth_1y"):
        words = wording(name, {})
        for value in (0.5, 1.0, 1.04, 2.0):
            for text in (
                words.say(value),
                words.say_as(value, "estimate" if words.own else "recent"),
            ):
                assert " times" in text
                assert not _SINGULAR.search(text), text
    noun = environment().filters["noun"]
    assert [noun(n, "dealer") for n in (0, 1, 1_200)] == ["0 dealers", "1 dealer", "1,200 dealers"]


def test_a_page_of_one_dealer_speaks_of_one(service, inspector):
    one = service.post("/v1/rank", "inspector", {"k": 1, "random_share": 0}).json()
    few = service.post("/v1/rank", "inspector", {"k": 5, "random_share": 0}).json()
    name = few["rows"][0]["license_number"]
    at = f"/lists/{one['list_id']}"
    found = f"/lists/{few['list_id']}?q={name}"
    dealer = f"/dealers/{one['rows'][0]['dealer']}"
    for visitor, path in (
        (inspector, at), (inspector, found), (inspector, dealer),
        (inspector, f"{dealer}/place?k=1"),
        (Visitor(service, "supervisor"), "/plan?office=office0&weeks=1&hours=10"),
        (Visitor(service, "auditor"), at),
    ):  # fmt: skip
        page = visitor.get(path)
        assert page.status_code == 200, path
        text = re.sub(r"<[^>]+>|\s+", " ", page.text.split("<main")[1])
        text = re.sub(" +", " ", text)
        assert not _SINGULAR.search(text), (path, _SINGULAR.findall(text))
    assert "1 of 5 dealers matches" in inspector.get(found).text
