"""The pages of the site that come from the code: the directory tour and the reference.

The tour takes the first sentence of each folder's docstring; the reference has a page a folder,
with every module and what its docstrings say.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("features", "models", "training", "serving")
# Alembic runs these; they are no modules to import.
LEFT_OUT = ("serving/store/migrations",)


def folders() -> Iterator[Path]:
    """Yield every package, parents first."""
    for house in HOUSES:
        for init in sorted((ROOT / house).rglob("__init__.py"), key=lambda p: p.parent.parts):
            folder = init.parent.relative_to(ROOT)
            if not str(folder).startswith(LEFT_OUT):
                yield folder


def docstring(path: Path) -> str:
    """Return the module's docstring; a module without one is a fault."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path.relative_to(ROOT)} has no docstring: say in one what it is for.")
    return text


def phrase(path: Path) -> str:
    """Return the first paragraph of the docstring on one line."""
    return " ".join(docstring(path).split("\n\n")[0].split())


def modules(folder: Path) -> list[Path]:
    """Return the modules directly in a folder, its `__init__` left out."""
    found = (ROOT / folder).glob("*.py")
    return sorted(p.relative_to(ROOT) for p in found if p.name != "__init__.py")


def dotted(path: Path) -> str:
    """Return the name a module is imported by."""
    return ".".join(path.with_suffix("").parts)


def tour() -> str:
    """Return every folder and module with its phrase, as reStructuredText."""
    lines = ["Directory tour", "==============", ""]
    lines += ["Imports point one way: ``features ← models ← training``, and ``features, models ←",
              "serving``; inside a house, folders import only folders below them.", ""]  # fmt: skip
    for folder in folders():
        depth = len(folder.parts) - 1
        title = f"{folder}/"
        if depth == 0:
            lines += [title, "-" * len(title), ""]
        link = f":doc:`{title} <reference/{dotted(folder)}>`"
        lines += [f"{link}: {phrase(ROOT / folder / '__init__.py')}", ""]
        for module in modules(folder):
            lines += [f"- :py:mod:`{module.name} <{dotted(module)}>`: {phrase(ROOT / module)}"]
        lines += [""]
    return "\n".join(lines)


def reference(folder: Path) -> str:
    """Return one folder's page: what it is for, then each module."""
    title = dotted(folder)
    lines = [title, "=" * len(title), "", f".. automodule:: {title}", "   :no-members:", ""]
    for module in modules(folder):
        name = dotted(module)
        lines += [name, "-" * len(name), "", f".. automodule:: {name}", ""]
    return "\n".join(lines)


def contents() -> str:
    """List the reference pages."""
    lines = ["Reference", "=========", "", "What the docstrings say, a page a folder.", ""]
    lines += [".. toctree::", "   :maxdepth: 1", ""]
    return "\n".join([*lines, *(f"   reference/{dotted(folder)}" for folder in folders()), ""])


def write(target: Path) -> None:
    """Write all pages into `target`, anew."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "reference").mkdir(parents=True)
    (target / "tour.rst").write_text(tour(), encoding="utf-8")
    (target / "reference.rst").write_text(contents(), encoding="utf-8")
    for folder in folders():
        page = target / "reference" / f"{dotted(folder)}.rst"
        page.write_text(reference(folder), encoding="utf-8")
