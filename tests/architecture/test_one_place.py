"""A rule has one place: what may be written by hand only where the rule lives."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.sources import ROOT, modules

# Each of the tests reads all modules: one process does, once.
pytestmark = pytest.mark.xdist_group("sources")

# What must not be written elsewhere, and where it is.
RULES = {
    "the cut of time": (
        r"\bknown_on(?:'\])?\s*<(?!=)|\bsuperseded_on\s*>=|superseded_on\s+IS\s+NULL\s+OR",
        {"features/domain/asof.py"},
        # Not the cut of time: a row known before its own event is a fault of the row.
        {"features/ingest/checking/checks.py", "serving/field/events/events.py"},
    ),
    "days since 1970": (
        r"719_?163|[-+] DATE '1970-01-01'|DATE '1970-01-01' [-+]|date\(1970, 1, 1\)",
        {"features/domain/asof.py"},
        set(),
    ),
    "the agency's day": (
        r"date\.today\(\)|now\((UTC)?\)(\.astimezone\(\))?\.date\(\)|\.at\[:10\]|_at'\]\[:10\]",
        set(),
        set(),
    ),
    "a solver and its threads": (
        r"\bhighspy\.Highs\(",
        {"features/highs.py"},
        set(),
    ),
    "the days of a year": (
        r"(?<![\w.])(365|730|1_?095|1_?825|3_?650)(?![\w.]| days)",
        {"features/domain/asof.py"},
        # Days that a setting counts, and figures of the published reports that a country imitates.
        {"serving/settings.py", "serving/variables.py", "serving/scores/snapshot.py",
         "serving/schedule/routines.py",
         "features/simulation/targets/figures.py",
         "features/simulation/targets/figures_inspections.py",
         "features/simulation/reports/trace_rows.py",
         "features/simulation/visits/inspections.py"},
    ),
}  # fmt: skip


# Tables that the project itself reads again: what it takes in, never what it hands out.
READ_BACK = {
    "features/contract.py",
    "features/sources/files/workbook.py",
    "serving/field/outcomes/outcomes.py",
    "serving/field/events/rescoring.py",
}


def test_no_table_is_handed_out_with_a_formula_in_it():
    """Whoever writes rows as CSV makes each text neutral, or reads the file back itself."""
    writing = {
        module.name: module.code
        for module in modules()
        if re.search(r"csv\.(Dict)?[wW]riter\(|\.to_csv\(\w*[,)]", module.code)
    }
    assert len(writing) > len(READ_BACK)
    bare = {name for name, code in writing.items() if not re.search(r"\bneutral(_row)?\(", code)}
    # The command hands on the bytes of `serving.lists.decisions`.
    assert bare - {"serving/commands/operator.py"} == READ_BACK


@pytest.mark.parametrize("rule", sorted(RULES))
def test_no_other_file_writes_a_rule_by_hand(rule):
    pattern, homes, apart = RULES[rule]
    found = {module.name for module in modules() if re.search(pattern, module.code)}
    assert homes <= found, "the rule has moved: say where it lives now"
    assert not found - homes - apart


def test_no_rule_about_a_role_stands_outside_the_table_of_roles() -> None:
    from serving.access.roles import ROLES

    def names(node: ast.AST) -> bool:
        return isinstance(node, ast.Constant) and node.value in ROLES

    found = []
    for path in sorted((ROOT / "serving").rglob("*.py")):
        if path.name == "roles.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            compared = isinstance(node, ast.Compare) and any(map(names, ast.walk(node)))
            grouped = isinstance(node, ast.Set) and any(map(names, node.elts))
            if compared or grouped:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_no_template_names_a_role() -> None:
    from serving.access.roles import ROLES

    named = re.compile(r"role\s*(==|!=|in)|[\"'](" + "|".join(ROLES) + r")[\"']")
    found = [
        f"{path.name}:{number}"
        for path in sorted((ROOT / "serving/web/templates").glob("*.html"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if named.search(line)
    ]
    assert found == []
