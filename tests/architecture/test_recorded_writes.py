"""Every write to the store leaves its record in the very transaction that makes it."""

import ast
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("recorded_writes")
ROOT = Path(__file__).parents[2]
# What is written without a record of its own, and why.
WITHOUT = {
    "serving/access/audit/writer.py": "writes the records",
    "serving/access/audit/key.py:_claim": "the key is noted before there is a chain",
    "serving/server/idempotency.py:_note": "the answer to a write that is on record",
    "serving/store/journal.py:store_id": "a name, given once",
    "serving/changes/webhooks.py:passed": "what was sent is on record from before it was",
    "serving/store/database.py:_locked": "migrations",
    "serving/keeping/server_store.py": "a copy of the store, its records with it",
}
RECORDS = {"add", "append", "_leave", "leave"}


@cache
def writes():
    """Each function that opens a transaction for writing, and what it calls within."""
    found = []
    for path in sorted((ROOT / "serving").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for block in ast.walk(function):
                if isinstance(block, ast.With) and any(
                    isinstance(item.context_expr, ast.Call)
                    and isinstance(item.context_expr.func, ast.Attribute)
                    and item.context_expr.func.attr == "write"
                    and not item.context_expr.args
                    for item in block.items
                ):
                    place = path.relative_to(ROOT).as_posix()
                    names = called(block)
                    # One that only calls a function beside it writes by that.
                    names |= {n for name in names & own.keys() for n in called(own[name])}
                    found.append((f"{place}:{function.name}", names))
    return found


def called(block):
    names = set()
    for node in ast.walk(block):
        if isinstance(node, ast.Call):
            target = node.func
            names.add(target.attr if isinstance(target, ast.Attribute) else target.id)
    return names


def is_excused(place):
    return place in WITHOUT or place.partition(":")[0] in WITHOUT


def test_every_write_is_recorded_where_it_is_made():
    found = dict(writes())
    assert len(found) > 25, "the walk finds nothing"
    silent = {place for place, names in found.items() if not names & RECORDS}
    assert {place for place in silent if not is_excused(place)} == set()


def test_what_is_excused_is_there_and_needs_it():
    silent = {place for place, names in writes() if not names & RECORDS}
    whole = {place.partition(":")[0] for place in silent}
    assert {place for place in WITHOUT if place not in silent | whole} == set()
