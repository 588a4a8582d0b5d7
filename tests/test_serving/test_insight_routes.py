"""Flows and completeness over HTTP: who may ask, what is left out, what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import date

import pytest

from serving.insight.sharing import kept_quarter

ROUTES = {
    "/v1/flows?subject=US": {"inspector", "supervisor", "analyst"},
    "/v1/completeness": {"supervisor", "analyst", "scheduler"},
    "/v1/shares/public?released_on=2023-05-15": {
        "partner", "supervisor", "analyst", "scheduler",
    },
}  # fmt: skip
AGREEMENT = """
[[agreement]]
partner = "hsi"
reference = "MOU 12"
starts_on = 2020-01-01
accounts = ["partner"]
"""
ROLES = ("inspector", "supervisor", "analyst", "scheduler", "partner", "auditor", "admin")


@pytest.fixture
def served(service, simulated):
    (service.runtime.settings.home / "warehouse").symlink_to(simulated.warehouse.path)
    # Worked out before the first request, which has only so long.
    kept_quarter(simulated.warehouse, "2023Q1", date(2023, 5, 15))
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
    given = served.get("/v1/flows?subject=TX", "inspector")
    assert given.status_code == 200, given.text
    answer = given.json()
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


def test_a_partner_gets_its_own_release_and_no_other(served):
    path = "/v1/shares/hsi?released_on=2023-05-15"
    assert served.get(path, "partner").status_code == 404
    assert served.get(path, "analyst").status_code == 404
    (served.runtime.settings.home / "agreements.toml").write_text(AGREEMENT)
    answer = served.get(path, "partner")
    assert answer.headers["content-type"] == "application/zip"
    files = zipfile.ZipFile(io.BytesIO(answer.content))
    manifest = json.loads(files.read("manifest.json"))
    assert (manifest["for"], manifest["agreement"]) == ("hsi", "MOU 12")
    assert {"corridors.csv", "counties.csv"} <= set(files.namelist())
    (served.runtime.settings.home / "agreements.toml").write_text(
        AGREEMENT.replace('["partner"]', '["another"]')
    )
    assert served.get(path, "partner").status_code == 404
    assert served.get(path, "analyst").status_code == 200


@pytest.mark.parametrize("day", ["2023-05-14", "2099-05-15"])
def test_a_day_that_is_no_day_of_release_is_a_problem(served, day):
    answer = served.get(f"/v1/shares/public?released_on={day}", "partner")
    assert answer.status_code == 422


def test_a_partner_that_nobody_knows_is_a_problem(served):
    assert served.get("/v1/shares/nobody", "analyst").status_code == 422


def test_measures_are_frozen_and_partners_get_the_public_variant(served):
    own = served.get("/v1/measures?year=2024", "supervisor").json()
    assert (served.runtime.settings.home / "measures" / "2024.json").is_file()
    assert not own["is_public"]
    assert own["figures"]["visits"] > 0
    public = served.get("/v1/measures?year=2024", "partner").json()
    assert public["is_public"]
    assert public["figures"] == {}
    assert len(public["measures"]) < len(own["measures"])
    page = served.get("/v1/measures?year=2024&format=html", "partner")
    assert page.text.startswith("<!doctype html>")
    assert served.get("/v1/measures?year=2024", "admin").status_code == 403
