"""A state folder of version 0.1.0, frozen, opens in this version with all that was kept in it.

``tests/golden/home-0.1.0.tar.xz`` was written by that version: 60 invented dealers, two issued
lists, decisions, outcomes, an event, a hold, accounts and the audit of it all.
"""

import json
import tarfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

import ffl_risk
from features.warehouse import Warehouse
from features.warehouse.integrity import check, require_intact
from serving.access.accounts import Directory, Principal
from serving.access.audit import writer as audit
from serving.errors import NotReadyError, StoreError
from serving.field.events import rescoring
from serving.field.outcomes import outcomes
from serving.lists import issued
from serving.lists.verification import verify
from serving.runtime import Runtime
from serving.scores import holds
from serving.scores.publish import publish
from serving.settings import Settings
from serving.store.database import HEAD_REVISION, Store
from serving.store.tables import DECISIONS
from tests.test_serving.published_country import write_champion

GOLDEN = Path(__file__).parents[3] / "golden"
FACTS: dict[str, Any] = json.loads((GOLDEN / "home-0.1.0.json").read_text())
# Not before the day on which the frozen store was written.
TODAY = max(datetime.now(UTC).date(), date(2026, 11, 28))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    with tarfile.open(GOLDEN / "home-0.1.0.tar.xz") as packed:
        # Python before 3.11.4 has no filter; later ones warn without one.
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        packed.extractall(tmp_path, **safe)  # noqa: S202 - our own file
    home = tmp_path / "home"
    return Settings(home, f"sqlite:///{home / 'service.db'}", home / "audit.key")


def chief(directory: Directory, store: Store) -> Principal:
    """Return who the frozen token stands for; its month is over by the time this runs."""
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE tokens SET expires_at = '2999-01-01T00:00:00.000000Z'"))
    return directory.principal_of_token(FACTS["chief"])


@pytest.fixture
def store(settings: Settings):
    opened = Store.open(settings.store_url)
    yield opened
    opened.close()


def test_the_store_is_brought_up_to_date_and_its_audit_holds(settings: Settings, store: Store):
    assert store.revision() == HEAD_REVISION
    key = audit.chain_key(store, settings.audit_key_file)
    before = audit.verify(store, key)
    assert not before.is_intact  # not yet sealed, and told so instead of as a loss
    assert "version 0.1" in before.why
    assert audit.open_chain(store, settings.audit_key_file) == key
    after = audit.verify(store, key)
    assert after.is_intact
    assert after.n_records == FACTS["n_audit"] + 1


def test_a_seal_that_was_taken_away_later_is_found_out(settings: Settings, store: Store):
    key = audit.open_chain(store, settings.audit_key_file)
    with store.write() as connection:
        connection.execute(sa.text("UPDATE audit_head SET signature = NULL"))
    verdict = audit.verify(store, key)
    assert not verdict.is_intact
    assert "taken away" in verdict.why


def test_people_tokens_decisions_and_holds_are_there(store: Store):
    who = chief(Directory(store), store)
    assert (who.name, who.role) == ("chief", "supervisor")
    with store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(DECISIONS)) == 2
    assert [hold.dealer for hold in holds.stored(store)] == [FACTS["hold"]]


def test_every_list_is_as_issued_and_a_rebuilding_says_why_it_cannot_be(
    settings: Settings, store: Store
):
    assert {one["list_id"] for one in issued.lists_of(store)} == set(FACTS["lists"])
    for list_id, dealers in FACTS["lists"].items():
        document = json.loads(issued.stored_bytes(store, list_id))
        assert [row["dealer"] for row in document["rows"]] == dealers
        found = verify(store, list_id, home=settings.home, warehouse=settings.home / "warehouse")
        assert found.checks["stored bytes are those issued"]
        assert not found.is_same
        assert any("written by another version" in name for name in found.checks)
    with store.write() as connection:
        connection.execute(sa.text("UPDATE lists SET document = x'7b7d'"))
    again = verify(store, list_id, home=settings.home, warehouse=settings.home / "warehouse")
    assert not again.checks["stored bytes are those issued"]


def test_the_warehouse_is_whole_and_takes_in_what_waited(settings: Settings, store: Store):
    folder = settings.home / "warehouse"
    require_intact(check(folder))
    rows = {n: t["rows"] for n, t in Warehouse.open(folder).manifest["tables"].items()}
    assert outcomes.collect(store, folder, today=TODAY) == 1
    # 0.1.0 had taken its event in already, and a second time changes nothing.
    assert [event.table for event in rescoring.collect_events(store, folder)] == ["traces"]
    warehouse = Warehouse.open(folder)
    after = {n: t["rows"] for n, t in warehouse.manifest["tables"].items()}
    assert after["inspections"] == rows["inspections"] + 1
    assert after["traces"] == rows["traces"]
    kept = warehouse.read("inspections").to_pandas().set_index("inspection_id").loc["NEW-1"]
    assert (kept["dealer"], kept["outcome"]) == (FACTS["outcome"], "warning_conference")
    traces = warehouse.read("traces").to_pandas().set_index("trace_id")
    assert traces.loc["NEW1", "dealer"] == FACTS["event"]


def test_what_has_to_be_made_anew_is_said_in_one_line_each(settings: Settings):
    runtime = Runtime.open(settings)
    with pytest.raises(NotReadyError, match="written by another version"):
        runtime.load()
    runtime.close()
    warehouse = Warehouse.open(settings.home / "warehouse")
    with pytest.raises(NotReadyError, match="signals that are not built here") as refused:
        publish(warehouse, date(2026, 1, 6), home=settings.home)
    assert "traces_unserialized_share_3y" in refused.value.found
    assert "ffl-risk train" in str(refused.value)
    assert [p.name for p in (settings.home / "scored").iterdir() if p.is_dir()] == ["000001"]


def test_after_training_anew_the_service_answers_and_honors_what_was_kept(settings: Settings):
    warehouse = Warehouse.open(settings.home / "warehouse")
    (settings.home / "champion/000001").rename(settings.home / "champion/000000")
    write_champion(settings.home, warehouse)
    publish(warehouse, date(2026, 1, 6), home=settings.home)
    runtime = Runtime.open(settings)
    runtime.load()
    scope = runtime.scope(chief(runtime.directory, runtime.store))
    assert scope.row(FACTS["hold"]) is None
    row = scope.row(FACTS["outcome"])
    assert str(scope.view.snapshot.columns["eligible_on"][row])[:10] == "2027-02-10"
    runtime.close()


def test_a_store_of_a_later_version_is_refused(settings: Settings, store: Store):
    """So would 0.1.0 refuse this one: going back is restoring the backup."""
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="later version"):
        Store.open(settings.store_url)


def test_the_command_says_that_the_chain_is_to_be_sealed(settings: Settings, monkeypatch):
    monkeypatch.setenv("FFL_RISK_HOME", str(settings.home))
    done = CliRunner().invoke(ffl_risk.app, ["audit", "verify"])
    assert done.exit_code == 5
    assert "first opens it" in " ".join(done.output.split())
