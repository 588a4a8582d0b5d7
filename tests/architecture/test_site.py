"""The site is built without a warning, and its links are followed."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # Sphinx's own, on import
def test_a_link_to_no_file_and_one_to_no_heading_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="here">A</h1><a href="b.html#there">B</a><a href="#here">A</a>'
        '<a href="c.html">C</a><a href="b.html#nowhere">B</a><img src="gone.png">'
        '<a href="https://example.org/elsewhere">not followed</a>'
    )
    (tmp_path / "b.html").write_text('<h1 id="there">B</h1>')
    assert tool("site").broken_links(tmp_path) == [
        "a.html: b.html#nowhere leads to no heading",
        "a.html: c.html leads to no file",
        "a.html: gone.png leads to no file",
    ]


def test_the_tour_has_a_phrase_for_every_folder_and_module() -> None:
    pages = tool("site_pages")
    tour = pages.tour()
    for folder in pages.folders():
        assert f":doc:`{folder}/ <reference/{pages.dotted(folder)}>`: " in tour
    modules = [m for folder in pages.folders() for m in pages.modules(folder)]
    assert len(modules) > 200
    assert all(f"<{pages.dotted(module)}>`: " in tour for module in modules)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tools/site.py", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken links" in done.stdout
