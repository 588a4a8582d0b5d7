"""The outcome ladder and the policies behind it."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from features.errors import InvalidValueError
from features.reference.legal import outcome
from features.schema import TABLES


def test_ladder_and_exits_beside_it_are_the_outcomes_of_the_schema():
    assert set(outcome.OUTCOMES) == TABLES["inspections"].column("outcome").allowed
    assert set(outcome.OUTCOMES) - set(outcome.LADDER) == {"surrender", "other"}
    assert list(outcome.LADDER.values()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("wording", "expected"),
    [
        ("Warning letter", "warning_letter"),
        ("Warning conference", "warning_conference"),
        ("Revocation/denial of renewal", "revocation"),
        ("Settlement", "other"),
        ("  surrendered/OUT of business ", "surrender"),
        ("warning_letter", "warning_letter"),
    ],
)
def test_wordings(wording, expected):
    assert outcome.read_outcome(wording) == expected


def test_unknown_wording_is_refused_with_a_suggestion():
    with pytest.raises(InvalidValueError, match="did you mean 'warning letter'"):
        outcome.read_outcome("warning leter")


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (date(2005, 1, 1), "before_uniform_policy"),
        (date(2009, 10, 30), "graduated"),
        (date(2021, 7, 13), "graduated"),
        (date(2021, 7, 14), "enhanced_enforcement"),
        (date(2025, 4, 6), "enhanced_enforcement"),
        (date(2025, 4, 7), "case_by_case"),
    ],
)
def test_regimes(on, expected):
    assert outcome.policy_regime(on) == expected


def test_regimes_follow_one_another_without_gap():
    for earlier, later in pairwise(outcome.regimes()):
        assert earlier.ends_on == later.starts_on
    assert outcome.regimes()[-1].ends_on is None


def test_no_policy_before_the_act():
    with pytest.raises(InvalidValueError, match="No adverse-action policy"):
        outcome.policy_regime(date(1960, 1, 1))
