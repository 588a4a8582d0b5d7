"""The papers as files: what was measured is filled in, what people judge or sign is empty."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from features.domain.spreadsheet_formulas import neutral_row
from features.insight.measures.comparison import RULE
from features.reference.attribution import LAWFUL_ROUTES
from features.schema import TABLES
from models.bundle.bundle import Bundle
from serving.insight.assurance.sbom import bill_of_materials
from serving.insight.best_rule import best_rule, judged_order
from serving.statements import disclaimers, with_gates

EMPTY: Final = "____________________"
_SIGNED: Final = ("Program owner", "Chief AI officer", "Privacy officer", "Security officer")
_RESTRICTED: Final = frozenset({"licenses", "agencies", "area_covariates"})  # all others are


@dataclass(frozen=True)
class Facts:
    """What the papers are filled from.

    Parameters
    ----------
    bundle_name : str
    bundle : Bundle
    evaluation : dict
        That of the bundle's candidate; empty when it is not on this machine.
    measures : dict
        The newest frozen report of measures; empty when there is none.
    warehouse : dict
        Rows by table, empty without a warehouse.
    made_on : date
    judged : str
        What gates could not say of the bundle; empty where they said everything.
    """

    bundle_name: str
    bundle: Bundle
    evaluation: dict[str, Any]
    measures: dict[str, Any]
    warehouse: dict[str, int]
    made_on: date
    judged: str = ""


@dataclass(frozen=True)
class Control:
    """One row of the control mapping."""

    id: str
    title: str
    how: str
    test: str


def controls() -> tuple[Control, ...]:
    """Return the control mapping."""
    path = Path(__file__).parent / "controls.toml"
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["control"]
    return tuple(Control(**entry) for entry in entries)


def papers(facts: Facts) -> dict[str, bytes]:
    """Return every paper, with an index that holds their SHA-256."""
    files = {
        "impact_assessment.md": _impact(facts).encode(),
        "use_case_inventory.csv": _csv(*_inventory(facts)),
        "data_inventory.csv": _csv(*_data(facts)),
        "model_card.md": with_gates(facts.bundle.card, facts.judged).encode(),
        "sbom.cdx.json": (json.dumps(bill_of_materials(), indent=1) + "\n").encode(),
        "control_mapping.csv": _csv(
            ("control", "title", "how it is met", "test that shows it"),
            [(c.id, c.title, c.how, c.test) for c in controls()],
        ),
        "accessibility.md": _accessibility().encode(),
    }
    files["index.md"] = _index(facts, files).encode()
    return files


def _impact(facts: Facts) -> str:
    manifest = facts.bundle.manifest
    parts = [
        f"# AI impact assessment: {facts.bundle_name}",
        f"Made {facts.made_on} from the bundle in force "
        f"({manifest.get('as_of', 'day not stated')}, "
        f"{manifest.get('restriction')} records). Figures are filled in by the system; lines with "
        f"{EMPTY} are for people.",
        "## 1. Purpose and benefit",
        "Orders licensed firearms dealers for compliance inspection, so that limited hours find "
        "more dealers that need action. Presumed high-impact: it directs inspections.",
        *_judged(facts),
        "## 2. Data quality and fitness",
        _table(("table", "rows"), sorted(facts.warehouse.items())) or "No warehouse is here.",
        "Past inspections were chosen; labels carry who chose and who found. Traces are no random "
        "sample. Bad rows are set apart with their reason and counted.",
        "## 3. Rights and fairness, by group",
        *_groups(facts),
        "## 4. Independent review",
        f"Reviewer: {EMPTY}  Date: {EMPTY}  Findings: {EMPTY}",
        "## 5. Pre-deployment test",
        "Gates, rolling held-out years and the rehearsal of the closed loop are in the evaluation "
        "of the bundle; a candidate that fails a gate is not promoted.",
        f"Tested in the field by: {EMPTY}",
        "## 6. Monitoring",
        *_monitoring(facts),
        "## 7. Training of those who use it",
        f"Course and dates: {EMPTY}",
        "## 8. Human oversight and fail-safe",
        "A person decides each visit and may override a place with a coded reason; the "
        "twelve-month rule is a gate. No outcome follows from a score alone. Lists and scores can "
        "be stopped at once.",
        "## 9. Notice, appeal and feedback",
        "`ffl-risk packet` holds what a dealer or counsel may ask for; decisions and outcomes come "
        f"back as the next labels. Contact for appeal: {EMPTY}",
        "## 10. Risk acceptance",
        "\n".join(f"- {who}: {EMPTY}  Signature: {EMPTY}  Date: {EMPTY}" for who in _SIGNED),
        "## Said with every figure",
        "\n".join(f"- {s}" for s in disclaimers(str(manifest.get("restriction", "restricted")))),
    ]
    return "\n\n".join(parts) + "\n"


def _judged(facts: Facts) -> list[str]:
    heads = facts.evaluation.get("heads", {})
    order = judged_order(facts.evaluation)
    rows, said = [], [facts.judged] if facts.judged else []
    judged = {"the published order": order} if order is not None else {}
    judged |= {f"{name}, ordered by this head alone": entry for name, entry in heads.items()}
    for name, entry in judged.items():
        for measure in ("auc", "recall"):
            found = entry.get("model", {}).get(measure)
            if isinstance(found, dict) and "value" in found:
                span = (
                    f"{found.get('low', float('nan')):.3f} to {found.get('high', float('nan')):.3f}"
                )
                rows.append((name, measure, f"{found['value']:.3f}", span, entry.get("n", "")))
    if not rows:
        missing = "Benefit cannot be said: the evaluation of the bundle in force is not here."
        return [*said, missing]
    if order is None:
        said.append("The published order itself was not judged; each head was, alone.")
    else:
        best = best_rule(order)
        if best is not None and best.is_as_good:
            said.append(f"A simple rule is as good here: {best.name.replace('_', ' ')}.")
    columns = ("order", "measure", "value", "95% interval", "held-out rows")
    return [*said, "Measured on rows it had not seen:", _table(columns, rows)]


def _groups(facts: Facts) -> list[str]:
    out = []
    order = judged_order(facts.evaluation)
    if order is None:
        return ["Cannot be said: the order of the list was not judged, or is not here."]
    for way, groups in order.get("groups", {}).items():
        rows = [
            (g["group"], g["n"], f"{g['share_of_dealers']:.1%}", f"{g['share_of_list']:.1%}")
            for g in groups[:20]
            if {"group", "n", "share_of_dealers", "share_of_list"} <= set(g)
        ]
        if rows:
            columns = ("group", "dealers", "share of dealers", "share of the list")
            out += [f"### The published list, by {way.replace('_', ' ')}", _table(columns, rows)]
    sizes = [
        (s["size"], s["dealers"], f"{s['expected']:.1%}", f"{s['listed']['published']:.1%}")
        for s in order.get("sizes", ())
    ]
    if sizes:
        columns = ("third by sales", "dealers", "share of findings expected", "share of the list")
        out += ["### The published list, by thirds of all dealers by sales", _table(columns, sizes)]
    return out or ["Cannot be said: the evaluation of the bundle in force holds no groups."]


def _monitoring(facts: Facts) -> list[str]:
    measures = facts.measures.get("measures", [])
    if not measures:
        return ["No year of measures is frozen yet: `ffl-risk measures` makes one."]
    rows = [
        (m["definition"]["indicator"], "" if m["value"] is None else f"{m['value']:.3g}",
         f"{m['definition']['target']:g}", m["verdict"], m["against_target"],
         m["against_year_before"])
        for m in measures
    ]  # fmt: skip
    columns = (
        "measure", facts.measures.get("period", ""), "target", "verdict", "against the target",
        "against the year before",
    )  # fmt: skip
    return [RULE, _table(columns, rows)]


def _inventory(facts: Facts) -> tuple[Sequence[str], list[Sequence[object]]]:
    columns = (
        "use case", "stage", "high impact", "output", "purpose", "bundle", "trained as of",
        "personal data", "human in the loop", "appeal", "agency contact",
    )  # fmt: skip
    manifest = facts.bundle.manifest
    row = (
        "Selection of firearms dealers for compliance inspection", "operation", "yes",
        "an ordered list with reasons", "oversight of licensed businesses", facts.bundle_name,
        manifest.get("as_of", ""), "licensees only; purchasers as opaque tokens", "yes, each visit",
        "contest packet", EMPTY,
    )  # fmt: skip
    return columns, [row]


def _data(facts: Facts) -> tuple[Sequence[str], list[Sequence[object]]]:
    columns = ("table", "column", "kind", "needed", "restricted", "rows", "note")
    rows: list[Sequence[object]] = []
    for table in TABLES.values():
        for column in table.columns:
            note = {
                "purchaser_token": "opaque hash; of multiple sales dropped after two years",
                "licensee_name": "name of the licensee, public listing",
                "acquisition_route": f"{' and '.join(LAWFUL_ROUTES)} count toward no dealer",
            }.get(column.name, "")
            rows.append(
                (table.name, column.name, column.kind, "yes" if column.is_required else "no",
                 "no" if table.name in _RESTRICTED else "yes", facts.warehouse.get(table.name, 0),
                 note)
            )  # fmt: skip
    return columns, rows


def _accessibility() -> str:
    return (
        "# Accessibility conformance notes (WCAG 2.2 AA, Section 508)\n\n"
        "| criterion | how | shown by |\n| --- | --- | --- |\n"
        "| 1.1.1, 1.4.1 | every chart and map has a table beside it; color is never alone | "
        "tests/browser/test_walk.py |\n"
        "| 1.3.1, 2.4.6 | landmarks, headings and labels on every page | "
        "tests/browser/test_walk.py |\n"
        "| 2.1.1, 2.4.7 | every control is reached and seen by keyboard | "
        "tests/browser/test_walk.py |\n"
        "| 3.1.1 | the language is stated | serving/web/templates/frame.html |\n\n"
        f"Evaluated with assistive technology by: {EMPTY}  Date: {EMPTY}\n"
    )


def _index(facts: Facts, files: dict[str, bytes]) -> str:
    rows = [(name, hashlib.sha256(content).hexdigest()) for name, content in files.items()]
    return (
        f"# Assurance papers for {facts.bundle_name}\n\nMade {facts.made_on}. Nothing here is "
        "signed or accepted until people have filled in what is empty.\n\n"
        f"{_table(('file', 'SHA-256'), rows)}\n"
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    lines = [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns)]
    lines += [f"| {' | '.join(str(v).replace('|', '/') for v in row)} |" for row in rows]
    return "\n".join(lines)


def _csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(neutral_row(row) for row in rows)
    return text.getvalue().encode()
