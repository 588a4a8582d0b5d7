"""A hold takes effect for those who asked before it, whatever they asked when."""

from dataclasses import replace
from datetime import date
from threading import RLock

import pytest

from serving.access.accounts import Principal
from serving.errors import NotReadyError
from serving.scores import holds
from serving.scores.snapshot import Snapshot

CHIEF = Principal("chief", "supervisor", frozenset({"nation"}), "local")


def place(runtime, dealer):
    holds.place(runtime.store, dealer, owners=["other"], starts_on=date(2025, 1, 1), ends_on=None)
    runtime.refresh_holds()


def test_who_asked_before_sees_a_new_hold_at_once(runtime):
    dealer = str(runtime.snapshot.columns["dealer"][0])
    assert runtime.scope(CHIEF).row(dealer) is not None

    place(runtime, dealer)

    assert runtime.scope(CHIEF).row(dealer) is None


def test_a_hold_that_comes_in_while_a_scope_is_worked_out_is_not_passed_over(runtime, monkeypatch):
    dealer = str(runtime.snapshot.columns["dealer"][0])
    plain = holds.hidden_from

    def meanwhile(who, known, days):
        monkeypatch.setattr(holds, "hidden_from", plain)
        hidden = plain(who, known, days)
        place(runtime, dealer)
        return hidden

    monkeypatch.setattr(holds, "hidden_from", meanwhile)
    runtime.scope(CHIEF)  # answered as of before the hold

    assert runtime.scope(CHIEF).row(dealer) is None


def test_those_who_own_a_hold_still_see_the_dealer(runtime):
    dealer = str(runtime.snapshot.columns["dealer"][0])
    other = Principal("other", "supervisor", frozenset({"nation"}), "local")
    assert runtime.scope(other).row(dealer) is not None

    place(runtime, dealer)

    assert runtime.scope(other).row(dealer) is not None
    assert runtime.scope(CHIEF).row(dealer) is None


def test_a_new_table_is_never_in_force_without_its_holds(runtime, monkeypatch):
    """Held dealers of a table that comes are hidden from its first moment on."""
    before = runtime.snapshot
    dealer = str(before.columns["dealer"][0])
    after = replace(before)
    hold = holds.Hold("H-new", dealer, date(2020, 1, 1), None, frozenset({"other"}))
    monkeypatch.setattr(Snapshot, "load", lambda _: after)
    monkeypatch.setattr(holds, "published", lambda _: [hold])
    seen = []

    def put(table):
        set_(table)
        hidden = [runtime.scope(who).row(dealer) is None for who in (CHIEF, other)]
        seen.append((runtime.snapshot is table, hidden))

    other = Principal("other", "supervisor", frozenset({"nation"}), "local")
    set_ = runtime._set

    def unreachable(_):
        raise NotReadyError("the store does not answer")

    with monkeypatch.context() as failing:
        failing.setattr(holds, "stored", unreachable)
        with pytest.raises(NotReadyError):
            runtime.load(with_heads=False)
        assert runtime.snapshot is before  # the table before stays, whatever is wrong
    monkeypatch.setattr(runtime, "_lock", RLock())  # so that it can be looked at while it is held
    monkeypatch.setattr(runtime, "_set", put)
    runtime.load(with_heads=False)
    assert seen == [(True, [True, False])]
