"""A held dealer is not there: every role, area and hold against every route and file.

The oracle of an answer under a hold is a service in which the dealer does not exist at all.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile

import pytest

from serving.access.accounts import Principal
from serving.access.audit.writer import Access, Ledger
from serving.field.referrals.referrals import Pattern, queue
from serving.lists.files.contest_packet import packet
from serving.lists.issued import document_for
from serving.scores import holds
from tests.test_serving.hold_country import OTHERS, SINCE, Country, lonely, with_scored

LIST = "L-20260101-ffffffffffff"
# Every route of the application, and why its answer says nothing of a held dealer: what is tried
# against it below, or what it never shows. A route that is not here fails the first test.
TRIED = {
    "POST /v1/score", "POST /v1/rank", "POST /v1/explain", "POST /v1/plan", "POST /v1/decisions",
    "POST /v1/outcomes", "GET /v1/lists/{list_id}", "GET /v1/lists/{list_id}.{kind}",
    "GET /v1/dealers/{dealer}", "GET /v1/referrals", "GET /lists", "GET /lists/{list_id}",
    "GET /map", "GET /dealers", "GET /dealers/{dealer}", "GET /plan", "GET /plan.ics",
    "GET /plans", "GET /plans/{plan_id}", "GET /plans/{plan_id}.{kind}", "GET /v1/plans",
    "GET /v1/plans/{plan_id}", "GET /v1/plans/{plan_id}.{kind}", "GET /v1/flows", "GET /flows",
    "GET /dealers/{dealer}/outcome", "GET /dealers/{dealer}/packet.pdf",
    "GET /dealers/{dealer}/place", "GET /work",
    "GET /referrals", "GET /v1/referrals/{referral_id}", "POST /v1/referrals/{referral_id}/steps",
    "GET /v1/case_requests/{request_id}", "POST /v1/case_requests",
    "POST /v1/case_requests/{request_id}/decision", "GET /v1/audit", "GET /audit",
    # Of what was written before, which differs between two countries: in test_changes.
    "GET /v1/changes", "GET /v1/lists",
    # Of a warehouse, which these countries have not: in test_insight_routes.
    "GET /v1/repeats", "GET /v1/staffing", "GET /repeats", "GET /staffing",
    # In test_reading_back, as is the export.
    "GET /v1/decisions", "GET /v1/decisions/{decision_id}", "GET /v1/outcomes",
    "GET /v1/outcomes/{inspection_id}", "GET /v1/scores/export",
}  # fmt: skip
# These take or show nothing about a dealer of the table.
WITHOUT_DEALERS = {
    "POST /v1/score_features", "POST /v1/events", "GET /livez", "GET /healthz", "GET /readyz",
    "GET /metrics", "GET /docs.json", "GET /", "GET /sign-in", "POST /sign-in", "POST /sign-out",
    "GET /model", "GET /v1/completeness", "GET /cases/{name}",
    "GET /v1/responsibilities", "GET /responsibilities", "GET /shares", "GET /resume",
    "GET /v1/shares/{partner}", "POST /views", "GET /measures", "GET /v1/measures",
    "GET /sign-in/issuer", "GET /sign-in/issuer/back",
}  # fmt: skip
# A form whose answer is that of a route above.
FORMS = {
    "POST /lists": "POST /v1/rank", "POST /lists/{list_id}/decisions": "POST /v1/decisions",
    "POST /dealers/{dealer}/list": "POST /v1/rank",
    "POST /dealers/{dealer}/outcomes": "POST /v1/outcomes", "POST /plans": "POST /v1/plan",
    "POST /referrals/{referral_id}/steps": "POST /v1/referrals/{referral_id}/steps",
    "POST /lists/{list_id}/accept": "POST /v1/decisions",
    "POST /lists/{list_id}/assign": "POST /v1/decisions",
    "POST /plans/{plan_id}/moves": "GET /plans/{plan_id}",
    "POST /plans/{plan_id}/status": "GET /plans/{plan_id}",
}  # fmt: skip


@pytest.fixture(scope="module")
def snapshots(request):
    from tests.test_serving.conftest import make_snapshot

    with_dealer, dealer = lonely(make_snapshot)
    scored = with_dealer.table.scored
    absent = with_scored(with_dealer, scored, (scored["dealer"] != dealer).to_numpy())
    return with_dealer, absent, dealer


@pytest.fixture(scope="module")
def held(snapshots, tmp_path_factory):
    country = Country(tmp_path_factory.mktemp("held"), snapshots[0])
    country.before = country.rank("chief")  # issued before the hold, by one it is held from
    country.hold(snapshots[2])
    country.own = country.rank("owner")  # issued by the hold's owner
    assert all(country.dealer_on(doc, snapshots[2]) for doc in (country.before, country.own))
    yield country
    country.close()


@pytest.fixture(scope="module")
def absent(snapshots, tmp_path_factory):
    country = Country(tmp_path_factory.mktemp("absent"), snapshots[1])
    yield country
    country.close()


def test_every_route_is_tried_or_shows_no_dealer(held):
    routes = set(every_route(held.app.app.app.routes))
    assert {"POST /v1/score", "GET /lists/{list_id}"} <= routes  # they are found at all
    assert set(FORMS.values()) <= TRIED
    known = TRIED | WITHOUT_DEALERS | FORMS.keys()
    assert routes - known == set(), "say here how a held dealer stays hidden from a new route"


def every_route(routes):
    """Method and path of each route, those of included routers too."""
    for route in routes:
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                yield f"{method} {route.path}"
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from every_route(inner.routes)


def comparable(text):
    """An answer without what differs between any two answers."""
    text = re.sub(r"L-\d{8}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z", "", text)
    text = re.sub(r'"(random_seed|seed)":\d+', "", text)
    return re.sub(r'name="(csrf|once)" value="[^"]*"', "", text)


NM = {"box": [-105.0, 35.0, -103.0, 37.0]}
ASKED = [
    ("POST", "/v1/score", {"dealers": ["{dealer}", "{other}"]}),
    ("GET", "/v1/scores/export", None),
    ("POST", "/v1/explain", {"dealer": "{dealer}"}),
    ("POST", "/v1/explain", {"dealer": "{other}"}),
    ("POST", "/v1/rank", {"k": 5, "random_share": 0, "area": {"state": "NM"}}),
    ("POST", "/v1/rank", {"k": 5, "random_share": 0, "area": {"county": "35001"}}),
    ("POST", "/v1/rank", {"k": 5, "random_share": 0, "area": NM}),
    ("POST", "/v1/rank", {"k": 5, "random_share": 0,
     "area": {"radius": {"latitude": 36.0, "longitude": -104.0, "km": 5}}}),
    ("POST", "/v1/rank", {"k": 8, "random_share": 0}),
    ("POST", "/v1/rank", {"k": 8, "manual": [{"dealer": "{dealer}", "reason": "known"}]}),
    ("POST", "/v1/plan", {"office": "office0", "weeks": 2, "n_investigators": 8,
     "starts_on": "2026-01-05"}),
    ("POST", "/v1/outcomes", {"inspection_id": "I1", "dealer": "{dealer}",
     "opened_on": "2026-01-01", "outcome": "none"}),
    ("GET", "/v1/flows?subject={dealer}", None),
    ("GET", "/flows?subject={dealer}", None),
    ("GET", "/dealers/{dealer}/place", None),
    ("GET", "/dealers/{other}/place?against={dealer}", None),
    ("GET", "/dealers/{dealer}/outcome", None),
    ("GET", "/dealers/{dealer}/packet.pdf", None),
    ("GET", "/v1/dealers/{dealer}", None),
    ("GET", "/v1/dealers/{other}", None),
    ("GET", "/dealers?q={dealer}", None),
    ("GET", "/dealers?q=shop", None),
    ("GET", "/dealers?box=-105,35,-103,37", None),
    ("GET", "/dealers/{dealer}", None),
    ("GET", "/dealers/{other}", None),
    ("GET", "/map", None),
    ("GET", "/map?state=NM", None),
    ("GET", "/plan?office=office0&weeks=2&investigators=8", None),
    ("GET", "/plan.ics?office=office0&weeks=2&investigators=8", None),
]  # fmt: skip


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked[0]} {asked[1]}")
def test_held_is_as_absent(held, absent, snapshots, who, asked):
    dealer = snapshots[2]
    other = str(next(d for d in snapshots[1].columns["dealer"] if d != dealer))
    method, path, body = json.loads(
        json.dumps(asked).replace("{dealer}", dealer).replace("{other}", other)
    )
    one, two = (country.ask(who, method, path, body) for country in (held, absent))
    assert one.status_code == two.status_code, (one.text[:400], two.text[:400])
    assert comparable(one.text) == comparable(two.text)


@pytest.mark.parametrize("which", ["own", "before"])
@pytest.mark.parametrize("who", OTHERS)
def test_no_list_nor_file_shows_a_held_dealer(held, snapshots, who, which):
    dealer, document = snapshots[2], getattr(held, which)
    path = f"/v1/lists/{document['list_id']}"
    for asked in (path, f"{path}?cursor=0&limit=3", *(f"{path}.{k}" for k in ("csv", "xlsx"))):
        answer = held.ask(who, "GET", asked)
        assert dealer not in text_of(answer)
        if answer.status_code == 200 and asked == path:
            agrees(answer.json(), document, dealer)
    page = held.ask(who, "GET", f"/lists/{document['list_id']}")
    assert dealer not in page.text
    pdf = held.ask(who, "GET", f"{path}.pdf")
    assert pdf.status_code == held.ask(who, "GET", path).status_code


def agrees(seen, issued, dealer):
    """The counts, places and probabilities of a list fit what is on it."""
    assert [row["position"] for row in seen["rows"]] == list(range(1, len(seen["rows"]) + 1))
    design = seen["design"]
    assert design["k"] == len(seen["rows"]) == sum(design["n_by_why"].values())
    assert design["n_in_area"] == issued["design"]["n_in_area"] - 1
    assert design["n_eligible"] == issued["design"]["n_eligible"] - 1
    drawn = [row["inclusion_probability"] for row in seen["rows"] if row["why"][0] == "random"]
    n_certain = sum(row["why"][0] != "random" for row in seen["rows"])
    assert drawn == pytest.approx([len(drawn) / (design["n_eligible"] - n_certain)] * len(drawn))
    # The other rows are those that were issued, in that order.
    kept = [row["dealer"] for row in issued["rows"] if row["dealer"] != dealer]
    assert [row["dealer"] for row in seen["rows"]] == kept


def text_of(answer):
    """All text in an answer; a spreadsheet is unpacked."""
    if answer.content[:2] != b"PK":
        return answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return "".join(archive.read(name).decode() for name in archive.namelist())


@pytest.fixture(scope="module")
def planned(snapshots, tmp_path_factory):
    """A plan made by the chief and handed to all; one of its dealers is then held."""
    country = Country(tmp_path_factory.mktemp("planned"), snapshots[0])
    who = country.runtime.directory.principal_of_session(country.sessions["chief"])
    form = {"csrf": who.csrf, "ask": "office=office0&weeks=2&investigators=8"}
    kept = country.client.post(
        "/plans", data=form, headers=session_of(country, "chief"), follow_redirects=False
    )
    assert kept.status_code == 303, kept.text
    country.plan_id = kept.headers["location"].split("/")[-1].split("?")[0]
    visits = country.ask("chief", "GET", f"/v1/plans/{country.plan_id}").json()["visits"]
    country.dealer = visits[0]["dealer"]
    assert len({visit["dealer"] for visit in visits}) > 1
    country.hold(country.dealer)
    yield country
    country.close()


def session_of(country, who):
    return {"Cookie": f"ffl_risk_session={country.sessions[who]}"}


@pytest.mark.parametrize("who", [*OTHERS, "owner"])
def test_no_plan_nor_its_files_show_a_dealer_held_since(planned, who):
    paths = [
        f"{start}{path}"
        for start in ("/v1/plans", "/plans")
        for path in ("", *(f"/{planned.plan_id}{end}" for end in ("", ".ics", ".xlsx")))
    ]
    shown = [planned.dealer in text_of(planned.ask(who, "GET", path)) for path in paths]
    assert any(shown) == (who == "owner")
    counts = [
        plan["n_dealers"] for plan in planned.ask(who, "GET", "/v1/plans").json().get("plans", ())
    ]
    seen = planned.ask(who, "GET", f"/v1/plans/{planned.plan_id}").json().get("visits", ())
    assert counts == ([len({visit["dealer"] for visit in seen})] if seen else [])


def test_no_referral_case_nor_audit_tells_of_a_held_dealer(snapshots, tmp_path):
    country = Country(tmp_path, snapshots[0])
    store, dealer = country.runtime.store, snapshots[2]
    other = str(next(d for d in snapshots[1].columns["dealer"] if d != dealer))
    ledger = Ledger(country.runtime.audit_key, Access("feed", "scheduler", "", ""))
    evidence = {"records": ["traces T1"], "recovery_country": "MX", "destination": "mexico"}
    patterns = [
        Pattern("fast_recovery", (dealer,), evidence),
        Pattern("several_dealers", tuple(sorted((dealer, other))), {"records": ["x"]}),
    ]
    assert queue(store, patterns, ledger=ledger) == 2
    case = {
        "case_reference": "HSI-7", "legal_basis": "warrant", "agency": "HSI",
        "why": "a case with two premises", "dealers": [dealer, other], "approver": "owner",
    }  # fmt: skip
    asked = country.ask("agent", "POST", "/v1/case_requests", case).json()["request_id"]
    country.hold(dealer)
    queued = country.ask("owner", "GET", "/v1/referrals").json()["referrals"]
    numbers = [one["referral_id"] for one in queued]
    assert len(numbers) == 2
    for who in ("agent", "chief"):
        assert country.ask(who, "GET", "/v1/referrals").json()["referrals"] == []
        for number in (*numbers, 99):
            answer = country.ask(who, "GET", f"/v1/referrals/{number}")
            step = country.ask(who, "POST", f"/v1/referrals/{number}/steps", {"step": "take"})
            assert (answer.status_code, step.status_code) == (404, 404)
        assert dealer not in country.ask(who, "GET", "/referrals").text
    assert len(country.ask("owner", "GET", "/v1/referrals").json()["referrals"]) == 2
    path = f"/v1/case_requests/{asked}"
    decided = country.ask("owner", "POST", f"{path}/decision", {"approved": [dealer, other]})
    assert decided.status_code == 200
    told = country.ask("agent", "GET", path).json()
    assert told["approved"] == [other] == [row["dealer"] for row in told["rows"]]
    records = country.ask("auditor", "GET", "/v1/audit?limit=1000").json()["records"]
    assert {"refer", "case_request"} <= {record["action"] for record in records}
    assert dealer not in str(records)
    assert dealer not in country.ask("auditor", "GET", "/audit").text
    country.close()


def test_ranks_and_percentiles_on_a_list_are_those_of_a_country_without_the_dealer(
    held, absent, snapshots
):
    for document in (held.own, held.before):
        seen = held.ask("chief", "GET", f"/v1/lists/{document['list_id']}").json()
        keys = [row["dealer"] for row in seen["rows"]]
        scores = absent.ask("analyst", "POST", "/v1/score", {"dealers": keys}).json()["scores"]
        for row, score in zip(seen["rows"], scores, strict=True):
            assert (row["national_rank"], row["percentile"]) == (
                score["national_rank"],
                score["percentile"],
            )


def test_the_owner_of_the_hold_reads_the_list_byte_for_byte(held):
    path = f"/v1/lists/{held.own['list_id']}"
    assert held.ask("owner", "GET", path).json()["rows"] == held.own["rows"]


def test_a_new_list_is_not_compared_with_one_that_names_a_held_dealer(snapshots, tmp_path):
    country = Country(tmp_path, snapshots[0])
    first = country.rank("chief", random_share=0)
    second = country.rank("chief", random_share=0)
    assert second["change"]["n_entered"] == 0
    country.hold(snapshots[2])
    third = country.rank("chief", random_share=0)
    assert third["change"] is None
    assert all(row["change"] is None for row in third["rows"])
    seen = country.ask("chief", "GET", f"/v1/lists/{second['list_id']}").json()
    assert seen["change"] is None
    assert len(country.rank("chief", random_share=0)["rows"]) == len(first["rows"])
    country.close()


def test_indexes_count_neither_the_dealer_nor_decisions_about_it(snapshots, tmp_path):
    country = Country(tmp_path, snapshots[0])
    listed = country.rank("chief")
    body = {"list_id": listed["list_id"], "dealer": snapshots[2], "decision": "accept"}
    assert country.ask("chief", "POST", "/v1/decisions", body).status_code == 200
    assert snapshots[2] in country.ask("chief", "GET", "/work").text
    country.hold(snapshots[2])
    assert snapshots[2] not in country.ask("chief", "GET", "/work").text
    page = country.ask("chief", "GET", "/lists").text
    numbers = re.findall(r'<td class="num">(\d+)</td>', page)
    assert numbers == [str(len(listed["rows"]) - 1), "0"]
    refused = country.ask("chief", "POST", "/v1/decisions", body)
    unknown = country.ask("chief", "POST", "/v1/decisions", body | {"dealer": "1-99-99999"})
    assert (refused.status_code, refused.content) == (unknown.status_code, unknown.content)
    assert refused.status_code == 404
    country.close()


def test_a_packet_of_a_held_dealer_is_that_of_a_dealer_not_on_the_list(held, snapshots):
    from serving.errors import UnknownDealerError

    home = held.runtime.settings.home
    chief = Principal("chief", "supervisor", frozenset({"nation"}), "local")
    document = document_for(held.runtime, chief, held.own["list_id"])
    more = {"document": document, "warehouse": home / "warehouse"}
    with pytest.raises(UnknownDealerError):
        packet(held.runtime.store, home, dealer=snapshots[2], **more)
    neighbor = document["rows"][0]["dealer"]
    with zipfile.ZipFile(
        io.BytesIO(packet(held.runtime.store, home, dealer=neighbor, **more))
    ) as archive:
        text = "".join(archive.read(name).decode() for name in archive.namelist())
    assert snapshots[2] not in text


def test_a_list_of_nothing_else_answers_a_supervisor_as_an_empty_one(snapshots, tmp_path):
    country = Country(tmp_path, snapshots[0])
    area = {"area": {"state": "NM"}, "random_share": 0}
    full = country.rank("inspector", **area)
    country.hold(snapshots[2])
    empty = country.rank("inspector", **area)
    assert (len(full["rows"]), len(empty["rows"])) == (1, 0)
    for who in ("inspector", "supervisor", "chief", "elsewhere"):
        one, two = (country.ask(who, "GET", f"/v1/lists/{doc['list_id']}") for doc in (full, empty))
        assert one.status_code == two.status_code
        if one.status_code == 200:
            rid = {"k": 0}
            one, two = (doc.json() for doc in (one, two))
            assert one["rows"] == two["rows"] == []
            assert one["design"] | rid | {"random_seed": 0} == (
                two["design"] | rid | {"random_seed": 0}
            )
    country.close()


def test_lifting_brings_the_dealer_back_where_it_was(snapshots, tmp_path):
    country = Country(tmp_path, snapshots[0])
    listed = country.rank("chief")
    path = f"/v1/lists/{listed['list_id']}"
    as_issued = country.ask("chief", "GET", path).content
    hold_id = holds.place(country.runtime.store, snapshots[2], owners=[], starts_on=SINCE)
    country.runtime.refresh_holds()
    assert country.ask("chief", "GET", path).content != as_issued
    holds.lift(country.runtime.store, hold_id, SINCE)
    country.runtime.refresh_holds()
    assert country.ask("chief", "GET", path).content == as_issued
    country.close()


def test_the_matrix_is_whole():
    assert len(list(itertools.product(OTHERS, ASKED))) == len(OTHERS) * len(ASKED) > 150
