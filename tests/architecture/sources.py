"""The project's modules, each read and parsed once for all rules about them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("features", "models", "training", "serving")
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """What the rules ask of one module."""

    path: Path
    name: str
    """Its path below the root, with slashes."""
    code: str
    """Without comments and docstrings."""
    imported: frozenset[str]
    """The first part of each name it imports."""
    returned: tuple[tuple[str, str], ...]
    """Each function and what it says that it returns."""


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the packages, in the order of their names."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple(_module(path) for path in paths)


def _module(path: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported, returned = set(), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module.split(".")[0])
        elif isinstance(node, FUNCTIONS) and node.returns:
            returned.append((node.name, ast.unparse(node.returns)))
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    name = path.relative_to(ROOT).as_posix()
    return Module(path, name, ast.unparse(tree), frozenset(imported), tuple(returned))
