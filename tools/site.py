"""Build the documentation and follow every link in it, offline.

``python tools/site.py build/docs`` ends with exit code 1 on any warning of the builder, and on any
link within the site that leads to no file or no heading. Links to other sites are not followed.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.cmd.build import build_main

ROOT = Path(__file__).resolve().parents[1]


class Page(HTMLParser):
    """What a page links to and what can be linked to in it.

    Parameters
    ----------
    path : Path
        File of the page.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and the names of one element."""
        for name, value in attrs:
            if value and (name == "href" or (name == "src" and tag != "a")):
                self.links.add(value)
            if value and (name == "id" or (name == "name" and tag == "a")):
                self.anchors.add(value)


def broken_links(folder: Path) -> list[str]:
    """One line for each link within the site that leads nowhere."""
    pages = {path: Page(path) for path in sorted(folder.rglob("*.html"))}
    faults = []
    for page in pages.values():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            where = page.path.relative_to(folder)
            if not target.is_file():
                faults.append(f"{where}: {link} leads to no file")
                continue
            anchors = pages[target].anchors if target in pages else {unquote(parts.fragment)}
            if parts.fragment and unquote(parts.fragment) not in anchors:
                faults.append(f"{where}: {link} leads to no heading")
    return faults


def main() -> int:
    """Build, then follow the links."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "docs").resolve()
    options = ["-b", "html", "-E", "--fail-on-warning", "--keep-going", "-q"]
    status = build_main([*options, str(ROOT / "docs"), str(folder)])
    if status:
        return status
    faults = broken_links(folder)
    n_pages = sum(1 for _ in folder.rglob("*.html"))
    print(*faults, f"{n_pages} pages, {len(faults)} broken links: {folder}/index.html", sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
