"""Who cannot see, point or spread a window works too; `conformance.py` says what shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import chromium, sign_in
from tests.browser.site import PASSWORD, Site, running_site

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("access")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def list_path(browser: Browser, site: Site) -> str:
    own = browser.new_context()
    page = own.new_page()
    sign_in(page, site.url, "supervisor", PASSWORD)
    page.goto(f"{site.url}/lists")
    page.fill("#k", "40")
    page.click("text=Issue the list")
    page.wait_for_selector("table.rows")
    path = page.url.removeprefix(site.url)
    own.close()
    return path


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    own = browser.new_context(viewport={"width": 1360, "height": 860})
    opened = own.new_page()
    sign_in(opened, site.url, "supervisor", PASSWORD)
    yield opened
    own.close()


def open_list(page: Page, site: Site, list_path: str) -> str:
    """Open the list, and return the key of its second dealer."""
    page.goto(f"{site.url}{list_path}")
    address = page.locator("a.name").nth(1).get_attribute("href") or ""
    return address.split("?")[0].rsplit("/", 1)[1]


def addresses(site: Site, list_path: str, dealer: str) -> list[str]:
    """Return every kind of page that a supervisor reaches, refusals and empty ones too."""
    return [
        "/lists", list_path, f"{list_path}?q=nobody+at+all", "/map", "/map?state=MN",
        "/map?state=AK", "/dealers?q=pawn", f"/dealers/{dealer}", f"/dealers/{dealer}/outcome",
        f"/dealers/{dealer}/place", "/cases/half_of_a_city", "/model", "/work", "/plans", "/plan",
        f"/plan?office={site.office}&weeks=2&investigators=2&starts_on=2026-01-05",
        f"/plan?office={site.office}&weeks=1&coverage_years=1&coverage_share=1.0",
        "/measures", "/flows", "/referrals", "/responsibilities", "/dealers/9-99-99999", "/nowhere",
    ]  # fmt: skip


LOOKS = {
    "laptop": {"viewport": {"width": 1360, "height": 860}},
    "tablet, dark": {"viewport": {"width": 820, "height": 1180}, "color_scheme": "dark"},
    "320 px, forced colors": {"viewport": {"width": 320, "height": 700}, "forced_colors": "active"},
}


@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_no_page_has_a_violation_that_a_machine_finds(browser, site, list_path, look):
    own = browser.new_context(**LOOKS[look])
    page = own.new_page()
    axe, found = Axe(), {}
    # Where colors are forced they are the reader's own, not the page's to answer for.
    is_contrast = "forced_colors" not in LOOKS[look]
    rules = {"color-contrast": {"enabled": is_contrast}}
    options = {"rules": rules, "resultTypes": ["violations"]}

    def check(name: str) -> None:
        result = axe.run(page, options=options)
        if result.violations_count:
            found[name] = result.generate_report()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), name

    page.goto(f"{site.url}/sign-in")
    check("sign in")
    sign_in(page, site.url, "supervisor", PASSWORD)
    dealer = open_list(page, site, list_path)
    page.locator(".decide summary").first.click()
    check("a decision")
    for path in addresses(site, list_path, dealer):
        page.goto(f"{site.url}{path}")
        if path == f"/dealers/{dealer}":
            page.locator(".contrib summary").first.click()
        check(path)
    own.close()
    assert not found


def test_every_page_has_a_title_of_its_own_and_the_dealers_name_it(page, site, list_path):
    dealer = open_list(page, site, list_path)
    name = page.locator("a.name").nth(1).inner_text()
    titles: dict[str, str] = {}
    for path in addresses(site, list_path, dealer):
        page.goto(f"{site.url}{path}")
        titles[path] = page.title()
        expect(page.locator("h1")).to_have_count(1)
        assert page.locator("html").get_attribute("lang") == "en"
    for path in (f"/dealers/{dealer}", f"/dealers/{dealer}/outcome", f"/dealers/{dealer}/place"):
        assert name[:50] in titles[path], titles[path]
    whole = [t for path, t in titles.items() if "?" not in path and path not in _ABSENT]
    assert len(set(whole)) == len(whole)


_ABSENT = {"/dealers/9-99-99999", "/nowhere", "/measures", "/flows"}
ROWS = """() => [...document.querySelectorAll("tbody tr")].filter(
  (row) => row.children.length > 1 && !row.querySelector(":scope > th[scope=row]")
).map((row) => row.textContent.trim().slice(0, 60))"""
HEADED = """() => [...document.querySelectorAll("thead th")].filter(
  (head) => head.scope !== "col").map((head) => head.textContent)"""


def test_every_row_and_column_of_a_table_has_its_header(page, site, list_path):
    dealer = open_list(page, site, list_path)
    for path in addresses(site, list_path, dealer):
        page.goto(f"{site.url}{path}")
        assert page.evaluate(ROWS) == [], path
        assert page.evaluate(HEADED) == [], path


def test_the_pages_stand_in_the_same_order_everywhere(page, site, list_path):
    dealer = open_list(page, site, list_path)
    orders: dict[tuple[str, ...], str] = {}
    for path in addresses(site, list_path, dealer):
        page.goto(f"{site.url}{path}")
        if path != "/nowhere":  # refused before it is known who asks
            orders.setdefault(
                tuple(page.locator("nav[aria-label=Pages] a").all_inner_texts()), path
            )
    assert len(orders) == 1, orders


SMALL = """() => [...document.querySelectorAll("button, select, input, summary, a.button")].filter(
  (one) => {
    const box = one.getBoundingClientRect();
    if (!box.width || one.type === "hidden" || one.closest("label")) return false;
    return box.width < 24 || box.height < 24;
  }).map((one) => one.outerHTML.slice(0, 80))"""
SPACING = """* { line-height: 1.5 !important; letter-spacing: .12em !important;
  word-spacing: .16em !important; } p { margin-bottom: 2em !important; }"""


def test_targets_are_large_enough_and_text_may_be_spread(page, site, list_path):
    dealer = open_list(page, site, list_path)
    for path in addresses(site, list_path, dealer):
        page.goto(f"{site.url}{path}")
        assert page.evaluate(SMALL) == [], path
        page.evaluate(SPREAD, SPACING)
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), path


@pytest.mark.parametrize("width", [640, 683])
def test_at_twice_the_size_no_page_scrolls_sideways(page, site, list_path, width):
    dealer = open_list(page, site, list_path)
    page.set_viewport_size({"width": width, "height": 500})
    wide = []
    for path in addresses(site, list_path, dealer):
        page.goto(f"{site.url}{path}")
        is_cut = page.evaluate(CUT)
        if is_cut or not page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"):
            wide.append((path, is_cut))
    assert not wide


CUT = """() => [...document.querySelectorAll("nav[aria-label=Pages] a")].filter(
  (one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.innerText)"""
# As a reader's own style sheet would: past the pages' policy, which lets no style in.
SPREAD = """(text) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(text);
  document.adoptedStyleSheets = [sheet]; }"""
FOCUS = """() => { const style = getComputedStyle(document.activeElement);
  return parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none"; }"""


def test_what_has_the_focus_shows_it_and_is_never_left_behind(page, site, list_path):
    page.goto(f"{site.url}{list_path}")
    for n in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body"), n
        assert page.evaluate(FOCUS), page.evaluate("document.activeElement.outerHTML.slice(0, 90)")


def test_escape_closes_what_was_opened_and_gives_the_focus_back(page, site, list_path):
    page.goto(f"{site.url}{list_path}")
    details = page.locator(".decide details").first
    details.locator("summary").click()
    details.locator("select").focus()
    page.keyboard.press("Escape")
    assert details.get_attribute("open") is None
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    page.goto(f"{site.url}/map")
    box = page.locator("svg.canvas").bounding_box()
    page.mouse.move(box["x"] + 12, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 160, steps=4)
    expect(page.locator("svg.canvas .box")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("svg.canvas .box")).to_have_count(0)
    page.mouse.up()
    expect(page).to_have_url(f"{site.url}/map")


def test_marks_are_told_apart_without_color(browser, site, list_path):
    own = browser.new_context(forced_colors="active", viewport={"width": 1360, "height": 860})
    page = own.new_page()
    sign_in(page, site.url, "supervisor", PASSWORD)
    dealer = open_list(page, site, list_path)
    seen = page.locator("svg.interval .f-accent").first.evaluate("e => getComputedStyle(e).fill")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert seen not in {ground, "none"}
    assert page.locator(".chip").first.evaluate("e => getComputedStyle(e).borderStyle") == "solid"
    page.goto(f"{site.url}/dealers/{dealer}")
    # What raises and what lowers is said by side and sign, never by color alone.
    why = page.locator("section[aria-labelledby=why-title] table.contrib > tbody > tr")
    for row in why.all()[1:-1]:
        text = row.locator("td.num").last.inner_text()
        assert text[0] in "+−", text
    own.close()


def test_no_mark_leaves_its_cell(page, site, list_path):
    page.goto(f"{site.url}{list_path}?all=true")
    # As in a large country, where one of many thousands is drawn.
    page.locator(".chip.random").evaluate_all(
        "all => all.forEach(e => { e.lastChild.textContent = ' 0.0061%'; })"
    )
    beyond = """all => all.map(e => [e, e.closest('td')]).filter(([e, cell]) => cell
      && e.getBoundingClientRect().right > cell.getBoundingClientRect().right + 0.5
    ).map(([e]) => e.textContent)"""
    for width in (1024, 1360):
        page.set_viewport_size({"width": width, "height": 860})
        assert page.locator("td .chip.random").count() > 0
        assert page.locator("td .chip").evaluate_all(beyond) == []


def test_what_is_dragged_can_also_be_chosen(page, site):
    page.goto(f"{site.url}/plan?office={site.office}&weeks=3&investigators=1&starts_on=2026-01-05")
    page.select_option("#to_week", "out")
    page.click("text=Show the cost")
    expect(page.locator(".note p").first).to_contain_text("the expected findings")
    page.goto(f"{site.url}/map")
    page.click("[aria-label='Zoom in']")
    expect(page).to_have_url(re.compile("w="))


def test_a_fault_in_a_form_is_told_in_words_at_its_field_and_in_a_summary(page, site, list_path):
    dealer = open_list(page, site, list_path)
    page.goto(f"{site.url}/dealers/{dealer}/outcome")
    page.click("text=Check the outcome")
    page.wait_for_selector("#error-summary:focus")
    expect(page).to_have_title(re.compile("^Error: "))
    links = page.locator("#error-summary a")
    assert links.count() >= 2
    for link in links.all():
        field = page.locator(link.get_attribute("href") or "")
        assert field.get_attribute("aria-invalid") == "true"
        described = (field.get_attribute("aria-describedby") or "").split()
        assert any(page.locator(f"#{one}").inner_text().strip() for one in described)


def test_a_password_may_be_pasted_and_filled_in(browser, site):
    own = browser.new_context()
    page = own.new_page()
    page.goto(f"{site.url}/sign-in")
    assert page.locator("#password").get_attribute("autocomplete") == "current-password"
    assert page.locator("#name").get_attribute("autocomplete") == "username"
    assert page.evaluate("document.querySelector('#password').onpaste === null")
    own.close()


def test_a_phone_shows_the_sentences_of_a_family_over_the_whole_width(page, site, list_path):
    dealer = open_list(page, site, list_path)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/dealers/{dealer}")
    page.locator(".families summary").first.click()
    sentence = page.locator(".families details[open] th bdi").first
    expect(sentence).to_be_visible()
    cell = page.locator(".families details[open] th").first.bounding_box()
    assert cell is not None
    assert cell["width"] > 200
