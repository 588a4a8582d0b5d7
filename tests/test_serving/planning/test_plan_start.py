"""Where an office's weeks start: at the place that its words name, on every paper alike."""

from __future__ import annotations

import io
import re
from html import unescape
from types import SimpleNamespace
from urllib.parse import urlencode

import numpy as np
import openpyxl
import pytest

from features import reference
from serving.contract.kept_plan import KeptPlan
from serving.errors import NotReadyError
from serving.planning.kept import files
from serving.planning.start import office_start, stated_starts
from serving.planning.travel import road_km
from serving.scores.words.area_names import office_label
from serving.statements import OLD_RECORDS
from serving.web.maps.marks import offices as office_marks
from tests.test_serving.pages import Visitor

ASK = {"office": "office0", "weeks": "2", "hours": "40", "starts_on": "2026-01-12"}
STATED = """
[[office]]
office = "office0"
address = "12 O'Neil Street, Springfield"
latitude = 39.5
longitude = -98.5
"""


def view_of(*places: tuple[float, float]) -> SimpleNamespace:
    latitude, longitude = np.array(places, dtype=float).T
    columns = {"latitude": latitude, "longitude": longitude}
    return SimpleNamespace(snapshot=SimpleNamespace(columns=columns))


@pytest.mark.parametrize("office", ["777070", "764035", "787040", "781110"])
def test_an_office_starts_in_the_county_that_it_is_named_after(office, tmp_path):
    start = office_start(view_of((0.0, 0.0)), np.array([0]), office, home=tmp_path)
    county = re.search(r": (.+) \(office", office_label(office))[1]
    assert start.words.startswith(f"the middle of {county}, which stands for the office")
    counties = reference.counties()
    name, _, state = county.rpartition(", ")
    own = counties[(counties["county_name"] == name) & (counties["state"] == state)].iloc[0]
    km = road_km(
        np.array([start.latitude]), np.array([start.longitude]),
        to_latitude=float(own["lat"]), to_longitude=float(own["lon"]),
    )  # fmt: skip
    assert km[0] < 1.0


def test_every_office_named_after_a_county_starts_there():
    seats, known = reference.office_seats(), reference.offices()
    assert set(known.index) >= set(seats.index)
    assert len(seats) > 70
    counties = reference.counties()
    assert (seats["lat"] == counties["lat"][seats["county_fips"]].to_numpy()).all()


def test_an_office_of_no_known_county_starts_at_a_dealer_amid_its_own(tmp_path):
    places = ((21.3, -157.9), (33.0, -112.0), (34.0, -112.5), (35.0, -111.0), (np.nan, -112.0))
    start = office_start(view_of(*places), np.arange(5), "north", home=tmp_path)
    assert (start.latitude, start.longitude) in places
    assert start.words.startswith("the middle of the office's dealers")


def test_a_stated_address_is_where_page_paper_calendar_and_answer_start(service):
    path = service.runtime.settings.home / "offices.toml"
    visitor = Visitor(service, "supervisor")
    said = "starts and ends at the middle of the office's dealers: its address is not known here."
    page = unescape(visitor.get(f"/plan?{urlencode(ASK)}").text)
    assert said in page
    body = {"office": "office0", "weeks": 2, "starts_on": "2026-01-12"}
    middle = service.post("/v1/plan", "supervisor", body).json()["start"]
    place = (middle["latitude"] + 0.1, middle["longitude"] + 0.1)
    text = STATED.replace("39.5", str(place[0])).replace("-98.5", str(place[1]))
    path.write_text(text)
    try:
        page = unescape(visitor.get(f"/plan?{urlencode(ASK)}").text)
        assert "starts and ends at the office's address as stated, 12 O'Neil Street" in page
        kept = visitor.post("/plans", {"ask": urlencode(ASK)}, at=f"/plan?{urlencode(ASK)}")
        plan_id = re.search(r"P-[0-9]{8}-[0-9a-f]{12}", kept.headers["location"])[0]
        plan = service.get(f"/v1/plans/{plan_id}", "supervisor").json()
        assert (plan["latitude"], plan["longitude"]) == place
        assert "12 O'Neil Street" in unescape(visitor.get(f"/plans/{plan_id}").text)
        calendar = visitor.get(f"/plans/{plan_id}.ics").text.replace("\r\n ", "")
        assert "12 O'Neil Street" in calendar
        assert "by road from the start" in calendar
        first = plan["visits"][0]
        far = road_km(
            np.array([place[0]]), np.array([place[1]]),
            to_latitude=first["latitude"], to_longitude=first["longitude"],
        )[0]  # fmt: skip
        assert first["km"] == pytest.approx(far)
        answer = service.post("/v1/plan", "supervisor", body).json()["start"]
        assert answer["what"].startswith("the office's address as stated")
        body |= {"start": {"latitude": 39.0, "longitude": -98.0}}
        answer = service.post("/v1/plan", "supervisor", body).json()["start"]
        assert answer["what"] == "the point given (39.0000, -98.0000)"
    finally:
        path.unlink()


def test_addresses_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "offices.toml"
    for text in ("[[office", '[[office]]\noffice = "1"', STATED.replace("39.5", "139.5")):
        path.write_text(text)
        with pytest.raises(NotReadyError) as refused:
            stated_starts(tmp_path)
        assert str(path) in refused.value.found


def test_the_map_marks_an_office_where_its_weeks_start(tmp_path):
    whole = (-1e7, -1e7, 2e7, 2e7)
    seat = office_marks(["777070"], whole, stated={})
    (tmp_path / "offices.toml").write_text(STATED.replace("office0", "777070"))
    moved = office_marks(["777070"], whole, stated=stated_starts(tmp_path))
    assert len(seat) == len(moved) == 1
    assert (seat[0]["x"], seat[0]["y"]) != (moved[0]["x"], moved[0]["y"])


def test_a_plan_opened_from_a_list_names_its_mandatory_dealers_that_it_does_not_hold(service):
    supervisor = Visitor(service, "supervisor")
    area = {"area": {"office": "office0"}, "k": 100, "random_share": 0.4}
    listed = service.post("/v1/rank", "supervisor", area).json()
    list_id = listed["list_id"]
    address = f"/plan?from_list={list_id}"
    assert f'href="{address}"' in supervisor.get(f"/lists/{list_id}").text
    form = supervisor.get(address).text
    assert "A plan does not take a list over." in form
    assert '<option value="office0" selected>' in form
    asked = urlencode(ASK | {"from_list": list_id, "investigators": "3"})
    page = unescape(supervisor.get(f"/plan?{asked}").text)
    planned = set(re.findall(r'data-dealer="([^"]+)"', page))
    must = {row["dealer"] for row in listed["rows"] if row["is_mandatory"]}
    drawn = {row["dealer"] for row in listed["rows"] if "random" in row["why"]}
    missing = must - planned
    assert missing
    assert missing != must
    said = (
        f"Of the list's {len(must)} mandatory dealers, {len(drawn)} of them drawn at random,"
        f" {len(must - missing)} {'is' if len(must - missing) == 1 else 'are'} in this plan"
    )
    assert said in page
    assert set(re.findall(rf'href="/dealers/([^"?]+)\?list={list_id}"', page)) == missing
    # The list goes on with the plan, and is nobody's who may not read it.
    assert f'<input type="hidden" name="from_list" value="{list_id}">' in page
    assert supervisor.get("/plan?from_list=L-20260101-000000000000").status_code == 404
    assert Visitor(service, "scheduler").get(address).status_code == 404


def test_the_paper_of_a_plan_says_the_whole_of_its_statements_once_at_its_end(service, monkeypatch):
    visitor = Visitor(service, "supervisor")
    sent = visitor.post("/plans", {"ask": urlencode(ASK)}, at=f"/plan?{urlencode(ASK)}")
    plan_id = re.search(r"P-[0-9]{8}-[0-9a-f]{12}", sent.headers["location"])[0]
    kept = service.get(f"/v1/plans/{plan_id}", "supervisor").json()
    contents = []
    monkeypatch.setattr(files, "pdf", lambda _, content, **__: contents.append(content))
    files.plan_pdf(KeptPlan.model_validate(kept))
    (content,) = contents
    assert content["closing"] == kept["disclaimers"]
    first_page = [*content["lines"], *content["statements"]]
    # That the records are old is said on the first page too, in full.
    said = {line for line in kept["disclaimers"] if not line.startswith(OLD_RECORDS)}
    assert len(said) > 2
    assert not said & set(first_page)
    assert any("not evidence" in line for line in content["statements"])
    # The ages in what stands out are those of the records' day, not of the visit's.
    as_of = f"As of {kept['basis']['as_of']}:"
    assert {v["as_of"] for week in content["weeks"] for v in week["visits"]} == {as_of}
    book = openpyxl.load_workbook(io.BytesIO(files.plan_xlsx(KeptPlan.model_validate(kept))))
    column = [cell.value for cell in book["Plan"][1]].index("What stands out")
    told = [row[column] for row in book["Plan"].iter_rows(min_row=2, values_only=True)]
    assert told
    assert all(one.startswith(as_of) for one in told)
    assert any(kept["basis"]["fingerprint"][:12] in line for line in content["statements"])
