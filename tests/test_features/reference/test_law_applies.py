"""Law is data that decides: each entry is changed, and the behavior it rules changes with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.domain.asof import to_day
from features.errors import InvalidValueError
from features.reference.legal import law as legal
from features.reference.legal.short_time_to_crime import is_short, short_sql
from features.reference.legal.twelve_month_rule import is_recall_due, next_eligible
from features.signals.events import losses
from features.signals.events import traces as trace_events
from features.signals.families import area, traces
from features.signals.shared import successors
from features.warehouse.retention import expired_sql

DAY = date(2020, 6, 1)


def demand_letter_met():
    """Whether 20 traces of 2019 meet the threshold of that year."""
    cohort = SimpleNamespace(as_of=np.array([to_day(DAY)]), date_index=np.zeros(1, dtype=int))
    values, reasons = {}, {}
    found = {"short_2019_2y": np.array([20.0])}
    traces._calendar(SimpleNamespace(n_rows=1, cohort=cohort), found, values, reasons)
    return values["demand_letter_2_met"].tolist()


def recall_due(ended_on):
    return is_recall_due(pd.Series([pd.Timestamp(ended_on)]), pd.Series(["warning_letter"]), DAY)[0]


PROBES = {
    "inspection_interval_months": (
        24, lambda: next_eligible(date(2019, 3, 1), None, as_of=DAY)),
    "demand_letter_2_min_traces": (10, demand_letter_met),
    "demand_letter_2_max_days_to_crime": (365, lambda: trace_events._letter(2019)),
    "demand_letter_3_states": (
        "NV", lambda: area.demand_letter_states(date(2020, 1, 1))),
    "multiple_sale_purchaser_retention_years": (3, lambda: expired_sql(DAY, [])),
    "theft_report_hours": (96, lambda: losses._late(DAY)),
    "short_time_to_crime_days": (
        730, lambda: (short_sql(), is_short(np.array([800])).tolist())),
    "successor_window_years": (5, lambda: successors.window_days(DAY)),
    "recall_interval_months": (18, lambda: recall_due(date(2019, 4, 1))),
    "recall_due_years": (9, lambda: recall_due(date(2016, 4, 1))),
}  # fmt: skip


def test_every_entry_is_applied_by_some_code():
    assert set(PROBES) == {entry.name for entry in legal.laws()}


@pytest.mark.parametrize("name", sorted(PROBES))
def test_a_changed_entry_changes_what_it_rules(monkeypatch, name):
    other, behavior = PROBES[name]
    before = behavior()
    changed = tuple(
        replace(entry, value=other) if entry.name == name else entry for entry in legal.laws()
    )
    monkeypatch.setattr(legal, "laws", lambda: changed)
    assert behavior() != before


def test_no_report_was_late_before_a_law_said_so():
    assert losses._late(date(1990, 1, 1)) == "FALSE"


def test_twenty_four_months_double_the_wait(monkeypatch):
    changed = tuple(
        replace(e, value=24) if e.name == "inspection_interval_months" else e for e in legal.laws()
    )
    monkeypatch.setattr(legal, "laws", lambda: changed)
    assert next_eligible(date(2019, 3, 1), date(2019, 3, 9), as_of=DAY) == date(2021, 3, 9)


def test_a_measure_of_all_days_is_refused_a_second_value(monkeypatch):
    """Labels and releases of years ago would change on the day on which the table does."""
    changed = []
    for entry in legal.laws():
        if entry.name == "short_time_to_crime_days":
            changed.append(replace(entry, ends_on=date(2028, 1, 1)))
            entry = replace(entry, value=730, starts_on=date(2028, 1, 1))  # noqa: PLW2901
        changed.append(entry)
    monkeypatch.setattr(legal, "laws", lambda: tuple(changed))
    with pytest.raises(InvalidValueError, match="a value that starts or ends"):
        short_sql()
