"""The heading of a list's rows says the order that they stand in."""

from __future__ import annotations

import re

import pytest

from serving.web.lists.list_rows import SORTS
from tests.test_serving.pages import Visitor


@pytest.mark.parametrize("sort", ["", "unheard", *(name for name, _ in SORTS)])
def test_rows_are_headed_by_their_order(service, sort):
    listed = service.post("/v1/rank", "inspector", {"k": 5}).json()
    page = Visitor(service, "inspector").get(f"/lists/{listed['list_id']}?sort={sort}").text
    heading = re.search(r'<h2 id="rows-title">(.*?)</h2>', page)[1]
    is_by_priority = sort in {"", "unheard", "position"}
    expected = "In order of priority" if is_by_priority else f"Sorted: {dict(SORTS)[sort].lower()}"
    assert heading == expected
