"""The accessibility notes say what the tests show, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.browser import conformance

ROOT = Path(__file__).resolve().parents[2]


def test_the_notes_are_those_of_the_tests():
    written = (ROOT / "docs" / "service" / "accessibility.md").read_text(encoding="utf-8")
    assert written == conformance.notes()


def test_every_test_of_access_shows_a_criterion():
    shown = {test for one in conformance.CRITERIA for test in one.tests}
    of_access = {t for t, file in conformance.known_tests().items() if file == "test_access.py"}
    assert of_access <= shown


def test_no_criterion_is_left_without_a_verdict_and_none_stands_twice():
    numbers = [one.number for one in conformance.CRITERIA]
    assert len(set(numbers)) == len(numbers) == 55
    assert all(one.tests or not one.applies for one in conformance.CRITERIA)
    assert all(set(on) <= set(numbers) for _, _, on, _ in conformance.PERFORMANCE)
