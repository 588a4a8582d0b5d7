"""First content and weight of each page at 79,000 dealers, as Chromium measures them."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.browser.chromium import chromium
from tests.browser.test_walk import measured_pages

FIRST_CONTENT_MS = 300


def main() -> None:
    """Print the median of three visits of each page."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for address, most, found in measured_pages(browser, Path(folder), 79_000):
            page = address.split("?")[0]
            first = median(one["first"] for one in found)
            rows = (
                (f"first content of {page}, ms", first, FIRST_CONTENT_MS),
                (f"weight of {page}, bytes", found[0]["weight"], most),
            )
            for measure, value, bound in rows:
                line = {"measure": measure, "value": value, "ratio": value / bound, "target": 1.0}
                sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
