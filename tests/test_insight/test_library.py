"""The case library: facts in front that hold, a search by words and signals, no names."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.errors import InvalidValueError
from features.insight.library import library, search
from features.reference.destinations import destination_names
from features.reference.weapons import class_names
from features.signals.registry import SIGNALS


def test_what_a_study_names_exists() -> None:
    known = {signal.name for signal in SIGNALS}
    assert len(library()) >= 3
    for case in library():
        assert set(case.signals) <= known, case.name
        assert set(case.destinations) <= set(destination_names())
        assert set(case.classes) <= set(class_names())
        for part in ("What was seen", "Where the chain was open", "What would have shown it"):
            assert part in case.text
        assert case.source


def test_a_search_holds_every_word_and_puts_shared_signals_first() -> None:
    assert [c.name for c in search("RIFLES months")] == ["one_buyer_many_rifles"]
    assert search("no such word") == ()
    first = search("", ("traces_over_expected_3y",))[0]
    assert first.name == "half_of_a_city"
    assert len(search("")) == len(library())


def test_a_study_without_facts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# no facts")
    with pytest.raises(InvalidValueError, match=r"a\.md has no facts"):
        library(tmp_path)
    (tmp_path / "a.md").write_text("+++\ntitle = 'x'\n+++\ntext")
    with pytest.raises(InvalidValueError, match="pattern"):
        library.__wrapped__(tmp_path)
