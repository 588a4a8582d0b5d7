"""A hold takes effect for those who asked before it, whatever they asked when."""

from datetime import date

from serving.access.accounts import Principal
from serving.scores import holds

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
