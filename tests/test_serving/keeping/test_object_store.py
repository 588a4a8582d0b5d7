"""Exports read from, and backups kept in, an object store: a server of its protocol in process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ffl_risk
from features.object_store import ObjectStoreError, fetch, is_vacant, put
from features.warehouse import Warehouse
from serving.access.audit.writer import load_key, verify
from serving.errors import InvalidRequestError
from serving.keeping.object_store_backup import back_up_to, restore_from
from serving.settings import Settings
from serving.store.database import Store
from tests.test_serving.keeping.test_inbox import INSPECTIONS, VIOLATIONS

SCORED = "home/scored/000002/scored.parquet"
PASSPHRASE = "four invented words here"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    made = Settings(home, f"sqlite:///{home / 'service.db'}", home / "audit.key")
    (home / "scored/000002").mkdir(parents=True)
    (home / "scored/000002/scored.parquet").write_text("rows")
    store = Store.open(made.store_url)
    from serving.access.audit.writer import open_chain

    open_chain(store, made.audit_key_file)
    store.close()
    return made


def keys(bucket: Any) -> list[str]:
    return sorted(one.key for one in bucket.objects.all())


def test_exports_are_ingested_from_it(bucket: Any, tmp_path: Path):
    bucket.put_object(Key="exports/2025/inspections.csv", Body=INSPECTIONS.encode())
    bucket.put_object(Key="exports/2025/", Body=b"")
    bucket.put_object(Key="violations.csv", Body=VIOLATIONS.encode())
    words = ["ingest", "s3://records/exports", "s3://records/violations.csv"]
    done = CliRunner().invoke(ffl_risk.app, [*words, "--warehouse", str(tmp_path / "warehouse")])
    assert done.exit_code == 0, done.output
    warehouse = Warehouse.open(tmp_path / "warehouse")
    assert warehouse.read("inspections").num_rows == 2
    assert warehouse.read("violations").num_rows == 2
    assert not [p for p in tmp_path.rglob("*") if "fetched" in p.parts]


def test_a_backup_is_kept_there_and_comes_back_unless_a_byte_was_changed(
    bucket: Any, settings: Settings, tmp_path: Path
):
    done = back_up_to(settings, "s3://records/backups/monday", PASSPHRASE)
    kept = keys(bucket)
    assert "backups/monday/manifest.json" in kept
    assert f"backups/monday/{SCORED}" in kept
    assert done.n_files == len(kept) - 2  # beside the manifest and the sealed key
    key = load_key(settings.audit_key_file)
    assert not [k for k in kept if key in bucket.Object(k).get()["Body"].read()]
    home = tmp_path / "other"
    target = Settings(home, f"sqlite:///{home / 'service.db'}", home / "audit.key")
    restore_from(target, "s3://records/backups/monday", PASSPHRASE)
    assert (home / "scored/000002/scored.parquet").read_text() == "rows"
    store = Store.open(target.store_url)
    assert verify(store, load_key(target.audit_key_file)).is_intact
    store.close()
    with pytest.raises(InvalidRequestError, match="already"):
        back_up_to(settings, "s3://records/backups/monday", PASSPHRASE)
    bucket.put_object(Key=f"backups/monday/{SCORED}", Body=b"rowz")  # a byte is another
    home = tmp_path / "third"
    target = Settings(home, f"sqlite:///{home / 'service.db'}", home / "audit.key")
    with pytest.raises(InvalidRequestError, match="damaged"):
        restore_from(target, "s3://records/backups/monday", PASSPHRASE)
    assert not home.exists()


def test_one_that_broke_off_is_no_backup_and_is_removed(bucket: Any, tmp_path: Path, monkeypatch):
    folder = tmp_path / "folder"
    (folder / "z").mkdir(parents=True)
    for name in ("a", "m", "z/b"):
        (folder / name).write_text(name)
    import s3fs

    real, put_there = s3fs.S3FileSystem.put_file, []

    def fails_third(self: Any, source: str, target: str, **_: Any) -> None:
        put_there.append(target)
        if len(put_there) == 3:
            raise PermissionError("Access Denied")
        real(self, source, target)

    monkeypatch.setattr(s3fs.S3FileSystem, "put_file", fails_third)
    with pytest.raises(ObjectStoreError, match="refused s3://records/b"):
        put(folder, "s3://records/b", last="a")
    assert put_there == ["records/b/m", "records/b/z/b", "records/b/a"]
    assert keys(bucket) == []
    assert is_vacant("s3://records/b")


@pytest.mark.parametrize("address", ["s3://no-such-bucket/x", "s3://records/none"])
def test_what_is_not_there_is_said_in_one_line(bucket: Any, address: str, tmp_path: Path):
    with pytest.raises(ObjectStoreError, match=address):
        fetch(address, tmp_path)
    words = ["ingest", address, "--warehouse", str(tmp_path / "warehouse")]
    done = CliRunner().invoke(ffl_risk.app, words)
    assert isinstance(done.exception, ObjectStoreError)
    assert not (tmp_path / "warehouse/manifest.json").exists()


def test_a_bucket_that_refuses_writes_and_a_store_that_is_not_there(
    bucket: Any, settings: Settings, monkeypatch
):
    with pytest.raises(ObjectStoreError, match="refused"):
        back_up_to(settings, "s3://no-such-bucket/x", PASSPHRASE)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(ObjectStoreError, match="refused"):
        back_up_to(settings, "s3://records/x", PASSPHRASE)
