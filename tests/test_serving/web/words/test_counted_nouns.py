"""One is not many: every page of a country of one dealer, and of two, counts as people do."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import numpy as np
import pytest

from tests.test_serving.pages import Visitor
from tests.test_serving.planning.kept.test_kept_plans import ASK

_NOUNS = (
    "dealer|visit|week|place|list|plan|county|counties|part|inspection|record|trace|firearm|name|"
    "investigator|hour|night|office|page|license|report|year|other|decision|other license"
)
_NUMBER = r"(?<![\d.,:/+−-])\b{} "
# Between a number and its noun stand at most two words that say of what kind.
_ONE_OF_MANY = re.compile(
    _NUMBER.format("1") + rf"(?:(?!is\b|was\b|has\b|of\b|to\b)[a-z]+ ){{0,2}}(?:{_NOUNS})s\b"
)
_MANY_OF_ONE = re.compile(
    _NUMBER.format("(?:0|2)") + rf"(?:{_NOUNS})\b(?!\s*(?:key|type|number)\b)"
)
_VERBS = re.compile(_NUMBER.format("1") + r"(?:are|were|have|come|match|take|stand)\b")
_VERBS_OF_MANY = re.compile(_NUMBER.format("2") + r"(?:is|was|has|comes|matches|takes|stands)\b")


def faults(html):
    """Return the numbers of a page with a noun or verb that is not theirs."""
    body = re.sub(r"(?s)<(script|style|svg|select|datalist)\b.*?</\1>", " ", html)
    # What stands in two cells is no phrase.
    text = re.sub(r"</?(?:td|th|tr|li|p|h\d|div|dt|dd|label|summary|option)\b[^>]*>", " | ", body)
    text = " ".join(unescape(re.sub(r"<[^>]+>", "", text)).split())
    kinds = (_ONE_OF_MANY, _MANY_OF_ONE, _VERBS, _VERBS_OF_MANY)
    return [
        text[max(found.start() - 30, 0) : found.end() + 20]
        for kind in kinds
        for found in kind.finditer(text)
    ]


@pytest.mark.parametrize(
    ("text", "is_fault"),
    [
        ("<p>1 dealers</p>", True), ("<p>1 random places</p>", True), ("<p>1 dealer</p>", False),
        ("<p>0 dealer</p>", True), ("<p>2 dealers</p>", False), ("<p>21 dealers</p>", False),
        ("<p>1 of them are</p>", False), ("<p>1 more have</p>", False), ("<p>1 have</p>", True),
        ("<td>1</td><td>dealers</td>", False), ("<p>1 is of the dealers</p>", False),
    ],
)  # fmt: skip
def test_faults_are_told_from_what_is_right(text, is_fault):
    assert bool(faults(text)) == is_fault


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("is_barred", [False, True], ids=["free", "barred"])
def test_every_page_counts_as_people_do(service, snapshot_of, n, is_barred):
    snapshot = snapshot_of(n)
    free = np.datetime64("2026-11-01" if is_barred else "NaT", "s")
    snapshot = snapshot.changed(np.arange(n), eligible_on=np.full(n, free, dtype="datetime64[s]"))
    ask = ASK | {"office": str(snapshot.columns["office"][0])}
    service.runtime.replace(snapshot)
    dealers = [str(dealer) for dealer in snapshot.columns["dealer"]]
    chief = Visitor(service, "chief")
    paths = ["/lists", "/map", "/plans", "/plan", "/work", "/dealers?q=LICENSEE", "/model"]
    paths += [f"/dealers/{dealers[0]}", f"/dealers/{dealers[0]}/place"]
    paths += [f"/dealers/{dealers[0]}/place?k=1&against={dealers[-1]}"]
    for k in (n, n + 1, n):
        list_id = service.post("/v1/rank", "chief", {"k": k}).json()["list_id"]
        paths += [f"/lists/{list_id}", f"/lists/{list_id}?q=nobody", f"/lists/{list_id}?type=01"]
        paths.append(f"/plan?{urlencode(ask | {'from_list': list_id, 'require': 'all'})}")
        paths.append(f"/plan?{urlencode(ask | {'from_list': list_id, 'require': 'mandatory'})}")
    for weeks in ("1", "2"):
        query = urlencode(ask | {"weeks": weeks})
        made = chief.post("/plans", {"ask": query}, at=f"/plan?{query}")
        paths += [f"/plan?{query}", made.headers["location"]]
        paths.append(f"/plan?{query}&{urlencode({'move': f'{dealers[0]}~out'})}")
    auditor = Visitor(service, "auditor")
    read = [(chief, path) for path in paths]
    read += [(auditor, path) for path in ("/lists", "/audit", f"/lists/{list_id}")]
    found, n_read = {}, 0
    for visitor, path in read:
        page = visitor.get(path)
        n_read += page.status_code == 200
        if wrong := faults(page.text):
            found[path] = wrong
    assert not found
    assert n_read >= len(read) - 4
