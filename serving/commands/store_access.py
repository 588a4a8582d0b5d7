"""The store and the accounts, opened for a command and closed after it; nothing else is loaded."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from serving.access.accounts import Directory
from serving.access.audit import writer as audit
from serving.access.audit.witness import Witness
from serving.access.audit.writer import Ledger
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
def recorded() -> Iterator[tuple[Store, Ledger]]:
    """Open the store with what records the operator's writes."""
    settings = Settings.from_environment()
    with store() as opened:
        key = audit.open_chain(opened, settings.audit_key_file)
        yield opened, Ledger(key, audit.Access(operator_name(), "operator", "", ""))
        head = audit.head_of(opened)
        witness = Witness(settings.audit_heads)
        witness.note(*head)
        witness.close()


def operator_name() -> str:
    """Return what the audit calls whoever types the commands."""
    return f"operator:{getpass.getuser()}"[:80]


@contextmanager
def directory() -> Iterator[Directory]:
    """Open the accounts; every change is recorded."""
    with recorded() as (opened, ledger):
        yield Directory(opened, ledger)
