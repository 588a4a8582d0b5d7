"""A suspended service shows no score, and the field goes on."""

from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from serving.access import suspension
from serving.access.audit.audited_rows import kept_now
from serving.access.audit.writer import verify
from serving.commands.app import app
from serving.errors import ConflictError, InvalidRequestError
from serving.store.database import instant
from serving.store.tables import SUSPENSIONS
from tests.test_serving.field.referrals.test_referrals import (
    dealer_of,
    ledger,  # noqa: F401
    referral,  # noqa: F401
    step,
)

STOPPED = [
    ("POST", "/v1/score", "analyst", {"dealers": ["{dealer}"]}),
    ("POST", "/v1/rank", "chief", {"k": 1}),
    ("POST", "/v1/explain", "chief", {"dealer": "{dealer}"}),
    ("POST", "/v1/plan", "chief", {"office": "office0"}),
    ("GET", "/v1/dealers/{dealer}", "chief", None),
    ("GET", "/v1/lists/{list}", "chief", None),
    ("GET", "/v1/lists/{list}.csv", "chief", None),
]


def ask(service, runtime, listed, asked):
    method, path, who, body = asked
    dealer = dealer_of(runtime, "office0")
    path = path.replace("{dealer}", dealer).replace("{list}", listed["list_id"])
    if body is not None:
        body = {k: [dealer] if v == ["{dealer}"] else dealer if v == "{dealer}" else v
                for k, v in body.items()}  # fmt: skip
    return service.call(method, path, who, **({} if body is None else {"json": body}))


def test_suspended_nothing_shows_a_score_and_the_field_goes_on(
    service,
    runtime,
    ledger,  # noqa: F811
    referral,  # noqa: F811
    monkeypatch,
    audit_of,
):
    monkeypatch.setattr(suspension, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("FFL_RISK_HOME", str(runtime.settings.home))
    listed = service.post("/v1/rank", "chief", {"k": 3}).json()
    assert ask(service, runtime, listed, STOPPED[0]).status_code == 200
    done = CliRunner().invoke(app, ["suspend", "--why", "The feed is wrong"])
    assert done.exit_code == 0, done.output
    for asked in STOPPED:
        answer = ask(service, runtime, listed, asked)
        assert (answer.status_code, answer.json()["code"]) == (503, "suspended"), asked
        assert answer.json()["found"] == "The feed is wrong"
        assert answer.headers["retry-after"] == "600"
    who = runtime.directory.principal_of_token(service.tokens["chief"])
    cookie = runtime.directory.start_session(who, "licensing", hours=1)
    page = service.client.get("/lists", headers={"Cookie": f"ffl_risk_session={cookie}"})
    assert page.status_code == 503
    assert "Lists and scores are suspended" in page.text
    assert "The feed is wrong" in page.text
    assert step(service, referral, "agent", "take").status_code == 200
    outcome = {
        "inspection_id": "I5", "dealer": listed["rows"][0]["dealer"], "opened_on": "2026-01-01",
        "outcome": "none",
    }  # fmt: skip
    assert service.post("/v1/outcomes", "chief", outcome).status_code == 200
    twice = CliRunner().invoke(app, ["suspend", "--why", "again"])
    assert isinstance(twice.exception, ConflictError)
    assert CliRunner().invoke(app, ["resume", "--why", "It is mended"]).exit_code == 0
    assert ask(service, runtime, listed, STOPPED[0]).status_code == 200
    marks = [(r["action"], r["subject"]) for r in audit_of(service)]
    assert ("suspend", "The feed is wrong") in marks
    assert ("resume", "It is mended") in marks
    assert verify(runtime.store, runtime.audit_key).is_intact


def test_every_worker_stops_within_a_second(runtime, ledger, monkeypatch):  # noqa: F811
    passed = 0.0
    monkeypatch.setattr(suspension, "time", SimpleNamespace(monotonic=lambda: passed))
    others = [suspension.Switch(runtime.store) for _ in range(2)]
    for switch in others:
        switch.check("score")
    suspension.suspend(runtime.store, "stop now", ledger=ledger)
    passed = 1.0
    for switch in others:
        with pytest.raises(suspension.SuspendedError):
            switch.check("score")


@pytest.mark.parametrize("why", ["", "  ", "x", "y" * 2_001])
def test_a_suspension_needs_a_reason(runtime, ledger, why):  # noqa: F811
    with pytest.raises(InvalidRequestError):
        suspension.suspend(runtime.store, why, ledger=ledger)
    assert suspension.current(runtime.store) is None


def test_resuming_ends_every_suspension(runtime, ledger):  # noqa: F811
    suspension.suspend(runtime.store, "the feed is wrong", ledger=ledger)
    with runtime.store.write() as connection:  # as two at once could leave them
        row = {"why": "so it is", "who": "operator:y", "at": instant()}
        key = connection.execute(SUSPENSIONS.insert(), row).inserted_primary_key[0]
        ledger.add(connection, "suspend", "so it is", kept=kept_now(connection, "suspension", key))
    suspension.resume(runtime.store, "it is right again", ledger=ledger)
    assert suspension.current(runtime.store) is None
    assert verify(runtime.store, runtime.audit_key).is_intact


def test_resuming_what_goes_on_is_a_conflict(runtime, ledger):  # noqa: F811
    with pytest.raises(ConflictError):
        suspension.resume(runtime.store, "nothing to do", ledger=ledger)
