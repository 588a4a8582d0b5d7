"""The store: migrations up and down, an accurate schema, waiting writers."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from serving.errors import StoreError
from serving.store.database import HEAD_REVISION, Store
from serving.store.tables import ACCOUNTS, METADATA


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(f"sqlite:///{tmp_path / 'service.db'}")


def test_opening_creates_the_tables_and_keeps_the_file_private(store: Store, tmp_path: Path):
    assert store.revision() == HEAD_REVISION
    assert (tmp_path / "service.db").stat().st_mode & 0o077 == 0


def test_migrations_lead_to_the_declared_tables_and_back(store: Store):
    with store.engine.connect() as connection:
        difference = compare_metadata(MigrationContext.configure(connection), METADATA)
    assert difference == []
    store.downgrade("base")
    with store.engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    store.upgrade()
    assert store.revision() == HEAD_REVISION


def test_concurrent_writers_wait_for_each_other(store: Store):
    def add(number: int) -> None:
        row = {"name": f"n{number}", "role": "admin", "areas": [], "is_active": True}
        with store.write() as connection:
            connection.execute(ACCOUNTS.insert(), row | {"created_at": "now"})

    threads = [threading.Thread(target=add, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(ACCOUNTS)) == 16


def test_an_error_within_a_transaction_undoes_it(store: Store):
    row = {"name": "x", "role": "admin", "areas": [], "is_active": True, "created_at": "now"}

    def fail_midway() -> None:
        with store.write() as connection:
            connection.execute(ACCOUNTS.insert(), row)
            raise KeyError

    with pytest.raises(KeyError):
        fail_midway()
    with store.read() as connection:
        assert connection.execute(sa.select(ACCOUNTS)).first() is None


def test_a_store_that_cannot_be_opened_says_so_without_its_url(tmp_path: Path):
    (tmp_path / "taken").write_text("not a folder")
    url = f"sqlite:///{tmp_path / 'taken' / 'service.db'}"
    with pytest.raises(StoreError) as caught:
        Store.open(url)
    assert "taken" not in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "level"), [("", 1), ("?synchronous=FULL", 2), ("?synchronous=extra", 3)]
)
def test_a_sqlite_store_writes_as_its_url_asks(tmp_path: Path, asked: str, level: int):
    store = Store.open(f"sqlite:///{tmp_path / 'service.db'}{asked}")
    with store.read() as connection:
        assert connection.scalar(sa.text("PRAGMA synchronous")) == level
    # What would wait for the disk is left to the thread that may wait.
    direct = store.direct_connection()
    assert (direct is not None) == (level == 1)
    if direct is not None:
        direct.close()
    store.close()


def test_a_way_of_writing_that_there_is_not_is_refused(tmp_path: Path):
    with pytest.raises(StoreError, match="way of writing"):
        Store.open(f"sqlite:///{tmp_path / 'service.db'}?synchronous=never")
