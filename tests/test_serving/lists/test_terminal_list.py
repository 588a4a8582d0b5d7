"""A list on the terminal says which rows are not there for their priority."""

from io import StringIO

import pytest
from rich.console import Console

from serving.commands import printing
from serving.commands.printing import print_list
from serving.lists.files import list_files


def test_a_terminal_says_which_rows_are_not_there_for_their_priority(service, capsys):
    document = service.post("/v1/rank", "chief", {"k": 30, "random_share": 0.4}).json()
    n_drawn = sum(row["why"][0] == "random" for row in document["rows"])
    assert n_drawn > 0
    print_list(document, as_json=False, as_csv=False)
    printed = capsys.readouterr().out
    assert printed.count("here because it was drawn at random") == n_drawn
    seen = [row for row in document["rows"] if row["last_inspected_on"]]
    assert 0 < len(seen) < len(document["rows"])
    for row in seen:
        day = row["last_inspected_on"]
        assert f"last compliance or recall inspection opened {day}" in printed
        facts = list_files._block(row)["facts"]
        assert f"Last compliance or recall inspection, opened {day}: " in facts
    assert printed.count("last compliance or recall inspection opened") == len(seen)


def test_a_terminal_says_each_thing_once(service, capsys):
    document = service.post("/v1/rank", "chief", {"k": 3}).json()
    again = ["A score is not evidence. It orders inspections; it shows no violation.", "Else."]
    document["disclaimers"] = [*document["disclaimers"], *again, "Else."]
    print_list(document, as_json=False, as_csv=False)
    printed = capsys.readouterr().out
    assert (printed.count("orders inspections"), printed.count("Else.")) == (1, 1)


def test_what_the_next_command_is_given_is_printed_whole(monkeypatch):
    """A narrow terminal, or a pipe, cut the number of a list short."""
    out = StringIO()
    monkeypatch.setattr(printing, "OUT", Console(file=out, width=80))
    row = {
        "list_id": "L-20261128-b57cadcb0026", "issued_at": "2026-11-28T00:29:06.549760Z",
        "owner": "schedule:787040", "as_of": "2026-11-28", "bundle": "ffl-risk-country",
    }  # fmt: skip
    printing.print_rows("Issued lists", [row], as_json=False)
    assert row["list_id"] in out.getvalue()
    assert "…" not in out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_every_value_is_printed_whole_however_narrow_the_terminal_is(width, monkeypatch):
    out = StringIO()
    monkeypatch.setattr(printing, "OUT", Console(file=out, width=width))
    rows = [
        {"measure": "Share of severe findings among visits drawn at random", "value": f"3.{i}%",
         "target": "5.0%", "verdict": "not met", "against the target": "below_by_chance",
         "against the year before": "lower than the year before", "said": None}
        for i in range(3)
    ]  # fmt: skip
    printing.print_rows("Measures of 2024", rows, as_json=False)
    printed = out.getvalue()
    for row in rows:
        for value in filter(None, row.values()):
            assert all(word in printed for word in value.split())
    assert all(printed.count(row["value"]) == 1 for row in rows)
