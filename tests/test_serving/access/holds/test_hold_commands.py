"""Placing and lifting a hold by command: who it is for, and what is on record."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from serving.commands.app import app as commands
from serving.scores import holds


@pytest.mark.parametrize(
    ("dealer", "owner", "wrong"),
    [
        ("1-99-99999", "chief", "1-99-99999"),
        ("{known}", "nobody", "nobody"),
        ("{known}", "off", "off"),
    ],
)
def test_a_hold_of_nobody_or_for_nobody_is_refused(
    service, runtime, monkeypatch, dealer, owner, wrong
):
    known = write_table(runtime)
    monkeypatch.setenv("FFL_RISK_HOME", str(runtime.settings.home))
    runtime.directory.add_account("off", "analyst")
    runtime.directory.set_active("off", False)
    typed = ["holds", "add", dealer.replace("{known}", known), "--owner", owner]
    done = CliRunner().invoke(commands, typed)
    assert done.exit_code != 0
    assert wrong in str(done.exception)
    assert holds.stored(runtime.store) == []


def test_placing_and_lifting_are_on_record_without_the_dealer(
    service, runtime, monkeypatch, audit_of
):
    known = write_table(runtime)
    monkeypatch.setenv("FFL_RISK_HOME", str(runtime.settings.home))
    placed = CliRunner().invoke(commands, ["holds", "add", known, "--owner", "chief"])
    assert placed.exit_code == 0, placed.output
    (hold,) = holds.stored(runtime.store)
    lifted = CliRunner().invoke(commands, ["holds", "lift", hold.hold_id])
    assert lifted.exit_code == 0
    records = audit_of(service)
    assert [r["action"] for r in records] == ["place_hold", "lift_hold"]
    assert all(r["subject"] == hold.hold_id and known not in str(r) for r in records)
    assert all(r["who"].startswith("operator:") for r in records)


def write_table(runtime):
    """Put the dealers of the running table on disk, as a published one has them."""
    folder = runtime.settings.home / "scored" / "000001"
    folder.mkdir(parents=True)
    runtime.snapshot.table.scored.to_parquet(folder / "scored.parquet")
    (runtime.settings.home / "scored.json").write_text('{"scored": "000001"}')
    return str(runtime.snapshot.columns["dealer"][0])
