"""A backup taken from a running service comes back whole, or not at all."""

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ffl_risk
from features.warehouse import Warehouse
from serving.access.audit.writer import load_key, verify
from serving.errors import AuditError, DiskError, InvalidRequestError, StoreError
from serving.keeping.backup import back_up
from serving.keeping.restore import restore
from serving.settings import Settings
from serving.store.database import Store
from tests.test_serving.published_country import publish_country

PASSPHRASE = "four invented words here"


@pytest.fixture
def settings(service) -> Settings:
    """The state of a service that runs, with what other programs wrote beside its store."""
    home = service.runtime.settings.home
    assert service.post("/v1/rank", "chief", {"k": 3}).status_code == 200  # audited
    for name, content in (
        ("champion.json", '{"bundle": "000001"}'),
        ("champion/000001/manifest.json", "{}"),
        ("scored.json", '{"scored": "000002"}'),
        ("scored/000002/scored.parquet", "rows"),
        ("reports/judged.json", "[]"),
        ("scored.lock", ""),
        (".draft", "half"),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content)
    with closing(sqlite3.connect(home / "mlflow.db")) as registry, registry:
        registry.execute("CREATE TABLE runs (name TEXT)")
        registry.execute("INSERT INTO runs VALUES ('first')")
    return service.runtime.settings


@pytest.fixture
def kept(settings, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "first"
    back_up(settings, folder, PASSPHRASE)
    return folder


def empty_home(tmp_path_factory) -> Settings:
    home = tmp_path_factory.mktemp("target") / "home"
    return Settings(home, f"sqlite:///{home / 'service.db'}", home / "audit.key")


def test_it_comes_back_as_it_was(settings, service, kept, tmp_path_factory):
    target = empty_home(tmp_path_factory)
    done = restore(target, kept, PASSPHRASE)
    assert (target.home / "audit.key").read_bytes() == (settings.home / "audit.key").read_bytes()
    for name in ("champion.json", "scored/000002/scored.parquet", "reports/judged.json"):
        assert (target.home / name).read_bytes() == (settings.home / name).read_bytes()
    with closing(sqlite3.connect(target.home / "mlflow.db")) as registry:
        assert registry.execute("SELECT name FROM runs").fetchall() == [("first",)]
    assert not [
        one for one in target.home.rglob("*") if one.suffix == ".lock" or one.name[0] == "."
    ]
    store = Store.open(target.store_url)
    verdict = verify(store, load_key(target.audit_key_file))
    store.close()
    assert verdict.is_intact
    assert verdict.n_records == done.n_audit_records > 0


def test_only_its_owner_may_read_it_and_the_key_is_nowhere_in_it(settings, kept, tmp_path_factory):
    target = empty_home(tmp_path_factory)
    restore(target, kept, PASSPHRASE)
    for place in (kept, target.home):
        for path in (place, *place.rglob("*")):
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected, path
    key = settings.audit_key_file.read_bytes()
    for path in kept.rglob("*"):
        if path.is_file():
            assert key not in path.read_bytes()
            assert key.hex() not in path.read_text(errors="replace")


def files_of(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_one_flipped_byte_anywhere_is_refused(kept, tmp_path_factory):
    for name in files_of(kept):
        path = kept / name
        before = path.read_bytes()
        if not before:
            continue
        middle = len(before) // 2
        path.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
        target = empty_home(tmp_path_factory)
        with pytest.raises(InvalidRequestError, match="nothing was restored"):
            restore(target, kept, PASSPHRASE)
        assert list(target.home.parent.iterdir()) == [], name
        path.write_bytes(before)


def test_a_manifest_changed_to_fit_a_changed_file_is_refused(kept, tmp_path_factory):
    import hashlib

    name = "home/reports/judged.json"
    (kept / name).write_text("[1]")
    manifest = json.loads((kept / "manifest.json").read_text())
    manifest["files"][name]["sha256"] = hashlib.sha256(b"[1]").hexdigest()
    (kept / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InvalidRequestError, match="cannot be unsealed"):
        restore(empty_home(tmp_path_factory), kept, PASSPHRASE)


def test_another_passphrase_and_a_missing_file_are_refused(kept, tmp_path_factory):
    target = empty_home(tmp_path_factory)
    with pytest.raises(InvalidRequestError, match="cannot be unsealed"):
        restore(target, kept, PASSPHRASE + "x")
    (kept / "store.db").unlink()
    with pytest.raises(InvalidRequestError, match=r"damaged at store\.db"):
        restore(target, kept, PASSPHRASE)
    assert not target.home.exists()


def test_nothing_is_written_over(settings, kept, tmp_path_factory):
    target = empty_home(tmp_path_factory)
    target.home.mkdir()
    (target.home / "note").write_text("mine")
    with pytest.raises(InvalidRequestError, match="is there already"):
        restore(target, kept, PASSPHRASE)
    assert files_of(target.home) == ["note"]
    before = files_of(kept)
    with pytest.raises(InvalidRequestError, match="is not empty"):
        back_up(settings, kept, PASSPHRASE)
    assert files_of(kept) == before
    with pytest.raises(InvalidRequestError, match="in the state folder itself"):
        back_up(settings, settings.home / "kept", PASSPHRASE)


def test_store_and_key_outside_the_state_folder_go_back_there(settings, kept, tmp_path_factory):
    target = empty_home(tmp_path_factory)
    away = tmp_path_factory.mktemp("away")
    target = replace(target, store_url=f"sqlite:///{away / 's.db'}", audit_key_file=away / "k")
    restore(target, kept, PASSPHRASE)
    assert files_of(away) == ["k", "s.db"]
    assert "service.db" not in files_of(target.home)
    assert (away / "k").read_bytes() == settings.audit_key_file.read_bytes()


@pytest.mark.parametrize(
    ("change", "passphrase", "error", "says"),
    [
        ({"store_url": "postgresql://a:b@127.0.0.1:9/d"}, PASSPHRASE, StoreError, "opened"),
        ({"store_url": "mysql://a:b@c/d"}, PASSPHRASE, InvalidRequestError, "PostgreSQL"),
        ({}, "short", InvalidRequestError, "too short"),
        ({"audit_key_file": Path("nowhere.key")}, PASSPHRASE, AuditError, "key"),
    ],
)
def test_what_could_not_be_restored_is_not_begun(
    settings, tmp_path_factory, change, passphrase, error, says
):
    folder = tmp_path_factory.mktemp("kept") / "refused"
    with pytest.raises(error, match=says):
        back_up(replace(settings, **change), folder, passphrase)
    assert list(folder.parent.iterdir()) == []


def test_a_table_that_is_not_there_ends_the_backup(settings, tmp_path_factory):
    shutil.rmtree(settings.home / "scored" / "000002")
    folder = tmp_path_factory.mktemp("kept") / "refused"
    with pytest.raises(DiskError, match="which is not there"):
        back_up(settings, folder, PASSPHRASE)
    assert list(folder.parent.iterdir()) == []


@pytest.mark.slow
def test_a_list_issued_before_is_proved_after(tmp_path, monkeypatch):
    """By the commands themselves, on a warehouse, a champion and a published table."""
    from fastapi.testclient import TestClient

    from serving.runtime import Runtime
    from serving.server.app import build_app

    home, again = tmp_path / "home", tmp_path / "again"
    publish_country(home)
    (home / "files").rename(tmp_path / "files")
    warehouse = Warehouse.open(home / "warehouse")
    monkeypatch.setenv("FFL_RISK_HOME", str(home))
    running = Runtime.open(replace(Settings.from_environment(), refused_days=1_000_000))
    running.load()
    running.directory.add_account("chief", "supervisor", areas=["nation"])
    client = TestClient(build_app(running), base_url="http://localhost:3000")
    headers = {
        "Authorization": f"Bearer {running.directory.issue_token('chief')}",
        "Ffl-Risk-Purpose": "licensing",
    }
    answer = client.post("/v1/rank", json={"k": 3}, headers=headers)
    assert answer.status_code == 200, answer.text
    issued = answer.json()["list_id"]
    runner, typed = CliRunner(), f"{PASSPHRASE}\n"
    command = ["backup", str(tmp_path / "kept"), "--keep", "3"]
    done = runner.invoke(ffl_risk.app, command, input=typed)
    running.close()
    assert done.exit_code == 0, done.output
    assert "No older backup had to go" in done.output
    done = runner.invoke(ffl_risk.app, ["backup", "s3://kept/one", "--keep", "3"], input=typed)
    assert done.exit_code == 2, done.output
    shutil.rmtree(home)
    monkeypatch.setenv("FFL_RISK_HOME", str(again))
    done = runner.invoke(ffl_risk.app, ["restore", str(tmp_path / "kept")], input=typed)
    assert done.exit_code == 0, done.output
    for command in (["lists", "verify", issued], ["audit", "verify"]):
        done = runner.invoke(ffl_risk.app, command)
        assert done.exit_code == 0, done.output
    assert Warehouse.open(again / "warehouse").fingerprint == warehouse.fingerprint
