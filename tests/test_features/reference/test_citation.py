"""Citations: every spelling to one, and how serious each is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidValueError
from features.reference.legal import citation

GOLDEN = yaml.safe_load((Path(__file__).parents[2] / "golden" / "citations.yaml").read_text())


@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: repr(c["given"]))
def test_golden(case):
    if case["text"] is None:
        with pytest.raises(InvalidValueError, match=case["fault"].replace("_", " ")):
            citation.normalize(case["given"])
    else:
        assert citation.normalize(case["given"]) == citation.Citation(case["text"], case["tier"])


def test_column_agrees_with_one_by_one():
    values = [case["given"] for case in GOLDEN] * 3 + [None]
    table = citation.normalize_column(pd.Series(values, index=range(10, 10 + len(values))))
    assert table.index[0] == 10
    for case, row in zip(GOLDEN * 3, table.itertuples(), strict=False):
        if case["text"] is None:
            assert pd.isna(row.citation)
            assert pd.isna(row.tier)
            assert row.fault == case["fault"]
        else:
            assert (row.citation, row.tier) == (case["text"], case["tier"])
            assert pd.isna(row.fault)
    assert table["fault"].iloc[-1] == "missing"


def test_column_reads_arrow_and_empty():
    table = citation.normalize_column(pa.array(["478.21(A)", None]))
    assert table["citation"].iloc[0] == "478.21(a)"
    assert citation.normalize_column([]).empty


_LEVELS = st.tuples(
    st.sampled_from("abcdefg"),
    st.integers(1, 9).map(str),
    st.sampled_from(["i", "ii", "iii", "iv", "v"]),
    st.sampled_from("ABC"),
)
_CANONICAL = st.builds(
    lambda part, section, levels, depth: (
        f"{part}.{section}" + "".join(f"({x})" for x in levels[:depth])
    ),
    st.sampled_from(["478", "479"]),
    st.integers(1, 150),
    _LEVELS,
    st.integers(0, 4),
)


@given(_CANONICAL, st.sampled_from(["{}", "27 CFR {}", "27 c.f.r. § {}", " {} ,", "Sec. {}"]))
def test_any_spelling_of_a_provision_gives_that_provision(text, spelling):
    assert citation.normalize(spelling.format(text)).text == text
    assert citation.normalize(spelling.format(text.upper())).text == text


@given(_CANONICAL)
def test_normalizing_twice_changes_nothing(text):
    once = citation.normalize(text).text
    assert citation.normalize(once).text == once


@given(_CANONICAL)
def test_a_paragraph_takes_the_tier_of_the_longest_rule(text):
    rules = citation._rules()
    covering = [rule for rule in rules if text == rule or text.startswith(f"{rule}(")]
    if covering:
        assert citation.tier_of(text) == rules[max(covering, key=len)][0]


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_read_or_has_a_fault(texts):
    table = citation.normalize_column(texts)
    assert (table["citation"].notna() == table["fault"].isna()).all()
    assert (table["citation"].notna() == table["tier"].notna()).all()


def test_a_trigger_is_one_only_while_the_policy_stands():
    assert not citation.is_trigger("478.99(c)", date(2021, 7, 13))
    assert citation.is_trigger("478.99(c)", date(2021, 7, 14))
    assert not citation.is_trigger("478.99(c)", date(2025, 4, 7))
    assert not citation.is_trigger("478.21(a)", date(2022, 1, 1))


def test_every_rule_covers_itself_once():
    rules = citation.read_toml("legal/citations.toml")["rule"]
    listed = [text for rule in rules for text in rule["citations"]]
    assert len(listed) == len(set(listed))
    for rule in rules:
        for text in rule["citations"]:
            assert citation.tier_of(text) == rule["tier"]
