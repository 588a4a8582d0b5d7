"""The store and the accounts, opened for a command and closed after it; nothing else is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.access.accounts import Directory
from serving.settings import Settings
from serving.store.database import Store


@contextmanager
def store() -> Iterator[Store]:
    """Open the store of the settings."""
    opened = Store.open(Settings.from_environment().store_url)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def directory() -> Iterator[Directory]:
    """Open the accounts."""
    with store() as opened:
        yield Directory(opened)
