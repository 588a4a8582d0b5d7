"""What stands beside the ranking over HTTP: who may ask, what is left out, what is refused."""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zipfile
from dataclasses import replace
from datetime import date
from html import unescape

import numpy as np
import pytest
from starlette.testclient import TestClient

from features.insight.flows.breadth import dealer_counts
from features.insight.flows.follow import follow
from features.insight.flows.subject import subject_of
from features.insight.repeats import repeats
from features.insight.sharing.quarters import Published, keep, kept
from features.insight.sharing.rules import rules_on
from features.insight.sharing.tables import Groups
from features.insight.staffing import staffing
from serving import clock
from serving.api.client import Client, RefusedError
from serving.scores import holds
from tests.simulated import AS_OF
from tests.test_serving.pages import Visitor

ROUTES = {
    "/v1/flows?subject=US": {"inspector", "supervisor", "analyst"},
    "/v1/completeness": {"supervisor", "analyst", "scheduler"},
    "/v1/shares/public?released_on=2023-05-15": {
        "partner", "supervisor", "analyst", "scheduler",
    },
    "/v1/repeats?years=9": {"supervisor"},
    "/v1/staffing": {"supervisor", "analyst", "scheduler"},
}  # fmt: skip
AGREEMENT = """
[[agreement]]
partner = "hsi"
reference = "MOU 12"
starts_on = 2020-01-01
accounts = ["partner"]
"""
ROLES = (
    "inspector", "supervisor", "analyst", "scheduler", "partner", "agent", "auditor", "admin",
)  # fmt: skip


@pytest.fixture(scope="module")
def released():
    """A quarter with a few cells, as it would be kept: what is handed out is tried elsewhere."""
    cells = {
        ("corridors", "TX", "MX-TAM"): 40, ("corridors", "AZ", "MX-SON"): None,
        ("corridors", "all", "all"): 900, ("classes", "mexico", "handgun"): 55,
        ("counties", "48201", "mexico"): 33, ("counties", "rest of AZ", "mexico"): 21,
        ("outbound", "TX to MX-TAM", "handgun"): 17, ("ports", "2304", "all"): 12,
    }  # fmt: skip
    groups = Groups(("MX-SON", "MX-TAM"), ("48201",), ("2304",))
    return Published("2023Q1", rules_on(date(2023, 5, 15)), groups, cells, "f" * 64)


@pytest.fixture
def served(service, simulated, released):
    (service.runtime.settings.home / "warehouse").symlink_to(simulated.warehouse.path)
    keep(released, service.runtime.settings.home)
    snapshot = service.runtime.snapshot
    manifest = snapshot.table.manifest | {"as_of": AS_OF.isoformat()}
    service.runtime.replace(replace(snapshot, table=replace(snapshot.table, manifest=manifest)))
    return service


@pytest.fixture
def named(served, simulated):
    """The invented table, of dealers of the warehouse: the repeat violators among them."""
    snapshot = served.runtime.snapshot
    every = set(simulated.warehouse.read("licenses", columns=["dealer"])["dealer"].to_pylist())
    told = [one.dealer for one in repeats(simulated.warehouse, snapshot.as_of, years=9).violators]
    n = len(snapshot.columns["dealer"])
    dealers = np.array([*told, *sorted(every - set(told))][:n], dtype=object)
    columns = {**snapshot.columns, "dealer": dealers}
    rows = {dealer: i for i, dealer in enumerate(dealers)}
    served.runtime.replace(replace(snapshot, columns=columns, row_of=rows))
    return served


def hold(service, dealer):
    store = service.runtime.store
    holds.place(store, dealer, owners=["another"], starts_on=date(2020, 1, 1), ends_on=None)
    service.runtime.refresh_holds()


@pytest.mark.parametrize("path", ROUTES)
def test_each_role_gets_what_is_its_own(served, path):
    for role in ROLES:
        expected = 200 if role in ROUTES[path] else 403
        assert served.get(path, role).status_code == expected, role


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/v1/completeness", "analyst"), ("/v1/staffing", "supervisor"),
        ("/v1/measures?year=2024", "supervisor"), ("/v1/responsibilities", "supervisor"),
        ("/v1/audit", "auditor"),
    ],
)  # fmt: skip
def test_a_purpose_that_is_stated_is_recorded_though_none_is_needed(served, audit_of, path, role):
    for stated, recorded in (("statistics", "statistics"), (None, "")):
        assert served.get(path, role, purpose=stated).status_code == 200
        assert audit_of(served)[-1]["purpose"] == recorded


def test_flows_need_a_purpose_that_reaches_dealers(served):
    assert served.get("/v1/flows", "analyst", purpose=None).status_code == 403
    assert served.get("/v1/flows", "analyst", purpose="statistics").status_code == 403


def test_dealers_outside_the_area_stand_in_no_hub(served):
    """The invented dealers of the service are none of the warehouse: nobody sees any of them."""
    given = served.get("/v1/flows?subject=TX", "inspector")
    assert given.status_code == 200, given.text
    answer = given.json()
    assert answer["n_traces"] > 0
    named = ("dealers", "fast_dealers", "clusters", "patterns")
    assert all(answer[name] == [] for name in named)
    assert answer["links"]
    assert "implies no wrong" in answer["statements"][0]
    assert any("trace" in sentence for sentence in answer["disclaimers"])


def test_a_county_of_one_dealer_elsewhere_is_the_record_of_that_dealer(served, simulated):
    counts = dealer_counts(simulated.warehouse, AS_OF, years=5)
    n_sellers = (counts["n"] > 0).groupby(counts["county"]).sum()
    thin = set(n_sellers.index[n_sellers < 3])
    alone = counts[(counts["n"] > 0) & counts["county"].isin(n_sellers.index[n_sellers == 1])]
    one = alone[alone["state"] == "TX"].sort_values("n").iloc[-1]
    for form in ("json", "csv", "graphml", "svg"):
        path = f"/v1/flows?subject={one['county']}&format={form}"
        refused = served.get(path, "inspector")
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_subject")
        assert served.get(path, "analyst").status_code == 200
    whole, part = (
        served.get("/v1/flows?subject=TX", who).json() for who in ("analyst", "inspector")
    )
    for rows, column in (("links", "source"), ("corridors", "source"), ("counties", "county")):
        named = [{one[column] for one in answer[rows]} & thin for answer in (whole, part)]
        assert (named[0] != set(), named[1]) == (True, set()), rows
    assert part["n_traces"] == whole["n_traces"]
    # Nor is a cell of few, of a broad county or state, told; analysts have every one.
    assert any(link["n"] == 1 for link in whole["links"])
    nation = served.get("/v1/flows?subject=US", "inspector").json()
    lanes = [*part["links"], *part["corridors"], *nation["links"], *nation["corridors"]]
    told = [one for one in lanes if one["source"].isdigit() or len(one["source"]) == 2]
    assert told
    assert all(one["n"] >= 10 and not 0 < one["n_short"] < 10 for one in told)
    assert all(hub["n_mexico"] >= 10 for hub in part["counties"])
    assert all(whole[f"by_{name}"] for name in ("band", "class", "destination"))
    assert not any(part[f"by_{name}"] for name in ("band", "class", "destination"))


def test_a_dealer_that_the_caller_does_not_see_is_not_there(served, simulated):
    dealer = simulated.warehouse.read("licenses", columns=["dealer"])["dealer"][0].as_py()
    answer = served.get(f"/v1/flows?subject={dealer}", "analyst")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_dealer")


def test_what_cannot_be_followed_is_a_problem(served):
    answer = served.get("/v1/flows?subject=NOWHERE", "analyst")
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_subject")


def test_without_a_warehouse_the_service_says_so(service):
    for path in ROUTES:
        answer = service.get(path, "supervisor")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


@pytest.mark.parametrize("form", ["csv", "corridors.csv", "graphml", "geojson", "svg", "map.svg"])
def test_every_format_is_served(served, form):
    answer = served.get(f"/v1/flows?subject=AZ&format={form}", "analyst")
    assert answer.status_code == 200
    assert answer.content


def test_access_is_recorded(served, audit_of):
    served.get("/v1/flows?subject=AZ", "analyst")
    assert [row["subject"] for row in audit_of(served)][-1].startswith("flow AZ")


@pytest.mark.parametrize("form", ["json", "csv", "graphml", "svg", "page"])
def test_a_flow_s_record_names_every_dealer_that_it_shows(named, audit_of, form):
    found = named.get("/v1/flows?subject=US", "analyst").json()
    hubs = [*found["dealers"], *found["fast_dealers"]]
    shown = {one["dealer"] for one in hubs} | {d for c in found["clusters"] for d in c["dealers"]}
    shown |= {p[side] for p in found["patterns"] for side in ("first", "second")}
    assert len(shown) > 5
    if form == "page":
        assert Visitor(named, "analyst").get("/flows?subject=US").status_code == 200
    else:
        assert named.get(f"/v1/flows?subject=US&format={form}", "analyst").status_code == 200
    assert audit_of(named)[-1]["subject"].split() == ["flow", "US", *sorted(shown)]


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


def test_a_partner_finds_its_releases_on_a_page_and_no_other_s(served):
    text = AGREEMENT + AGREEMENT.replace('"hsi"', '"mexico"').replace(
        '["partner"]', '["another"]'
    ).replace("MOU 12", "MOU <i>13</i>")
    path = served.runtime.settings.home / "agreements.toml"
    path.write_text(text)
    partner, chief = Visitor(served, "partner"), Visitor(served, "chief")
    assert '<a href="/shares"' in partner.get("/measures").text
    page = partner.get("/shares").text
    own = [unescape(href) for href in re.findall(r'href="(/v1/shares/[^"]+)"', page)]
    assert {href.split("?")[0] for href in own} == {"/v1/shares/hsi", "/v1/shares/public"}
    assert "agreement=MOU%2012" in next(href for href in own if "/hsi" in href)
    seen = chief.get("/shares").text
    assert "/v1/shares/mexico?" in seen
    assert "MOU &lt;i&gt;13" in seen
    assert '<a class="button" href="/shares"' in chief.get("/measures").text
    assert Visitor(served, "inspector").get("/shares").status_code == 403
    path.write_text("[[agreement")
    assert partner.get("/shares").status_code == 503


def test_a_state_s_account_gets_its_own_state(served):
    text = "".join(
        AGREEMENT.replace('"hsi"', '"state"')
        .replace("MOU 12", reference)
        .replace('["partner"]', f'["{account}"]\nstates = ["{state}"]')
        for reference, account, state in (("TX 1", "partner", "TX"), ("AZ 1", "another", "AZ"))
    )
    (served.runtime.settings.home / "agreements.toml").write_text(text)
    path = "/v1/shares/state?released_on=2023-05-15"

    def corridors(answer):
        return zipfile.ZipFile(io.BytesIO(answer.content)).read("corridors.csv").decode()

    own = corridors(served.get(path, "partner"))
    assert "TX,MX-TAM,40" in own
    assert "AZ," not in own
    assert served.get(f"{path}&agreement=AZ 1", "partner").status_code == 404
    assert served.get(path, "analyst").status_code == 422
    assert "AZ,MX-SON,,hidden" in corridors(served.get(f"{path}&agreement=AZ 1", "analyst"))


def test_an_agreement_that_has_ended_opens_no_release_and_one_opens_none_before_it(
    served, audit_of, monkeypatch
):
    monkeypatch.setattr(clock, "today", lambda: date(2023, 8, 1))
    path = "/v1/shares/state?released_on=2023-05-15"
    given = AGREEMENT.replace('"hsi"', '"state"') + 'states = ["TX"]\n'
    for change, status in (("", 200), ("ends_on = 2023-08-02", 200), ("ends_on = 2023-08-01", 404)):
        (served.runtime.settings.home / "agreements.toml").write_text(f"{given}{change}")
        for role in ("partner", "analyst"):
            assert served.get(path, role).status_code == status, change
        shown = "/v1/shares/state" in Visitor(served, "partner").get("/shares").text
        assert shown == (status == 200)
    late = given.replace("2020-01-01", "2023-05-16")
    (served.runtime.settings.home / "agreements.toml").write_text(late)
    assert served.get(path, "partner").status_code == 404
    told = {one["subject"] for one in audit_of(served) if one["action"] == "shares"}
    assert "share state 2023Q1 TX under MOU 12" in told


def test_a_quarter_that_takes_long_is_said_to_be_under_way(served, monkeypatch):
    """The first call of a quarter may outlast a request: the work goes on, the caller is told."""
    from serving.insight import sharing

    def slow(warehouse, quarter, home):
        time.sleep(0.6)
        return [keep(replace(made, name=quarter), home)]

    made = Published("2023Q2", rules_on(date(2023, 8, 15)), Groups((), (), ()), {}, "f")
    monkeypatch.setattr(sharing, "released_year", slow)
    settings = replace(served.runtime.settings, heavy_seconds=0.2, timeout_seconds=0.2)
    monkeypatch.setattr(served.runtime, "settings", settings)
    path = "/v1/shares/public?released_on=2023-08-15"
    answer = served.get(path, "analyst")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "being worked out" in answer.json()["title"] + answer.json().get("detail", "")
    for _ in range(200):
        if kept(settings.home, "2023Q2"):
            break
        time.sleep(0.05)
    assert kept(settings.home, "2023Q2") == made


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


def test_repeats_need_a_purpose_that_reaches_dealers(served):
    for purpose in (None, "statistics"):
        assert served.get("/v1/repeats", "supervisor", purpose=purpose).status_code == 403


def test_repeats_are_those_of_the_area_in_rows_and_sums(named, simulated, audit_of):
    """A lead sees the dealers of the own division; the sums are over no other."""
    whole = repeats(simulated.warehouse, named.runtime.snapshot.as_of, years=9)
    columns = named.runtime.snapshot.columns
    own = set(columns["dealer"][columns["division"] == "division0"])
    answer = named.get("/v1/repeats?years=9", "supervisor").json()
    expected = [one for one in whole.violators if one.dealer in own]
    assert [row["dealer"] for row in answer["dealers"]] == [one.dealer for one in expected]
    assert 0 < len(expected) < len(whole.violators)
    assert answer["offices"][0]["n_repeated"] == sum(bool(one.repeats) for one in expected)
    assert set(audit_of(named)[-1]["subject"].split()[1:]) == {one.dealer for one in expected}
    text = named.get("/v1/repeats?years=9&format=csv", "supervisor").text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["dealer"] for row in rows] == [one.dealer for one in expected]


def test_a_dossier_tells_a_country_from_the_state_of_its_code(named, simulated):
    traces = simulated.warehouse.read("traces", as_of=AS_OF).to_pandas()
    held = set(named.runtime.snapshot.columns["dealer"])
    abroad = traces[(traces["recovery_country"] == "CA") & traces["dealer"].isin(held)]
    answers = ((d, named.get(f"/v1/dealers/{d}", "supervisor")) for d in abroad["dealer"].unique())
    dealer, said = next((d, answer.json()) for d, answer in answers if answer.status_code == 200)
    own = traces[traces["dealer"] == dealer]
    own = own[(own["serial_status"] != "none") & (own["outcome"] != "unserialized")]
    own = own[~own["acquisition_route"].isin(["export", "government"])]
    by = said["traces"]["by_recovery"]
    assert by.get("country CA", 0) == (own["recovery_country"] == "CA").sum() > 0
    at_home = own[own["recovery_country"] == "US"]
    assert by.get("CA", 0) == (at_home["recovery_state"] == "CA").sum()
    assert any("recovered in Canada" in entry["what"] for entry in said["timeline"])


def test_a_dealer_on_hold_is_in_no_figure(named, simulated):
    """Not in a sum by office, a corridor or a hub: every answer is that without its records."""
    as_of = named.runtime.snapshot.as_of
    nation = follow(simulated.warehouse, subject_of("US"), as_of)
    seen = set(named.runtime.snapshot.columns["dealer"])
    held = next(hub.dealer for hub in nation.dealers if hub.dealer in seen and hub.n_mexico)
    told = repeats(simulated.warehouse, as_of, years=9).violators[0].dealer
    before = named.get("/v1/flows?subject=US", "analyst").json()
    people = named.get("/v1/staffing?hours=300", "analyst").json()
    assert people["areas"][0]["dealers"] == staffing(simulated.warehouse, as_of).areas[0].dealers
    for dealer in (held, told):
        hold(named, dealer)

    after = named.get("/v1/flows?subject=US", "analyst").json()
    bare = follow(simulated.warehouse, subject_of("US"), as_of, without={held, told})
    assert after["n_traces"] == bare.n_traces < before["n_traces"]
    lanes = {(c["source"], c["market"]): c["n"] for c in after["corridors"]}
    assert lanes == {(c.source, c.market): c.n for c in bare.corridors}
    assert sum(lanes.values()) < sum(c["n"] for c in before["corridors"])
    assert held not in json.dumps(after)
    fewer = named.get("/v1/staffing?hours=300", "analyst").json()
    gone = people["areas"][0]["dealers"] - fewer["areas"][0]["dealers"]
    listed = staffing(simulated.warehouse, as_of, without={held, told}).areas[0].dealers
    assert fewer["areas"][0]["dealers"] == listed
    assert gone in (1, 2)
    report = named.get("/v1/repeats?years=9", "chief").json()
    assert told not in {row["dealer"] for row in report["dealers"]}
    assert not {held, told} & {row["dealer"] for row in report["dealers"]}


def test_staffing_answers_what_was_asked(served, simulated):
    as_of = served.runtime.snapshot.as_of
    office = staffing(simulated.warehouse, as_of).offices[0].name
    path = f"/v1/staffing?investigators={office}=7&hours=250&border_share=0.5"
    answer = served.get(path, "analyst").json()
    asked = next(row for row in answer["offices"] if row["name"] == office)
    assert asked["investigators"] == 7
    shares = {row["name"]: row["hours"] for row in answer["areas"]}
    assert shares["border states"] == pytest.approx(0.5 * shares["all"])


def test_the_client_reads_what_stands_beside_the_ranking(served, simulated):
    """Each answer as its type, and each file as it is."""
    office = staffing(simulated.warehouse, served.runtime.snapshot.as_of).offices[0].name
    client = Client("http://x", token=served.tokens["supervisor"], purpose="licensing")
    headers = dict(client._connection.headers)
    client._connection.close()
    client._connection = TestClient(served.client.app, headers=headers)
    flow = client.flow("TX", years=2)
    assert (flow.subject, flow.links != []) == ("TX", True)
    assert client.flow_file("csv", "TX", years=2).startswith(b"source,target")
    assert client.completeness().rows
    assert client.repeats(years=9).years == 9
    assert client.repeats_file(years=9).startswith(b"dealer,state")
    asked = client.staffing({office: 7.0}, hours=250.0, border_share=0.5)
    assert next(row for row in asked.offices if row.name == office).investigators == 7
    released = client.share("public", released_on=date(2023, 5, 15))
    assert zipfile.ZipFile(io.BytesIO(released)).namelist()
    assert client.measures(2024).period == "2024"
    assert client.measures_file("csv", 2024).startswith(b"period,measure")
    with pytest.raises(RefusedError, match="office"):
        client.staffing({"nowhere": 1.0})


@pytest.mark.parametrize(
    "asked", ["investigators=nobody=3", "investigators=abc", "hours=-1", "border_share=2"]
)
def test_what_staffing_cannot_answer_is_a_problem(served, asked):
    answer = served.get(f"/v1/staffing?{asked}", "analyst")
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("application/problem+json")
