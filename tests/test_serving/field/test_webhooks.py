"""Webhooks: signed, told in order and again until taken, and nowhere that was not meant."""

import base64
import dataclasses
import hashlib
import hmac
import json
import threading
import time
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from serving.access.audit.verification import verify
from serving.changes import webhook_addresses as addresses
from serving.changes import webhooks
from serving.changes.webhook_delivery import Deliverer
from serving.commands.app import app as commands
from serving.errors import InvalidRequestError
from serving.scores import holds
from serving.store import journal


@pytest.fixture
def receiver():
    """A server that keeps what it gets and answers as it is told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.got.append(({**self.headers, "path": self.path}, body))
            server.now += 1
            server.most = max(server.most, server.now)
            if self.path in server.holds_up:
                server.go_on.wait(8)
            time.sleep(server.slow)
            server.now -= 1
            self.send_response(server.statuses.pop(0) if server.statuses else 204)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got, server.statuses, server.slow = [], [], 0.0
    server.now, server.most, server.holds_up, server.go_on = 0, 0, set(), threading.Event()
    server.origin = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def told(service, receiver):
    """Register the receiver for the scheduler; return it, its secret, and what tells it."""
    runtime = service.runtime
    runtime.settings = dataclasses.replace(runtime.settings, webhook_origins=receiver.origin)
    who = runtime.directory.principal_of_token(service.tokens["admin"])
    hook, secret = webhooks.add(
        runtime.store, f"{receiver.origin}/in", "scheduler", [], ledger=runtime.ledger(who)
    )
    return hook, secret, Deliverer.open(runtime)


def write(service, n=0):
    dealer = str(service.runtime.snapshot.columns["dealer"][n])
    body = {"inspection_id": f"I{n}", "dealer": dealer, "opened_on": "2026-02-01",
            "outcome": "none", "legal_basis": "warrant"}  # fmt: skip
    assert service.post("/v1/outcomes", "chief", body).status_code == 200
    return dealer


def test_what_is_written_is_told_signed_and_without_a_dealer(service, receiver, told, audit_of):
    hook, secret, deliverer = told
    dealer = write(service)
    deliverer.round()
    ((headers, body),) = receiver.got
    message = json.loads(body)
    assert [(c["kind"], c["ref"]) for c in message["changes"]] == [("outcome", "I0")]
    assert dealer not in body.decode()
    # As standardwebhooks.com says it is checked.
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    deliverer.round()
    assert len(receiver.got) == 1  # told once
    (record,) = [r for r in audit_of(service) if r["action"] == "webhook"]
    assert record["who"] == "scheduler"
    assert hook.webhook_id in record["subject"]
    assert verify(service.runtime.store, service.runtime.audit_key).is_intact


def test_what_was_not_taken_is_told_again_later_each_time_and_lost_never(
    service, receiver, told, monkeypatch
):
    _, _, deliverer = told
    clock = {"now": datetime.now(UTC)}
    instant = webhooks.instant
    monkeypatch.setattr(webhooks, "now", lambda: clock["now"])
    monkeypatch.setattr(webhooks, "instant", lambda: instant(clock["now"]))
    receiver.statuses = [500, 302, 429]
    write(service)
    deliverer.round()
    write(service, 1)
    for n, wait in enumerate((20, 40, 80), start=1):
        clock["now"] += timedelta(seconds=wait - 1)
        deliverer.round()
        assert len(receiver.got) == n  # too early
        clock["now"] += timedelta(seconds=1)
        deliverer.round()
        assert len(receiver.got) == n + 1
    kinds = [[c["ref"] for c in json.loads(body)["changes"]] for _, body in receiver.got]
    assert kinds == [["I0"], ["I0", "I1"], ["I0", "I1"], ["I0", "I1"]]
    ((_, standing),) = webhooks.registered(service.runtime.store)
    assert (standing.n_failed, standing.seq) == (0, journal.newest(service.runtime.store))


def test_a_clock_that_was_set_back_stops_no_webhook():
    at = webhooks.Standing(1, 8, "2026-01-02T00:00:00.000000Z")
    assert not at.is_due(datetime(2026, 1, 2, 0, 30, tzinfo=UTC))
    assert at.is_due(datetime(2026, 1, 2, 1, 0, tzinfo=UTC))
    assert at.is_due(datetime(2025, 12, 1, tzinfo=UTC))


def test_two_workers_make_one_attempt(service, receiver, told):
    _, _, deliverer = told
    receiver.slow = 0.3
    write(service)
    others = [Deliverer.open(service.runtime) for _ in range(3)]
    threads = [threading.Thread(target=one.round) for one in (deliverer, *others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 1


def test_nothing_is_told_of_what_the_account_may_not_see(service, receiver, told):
    _, _, deliverer = told
    held = str(service.runtime.snapshot.columns["dealer"][0])
    holds.place(service.runtime.store, held, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    write(service)
    deliverer.round()
    assert receiver.got == []
    write(service, 1)
    deliverer.round()
    ((_, body),) = receiver.got
    assert [c["ref"] for c in json.loads(body)["changes"]] == ["I1"]
    service.runtime.directory.set_active("scheduler", False)
    write(service, 2)
    deliverer.round()
    assert len(receiver.got) == 1
    service.runtime.directory.set_active("scheduler", True)
    deliverer.round()
    assert len(receiver.got) == 2  # what waited was not lost


def test_a_receiver_that_hangs_does_not_hold_the_thread(service, receiver, told, monkeypatch):
    from serving.changes import webhook_delivery as delivery

    monkeypatch.setattr(delivery, "_MOST_SECONDS", 0.3)
    _, _, deliverer = told
    receiver.slow = 3.0
    write(service)
    begun = time.monotonic()
    deliverer.round()
    assert time.monotonic() - begun < 2.5
    ((_, standing),) = webhooks.registered(service.runtime.store)
    assert (standing.n_failed, standing.seq) == (1, 0)


def test_slow_receivers_delay_nobody_and_each_is_told_in_order(
    service, receiver, told, monkeypatch
):
    from serving.changes import webhook_delivery as delivery

    monkeypatch.setattr(delivery, "_PAUSE_SECONDS", 0.1)
    runtime, (quick, _, deliverer) = service.runtime, told
    receiver.holds_up = {"/slow"}
    ledger = runtime.ledger(runtime.directory.principal_of_token(service.tokens["admin"]))
    for _ in range(5):
        webhooks.add(runtime.store, f"{receiver.origin}/slow", "scheduler", [], ledger=ledger)

    def refs() -> list[str]:
        mine = [b for h, b in receiver.got if h["webhook-id"].startswith(quick.webhook_id)]
        return [change["ref"] for body in mine for change in json.loads(body)["changes"]]

    for n in range(3):
        write(service, n)
        until(lambda n=n: deliverer.round() or len(refs()) > n)
    assert refs() == ["I0", "I1", "I2"]  # and none of the others has answered yet
    receiver.go_on.set()
    deliverer.loop.stopping.set()  # what is under way is seen to
    deliverer.round()
    assert {one.n_failed for _, one in webhooks.registered(runtime.store)} == {0}
    slow = [headers["webhook-id"] for headers, _ in receiver.got if headers["path"] == "/slow"]
    assert len(slow) >= len({one.rpartition("-")[0] for one in slow}) >= 5


def test_no_more_are_told_at_once_than_a_bound(service, receiver, told, monkeypatch):
    from serving.changes import webhook_delivery as delivery

    monkeypatch.setattr(delivery, "_MOST_AT_ONCE", 2)
    monkeypatch.setattr(delivery, "_PAUSE_SECONDS", 0.05)
    runtime, (_, _, deliverer) = service.runtime, told
    receiver.slow = 0.2
    ledger = runtime.ledger(runtime.directory.principal_of_token(service.tokens["admin"]))
    for _ in range(3):
        webhooks.add(runtime.store, f"{receiver.origin}/in", "scheduler", [], ledger=ledger)
    write(service)
    until(lambda: deliverer.round() or len(receiver.got) == 4)
    assert receiver.most == 2
    deliverer.loop.stopping.set()
    deliverer.round()


def until(is_so, seconds=20.0):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example.gov/", "https://hooks.example.gov:22/", "ftp://example.gov/",
     "file:///etc/passwd", "https://user:secret@example.gov/", "https://example.gov/#part",
     "https://example.gov\\@127.0.0.1/", "https:///path", "gopher://x", "", "https://ex ample/",
     "https://example.gov:99999/", "https://" + "a" * 600],
)  # fmt: skip
def test_surprising_addresses_are_refused_when_registered(url):
    with pytest.raises(InvalidRequestError) as caught:
        addresses.check_url(url, frozenset())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254",
     "10.1.2.3", "192.168.0.1", "[fd00::1]", "[fe80::1]", "0.0.0.1", "[64:ff9b::7f00:1]",
     "[2002:7f00:1::]", "100.64.0.1", "localhost", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
     "[fec0::1]", "[5f00::1]", "[3fff::1]", "[2001:0:7f00:1::]", "192.0.0.192", "168.63.129.16",
     "100.100.100.200", "[fd00:ec2::254]", "127.1", "017700000001"],
)  # fmt: skip
def test_private_addresses_are_refused_however_they_are_written(name):
    with pytest.raises(InvalidRequestError):
        addresses.target_of(f"https://{name}/", frozenset())
    with pytest.raises(InvalidRequestError):  # and not first when it would be told something
        addresses.check_now(f"https://{name}/", frozenset())


def test_a_name_that_nobody_knows_yet_may_be_registered():
    assert not addresses.check_now("https://hooks.invalid/", frozenset())
    assert addresses.check_now("https://8.8.8.8/", frozenset())


def test_a_name_is_looked_up_once_and_the_connection_goes_there(monkeypatch):
    """A name that stands for a private address a moment later changes nothing."""
    answers = [[("8.8.8.8", 443)], [("8.8.8.8", 443), ("127.0.0.1", 443)]]
    monkeypatch.setattr(
        addresses.socket, "getaddrinfo",
        lambda *_, **__: [(2, 1, 6, "", a) for a in answers.pop(0)],
    )  # fmt: skip
    target = addresses.target_of("https://hooks.example.gov/in?x=1", frozenset())
    assert (target.url, target.host) == ("https://8.8.8.8:443/in?x=1", "hooks.example.gov")
    with pytest.raises(InvalidRequestError):  # one private among several is enough
        addresses.target_of("https://hooks.example.gov/in", frozenset())


def test_registered_by_the_operator_with_a_secret_shown_once(service, runtime, monkeypatch):
    monkeypatch.setenv("FFL_RISK_HOME", str(runtime.settings.home))
    run = CliRunner().invoke
    added = run(commands, ["webhooks", "add", "https://hooks.example.gov/in", "--account",
                           "scheduler", "--kind", "outcome"])  # fmt: skip
    assert added.exit_code == 0, added.output
    (secret,) = [w for w in added.output.split() if w.startswith("whsec_")]
    listed = run(commands, ["webhooks", "list", "--json"])
    (row,) = json.loads(listed.output)
    assert (row["account"], row["kinds"]) == ("scheduler", "outcome")
    assert secret not in listed.output
    database = (runtime.settings.home / "service.db").read_bytes()
    assert base64.b64decode(secret.removeprefix("whsec_")) not in database
    for account in ("partner", "nobody", "admin"):
        refused = run(commands, ["webhooks", "add", "https://x.example/", "--account", account])
        assert refused.exit_code != 0
    removed = run(commands, ["webhooks", "remove", row["webhook"]])
    assert removed.exit_code == 0
    assert json.loads(run(commands, ["webhooks", "list", "--json"]).output) == []
    assert run(commands, ["webhooks", "remove", row["webhook"]]).exit_code != 0
    assert verify(runtime.store, runtime.audit_key).is_intact
