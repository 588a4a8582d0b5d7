"""Flows and completeness over HTTP: who may ask, what is left out, what is refused."""

from __future__ import annotations

import pytest

ROUTES = {
    "/v1/flows?subject=US": {"inspector", "supervisor", "analyst"},
    "/v1/completeness": {"supervisor", "analyst", "scheduler"},
}
ROLES = ("inspector", "supervisor", "analyst", "scheduler", "partner", "auditor", "admin")


@pytest.fixture
def served(service, simulated):
    (service.runtime.settings.home / "warehouse").symlink_to(simulated.warehouse.path)
    return service


@pytest.mark.parametrize("path", ROUTES)
def test_each_role_gets_what_is_its_own(served, path):
    for role in ROLES:
        expected = 200 if role in ROUTES[path] else 403
        assert served.get(path, role).status_code == expected, role


def test_flows_need_a_purpose_that_reaches_dealers(served):
    assert served.get("/v1/flows", "analyst", purpose=None).status_code == 403
    assert served.get("/v1/flows", "analyst", purpose="statistics").status_code == 403


def test_dealers_outside_the_area_stand_in_no_hub(served):
    """The invented dealers of the service are none of the warehouse: nobody sees any of them."""
    answer = served.get("/v1/flows?subject=TX", "inspector").json()
    assert answer["n_traces"] > 0
    assert answer["dealers"] == answer["clusters"] == answer["patterns"] == []
    assert answer["links"]
    assert "implies no wrong" in answer["statements"][0]
    assert any("trace" in sentence for sentence in answer["disclaimers"])


def test_a_dealer_that_the_caller_does_not_see_is_not_there(served, simulated):
    dealer = simulated.warehouse.read("licenses", columns=["dealer"])["dealer"][0].as_py()
    answer = served.get(f"/v1/flows?subject={dealer}", "analyst")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_dealer")


def test_what_cannot_be_followed_is_a_problem(served):
    answer = served.get("/v1/flows?subject=NOWHERE", "analyst")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_subject")


def test_without_a_warehouse_the_service_says_so(service):
    for path in ROUTES:
        answer = service.get(path, "analyst")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


@pytest.mark.parametrize("form", ["csv", "graphml", "geojson", "svg", "map.svg"])
def test_every_format_is_served(served, form):
    answer = served.get(f"/v1/flows?subject=AZ&format={form}", "analyst")
    assert answer.status_code == 200
    assert answer.content


def test_access_is_recorded(served, audit_of):
    served.get("/v1/flows?subject=AZ", "analyst")
    assert [row["subject"] for row in audit_of(served)][-1] == "flow AZ"
