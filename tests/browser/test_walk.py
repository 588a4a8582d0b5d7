"""The week of an inspector's office, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, BrowserContext, Page, expect

from models.order.random_share import random_places
from serving.store.database import instant
from serving.store.tables import SESSIONS
from tests.browser.chromium import chromium, sign_in
from tests.browser.country import HOSTILE
from tests.browser.site import PASSWORD, Site, running_site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

# Bytes over the wire, compressed, with styles and scripts. First content is measured and not bound:
# the tests run beside others.
_WEIGHT = 100_000
_MAP_WEIGHT = 300_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1360, "height": 860}, accept_downloads=True)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    opened = context.new_page()
    faults: list[str] = []
    requested: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda message: faults.append(message.text)
              if "Content Security Policy" in message.text else None)  # fmt: skip
    opened.on("request", lambda request: requested.append(request.url))
    yield opened
    assert not faults
    assert all(url.startswith((site.url, "data:")) for url in requested)


def issue_list(page: Page, site: Site, *, n: int = 40) -> str:
    page.goto(f"{site.url}/lists")
    page.fill("#k", str(n))
    page.click("text=Issue the list")
    page.wait_for_selector("table.rows")
    return page.url


def test_a_week_from_signing_in_to_signing_out(page, site):
    sign_in(page, site.url, "supervisor", PASSWORD)
    assert page.locator(".who .name").inner_text() == "supervisor"
    list_url = issue_list(page, site)
    # Filter, and keep the filter in the address.
    page.select_option("#why", "random")
    page.click("text=Apply")
    expect(page).to_have_url(re.compile("why=random"))
    # A tenth of the list is drawn, half of it outside the model's places and half inside.
    n_inside, n_outside = random_places(40, 0.1)
    assert n_outside == 2
    expect(page.locator("table.rows tbody tr")).to_have_count(n_outside)
    expect(page.locator(".chip.random")).to_have_count(n_outside)
    expect(page.locator("tbody >> text=mandatory")).to_have_count(n_outside)
    page.goto(list_url)
    page.click("text=All on one page")
    expect(page.locator("table.rows tbody tr")).to_have_count(40)
    expect(page.locator("tbody >> text=mandatory")).to_have_count(n_outside + n_inside)
    # Decide.
    page.goto(list_url)
    row = page.locator("table.rows tbody tr").nth(1)
    row.locator("summary").click()
    row.locator("select[name=reason]").select_option("out_of_business")
    row.locator("button[value=override]").click()
    expect(page.locator(".note.good")).to_have_text(re.compile(r"overridden\.\s*$"))
    expect(page.locator("tr.is-done")).to_have_count(1)
    # Open a dealer, read a family, record an outcome.
    page.locator("table.rows tbody tr a.name").nth(4).click()
    page.locator("#why-title").wait_for()
    page.locator(".contrib summary").first.click()
    expect(page.locator(".contrib details[open] td").first).to_be_visible()
    page.click("text=Record an outcome")
    page.fill("#inspection_id", "I-2026-1")
    page.fill("#opened_on", "2026-02-03")
    page.select_option("#outcome", "report")
    page.fill("#citation_0", "banana split")
    page.click("text=Check the outcome")
    page.wait_for_selector("#error-summary:focus")
    page.fill("#citation_0", "478.124(c)(1)")
    page.click("text=Check the outcome")
    expect(page.locator("h1", has_text="Check before it is kept")).to_be_visible()
    page.click("text=Keep it for ever")
    expect(page.locator(".note.good")).to_contain_text("The outcome is kept.")
    expect(page.locator(".note.warn")).to_contain_text("Not before 2027-02-03")
    # Back finds every page again: none of them was a form's own answer.
    for title in ("Check the outcome", "Error: Outcome", "Outcome"):
        page.go_back()
        expect(page).to_have_title(re.compile(rf"^{title}"))
    # Plan, move a visit, take the calendar along.
    page.goto(f"{site.url}/plan")
    page.select_option("#office", site.office)
    page.fill("#starts_on", "2026-01-05")
    page.fill("#weeks", "3")
    page.click("text=Make the plan")
    page.locator("#weeks-title").wait_for()
    # A recall due may not be left out: such a plan can be kept and not approved.
    spared = page.locator(".visit:not(.recall)").first.get_attribute("data-dealer")
    page.select_option("#moved", spared)
    page.select_option("#to_week", "out")
    page.click("text=Show the cost")
    said = re.compile(r"(changes the expected findings by −|leaves the expected findings as)")
    expect(page.locator(".note p").first).to_have_text(said)
    with page.expect_download() as download:
        page.click("text=Calendar file")
    assert download.value.suggested_filename == "plan.ics"
    # Keep it, approve it, hand it over, and take it along on paper.
    page.click("text=Keep this plan")
    page.click("button:has-text('Approve')")
    page.click("button:has-text('Hand over')")
    expect(page.locator(".note.good")).to_contain_text("handed over")
    with page.expect_download() as download:
        page.click("text=PDF")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    # Export the list, sign out, and find the door closed.
    page.goto(list_url)
    with page.expect_download() as download:
        page.click("text=CSV")
    assert Path(download.value.path()).read_text(encoding="utf-8-sig").count("\n") >= 40
    page.click("text=Sign out")
    page.goto(list_url)
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_dossier_tells_a_story_with_links_to_its_records(page, site):
    sign_in(page, site.url, "supervisor", PASSWORD)
    page.goto(issue_list(page, site))
    page.locator("table.rows tbody tr a.name").first.click()
    expect(page.locator(".timeline li").nth(2)).to_be_attached()
    expect(page.locator("text=compliance inspection, outcome warning letter")).to_be_visible()
    expect(page.locator("#cites-title + table")).to_be_visible()
    assert "Mexico" in page.locator("section[aria-labelledby=traces-title]").inner_text()
    records = page.locator("section[aria-labelledby=reasons-title] details", has_text="inspections")
    records.locator("summary").click()
    records.locator("a").first.click()
    expect(page).to_have_url(re.compile(r"#r-I-\d+-\d$"))


def test_dragging_a_visit_shows_what_the_move_costs(page, site):
    sign_in(page, site.url, "supervisor", PASSWORD)
    page.goto(f"{site.url}/plan?office={site.office}&weeks=3&hours=40&starts_on=2026-01-05")
    page.set_viewport_size({"width": 1360, "height": 4000})  # both weeks in sight
    in_parts = re.compile(r"part \d of \d")  # the rest would no longer fit
    visit = page.locator(".week").first.locator(".visit").filter(has_not_text=in_parts).first
    dealer = visit.get_attribute("data-dealer")
    visit.scroll_into_view_if_needed()
    start, end = visit.bounding_box(), page.locator(".week").nth(2).bounding_box()
    page.mouse.move(start["x"] + 60, start["y"] + start["height"] - 8)
    page.mouse.down()
    page.mouse.move(start["x"] + 66, start["y"] + start["height"] - 6, steps=4)
    page.mouse.move(end["x"] + 40, end["y"] + 40, steps=8)
    page.mouse.up()
    page.locator("#changed-title").wait_for()
    assert f"move={dealer}~3.1" in page.url.replace("%7E", "~")


def test_dragging_over_the_map_chooses_an_area_to_list(page, site):
    sign_in(page, site.url, "supervisor", PASSWORD)
    page.goto(f"{site.url}/map")
    box = page.locator("svg.canvas").bounding_box()
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile(r"w="))
    page.click("#use-area")
    expect(page.locator("text=Only dealers within the area chosen on the map.")).to_be_visible()


def test_the_keyboard_alone_reaches_a_decision(page, site):
    sign_in(page, site.url, "inspector", PASSWORD)
    issue_list(page, site, n=5)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("Decide"):
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".note.good").wait_for()
    expect(page.locator(".note.good")).to_contain_text("accepted")


def test_a_session_that_is_over_leads_back_to_where_one_was(page, site):
    sign_in(page, site.url, "inspector", PASSWORD)
    past = instant(datetime.now(UTC) - timedelta(minutes=1))
    with site.runtime.store.write() as connection:
        connection.execute(
            sa.update(SESSIONS).where(SESSIONS.c.account == "inspector").values(expires_at=past)
        )
    page.goto(f"{site.url}/dealers?q=pawn")
    expect(page.locator("[role=status]")).to_contain_text("The session is over.")
    page.fill("#name", "inspector")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    expect(page).to_have_url(f"{site.url}/dealers?q=pawn")


def test_two_roles_see_two_sites(browser, site):
    seen = {}
    for name in ("inspector", "analyst"):
        own = browser.new_context()
        page = own.new_page()
        sign_in(page, site.url, name, PASSWORD)
        seen[name] = page.locator("nav[aria-label=Pages] a").all_inner_texts()
        own.close()
    assert [n for n in seen["inspector"] if n in {"Lists", "Map", "Dealers", "Plans", "Model"}] == [
        "Lists", "Map", "Dealers", "Plans", "Model",
    ]  # fmt: skip
    assert "Lists" not in seen["analyst"]
    assert "Plans" not in seen["analyst"]


def test_a_hostile_name_stays_a_name(page, site):
    sign_in(page, site.url, "supervisor", PASSWORD)
    columns = site.runtime.snapshot.columns
    dealer = columns["dealer"][columns["business_name"] == HOSTILE][0]
    for path in (f"/dealers/{dealer}", f"/dealers?q={dealer}"):
        page.goto(f"{site.url}{path}")
        assert "ffl-risk" in page.title()
        assert page.title() != "owned"
        expect(page.locator("bdi", has_text="<script>").first).to_be_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_lists_and_dossiers_are_readable_without_scripts(browser, site):
    own = browser.new_context(java_script_enabled=False)
    page = own.new_page()
    page.goto(f"{site.url}/sign-in")
    page.fill("#name", "supervisor")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.fill("#k", "10")
    page.click("text=Issue the list")
    expect(page.locator("table.rows tbody tr")).to_have_count(10)
    page.locator("a.name").first.click()
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".contrib tbody tr").nth(3)).to_be_attached()
    page.goto(f"{site.url}/map")
    expect(page.locator("circle.dot").nth(20)).to_be_attached()
    own.close()


def test_a_list_and_a_dossier_print_to_clean_pages(page, site, tmp_path):
    sign_in(page, site.url, "supervisor", PASSWORD)
    list_url = issue_list(page, site)
    page.emulate_media(media="print")
    for path in (f"{list_url}?all=true", page.locator("a.name").first.get_attribute("href")):
        page.goto(path if path.startswith("http") else f"{site.url}{path}")
        expect(page.locator("nav[aria-label=Pages]")).not_to_be_visible()
        expect(page.locator(".decide").first).not_to_be_visible()
        expect(page.locator("text=Sign out")).not_to_be_visible()
        expect(page.locator(".foot")).to_be_visible()
        content = page.pdf(path=tmp_path / "page.pdf", format="Letter")
        assert content.startswith(b"%PDF")
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


MEASURE = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const files = performance.getEntriesByType("resource");
  return {
    first: paint ? paint.startTime : page.domContentLoadedEventEnd,
    weight: page.encodedBodySize + files.reduce((sum, file) => sum + file.encodedBodySize, 0),
    shift: window.shifted || 0,
  };
}"""
WATCH = """new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.shifted = (window.shifted || 0) + entry.value;
}).observe({ type: "layout-shift", buffered: true });"""


def measured_pages(browser, folder, n_dealers):
    """Open each page of a country and yield address, weight limit and what Chromium measured."""
    with running_site(folder, n_dealers=n_dealers) as large:
        own = browser.new_context(viewport={"width": 1360, "height": 860})
        own.add_init_script(WATCH)
        page = own.new_page()
        sign_in(page, large.url, "chief", PASSWORD)
        list_url = issue_list(page, large, n=500)
        dealer = page.locator("a.name").first.get_attribute("href")
        asked = "weeks=4&investigators=3&starts_on=2026-01-05"
        limits = {
            f"{large.url}/lists": _WEIGHT,
            list_url: _WEIGHT,
            f"{large.url}{dealer}": _WEIGHT,
            f"{large.url}/dealers?q=pawn": _WEIGHT,
            f"{large.url}/model": _WEIGHT,
            f"{large.url}/plan?office={large.office}&{asked}": _WEIGHT,
            f"{large.url}/map": _MAP_WEIGHT,
        }
        for address, most in limits.items():
            page.goto(address)  # the first visit fills caches, as any earlier one would have
            found = []
            for _ in range(3):
                page.reload()
                page.wait_for_timeout(50)
                found.append(page.evaluate(MEASURE))
            yield address.removeprefix(large.url), most, found
        own.close()


@pytest.mark.slow
def test_pages_keep_their_weight_and_stand_still_at_79_000_dealers(browser, tmp_path):
    for address, most, found in measured_pages(browser, tmp_path, 79_000):
        assert found[0]["weight"] < most, address
        assert found[0]["shift"] == 0, address
