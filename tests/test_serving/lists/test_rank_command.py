"""A list of the command line is the list that the service makes, or none where it makes none."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta

import pytest
import typer
from typer.testing import CliRunner

from serving.access.accounts import Principal
from serving.commands import operator
from serving.commands.app import app
from serving.contract.answers import RankRequest
from serving.errors import InvalidRequestError, StaleTableError
from serving.scores import snapshot as snapshots

OPTIONS = {
    "recalls": "with_recalls", "coverage": "n_coverage", "types": "license_types",
    "random_share": "random_share",
}  # fmt: skip


@pytest.fixture
def rank(service, monkeypatch):
    @contextmanager
    def running():
        yield (
            service.runtime,
            Principal("operator", "supervisor", frozenset({"nation"}), "local"),
        )

    monkeypatch.setattr(operator, "_running", running)
    return lambda *words: CliRunner().invoke(app, ["rank", *words])


def members(document):
    return [(row["dealer"], row["why"]) for row in document["rows"]]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((), {}),
        (("--no-recalls",), {"with_recalls": False}),
        (
            ("--coverage", "5", "--type", "01", "--type", "02", "--random-share", "0"),
            {"n_coverage": 5, "license_types": ["01", "02"], "random_share": 0},
        ),
    ],
)
def test_the_same_request_makes_the_same_list(service, rank, words, asked):
    printed = rank("--k", "60", "--json", *words)
    assert printed.exit_code == 0, printed.exception
    served = service.post("/v1/rank", "chief", {"k": 60, **asked}).json()
    assert members(json.loads(printed.stdout)) == members(served)
    whys = {why for _, reasons in members(served) for why in reasons}
    assert ("recall" in whys) == asked.get("with_recalls", True)


def test_the_defaults_are_those_of_a_request():
    command = typer.main.get_command(app).commands["rank"]
    defaults = {p.name: p.default for p in command.params}
    asked = RankRequest()
    for option, field in OPTIONS.items():
        assert (defaults[option] or 0) == (getattr(asked, field) or 0), option


def test_records_too_old_for_the_service_make_no_list_here(service, rank, monkeypatch):
    table = service.runtime.snapshot
    after = table.records_to + timedelta(days=table.ages.refused_days + 1)
    monkeypatch.setattr(snapshots.clock, "today", lambda: after)
    refused = rank("--k", "2")
    assert isinstance(refused.exception, StaleTableError)
    assert refused.stdout == ""


def test_what_a_request_may_not_say_is_refused_in_words(rank):
    refused = rank("--type", "99")
    assert isinstance(refused.exception, InvalidRequestError)
    assert "license_types" in str(refused.exception)


def test_the_twelve_months_are_those_before_the_table(service, rank):
    printed = " ".join(rank("--k", "2").stdout.split())
    day = service.runtime.snapshot.as_of
    assert f"by these records, in the twelve months before {day}" in printed
    assert "last twelve months" not in printed
