"""What the page says of a list's order, and of what changed since the last one, is so."""

from __future__ import annotations

import re

import pytest

from serving.web.lists.list_change import change_in_words
from serving.web.lists.list_rows import SORTS
from tests.test_serving.pages import Visitor


@pytest.fixture
def inspector(service):
    return Visitor(service, "inspector")


@pytest.mark.parametrize("sort", ["", "unheard", *(name for name, _ in SORTS)])
def test_rows_are_headed_by_their_order(service, sort):
    listed = service.post("/v1/rank", "inspector", {"k": 5}).json()
    page = Visitor(service, "inspector").get(f"/lists/{listed['list_id']}?sort={sort}").text
    heading = re.search(r'<h2 id="rows-title">(.*?)</h2>', page)[1]
    is_by_priority = sort in {"", "unheard", "position"}
    expected = "In order of priority" if is_by_priority else f"Sorted: {dict(SORTS)[sort].lower()}"
    assert heading == expected


def test_a_new_draw_is_told_apart_from_what_changed():
    def row(dealer, why, before=None):
        return {"dealer": dealer, "why": [why], "change": {"previous_position": before}}

    now = {"rows": [row("a", "model", 1), row("b", "random"), row("c", "model")],
           "change": {"previous_list": "L", "left": ["x", "y"]}}  # fmt: skip
    old = {"rows": [row("x", "random"), row("y", "model"), row("a", "model")]}
    found = change_in_words(now, old)
    assert (found["came"], found["n_drawn"]) == ("1 came on by their records", 1)
    assert [gone["dealer"] for gone in found["left"]] == ["y"]
    assert found["went"] == "1 went off by their records or a visit"
    assert found["n_drawn_before"] == 1
    # One place more by priority than before: one of two came on without any news.
    more = {"rows": [*now["rows"], row("d", "model"), row("e", "recall")], "change": now["change"]}
    assert change_in_words(more, old)["came"] == (
        "3 came on (1 by their records, 1 as more places go by priority, 1 as due for recall)"
    )
    # Of a list that the reader may not read nobody can say that none went off it.
    assert change_in_words(more, None) is None


def test_a_list_twice_as_long_says_that_dealers_came_on_for_its_places(service, inspector):
    for k in (4, 8):
        document = service.post("/v1/rank", "inspector", {"k": k, "random_share": 0}).json()
    assert document["change"]["n_entered"] == 4
    text = " ".join(inspector.get(f"/lists/{document['list_id']}").text.split())
    assert "4 came on as more places go by priority and 0 went off;" in text


def test_who_is_put_on_by_hand_and_whom_that_pushes_off_had_no_news(service, inspector):
    first = service.post("/v1/rank", "inspector", {"k": 8, "random_share": 0}).json()
    more = service.post("/v1/rank", "inspector", {"k": 40, "random_share": 0}).json()
    hand = next(r for r in more["rows"][20:] if r["why"] == ["model"])["dealer"]
    service.post("/v1/rank", "inspector", {"k": 8, "random_share": 0})
    manual = [{"dealer": hand, "reason": "a call"}]
    body = {"k": 8, "random_share": 0, "manual": manual}
    document = service.post("/v1/rank", "inspector", body).json()
    assert len(document["rows"]) == len(first["rows"])
    text = " ".join(inspector.get(f"/lists/{document['list_id']}").text.split())
    assert "1 came on by hand and 1 went off as fewer places go by priority;" in text
    # And back again: who is taken off by hand went off by no record either.
    document = service.post("/v1/rank", "inspector", {"k": 8, "random_share": 0}).json()
    text = " ".join(inspector.get(f"/lists/{document['list_id']}").text.split())
    assert "1 came on as more places go by priority" in text
    assert "1 went off that had been put on by hand;" in text
