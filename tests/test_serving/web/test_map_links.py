"""What the map links to shows what the map showed, to everybody who sees the map."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from serving.web.dealers.search import find_dealers
from serving.web.maps.pages import Ask, Points, _around, _dealers_url, _edges, _list_url
from tests.test_serving.pages import Visitor


def links(page, start):
    return [unescape(one) for one in re.findall(rf'href="({re.escape(start)}[^"]*)"', page)]


def circles(page, start):
    found = re.findall(rf'<a href="({re.escape(start)}[^"]*)" tabindex="-1"', page)
    return [unescape(one) for one in found]


def in_table(page):
    body = page.partition('id="found"')[2]
    return set(re.findall(r'<th scope="row"><a href="/dealers/([^"?]+)"', body))


def put_together(service):
    """Place the first three dealers of an office at one point."""
    snapshot = service.runtime.snapshot
    rows = np.flatnonzero(snapshot.columns["office"] == "office0")[:3]
    latitude, longitude = snapshot.columns["latitude"].copy(), snapshot.columns["longitude"].copy()
    latitude[rows], longitude[rows] = 31.76543, -110.48765
    values = {"latitude": latitude[rows], "longitude": longitude[rows]}
    service.runtime.replace(snapshot.changed(rows, **values))
    return set(snapshot.columns["dealer"][rows].tolist())


@pytest.mark.parametrize("name", ["inspector", "supervisor", "analyst"])
def test_a_circle_of_several_dealers_leads_to_them(service, name):
    together = put_together(service)
    visitor = Visitor(service, name)
    page = visitor.get("/map?state=AZ").text
    for _ in range(12):
        if found := circles(page, "/dealers?"):
            break
        of_office = [one for one in circles(page, "/map?") if "y=" in one]
        pages = [visitor.get(one).text for one in of_office]
        page = next((one for one in pages if circles(one, "/dealers?")), pages[0])
    tables = [in_table(visitor.get(one).text) for one in found]
    assert any(together <= table for table in tables)


def test_the_dealers_in_view_are_a_table_with_what_was_chosen(service):
    columns = service.runtime.snapshot.columns
    visitor = Visitor(service, "inspector")
    page = visitor.get("/map?type=07&top=10")
    (at,) = links(page.text, "/dealers?box=")[-1:] or [None]
    assert {"type", "top", "box"} == set(parse_qs(urlsplit(at).query))
    shown = visitor.get(at).text
    assert "Only within the area chosen on the map, firearms maker licenses (type 07)" in shown
    assert "the highest 10%" in shown
    for dealer in in_table(shown):
        (row,) = np.flatnonzero(columns["dealer"] == dealer)
        assert columns["license_type"][row] == "07"
    # A search within it keeps to it.
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown))
    assert {"type": "07", "top": "10"}.items() <= hidden.items()
    (listed,) = re.findall(r'id="use-area" href="([^"]*)"', page.text)
    form = visitor.get(unescape(listed)).text
    assert re.search(r'<option value="07" selected>', form)


def test_an_empty_area_says_so(service):
    page = Visitor(service, "inspector").get("/dealers?box=10,10,11,11").text
    assert "0 found" in page
    assert "No dealer of your area lies within the area chosen on the map." in page


@pytest.mark.parametrize("seed", range(3))
def test_no_dealer_on_an_edge_is_lost(service, seed):
    from serving.api.callers import Caller

    directory = service.runtime.directory
    principal = directory.principal_of_token(service.tokens["chief"])
    caller = Caller(service.runtime, principal, "dealers", "licensing")
    view, rng = caller.scope.view, np.random.default_rng(seed)
    columns = view.snapshot.columns
    for n in (1, 1, 2, 5, 20):
        rows = rng.choice(len(columns["dealer"]), n, replace=False)
        points = Points(rows, np.zeros((n, 2)), np.zeros(n))
        url = _dealers_url(_edges(view, points), Ask())
        asked = parse_qs(urlsplit(url).query)["box"][0]
        west, south, east, north = map(float, asked.split(","))
        assert (columns["longitude"][rows] >= west).all()
        assert (columns["longitude"][rows] <= east).all()
        assert (columns["latitude"][rows] >= south).all()
        assert (columns["latitude"][rows] <= north).all()
        assert _list_url(view, points, Ask(), is_whole=False).endswith(url.partition("?")[2])
        assert east > west
        assert north > south
    assert find_dealers(caller, "") == ([], False)


def test_a_box_holds_its_edges_however_they_are_written():
    rng = np.random.default_rng(5)
    for edge in [*rng.uniform(-180, 180, 500), *(rng.integers(-1_800_000, 1_800_000, 500) / 1e4)]:
        west, _, east, _ = map(float, _around((edge, 0.0, edge, 0.0)).split(","))
        assert west <= edge <= east
        assert east - west < 3e-4


@pytest.mark.parametrize("name", ["analyst", "inspector"])
def test_every_link_of_the_map_and_a_dossier_is_open_to_who_sees_it(service, name):
    visitor = Visitor(service, name)
    columns = service.runtime.snapshot.columns
    dealer = columns["dealer"][columns["office"] == "office0"][0]
    for path in ("/map", "/map?state=AZ&w=900&x=1000&y=3000", f"/dealers/{dealer}"):
        page = visitor.get(path)
        assert page.status_code == 200
        main = page.text.partition('<main id="main"')[2].partition("</main>")[0]
        for one in sorted(set(links(main, "/")))[:60]:
            assert visitor.get(one).status_code == 200, (path, one)


def test_a_table_of_some_counties_says_of_how_many(service, monkeypatch):
    visitor = Visitor(service, "chief")
    assert "counties with a dealer" not in visitor.get("/map").text
    monkeypatch.setattr("serving.web.maps.pages._MOST_COUNTIES", 1)
    page = visitor.get("/map?type=01").text
    table = page.partition('id="counties-title"')[2].partition("</table>")[0]
    shown, every = map(int, re.search(r"(\d+) of (\d+) counties with a dealer", page).groups())
    assert table.count('<tr><th scope="row">') == shown == 1
    assert 1 < every <= len(set(service.runtime.snapshot.columns["county"]))
