"""Print docs/models/recipes.md: every key of a recipe and of a policy, out of their classes."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from models.policy import DEFAULT, SevereFinding, StrictnessPolicy  # noqa: E402
from training.recipe import RECIPES, Evaluation, Gates, Head, Recipe  # noqa: E402

HEAD = """# Recipes and policies

<!-- Written by `python tools/recipe_reference.py`; a test holds it to the classes. -->

A **recipe** is a reviewed file that says what is trained, on what, how it is judged and what
promotion asks for. `ffl-risk train --recipe my.toml` reads one; an unknown key is refused. Start
from a copy of one that ships: {shipped} (in `training/recipes`). A **policy** says what is severe,
how heads add up and how strictness is read; it travels in every bundle.
"""
BREAK = "An empty default means that the key must be given."


def described(cls: type) -> dict[str, str]:
    """Return the meaning of each parameter of a class, out of its numpydoc docstring."""
    text = inspect.getdoc(cls) or ""
    section = text.split("Parameters\n----------\n", 1)[1]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        top = re.match(r"(\w+(?:, \w+)*)(?: : .*)?$", line)
        if top:
            names = top[1].split(", ")
            found |= dict.fromkeys(names, "")
        elif line.strip():
            for name in names:
                found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def kinds(cls: type) -> dict[str, str]:
    """Return the type of each parameter as its docstring writes it."""
    section = (inspect.getdoc(cls) or "").split("Parameters\n----------\n", 1)[1]
    lines = re.findall(r"^(\w+(?:, \w+)*) : (.*)$", section, re.MULTILINE)
    return {name: kind for names, kind in lines for name in names.split(", ")}


def defaults(cls: type) -> dict[str, str]:
    """Return the default of each key as TOML would write it; nothing where there is none."""
    found: dict[str, str] = {}
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            none = field.default is dataclasses.MISSING
            found[field.name] = "" if none else shown(field.default)
        return found
    for name, field in cls.model_fields.items():  # type: ignore[attr-defined]
        if field.is_required():
            found[name] = ""
        else:
            value = field.default_factory() if field.default_factory else field.default
            found[name] = shown(value)
    return found


def shown(value: Any) -> str:
    """Write a default."""
    if isinstance(value, Path):
        return f"`{value.name}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, str | int | float):
        return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"
    return "as below"


def table(cls: type) -> list[str]:
    """Return the rows of the keys of a class."""
    meaning, kind, default = described(cls), kinds(cls), defaults(cls)
    missing = default.keys() - meaning.keys()
    if missing:
        raise SystemExit(f"{cls.__name__} says nothing of {', '.join(sorted(missing))}.")
    rows = ["| key | kind | default | meaning |", "| --- | --- | --- | --- |"]
    for name, value in default.items():
        words = (kind.get(name, "").replace("|", "\\|"), value, meaning[name].replace("``", "`"))
        rows.append(f"| `{name}` | " + " | ".join(words) + " |")
    return rows


def page() -> str:
    """Return the page."""
    shipped = ", ".join(f"`{path.stem}`" for path in sorted(RECIPES.glob("*.toml")))
    lines = [HEAD.format(shipped=shipped), BREAK]
    for title, cls in (
        ("The recipe", Recipe),
        ("`[[heads]]`", Head),
        ("`[evaluation]`", Evaluation),
        ("`[gates]`", Gates),
    ):
        lines += ["", f"## {title}", "", *table(cls)]
    lines += [
        "",
        "Parameters of a head (`[heads.parameters]`) are those of `RiskClassifier` and",
        '`RateRegressor` (`python -c "import models; help(models.RiskClassifier)"`).',
        "",
        "## The policy: `[severe_finding]`",
        "",
        *table(SevereFinding),
        "",
        "## The policy: `[strictness]`",
        "",
        *table(StrictnessPolicy),
        "",
        "## The policy that ships",
        "",
        "Each head has `weight`, `per_sale`, `per_place` and `reason` under `[priority.HEAD]`. A",
        'copy that is changed needs another `version`; `policy = "my_policy.toml"` in the recipe',
        "names it by a path from the recipe's folder.",
        "",
        "```toml",
        DEFAULT.read_text(encoding="utf-8").rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
