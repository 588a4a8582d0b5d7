"""No sentence about a dealer says more than the table: every one of three countries is checked."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date
from importlib import resources
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.signals.registry import SIGNALS
from features.table import build_features
from serving.scores.publish import strongest
from serving.scores.words.peers import Peers, Standing, compared, peer_table
from serving.scores.words.reason_sentences import Sentences
from serving.scores.words.wording import wording
from tests.oracles.sentences.raw_tables import MISCOUNTED, Country, same, same_share
from tests.oracles.sentences.rules import RULES
from tests.properties import invented

COMPARISON = re.compile(
    r"; (more than|less than|fewer than|as many as or more than|as much as or more than|"
    r"a longer time than|a shorter time than|as long a time as or a longer one than|"
    r"a larger share than|a smaller share than|as large a share as or a larger one than) (\d+)%"
    r" of (peers|all dealers)(?: where it is known)?\.$"
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


# How a comparison is said of what, by its unit: of more, of less, and of as much.
WORDS = {
    "time": ("a longer time than", "a shorter time than", "as long a time as or a longer one than"),
    "share": (
        "a larger share than",
        "a smaller share than",
        "as large a share as or a larger one than",
    ),
    "amount": ("more than", "less than", "as much as or more than"),
    "count": ("more than", "fewer than", "as many as or more than"),
}


def kind_of(signal):
    if signal.unit in {"years", "months", "days"}:
        return "time"
    if signal.unit == "share":
        return "share"
    return "amount" if signal.unit in {"km", "ratio", "index"} else "count"


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
            assert how in WORDS[kind_of(signal)], text
            true = (below, above, upto)[WORDS[kind_of(signal)].index(how)]
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
    assert compared(Standing(99.0, 0.0, 100.0, True), value, unit="traces") == ""
    assert compared(Standing(0.0, 99.0, 1.0, True), value, unit="traces") == ""


def test_every_signal_has_a_wording_and_every_wording_a_signal():
    path = resources.files("serving.scores.words") / "wording.toml"
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
        ("license_chain_size", 1.0, "No other license in the country under the same licensee name"),
        ("license_successor_rule", 0.0, "No ended license found whose place it took"),
        ("traces_n_90d", 1.0, "1 firearm traced in 90 days"),
        ("traces_n_90d", 0.0, "No firearms traced in 90 days"),
        ("border_km_to_port", 100.0, "62 miles (100 km) from the nearest land port of entry from "
         "Mexico"),
        ("violations_last_outcome", 2.0, "Last outcome on the ladder of graduated "
         "action, of any kind of visit: a warning letter"),
        ("license_months_to_expiry", -2.0, "License past its expiry by 2 months"),
        ("violations_log_instances_5y", math.log(9.0), "8 instances of violations counted in "
         "citations of five years"),
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


# Sentences that name no number of their own, or one in another unit than the signal's.
IN_WORDS = {
    "license_is_person", "license_has_trade_name", "license_is_mail_elsewhere", "border_zone",
    "area_people_per_km2", "area_rural_code", "area_is_demand_letter_3_state",
}  # fmt: skip
READ = [
    "licenses", "traces", "inspections", "violations", "multiple_sales", "thefts_losses",
    "sales_volume", "denials", "seizures", "ballistic_leads", "tips",
]  # fmt: skip


COMPILED = [(re.compile(pattern), holds) for pattern, holds in RULES]


def judged(country: Country, dealer: str, text: str) -> SimpleNamespace:
    """Say whether any rule reads a sentence, and whether what it says holds."""
    for n, (pattern, holds) in enumerate(COMPILED):
        found = pattern.fullmatch(text)
        if found:
            return SimpleNamespace(rule=n, is_true=bool(holds(country, dealer, found)))
    return SimpleNamespace(rule=None, is_true=True)


def reads_back(text: str, value: float) -> bool:
    """Whether some number of a sentence is the value, to its digits."""
    shares = re.findall(r"([\d.]+%|less than 0\.01%)", text)
    numbers = re.findall(r"(?<![\d.])[\d,]*\d(?:\.\d+)?(?!%|\d)", text)
    return (
        any(same_share(s, value) for s in shares)
        or any(same(n, abs(value)) for n in numbers)
        or (text.startswith("No ") and value == 0)
        or (text.startswith("Joined to no other dealer") and value == 1)
        or ("ess than 0.001" in text and 0 < value < 0.001)
    )


def faults(warehouse, table, as_of, *, most):
    """Say every sentence of a country; return the false ones and how many forms were judged."""
    values = table.X[[s.name for s in SIGNALS]].astype(np.float32)
    missing = table.reasons[[s.name for s in SIGNALS]].to_numpy()
    types = np.full(len(values), "01", dtype=object)
    said = Sentences(BUNDLED, Peers(peer_table(values, types)))
    dealers = table.frame["dealer"].tolist()
    held = {name: invented.stored(warehouse, name) for name in READ if warehouse.has(name)}
    truth = Country(held, as_of, dealers)
    false, forms = [], set()
    for j, signal in enumerate(SIGNALS):
        for i, dealer in enumerate(dealers[:most]):
            value = float(values.iat[i, j])
            text = said.sentence(j, value, license_type="01", missing=int(missing[i, j]),
                row=values.iloc[i].to_numpy(),
            )  # fmt: skip
            body = text.removesuffix(".").partition("; ")[0]
            found = judged(truth, dealer, body)
            forms.add(found.rule)
            is_read = found.rule is not None or not np.isfinite(value) or signal.name in IN_WORDS
            is_true = found.is_true and (is_read or reads_back(body, value))
            if not is_true or MISCOUNTED.search(body):
                false.append((dealer, signal.name, text))
    return false, forms


def test_every_sentence_of_a_country_holds_of_its_rows(stored):
    warehouse, table = stored
    false, forms = faults(warehouse, table, AS_OF, most=30)
    assert not false, false[:5]
    assert len(forms) > 60


@pytest.mark.slow
def test_every_sentence_holds_where_records_are_many(tmp_path):
    warehouse = invented.store(invented.Country(4, n_dealers=60).tables, tmp_path / "store")
    when = date(2018, 2, 2)
    false, forms = faults(warehouse, build_features(warehouse, when), when, most=30)
    assert not false, false[:5]
    assert len(forms) > 90


def test_records_that_nobody_holds_are_not_said_to_tell_of_nothing():
    peers = Peers(peer_table(pd.DataFrame(), np.array([], dtype=object)))
    said = Sentences(BUNDLED, peers)
    for j, signal in enumerate(SIGNALS):
        text = said.sentence(j, math.nan, license_type="01", missing=1)
        assert text.endswith(": no such records are held."), text
        if signal.unit not in ("code", "yes or no", "step"):
            assert "unknown" in text, text
            assert not text.startswith(("No ", "Fewer ")), text


def test_a_share_is_of_those_whose_value_is_known():
    column = np.array([1.0] * 90 + [5.0] * 10 + [math.nan] * 900, dtype=np.float32)
    types = np.full(len(column), "01", dtype=object)
    table = peer_table(pd.DataFrame({"x": column}), types)
    standing = Peers(table).standing("x", "01", 5.0)
    assert (
        compared(standing, 5.0, unit="traces") == "more than 90% of all dealers where it is known"
    )
    older = Peers(table.drop(columns="n_dealers")).standing("x", "01", 5.0)
    assert older == standing


def test_no_two_signals_that_could_not_be_measured_are_said_alike():
    nothing = [wording(signal.name, {"name": signal.name}).nothing for signal in SIGNALS]
    said = [text for text in nothing if text]
    assert len(said) > 5
    assert len(set(said)) == len(said)
