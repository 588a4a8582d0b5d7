"""What gates could not say goes from the champion's record to whoever uses a list."""

import dataclasses
import json
from datetime import date

import pytest

from serving.lists.files.list_files import header
from serving.scores.champion import card_of, champion_entry, judged_of
from serving.statements import NOT_EVIDENCE, disclaimers, in_brief, in_short, old_records
from tests.test_serving.conftest import make_snapshot

JUDGED = {
    "n_gates": 19,
    "unsaid": [
        {"gate": "calibration", "head": "compliance"},
        {"gate": "calibration", "head": "diversion"},
        {"gate": "strictness", "head": "order"},
    ],
    "accepted": "a first list",
    "waived": [],
    "heads": ["compliance", "diversion"],
}
WAIVED = {"n_gates": 9, "unsaid": [], "accepted": None, "waived": ["compliance_head"],
          "heads": ["diversion"]}  # fmt: skip
SAID = "Not all was judged: 3 of 19 gates cannot say (whether its chances come true: compliance, "


def snapshot(judged: dict | None):
    made = make_snapshot(20)
    more = {} if judged is None else {"judged": judged}
    table = dataclasses.replace(made.table, manifest={**made.table.manifest, **more})
    return dataclasses.replace(made, table=table)


@pytest.mark.parametrize(
    ("judged", "words"),
    [(JUDGED, SAID), (WAIVED, "No compliance head: the order rests on diversion alone")],
)
def test_every_answer_says_it_once_and_the_shortest_papers_too(judged, words):
    found = snapshot(judged)
    said = found.disclaimers_on(found.records_to)
    for lines in (said, in_short(said), in_brief(said)):
        assert sum(line.startswith(words) for line in lines) == 1
        assert any(line.startswith("A score orders inspections.") for line in lines)
    stale = [old_records(date(2024, 1, 1), 400), *said]
    assert len(in_short(stale)) == 4


def test_of_a_bundle_of_before_nothing_is_said():
    found = snapshot(None)
    said = found.disclaimers_on(found.records_to)
    assert said[0] == NOT_EVIDENCE
    assert found.judged == ""
    assert in_short(said) == disclaimers("restricted")


def test_a_file_of_a_list_says_it(monkeypatch):
    found = snapshot(JUDGED)
    document = {
        "issued_at": "2026-01-02T03:04:05+00:00", "list_id": "1", "owner": "inspector",
        "area_in_words": "nation", "basis": found.basis, "rows": [], "license_types": None,
        "design": {"k": 0, "n_in_area": 0, "n_eligible": 0},
        "disclaimers": found.disclaimers_on(found.records_to),
    }  # fmt: skip
    assert sum(line.startswith(SAID) for line in header(document)) == 1


def test_the_record_is_that_of_the_bundle_asked_for(tmp_path):
    """A list of before a rollback was made by another bundle than the one in force."""
    record = {"bundle": "000003", "history": [{"bundle": "000001"},
              {"bundle": "000002", "judged": JUDGED}]}  # fmt: skip
    assert champion_entry(tmp_path, "000002") is None
    (tmp_path / "champion.json").write_text(json.dumps(record))
    assert judged_of(tmp_path, "000002") == JUDGED
    assert SAID in card_of(tmp_path, "000002", "# Card\n")
    assert card_of(tmp_path, "000001", "# Card\n") == "# Card\n"
    assert judged_of(tmp_path, "000009") is None
