"""A backup comes back into an empty database."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.access.audit.writer import Ledger, verify
from serving.field.events import events
from serving.settings import Settings
from serving.store.database import Store
from serving.store.tables import METADATA
from tests.test_serving.keeping.store.test_postgresql import ACCESS, TIP, Server, server, url  # noqa: F401

pytestmark = [pytest.mark.postgresql, pytest.mark.xdist_group("postgresql")]


def test_a_backup_comes_back_into_an_empty_database(url: str, server: Server, tmp_path: Path):  # noqa: F811
    """Rows, numbers, the chain and what counts on: all as it was, by any store's backup."""
    from serving.access.accounts import Directory
    from serving.access.audit.writer import load_key, open_chain
    from serving.errors import InvalidRequestError
    from serving.keeping.backup import back_up
    from serving.keeping.restore import restore

    settings = Settings(tmp_path / "first", url, tmp_path / "first/audit.key")
    settings.home.mkdir()
    store = Store.open(url)
    key = open_chain(store, settings.audit_key_file)
    ledger = Ledger(key, ACCESS)
    Directory(store, ledger).add_account("chief", "supervisor", areas=["nation"])
    assert len(events.keep(store, "tips", [TIP], ledger=ledger).ids) == 1
    before = contents(store)
    back_up(settings, tmp_path / "kept", "four invented words here")
    with pytest.raises(InvalidRequestError, match="not empty"):
        restore(
            settings_of(tmp_path / "second", url), tmp_path / "kept", "four invented words here"
        )
    admin = sa.create_engine(
        server.url("postgres").replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.execute(sa.text("CREATE DATABASE put_back"))
    admin.dispose()
    target = settings_of(tmp_path / "second", server.url("put_back"))
    restore(target, tmp_path / "kept", "four invented words here")
    again = Store.open(target.store_url)
    try:
        assert contents(again) == before
        assert verify(again, load_key(target.audit_key_file)).is_intact
        assert not list(target.home.glob("*.to.load*")) + list(target.home.glob(".*.to.load*"))
        # Numbers go on after those that were put back.
        told = events.keep(again, "tips", [TIP | {"tip_id": "T2"}], ledger=ledger)
        assert (len(told.ids), told.n_known) == (1, 0)
        assert verify(again, load_key(target.audit_key_file)).is_intact
    finally:
        again.close()
        store.close()


def settings_of(home: Path, url: str) -> Settings:  # noqa: F811
    return Settings(home, url, home / "audit.key")


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.read() as connection:
        return {
            t.name: sorted((tuple(r) for r in connection.execute(sa.select(t))), key=repr)
            for t in METADATA.sorted_tables
        }
