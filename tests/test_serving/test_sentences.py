"""No sentence about a dealer says more than the table: every one of three countries is checked."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date, timedelta
from importlib import resources

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.signals.registry import SIGNALS
from features.table import build_features
from serving.scores.peers import Peers, Standing, compared, peer_table
from serving.scores.publish import strongest
from serving.scores.reason_sentences import Sentences
from serving.scores.wording import wording
from tests.properties import invented

COMPARISON = re.compile(
    r"; (more than|less than|as many as or more than|as much as or more than) (\d+)%"
    r" of (peers|all dealers)\.$"
)
AS_OF = date(2021, 1, 2)
BUNDLED = [
    {name: getattr(s, name) for name in (
        "name", "family", "unit", "definition", "reason", "restriction", "words", "is_category",
        "window",
    )}
    for s in SIGNALS
]  # fmt: skip


@pytest.fixture(scope="module", params=[1, 2, 3])
def stored(request, tmp_path_factory):
    """A whole country and its signals."""
    made = invented.Country(request.param, n_dealers=150)
    warehouse = invented.store(made.tables, tmp_path_factory.mktemp("sentences") / "store")
    return warehouse, build_features(warehouse, AS_OF)


@pytest.fixture(scope="module")
def country(stored):
    """Signals of a whole country, with license types spread so that some have enough peers."""
    values = stored[1].X[[s.name for s in SIGNALS]]
    # The same dealers three times over: ties everywhere, and a type with more than 200.
    values = pd.concat([values] * 3, ignore_index=True).astype(np.float32)
    rng = np.random.default_rng(len(values))
    types = rng.choice(["01", "02"], len(values), p=[0.8, 0.2]).astype(object)
    return values, types


# What sentences count, counted again by nothing but SQL over the tables.
_OWN = (
    "serial_status IS DISTINCT FROM 'none' AND outcome IS DISTINCT FROM 'unserialized' "
    "AND (acquisition_route IS NULL OR acquisition_route NOT IN ('export', 'government'))"
)
_SOON = "recovered_on - sold_on"
# Signal: table, days looked back, condition, what is added up.
COUNTED = {
    "traces_n_90d": ("traces", 90, _OWN, "1"),
    "traces_n_1y": ("traces", 365, _OWN, "1"),
    "traces_n_3y": ("traces", 1095, _OWN, "1"),
    "traces_n_5y": ("traces", 1825, _OWN, "1"),
    "traces_guatemala_3y": ("traces", 1095, f"{_OWN} AND recovery_country = 'GT'", "1"),
    "traces_canada_3y": ("traces", 1095, f"{_OWN} AND recovery_country = 'CA'", "1"),
    "southbound_traces_1y": ("traces", 365, f"{_OWN} AND recovery_country = 'MX'", "1"),
    "southbound_traces_3y": ("traces", 1095, f"{_OWN} AND recovery_country = 'MX'", "1"),
    "southbound_traces_5y": ("traces", 1825, f"{_OWN} AND recovery_country = 'MX'", "1"),
    "southbound_short_3y": (
        "traces", 1095, f"{_OWN} AND recovery_country = 'MX' AND {_SOON} BETWEEN 0 AND 1095", "1",
    ),
    "time_to_crime_n_under_3y_1y": ("traces", 365, f"{_OWN} AND {_SOON} BETWEEN 0 AND 1095", "1"),
    "time_to_crime_n_under_1y_1y": ("traces", 365, f"{_OWN} AND {_SOON} BETWEEN 0 AND 365", "1"),
    "time_to_crime_n_under_90d_3y": ("traces", 1095, f"{_OWN} AND {_SOON} BETWEEN 0 AND 90", "1"),
    "multiple_sales_handgun_3y": ("multiple_sales", 1095, "kind = 'handgun'", "1"),
    "multiple_sales_rifle_1y": ("multiple_sales", 365, "kind = 'rifle'", "1"),
    "multiple_sales_firearms_3y": ("multiple_sales", 1095, "true", "n_firearms"),
    "losses_reports_1y": ("thefts_losses", 365, "true", "1"),
    "losses_burglary_5y": ("thefts_losses", 1825, "kind = 'burglary'", "1"),
    "losses_firearms_3y": ("thefts_losses", 1095, "true", "n_firearms"),
    "volume_sales_1y": ("sales_volume", 365, "true", "n_checks"),
    "volume_sales_3y": ("sales_volume", 1095, "true", "n_checks"),
    "volume_denied_1y": ("denials", 365, "true", "n_denied"),
}  # fmt: skip
_AMOUNT = re.compile(r"^(No|[\d,]+)\b")


def true_shares(values, types, name, license_type, value):
    """Count in the raw table, the slow and plain way."""
    column = values[name].to_numpy(dtype=np.float64)
    own = column[(types == license_type) & np.isfinite(column)]
    group = "peers" if len(own) >= 200 else "all dealers"
    among = own if group == "peers" else column[np.isfinite(column)]
    below, above = (among < value).mean(), (among > value).mean()
    return group, 100 * below, 100 * above, 100 * (among <= value).mean()


def test_no_comparison_of_a_whole_country_is_false(country):
    values, types = country
    sentences = Sentences(BUNDLED, Peers(peer_table(values, types)))
    n_said = 0
    for j, signal in enumerate(SIGNALS):
        seen = {}
        for license_type, value in zip(types, values[signal.name].to_numpy(), strict=True):
            seen.setdefault((license_type, float(value)), None)
        for license_type, value in seen:
            text = sentences.sentence(j, value, license_type=license_type)
            found = COMPARISON.search(text)
            assert ("%" not in text.partition(";")[2]) == (found is None), text
            if found is None:
                continue
            n_said += 1
            how, stated, group = found.group(1), int(found.group(2)), found.group(3)
            among, below, above, upto = true_shares(values, types, signal.name, license_type, value)
            true = {"more than": below, "less than": above}.get(how, upto)
            assert value != 0, text
            assert group == among, text
            assert stated <= true + 1e-9, (text, true)
            assert stated > true - 1.2, (text, true)
    assert n_said > 100


def test_percentile_and_share_below_are_those_of_the_table(country):
    values, types = country
    sentences = Sentences(BUNDLED, Peers(peer_table(values, types)))
    for j in range(0, len(SIGNALS), 7):
        name, row = SIGNALS[j].name, 11
        value = float(values[name].iloc[row])
        reason = sentences.reason(j, value, 0.5, license_type=types[row])
        if not math.isfinite(value):
            assert reason["percentile"] is None
            assert reason["share_below"] is None
            continue
        group, below, _, upto = true_shares(values, types, name, types[row], value)
        assert reason["peers"] == group
        assert reason["share_below"] == pytest.approx(below, abs=0.1)
        assert reason["percentile"] == math.floor(upto + 1e-9)


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=400),
    st.integers(-1, 41),
    st.integers(1, 5_000),
)
def test_shares_are_at_most_the_true_ones_however_many_values_are_kept(numbers, asked, n_distinct):
    rng = np.random.default_rng(n_distinct)
    column = np.concatenate([numbers, rng.permutation(n_distinct) / 7.0]).astype(np.float32)
    types = np.full(len(column), "01", dtype=object)
    peers = Peers(peer_table(pd.DataFrame({"x": column}), types))
    standing = peers.standing("x", "01", float(asked))
    assert standing is not None
    for said, true in (
        (standing.below, (column < asked).mean()),
        (standing.above, (column > asked).mean()),
        (standing.upto, (column <= asked).mean()),
    ):
        assert said <= 100 * true + 1e-9
        assert said >= 100 * true - 0.3


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_nothing_is_compared_at_zero_or_when_not_known(value):
    assert compared(Standing(99.0, 0.0, 100.0, True), value, is_count=True) == ""
    assert compared(Standing(0.0, 99.0, 1.0, True), value, is_count=True) == ""


def test_every_signal_has_a_wording_and_every_wording_a_signal():
    path = resources.files("serving.scores") / "wording.toml"
    families = tomllib.loads(path.read_text(encoding="utf-8"))
    said = [(family, name) for family, entries in families.items() for name in entries]
    assert sorted(said) == sorted((signal.family, signal.name) for signal in SIGNALS)


def test_every_signal_is_said_in_plain_words():
    for signal in SIGNALS:
        said = wording(signal.name, {})
        codes = range(len(said.words) or 2)
        for value in [*map(float, codes), 2.5 if not said.words else 1.0, math.nan]:
            text = said.say(value)
            assert text[0].isupper() or text[0].isdigit(), text
            assert signal.name not in text
            for word in (
                "Null",
                "null",
                "_",
                "{",
                "}",
                "nan",
                "1 firearms",
                "1 reports",
                "No firearms never",
            ):
                assert word not in text, text
        assert said.say(math.nan) != said.say(1.0)


def test_a_definition_is_never_a_reason():
    sentences = Sentences(BUNDLED, Peers(peer_table(pd.DataFrame(), np.array([], dtype=object))))
    for j, signal in enumerate(SIGNALS):
        text = sentences.sentence(j, math.nan, license_type="01", missing=2)
        assert signal.definition not in text
        assert text.endswith(".")
        assert not text.endswith("..")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("license_chain_size", 1.0, "The only license of its licensee"),
        ("license_successor_rule", 0.0, "Took the place of no ended license"),
        ("traces_n_90d", 1.0, "1 firearm traced in 90 days"),
        ("traces_n_90d", 0.0, "No firearms traced in 90 days"),
        ("border_km_to_port", 100.0, "62 miles (100 km) from the nearest land port of entry from "
         "Mexico"),
        ("violations_last_outcome", 2.0, "Last inspection ended with a warning letter"),
        ("license_months_to_expiry", -2.0, "License past its expiry by 2 months"),
        ("violations_log_instances_5y", math.log(9.0), "8 instances of violations cited in five "
         "years"),
    ],
)  # fmt: skip
def test_values_are_said_as_a_person_would(name, value, text):
    assert wording(name, {}).say(value) == text


def test_a_signal_that_only_the_bundle_knows_uses_its_template_without_its_comparison():
    signal = {"name": "x_n", "unit": "reports", "definition": "Some long. Null as y.",
              "reason": "{value} {unit} in a year, more than {percentile}% of peers"}  # fmt: skip
    assert wording("x_n", signal).say(3.0) == "3 reports in a year"
    assert wording("x_n", signal).say(math.nan) == "Reports in a year: not known"


def test_what_a_whole_state_or_county_shares_is_no_reason_of_a_dealer():
    of_place = {s.name for s in SIGNALS if wording(s.name, {}).is_of_place}
    assert {"area_checks_per_100_people_1y", "area_share_to_purchaser_1y"} <= of_place
    assert {"area_people_per_km2", "area_dealers_per_100k", "area_rural_code"} <= of_place
    contributions = np.full((3, len(SIGNALS)), 0.1)
    contributions[:, [s.name in of_place for s in SIGNALS]] = 9.0
    frame = strongest(contributions, BUNDLED)
    for k in range(8):
        named = {SIGNALS[j].name for j in frame[f"signal_{k}"]}
        strength = frame[f"contribution_{k}"].to_numpy()
        assert not (named & of_place) or (strength == 0).all()


def recounted(warehouse, as_of, name):
    """Count for every dealer what the sentence of a signal says, by nothing but SQL."""
    table, days, condition, what = COUNTED[name]
    query = (
        f"SELECT dealer, sum({what}) FROM {warehouse.scan(table)} WHERE known_on < $as_of "  # noqa: S608
        "AND (superseded_on IS NULL OR superseded_on >= $as_of) "
        f"AND known_on >= $since AND ({condition}) GROUP BY dealer"
    )
    since = as_of - timedelta(days=days)
    with duckdb.connect() as connection:
        given = {"as_of": as_of, "since": since}
        return {d: int(n) for d, n in connection.execute(query, given).fetchall() if n is not None}


def check_counts(warehouse, table, as_of):
    """Say every counting sentence of a country and compare; return how many were said."""
    values = table.X[[s.name for s in SIGNALS]].astype(np.float32)
    types = np.full(len(values), "01", dtype=object)
    sentences = Sentences(BUNDLED, Peers(peer_table(values, types)))
    n_said = 0
    for name, (source, *_) in COUNTED.items():
        if not warehouse.has(source):  # then the value is missing, and no number is said
            assert values[name].isna().all(), name
            continue
        j = next(i for i, s in enumerate(SIGNALS) if s.name == name)
        true = recounted(warehouse, as_of, name)
        for dealer, value in zip(table.frame["dealer"], values[name].to_numpy(), strict=True):
            if not np.isfinite(value):
                continue
            text = sentences.sentence(j, float(value), license_type="01")
            found = _AMOUNT.match(text)
            assert found is not None, text
            stated = 0 if found[1] == "No" else int(found[1].replace(",", ""))
            assert stated == true.get(dealer, 0), (dealer, text)
            assert text.startswith("1 ") == (stated == 1), text
            n_said += 1
    return n_said


def test_every_counting_sentence_of_a_country_is_the_count_of_its_tables(stored):
    warehouse, table = stored
    assert check_counts(warehouse, table, AS_OF) > 300
