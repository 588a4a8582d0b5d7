"""Accounts, passwords, tokens and sessions."""

import unicodedata
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from serving import clock
from serving.access import accounts
from serving.access.accounts import Principal
from serving.access.passwords import Attempts
from serving.access.people import inspectors_of, not_known
from serving.commands.administration.admin import users_app
from serving.errors import InvalidRequestError, RateLimitError, UnauthenticatedError
from serving.store.tables import TOKENS
from tests.test_serving.server.test_clock_set_back import Hands


def test_tokens_are_stored_as_hashes_only(service):
    token = service.tokens["analyst"]
    with service.runtime.store.read() as connection:
        dump = str([tuple(row) for row in connection.execute(sa.select(TOKENS))])
    assert token.split("_", 2)[2] not in dump
    assert token.split("_")[1] in dump


def test_a_revoked_token_and_a_disabled_account_stop_working(service, monkeypatch):
    monkeypatch.setattr(accounts, "CACHE_SECONDS", 0.0)
    directory = service.runtime.directory
    for stop in (
        lambda: directory.revoke_token(service.tokens["analyst"].split("_")[1]),
        lambda: directory.set_active("scheduler", False),
    ):
        stop()
    for role in ("analyst", "scheduler"):
        answer = service.post("/v1/score", role, {"dealers": ["x"]})
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "stop",
    [
        lambda d, token: d.revoke_token(token.split("_")[1]),
        lambda d, _: d.set_active("analyst", False),
        lambda d, _: d.set_role("analyst", "partner"),
        lambda d, _: d.set_areas("analyst", ["nation"]),
        lambda d, _: d.set_password("analyst", "another long password"),
        lambda d, _: d.end_sessions("analyst"),
    ],
    ids=["revoke", "disable", "role", "areas", "password", "end"],
)
def test_sessions_end_at_once_with_what_they_rest_on(service, stop):
    directory = service.runtime.directory
    token = service.tokens["analyst"]
    who = directory.principal_of_token(token)
    cookies = [directory.start_session(who, "licensing", hours=1) for _ in range(2)]
    other = directory.start_session(
        directory.principal_of_token(service.tokens["chief"]), "licensing", hours=1
    )
    assert directory.principal_of_session(cookies[0]).role == "analyst"
    stop(directory, token)
    for cookie in cookies:
        with pytest.raises(UnauthenticatedError, match="session is over"):
            directory.principal_of_session(cookie)
    assert directory.principal_of_session(other).name == "chief"


@pytest.fixture
def hands(monkeypatch):
    """A clock under the service's that goes on when it is told to."""
    made = Hands(datetime.now(UTC))
    monkeypatch.setattr(clock, "_clock", clock.Clock(made.wall, made.steady))
    return made


def test_a_session_ends_with_the_token_it_was_opened_with(hands, service):
    directory = service.runtime.directory
    token = directory.issue_token("analyst", days=1)
    who = directory.principal_of_token(token)
    cookie = directory.start_session(who, "licensing", hours=48)
    hands.go_on(hours=23)
    assert directory.principal_of_session(cookie).name == "analyst"
    hands.go_on(hours=1)
    with pytest.raises(UnauthenticatedError):
        directory.principal_of_session(cookie)


def test_changes_of_accounts_are_on_record(service, audit_of):
    from serving.access.audit.writer import Access, Ledger

    ledger = Ledger(service.runtime.audit_key, Access("operator:x", "operator", "", ""))
    directory = accounts.Directory(service.runtime.store, ledger)
    directory.add_account("paula", "inspector", areas=["office:1"])
    directory.set_role("paula", "supervisor", areas=["nation"])
    directory.set_areas("paula", ["division:x"])
    directory.set_password("paula", "correct horse battery")
    token = directory.issue_token("paula")
    directory.revoke_token(token.split("_")[1])
    directory.end_sessions("paula")
    directory.set_active("paula", False)
    assert [(r["action"], r["subject"].split(" ")[-1]) for r in audit_of(service)] == [
        ("add_account", "office:1"),
        ("set_role", "nation"),
        ("set_areas", "division:x"),
        ("set_password", "paula"),
        ("issue_token", "paula"),
        ("revoke_token", token.split("_")[1]),
        ("end_sessions", "0"),
        ("disable_account", "paula"),
    ]
    assert "correct horse" not in str(audit_of(service))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.set_role("nobody", "analyst"),
        lambda d: d.set_role("analyst", "inspector"),
        lambda d: d.set_role("analyst", "emperor"),
        lambda d: d.set_areas("inspector", []),
        lambda d: d.set_areas("nobody", ["nation"]),
        lambda d: d.set_password("analyst", "short"),
        lambda d: d.set_password("nobody", "correct horse battery"),
    ],
)
def test_changes_that_make_no_sense_change_nothing(service, change):
    before = service.runtime.directory.accounts()
    with pytest.raises(InvalidRequestError):
        change(service.runtime.directory)
    assert service.runtime.directory.accounts() == before


def test_wrong_passwords_slow_the_guesser_and_nobody_else():
    now = [0.0]
    attempts = Attempts(clock=lambda: now[0])
    for _ in range(5):
        assert attempts.wait_of("here", "maria") == 0.0
        attempts.failed("here", "maria")
    waits = []
    for _ in range(8):
        waits.append(attempts.wait_of("here", "maria"))
        attempts.failed("here", "maria")
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.25, 4.0)
    assert attempts.wait_of("elsewhere", "maria") == 0.0
    assert attempts.wait_of("here", "paula") == 0.0
    now[0] += 301.0
    assert attempts.wait_of("here", "maria") == 0.0
    attempts.failed("here", "maria")
    attempts.succeeded("here", "maria")
    assert attempts.wait_of("here", "maria") == 0.0


def test_one_source_has_a_bounded_number_of_attempts_under_way():
    attempts = Attempts()
    with ExitStack() as held:
        for _ in range(8):
            held.enter_context(attempts.one_of("here"))
        with pytest.raises(RateLimitError), attempts.one_of("here"):
            pass
        held.enter_context(attempts.one_of("elsewhere"))
    with attempts.one_of("here"):
        pass


def test_an_expired_token_is_refused_even_when_remembered(hands, service):
    token = service.runtime.directory.issue_token("analyst", days=1)
    service.tokens["analyst"] = token
    assert service.post("/v1/score", "analyst", {"dealers": ["x"]}).status_code == 200
    hands.go_on(days=1)
    assert service.post("/v1/score", "analyst", {"dealers": ["x"]}).status_code == 401


@pytest.mark.parametrize(
    "token", ["ffl_", "ffl_000000000000_" + "a" * 43, "ffl_x_y", "é", "a" * 9000, "ffl_' OR 1=1"]
)
def test_wrong_tokens_are_all_refused_alike(service, token):
    with pytest.raises(UnauthenticatedError) as caught:
        service.runtime.directory.principal_of_token(token)
    assert caught.value.what == "The token is not accepted."


@pytest.mark.parametrize(
    ("name", "role", "areas"),
    [
        ("x", "analyst", []),
        ("Bad Name", "analyst", []),
        ("maria", "chief", []),
        ("maria", "inspector", []),
        ("maria", "inspector", ["division:x"]),
        ("maria", "supervisor", []),
        ("maria", "supervisor", ["galaxy"]),
    ],
)
def test_accounts_that_make_no_sense_are_refused(name, role, areas):
    with pytest.raises(InvalidRequestError):
        accounts.check_account(name, role, areas)


@pytest.mark.parametrize(
    "office",
    ["Bureau régional d'Île-de-France / Côté: Ouest", "München: Ämter 1/2", "100% «Łódź»; Süd"],
)
def test_an_office_is_an_area_by_whatever_name_the_agency_has_for_it(service, office):
    directory = service.runtime.directory
    typed = f" office: {unicodedata.normalize('NFD', office)} "  # as some keyboards and files do
    directory.add_account("anne", "inspector", areas=[typed])
    token = directory.issue_token("anne")
    assert directory.principal_of_token(token).offices == {office}
    directory.set_areas("anne", [typed, f"office:{office}"])
    (anne,) = (row for row in directory.accounts() if row["name"] == "anne")
    assert anne["areas"] == [f"office:{office}"]


def test_passwords_are_argon2_and_wrong_ones_are_refused(service):
    directory = service.runtime.directory
    with pytest.raises(InvalidRequestError):
        directory.add_account("short", "analyst", password="short")
    directory.add_account("paula", "analyst", password="correct horse battery")
    assert directory.sign_in("paula", "correct horse battery").name == "paula"
    for name, password in (("paula", "wrong horse battery"), ("nobody", "correct horse battery")):
        with pytest.raises(UnauthenticatedError, match="name or the password"):
            directory.sign_in(name, password)
    with pytest.raises(UnauthenticatedError):
        directory.sign_in("analyst", "")  # an account without a password has none to guess


def test_a_refused_sign_in_is_told_by_its_account_and_never_by_what_was_typed(service, caplog):
    directory = service.runtime.directory
    directory.add_account("paula", "inspector", areas=["office:1"])
    directory.set_password("paula", "correct horse battery")
    directory.sign_in("paula", "correct horse battery")
    assert caplog.messages == []
    for name, typed in (("paula", "correct horse"), ("correct horse battery", "paula")):
        with pytest.raises(UnauthenticatedError):
            directory.sign_in(name, typed)
    directory.set_active("paula", False)
    with pytest.raises(UnauthenticatedError):
        directory.sign_in("paula", "correct horse battery")
    refused = "a sign-in was refused: "
    assert caplog.messages == [
        refused + "paula", refused + "no account of that name", refused + "paula",
    ]  # fmt: skip


def test_work_is_handed_to_nobody_whom_the_operator_locked_out(service):
    """A sign-out ends a session; that an operator ended it says more, until the next sign-in."""
    store, directory = service.runtime.store, service.runtime.directory
    maria = Principal("oidc:maria", "inspector", frozenset({"office:office0"}), via="oidc")

    def known():
        handed = not_known(store, [maria.name], ("inspector",)) == []
        return handed, maria.name in inspectors_of(store, ["office0"])

    for end in (
        lambda _: directory.end_sessions(maria.name),
        lambda cookie: directory.end_session(cookie) or directory.end_sessions(maria.name),
    ):
        cookie = directory.start_session(maria, "licensing", hours=1)
        assert known() == (True, True)
        end(cookie)
        assert known() == (False, False)
    cookie = directory.start_session(maria, "licensing", hours=1)
    directory.end_session(cookie)
    with pytest.raises(UnauthenticatedError, match="session is over"):
        directory.principal_of_session(cookie)
    assert known() == (True, True)
    assert directory.end_sessions(maria.name) == 0
    # Of those who came back, the newest session says who they are now.
    directory.start_session(replace(maria, role="supervisor"), "licensing", hours=1)
    assert known() == (False, False)


def test_an_area_without_a_dealer_is_told_when_it_is_given(tmp_path, monkeypatch):
    """Who was given an office that nobody belongs to saw empty lists, and nobody knew why."""
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path))
    (tmp_path / "scored" / "000001").mkdir(parents=True)
    table = pd.DataFrame({"office": ["Köln Süd", ""], "division": ["785", ""]})
    table.to_parquet(tmp_path / "scored" / "000001" / "scored.parquet")

    def told(*command):
        done = CliRunner().invoke(users_app, list(command), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return " ".join(done.output.split())

    nowhere = ("--area", "office:Koln Sud")
    add = ("add", "--role", "inspector")
    assert "No dealer" not in told(*add, "early", *nowhere)  # before a table nothing can be said
    (tmp_path / "scored.json").write_text('{"scored": "000001"}')
    late = told(*add, "late", *nowhere)
    assert "No dealer of the scored table in force belongs to office:Koln Sud; did you" in late
    assert "mean 'Köln Süd'?" in late
    assert "belongs to division:Moon." in told(
        "areas", "late", "--area", "office:KÖLN  SÜD", "--area", "division:Moon", "--area", "nation"
    )
    assert "No dealer" not in told("role", "late", "supervisor", "--area", "division:785")
