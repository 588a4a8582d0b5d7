"""Run the notebooks and write each as one page that a browser opens: notebooks/rendered/*.html."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import jupytext
import nbclient
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ background: #f5f5f5; padding: .6rem; overflow-x: auto; font-size: 13px }}
table {{ border-collapse: collapse; font-size: 13px }} td, th {{ padding: .1rem .6rem }}
svg, img {{ max-width: 100%; height: auto }}
.anchor-link, .jp-InputPrompt, .prompt {{ display: none }}
</style></head><body>
{body}
</body></html>
"""


def rendered(path: Path) -> str:
    """Return a notebook, run in a fresh kernel, as a page."""
    notebook = jupytext.read(path)
    with tempfile.TemporaryDirectory() as home:
        os.environ["FFL_RISK_HOME"] = home
        os.environ["PYTHONPATH"] = str(ROOT)
        place = {"metadata": {"path": str(FOLDER)}}
        nbclient.NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources=place
        ).execute()
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    # Where it ran is nobody's business and differs from run to run.
    body = re.sub(rf"{tempfile.gettempdir()}/\w+", "FOLDER", body).replace(str(ROOT), "PROJECT")
    body = body.replace("/home/", "/state/")
    return PAGE.format(title=path.stem, body=body)


def main(names: list[str]) -> None:
    """Render the notebooks named, or all."""
    out = FOLDER / "rendered"
    out.mkdir(exist_ok=True)
    for path in sorted(FOLDER.glob("*.py")):
        if not names or path.stem in names:
            page = out / f"{path.stem}.html"
            page.write_text(rendered(path), encoding="utf-8")
            print(page)


if __name__ == "__main__":
    main(sys.argv[1:])
