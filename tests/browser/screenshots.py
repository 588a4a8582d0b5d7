"""Take a picture of each page at three sizes: `python -m tests.browser.screenshots [FOLDER]`.

Five of them go into the README: those are copied to ``docs/images``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.chromium import chromium, sign_in
from tests.browser.site import PASSWORD, Site, running_site

SIZES = {"laptop": (1366, 860), "tablet": (820, 1180), "phone": (390, 844)}
ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "var" / "screenshots"
IN_README = ("list", "dealer", "plan", "model", "flows")


def shoot(browser: Browser, site: Site, folder: Path) -> list[Path]:
    out = []
    for size, (width, height) in SIZES.items():
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()

        def take(name: str, *, size: str = size, page=page, full: bool = False) -> None:
            path = folder / f"{name}-{size}.png"
            page.screenshot(path=path, full_page=full)
            out.append(path)

        page.goto(f"{site.url}/sign-in")
        take("sign-in")
        sign_in(page, site.url, "supervisor", PASSWORD)
        take("lists-empty")
        page.fill("#k", "40")
        page.click("text=Issue the list")
        page.wait_for_selector("table.rows")
        list_url = page.url
        take("list")
        page.click("tbody tr:nth-child(1) a.name")
        page.wait_for_selector("#why-title")
        take("dealer")
        take("dealer-whole", full=True)
        page.goto(f"{site.url}/map")
        take("map")
        asked = "weeks=4&investigators=4&hours=40&starts_on=2026-01-05"
        page.goto(f"{site.url}/plan?office={site.office}&{asked}")
        page.evaluate("scrollTo(0, document.querySelector('#sum-title').offsetTop - 80)")
        take("plan")
        take("plan-whole", full=True)
        page.goto(f"{site.url}/model")
        take("model")
        take("model-whole", full=True)
        page.goto(f"{list_url}?q=nobody+at+all")
        take("list-empty")
        page.goto(f"{site.url}/dealers/0-00-00000")
        take("absent")
        context.close()
    return out


def shoot_flows(browser: Browser, site: Site, folder: Path) -> list[Path]:
    """Take the page of flows, which counts over a country's records."""
    out = []
    for size, (width, height) in SIZES.items():
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        sign_in(page, site.url, "chief", PASSWORD)
        page.goto(f"{site.url}/flows")
        page.evaluate("scrollTo(0, document.querySelector('#short-h').offsetTop - 90)")
        for name, full in (("flows", False), ("flows-whole", True)):
            out.append(folder / f"{name}-{size}.png")
            page.screenshot(path=out[-1], full_page=full)
        context.close()
    return out


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        running_site(Path(home), n_dealers=500, with_hostile=False, with_country=True) as site,
        chromium() as browser,
    ):
        for path in shoot_flows(browser, site, folder):
            print(path)  # noqa: T201
    with (
        tempfile.TemporaryDirectory() as home,
        running_site(Path(home), n_dealers=20_000, with_hostile=False) as site,
        chromium() as browser,
    ):
        for path in shoot(browser, site, folder):
            print(path)  # noqa: T201
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    for name in IN_README:
        shutil.copyfile(folder / f"{name}-laptop.png", images / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT)
