"""What a dealer's own record does not show is no fact of it: estimates, unmeasured and new ones."""

import math

import numpy as np
import pandas as pd
import pytest

from features.signals.registry import SIGNALS
from serving.scores.words.peers import Peers, peer_table
from serving.scores.words.reason_sentences import Sentences, measured_first
from serving.scores.words.wording import wording
from serving.web.dealers.cases import cases_for

NAMES = [signal.name for signal in SIGNALS]
BUNDLED = [
    {"name": s.name, "family": s.family, "unit": s.unit, "definition": s.definition,
     "reason": s.reason, "restriction": s.restriction, "is_category": s.is_category}
    for s in SIGNALS
]  # fmt: skip
SHRUNK = [signal.name for signal in SIGNALS if "shrunk" in signal.definition]


def said(name, value, *, missing=0, **others):
    """One reason of a dealer whose other signals are zero but for some; all peers lie below."""
    table = pd.DataFrame(np.zeros((300, len(NAMES)), np.float32), columns=NAMES)
    sentences = Sentences(BUNDLED, Peers(peer_table(table, np.full(300, "01", dtype=object))))
    row = pd.Series(np.zeros(len(NAMES), np.float32), index=NAMES)
    for other, number in others.items():
        row[other] = number
    return sentences.reason(
        NAMES.index(name), value, 0.5, license_type="01", missing=missing, row=row.to_numpy()
    )


def test_every_value_drawn_toward_peers_names_what_counts_its_own_events():
    assert len(SHRUNK) > 8
    for name in SHRUNK:
        assert set(wording(name, {}).own) <= set(NAMES), name
        assert wording(name, {}).own, name


@pytest.mark.parametrize("name", SHRUNK)
def test_an_estimate_is_no_fact_of_a_dealer_without_events(name):
    bare = said(name, 0.012)
    assert "similar dealers" in bare["sentence"]
    assert bare["sentence"].startswith(("No ", "An estimate that leans on "))
    assert " than " not in bare["sentence"].partition("; ")[2]
    assert bare["percentile"] is bare["share_below"] is None
    own = said(name, 0.012, **{wording(name, {}).own[0]: 2.0})
    assert own["sentence"].startswith("By estimate, about ")
    assert own["sentence"].endswith((" more than 99% of peers.", "larger share than 99% of peers."))


@pytest.mark.parametrize("name", [*SHRUNK, "volume_growth_1y", "traces_trend_1y"])
def test_what_could_not_be_measured_is_one_clause_without_a_number(name):
    text = said(name, math.nan, missing=2)["sentence"]
    assert " not known: no " in text
    assert "unknown" not in text
    assert "bout an unknown" not in said(name, math.nan, missing=1)["sentence"]


def test_what_is_not_known_or_borrowed_is_never_the_first_reason():
    weak = [said("volume_denied_share_3y", math.nan, missing=2), said("southbound_share_3y", 0.2)]
    fact = said("violations_years_since_inspection", math.nan, missing=2)
    assert measured_first([*weak, fact]) == [fact, *weak]


@pytest.mark.parametrize("name", ["volume_growth_1y", "traces_trend_1y"])
def test_growth_of_a_new_dealer_is_not_compared(name):
    new = said(name, 14.1, license_years_listed=1.2)
    assert "seen in the listings for less than three years" in new["sentence"]
    assert "peers" not in new["sentence"]
    assert new["share_below"] is None
    old = said(name, 14.1, license_years_listed=3.0)
    assert old["sentence"].endswith("more than 99% of peers.")
    # What may be an opening is no first reason, as strong as it is.
    assert "its opening may be all of it, not a rise" in new["sentence"]
    assert measured_first([new, old]) == [old, new]


def test_young_records_are_aged_in_days_and_a_past_expiry_is_not_compared():
    last = said("violations_years_since_last_outcome", 35 / 365)["sentence"]
    assert last.startswith("Last outcome on the ladder of graduated action, of any kind of visit,")
    assert "is of 35 days ago" in last
    late = said("license_months_to_expiry", -2.0)["sentence"]
    assert late == "License past its expiry by 2 months."


def test_a_study_is_shown_only_where_the_record_stands_out_in_what_it_is_about():
    def studies(*reasons):
        return [case.name for case, _ in cases_for(reasons)]

    denied = said("volume_denied_share_3y", 0.1, volume_denied_1y=9)
    bare = said("traces_over_expected_3y", 3.0)
    traced = said("traces_over_expected_3y", 3.0, traces_n_3y=40)
    assert studies(denied, bare) == []
    assert studies(denied, traced) == ["half_of_a_city"]
    assert studies({**traced, "contribution": -0.5}) == []
