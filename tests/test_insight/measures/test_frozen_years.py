"""A year is frozen once nothing of it is still to come, and with nothing of another year."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from features.insight.measures.figures import Period
from features.insight.measures.measure import measure, registry
from features.insight.measures.writing import freeze, frozen
from serving.insight.measures import added_figures, report_for, shown_to
from tests.simulated import AS_OF, Simulated

YEAR = Period.year(AS_OF.year - 1)
JUDGED = ("recall_at_capacity", "recall_best_rule", "recall_gain_low")


def judge(home: Path, *years: str) -> None:
    """Keep an evaluation of the bundle in force that judged some years, and its indicators."""
    found = {"value": 0.3}
    rule = {"recall": found, "recall_gain": {"low": 0.1, "high": 0.2}}
    head = {"model": {"recall": found}, "rules": {"logistic": rule}}
    (home / "candidates/000001").mkdir(parents=True)
    (home / "candidates/000001/evaluation.json").write_text(
        json.dumps({"order": head, "heads": {"compliance": {"years": list(years)}}})
    )
    (home / "champion.json").write_text(json.dumps({"candidate": "000001"}))
    (home / "reports").mkdir()
    indicators = {"last_year": int(years[-1][:4]), "signals": [{"auc": {"low": 0.6, "high": 0.7}}]}
    (home / "reports/indicators.json").write_text(json.dumps(indicators))


@pytest.mark.parametrize(
    ("judged", "of"),
    [
        (["2022-01-01", "2023-01-01", "2024-01-01"], {2024, 2026}),
        (["2023-11-01", "2024-11-01"], {2024, 2025, 2026}),
    ],
)
def test_what_the_bundle_in_force_was_judged_by_is_of_its_own_year(
    tmp_path: Path, judged: list[str], of: set[int]
) -> None:
    """2026 is running: the bundle in force is the one of now."""
    judge(tmp_path, *judged)
    told = {}
    for year in range(2015, 2027):
        period = Period.year(year)
        told[year] = added_figures(tmp_path, period, None, today=date(2026, 3, 1))
    assert {year for year, found in told.items() if found["recall_at_capacity"] is not None} == of
    for found in told.values():
        assert len({found[name] is None for name in JUDGED}) == 1
    assert {y for y, found in told.items() if found["indicators_judged"] is not None} == {
        2024, 2026,
    }  # fmt: skip


def test_a_year_is_frozen_once_what_was_found_in_it_has_been_told(
    tmp_path: Path, simulated: Simulated
) -> None:
    def asked(today: date, period: Period = YEAR, **more: bool) -> bool:
        report_for(tmp_path, simulated.warehouse, period, store=None, today=today, **more)
        return frozen(tmp_path, period.name) is not None

    assert not asked(YEAR.ends_on)
    assert not asked(date(YEAR.ends_on.year, 1, 31))
    later = date(YEAR.ends_on.year, 2, 1)
    assert not asked(later, may_freeze=False)
    # The records end long before this year does, however late it is asked for.
    assert not asked(date(2040, 1, 1), Period.year(AS_OF.year + 2))
    assert asked(later)


def test_the_trend_is_of_the_years_known_when_it_is_shown(tmp_path: Path) -> None:
    figures = {"visits": 100.0, "severe_visits": 10.0, "hours": 50.0}
    for year in (2024, 2022, 2023):  # frozen in this order
        freeze(measure(registry(), figures, Period.year(year)), tmp_path)
    shown = shown_to(frozen(tmp_path, "2024"), "supervisor", AS_OF, home=tmp_path)
    assert [[period for period, _ in m.trend] for m in shown.measures] == [
        ["2022", "2023"] for _ in shown.measures
    ]
    public = shown_to(frozen(tmp_path, "2024"), "partner", date(2025, 2, 15), home=tmp_path)
    assert {m.trend for m in public.measures} == {()}
