"""Better, worse or cannot be told: by one rule from intervals, in the same words everywhere."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from datetime import date
from html import unescape

import pytest

from features.insight.measures.comparison import RULE, compared, side
from features.insight.measures.figures import GROUNDS, Period
from features.insight.measures.formula import names_in
from features.insight.measures.measure import Measured, Report, registry
from features.insight.measures.writing import freeze, to_csv, to_html
from serving.insight.assurance.facts import _measures
from serving.insight.measures import shown_to
from tests.simulated import AS_OF

# Measures of 2024 are released to partners on 15 February.
RELEASED = date(2025, 3, 1)

WORDS = {"better", "worse", "cannot be told"}


def report_of(year: int, interval: tuple[float, float] | None, **changes: object) -> Report:
    """A year in which every measure has one interval."""
    low, high = interval or (None, None)
    period = Period.year(year)
    found = tuple(
        Measured(replace(one, **changes), 0.5, low, high, "met", "")  # type: ignore[arg-type]
        for one in registry()
    )
    figures = {"visits_dealers": 1e6}
    return Report(period.name, str(period.starts_on), str(period.ends_on), False, found, figures)


@pytest.mark.parametrize(
    ("interval", "better", "said"),
    [
        ((0.31, 0.40), "higher", "better"), ((0.31, 0.40), "lower", "worse"),
        ((0.10, 0.29), "higher", "worse"), ((0.10, 0.29), "lower", "better"),
        ((0.10, 0.40), "higher", "cannot be told"), ((0.30, 0.40), "higher", "cannot be told"),
        ((0.10, 0.30), "lower", "cannot be told"), (None, "higher", "cannot be told"),
    ],
)  # fmt: skip
def test_the_whole_interval_must_lie_on_one_side_of_the_target(interval, better, said) -> None:
    report = compared(report_of(2024, interval, target=0.3, better=better), [])
    assert {m.against_target for m in report.measures} == {said}
    assert {m.against_year_before for m in report.measures} == {"cannot be told"}


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ((0.1, 0.2), "better"), ((0.45, 0.6), "worse"), ((0.35, 0.6), "cannot be told"),
        (None, "cannot be told"),
    ],
)  # fmt: skip
def test_two_years_differ_when_their_intervals_do_not_meet(then, said) -> None:
    now = report_of(2024, (0.3, 0.4), better="higher")
    assert {m.against_year_before for m in compared(now, [report_of(2022, (0.9, 1.0)),
            report_of(2023, then, better="higher")]).measures} == {said}  # fmt: skip
    # Neither the year before that one nor one measured by another formula is compared with.
    for other in (report_of(2022, (0.1, 0.2)), report_of(2023, (0.1, 0.2), formula="visits")):
        found = compared(now, [other]).measures
        assert {m.against_year_before for m in found} == {"cannot be told"}


def test_turning_a_measure_round_turns_what_is_said() -> None:
    turned = {"better": "worse", "worse": "better", "cannot be told": "cannot be told"}
    spans = [(0.1, 0.2), (0.15, 0.4), (0.2, 0.3), (0.5, 0.5)]
    for now in spans:
        for of in spans:
            said = side(*now, of=of, better="higher")
            assert side(*now, of=of, better="lower") == turned[said]
            assert side(*of, of=now, better="higher") == turned[said]


def test_every_form_says_the_same(tmp_path) -> None:
    freeze(report_of(2023, (0.1, 0.2)), tmp_path)
    kept = freeze(report_of(2024, (0.3, 0.4)), tmp_path)
    report = shown_to(kept, "supervisor", AS_OF, home=tmp_path)
    told = [(m.against_target, m.against_year_before) for m in report.measures]
    assert {word for pair in told for word in pair} <= WORDS
    assert len(set(told)) > 2
    rows = csv.DictReader(io.StringIO(to_csv(report).decode()))
    assert [(row["against_target"], row["against_year_before"]) for row in rows] == told
    page = unescape(to_html(report).decode())
    assert RULE in page
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in page.split("<tr>")[2:]]
    assert [(row[4], row[5]) for row in cells] == told
    paper = _measures(tmp_path)["measures"]
    assert [(m["against_target"], m["against_year_before"]) for m in paper] == told


def test_what_partners_may_not_see_of_either_year_is_not_compared(tmp_path) -> None:
    freeze(report_of(2023, (0.1, 0.2)), tmp_path)
    kept = report_of(2024, (0.3, 0.4))
    shown = shown_to(kept, "partner", RELEASED, home=tmp_path).measures
    assert {m.against_year_before for m in shown} == {"better", "worse"}
    few = report_of(2023, (0.1, 0.2))
    single = dict.fromkeys([name for name in GROUNDS if " - " not in name], 1.0)
    freeze(replace(few, figures=single), tmp_path / "b")
    hidden = shown_to(kept, "partner", RELEASED, home=tmp_path / "b").measures
    rest = [
        m
        for m in hidden
        if set(names_in(m.definition.formula, what=m.definition.name)) & set(single)
    ]
    assert rest
    assert {m.against_year_before for m in rest} == {"cannot be told"}
