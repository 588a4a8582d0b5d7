"""The table of scope: every request of the sources is in it, and what answers it exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
import typer.main
from typer.testing import CliRunner

import ffl_risk
from features.insight.measures.measure import REGISTRY
from features.insight.sharing.rules import AGREEMENTS
from features.schema import TABLES
from features.signals.registry import FAMILIES
from serving.api import routes

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "scope.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| request", "| ---"))
]
SPANS = sorted({span for row in ROWS for cell in row for span in re.findall(r"`([^`]+)`", cell)})
COMMANDS = typer.main.get_command(ffl_risk.app).commands  # type: ignore[attr-defined]
FILES = {"corridors.csv", "classes.csv", "counties.csv", "outbound.csv", "ports.csv"}
FILES |= {"crossings.csv", AGREEMENTS, REGISTRY}


def addresses() -> set[str]:
    found = set()
    for module in iter_modules(routes.__path__):
        for route in import_module(f"{routes.__name__}.{module.name}").router.routes:
            found |= {f"{method} {route.path}" for method in route.methods}
    return found


def numbers(letter: str) -> set[int]:
    """Recommendations of one source that some row names, ranges and lists written out."""
    found: set[int] = set()
    for row in ROWS:
        own = "".join(re.findall(rf"\b{letter}((?:[ ,]|and|to|\d)*)", row[1]))
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", own):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def test_every_recommendation_of_the_two_reports_has_a_row() -> None:
    assert numbers("G") == set(range(1, 9))
    assert numbers("D") == set(range(1, 32))


def test_every_source_is_named_and_every_row_is_whole() -> None:
    assert {letter for row in ROWS for letter in re.findall(r"\b[GDAFL]\b", row[1])} == set("GDAFL")
    assert len(ROWS) > 45
    assert all(all(row) for row in ROWS)
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("span", SPANS)
def test_what_a_row_names_exists(span: str) -> None:
    """A command answers `--help`, a route is served, a table, column, family or file is there."""
    words = span.removeprefix("ffl-risk ").split()
    if words[0] in COMMANDS:
        answer = CliRunner().invoke(ffl_risk.app, [words[0], "--help"])
        assert answer.exit_code == 0
        known = {name for p in COMMANDS[words[0]].params for name in p.opts}
        assert {word for word in words if word.startswith("--")} <= known
    elif words[0] in {"GET", "POST"}:
        own = re.sub(r"/shares/[a-z]+", "/shares/{partner}", span.split("?", maxsplit=1)[0])
        assert own in addresses()
    else:
        columns = {column.name for table in TABLES.values() for column in table.columns}
        assert span in FILES | set(TABLES) | columns | set(FAMILIES), span
