"""The papers: filled from what was measured, empty where people judge, controls with tests."""

from __future__ import annotations

import ast
import csv
import io
import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from features.schema import TABLES
from serving.errors import NotReadyError
from serving.insight.assurance.facts import facts_of
from serving.insight.assurance.papers import EMPTY, Facts, controls, papers
from serving.insight.assurance.sbom import bill_of_materials

ROOT = Path(__file__).parents[2]
EVALUATION: dict[str, Any] = {
    "heads": {
        "compliance": {
            "n": 512,
            "model": {"auc": {"value": 0.71, "low": 0.65, "high": 0.77}},
            "groups": {
                "state": [{"group": "TX", "n": 90, "share_of_dealers": 0.1, "share_of_list": 0.55}]
            },
        }
    },
    "order": {
        "n": 512,
        "model": {"recall": {"value": 0.29, "low": 0.25, "high": 0.33}},
        "rules": {"points": {"recall": {"value": 0.31}}},
        "groups": {
            "state": [{"group": "TX", "n": 90, "share_of_dealers": 0.1, "share_of_list": 0.22}]
        },
        "sizes": [
            {"size": "fewest sales", "dealers": 40, "expected": 0.2, "listed": {"published": 0.01}}
        ],
    },
}


@dataclass(frozen=True)
class Made:
    """Stands in for a bundle: what the papers read of one."""

    card: str = "# A card\n\n**A score is not evidence.**\n"
    manifest: dict[str, Any] = field(
        default_factory=lambda: {"as_of": "2025-01-01", "restriction": "restricted"}
    )


def facts(**more: Any) -> Facts:
    known = {"evaluation": EVALUATION, "measures": {}, "warehouse": {"traces": 1234}} | more
    return Facts("country-1", Made(), made_on=date(2026, 1, 2), **known)  # type: ignore[arg-type]


def test_figures_are_filled_in_and_signatures_are_empty() -> None:
    text = papers(facts())["impact_assessment.md"].decode()
    alone = "compliance, ordered by this head alone"
    assert f"| {alone} | auc | 0.710 | 0.650 to 0.770 | 512 |" in text
    assert "| the published order | recall | 0.290 | 0.250 to 0.330 | 512 |" in text
    assert "A simple rule is as good here: points." in text
    # Of the list that is made, and of no list that nobody makes.
    assert "| TX | 90 | 10.0% | 22.0% |" in text
    assert "55.0%" not in text
    assert "| fewest sales | 40 | 20.0% | 1.0% |" in text
    assert "| traces | 1234 |" in text
    assert text.count(f"Signature: {EMPTY}") == 4
    assert "A score" in text


def test_what_is_not_known_is_said_and_never_made_up() -> None:
    text = papers(facts(evaluation={}, warehouse={}))["impact_assessment.md"].decode()
    assert "Benefit cannot be said" in text
    assert "No warehouse is here" in text
    assert "No year of measures is frozen yet" in text
    assert "0.7" not in text


def test_a_head_alone_has_no_share_of_a_list() -> None:
    text = papers(facts(evaluation={"heads": EVALUATION["heads"]}))["impact_assessment.md"].decode()
    assert "The published order itself was not judged" in text
    assert "the order of the list was not judged" in text
    assert "55.0%" not in text


def test_what_gates_could_not_say_stands_in_the_papers_and_the_card() -> None:
    files = papers(facts(judged="Not all was judged: 6 of 19 gates cannot say."))
    for name in ("impact_assessment.md", "model_card.md"):
        assert "6 of 19 gates cannot say" in files[name].decode()
    assert papers(facts())["model_card.md"].decode() == Made().card


def test_every_control_names_a_test_that_exists() -> None:
    assert len(controls()) >= 12
    for control in controls():
        path, _, name = control.test.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        assert name in names, control.test
    named = " ".join(c.id for c in controls())
    for wanted in ("AU-2", "AU-3", "AU-9", "AU-10", "AC-3", "AC-6", "IA-", "SC-8", "SC-28",
                   "SI-7", "SI-10", "CM-", "SR-"):  # fmt: skip
        assert wanted in named


def test_the_bill_of_materials_is_valid_and_whole() -> None:
    # Takes seconds to import, and every process that reads the tests would.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bill = bill_of_materials()
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))
    assert fault is None, fault
    names = {component["name"] for component in bill["components"]}
    # Declared by the project, and needed by what is declared.
    assert {"duckdb", "lightgbm", "highspy", "numpy", "pydantic-core", "starlette"} <= names
    refs = {c["bom-ref"] for c in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert {d["ref"] for d in bill["dependencies"]} <= refs
    assert all(name in refs for d in bill["dependencies"] for name in d["dependsOn"])


def test_the_data_inventory_names_every_column() -> None:
    rows = list(csv.DictReader(io.StringIO(papers(facts())["data_inventory.csv"].decode())))
    assert {(r["table"], r["column"]) for r in rows} == {
        (table.name, column) for table in TABLES.values() for column in table.names
    }
    assert all(r["restricted"] == "yes" for r in rows if r["table"] == "traces")


def test_the_index_holds_every_paper() -> None:
    files = papers(facts())
    index = files["index.md"].decode()
    assert all(name in index for name in files if name != "index.md")


def test_without_a_champion_there_is_nothing_to_assure(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"[Cc]hampion|bundle"):
        facts_of(tmp_path, tmp_path / "warehouse", date(2026, 1, 2))
