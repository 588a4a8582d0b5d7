"""The law in force on a date."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from features import reference
from features.errors import InvalidValueError
from features.reference.legal.law import EVIDENCE

GOLDEN = Path(__file__).parents[2] / "golden" / "law.yaml"


@pytest.mark.parametrize(
    "case", yaml.safe_load(GOLDEN.read_text()), ids=lambda c: f"{c['name']}-{c['day']}"
)
def test_value_on_a_date(case):
    if case["value"] is None:
        assert not reference.is_in_force(case["name"], case["day"])
        with pytest.raises(InvalidValueError, match="had no value in force"):
            reference.law(case["name"], case["day"])
    else:
        assert reference.law(case["name"], case["day"]) == case["value"]


def test_every_entry_is_complete():
    for entry in reference.laws():
        assert entry.unit
        assert entry.reference
        assert entry.evidence in EVIDENCE
        assert entry.ends_on is None or entry.starts_on < entry.ends_on
        assert entry.is_in_force(entry.starts_on)
        assert not entry.is_in_force(entry.starts_on - timedelta(days=1))


def test_entries_of_one_name_do_not_overlap():
    for name in {entry.name for entry in reference.laws()}:
        spans = [entry for entry in reference.laws() if entry.name == name]
        for earlier, later in pairwise(spans):
            assert earlier.ends_on is not None
            assert earlier.ends_on <= later.starts_on


def test_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(InvalidValueError, match="did you mean 'recall_due_years'"):
        reference.law("recall_due_year", date(2020, 1, 1))
    with pytest.raises(InvalidValueError, match="No law-like number"):
        reference.is_in_force("speed_limit", date(2020, 1, 1))


def test_message_names_the_covered_dates():
    with pytest.raises(InvalidValueError) as caught:
        reference.law("demand_letter_3_states", date(2000, 1, 1))
    assert "2011-08-14" in str(caught.value)
