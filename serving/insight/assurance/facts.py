"""What the papers are filled from: the bundle in force, its evaluation, measures, the warehouse."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from features.insight.measures.comparison import compared
from features.insight.measures.measure import with_trend
from features.insight.measures.writing import FOLDER, frozen, frozen_before
from features.openjson import Json
from features.warehouse import Warehouse, WarehouseMissingError
from serving.insight.assurance.papers import Facts
from serving.scores.champion import champion_entry, judged_of, load_champion
from serving.statements import judged_sentence


def facts_of(home: Path, warehouse: Path, today: date) -> Facts:
    """Collect the facts.

    Raises
    ------
    NotReadyError
        When no bundle is in force.
    """
    name, bundle = load_champion(home)
    return Facts(
        str(bundle.manifest.get("name", name)),
        bundle,
        _evaluation(home, name),
        _measures(home),
        _rows(warehouse),
        today,
        judged_sentence(judged_of(home, name)),
    )


def _evaluation(home: Path, name: str) -> Json:
    entry = champion_entry(home, name)
    found = None if entry is None else entry.get("candidate")
    if not isinstance(found, str) or not found.isdigit():
        return {}
    return _read(home / "candidates" / found / "evaluation.json")


def _measures(home: Path) -> Json:
    kept = sorted((home / FOLDER).glob("*.json"))
    report = frozen(home, kept[-1].stem) if kept else None
    if report is None:
        return {}
    before = frozen_before(home, report.period)
    return compared(with_trend(report, before), before).as_dict()


def _rows(path: Path) -> dict[str, int]:
    try:
        warehouse = Warehouse.open(path)
    except WarehouseMissingError:
        return {}
    return {name: int(t["n_rows"]) for name, t in warehouse.manifest["tables"].items()}


def _read(path: Path) -> Json:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
