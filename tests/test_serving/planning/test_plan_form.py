"""What is typed into the form of a plan counts, or is asked about: none of it is dropped."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from tests.test_serving.pages import Visitor

ASK = {"office": "office0", "weeks": "2", "hours": "40", "starts_on": "2026-01-12"}


@pytest.fixture
def supervisor(service):
    return Visitor(service, "supervisor")


def shown(visitor, **more):
    return visitor.get(f"/plan?{urlencode(ASK | more)}")


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("names", ["maria", "maria, omar", "maria, omar, ann", "maria, Maria"])
def test_each_name_is_an_investigator_of_the_plan(supervisor, n, names):
    n_names = len({name.strip().lower() for name in names.split(",")})
    answer = shown(supervisor, investigators=str(n), names=names)
    is_refused = n_names > n
    assert answer.status_code == (422 if is_refused else 200)
    assert ("Keep this plan" in answer.text) != is_refused
    said = f"{n_names} names for {n} investigator{'s' if n > 1 else ''}."
    assert (said in answer.text) == is_refused
    assert f'name="names" value="{names}"' in answer.text


def test_leave_of_the_only_investigator_needs_no_number(supervisor):
    page = shown(supervisor, leave_from="2026-01-12", leave_to="2026-01-16").text
    assert "Investigator 1 is away from 2026-01-12 to 2026-01-16" in page


@pytest.mark.parametrize(
    "typed",
    [
        {"investigators": "2", "leave_from": "2026-01-12", "leave_to": "2026-01-16"},
        {"investigators": "2", "leave_of": "2", "leave_to": "2026-01-16"},
        {"leave_of": "1"},
        {"leave_to": "2026-01-16"},
    ],
)
def test_leave_that_is_not_complete_is_asked_for_with_what_was_typed(supervisor, typed):
    answer = shown(supervisor, **typed)
    assert answer.status_code == 422
    assert "An absence is not complete" in answer.text
    assert "Keep this plan" not in answer.text
    for name in ("leave_from", "leave_to"):
        if name in typed:
            assert f'name="{name}" type="date" value="{typed[name]}"' in answer.text
    if "leave_of" in typed:
        assert f'name="leave_of" type="number" value="{typed["leave_of"]}"' in answer.text
