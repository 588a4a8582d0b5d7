"""What a step returns says its keys: a frozen record, or a `TypedDict` of a document."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.architecture.sources import modules

pytestmark = pytest.mark.xdist_group("sources")
BARE = re.compile(r"dict\[str, (Any|object)\]")
OPEN = re.compile(r"\b(Json|Row|State|Options)\b")
# What has no type of its own yet: mostly what a template is handed by name. None comes to it.
LEFT = {
    "serving/api/routes/plans.py:_plan",
    "serving/planning/kept/document.py:_facts",
    "serving/planning/kept/files.py:_week",
    "serving/scores/words/peers.py:_steps",
    "serving/trials/assignments.py:dated",
    "serving/web/dealers/pages.py:_values",
    "serving/web/plans/itinerary.py:for_template",
    "serving/web/maps/pages.py:_spot",
    "serving/web/maps/pages.py:_spots",
    "serving/web/lists/why_not.py:_facts",
    "serving/web/plans/pages.py:_choices",
    "training/heads/compliance/judging.py:judge",
    "training/heads/compliance/judging.py:strictness_entry",
    "training/heads/published_order.py:readings",
    "training/heads/published_order.py:sizes",
}
# Of JSON whose keys this code does not set, of estimators' states and of whole records as JSON.
MOST_OPEN = 91


@cache
def returned() -> dict[str, str]:
    """Return what each function of the packages says that it returns, by file and name."""
    found: dict[str, str] = {}
    for module in modules():
        for function, said in module.returned:
            name = f"{module.name}:{function}"
            found[name] = f"{found.get(name, '')} {said}"
    return found


def test_no_function_returns_a_dict_of_anything():
    bare = {name for name, said in returned().items() if BARE.search(said)}
    assert bare - LEFT == set(), (
        "say the keys: a frozen dataclass for a result, a TypedDict for a document "
        "(serving/contract/records, training/studies/documents.py), features.openjson for JSON "
        "whose keys are another's"
    )
    assert LEFT - bare == set(), "typed by now: take it out of the list"


def test_open_json_does_not_spread():
    n_open = sum(bool(OPEN.search(said)) for said in returned().values())
    assert n_open <= MOST_OPEN, "more functions return open JSON than before: give it a type"
