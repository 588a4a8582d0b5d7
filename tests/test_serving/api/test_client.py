"""The typed client: prefixes, pages, closed connections, and what is to be asked again later."""

import http.server
import inspect
import json
import re
import threading

import pytest

from serving.api import client_transport
from serving.api.client import Client, RefusedError, UnreachableError
from serving.contract.answers import RankRequest


@pytest.fixture
def server():
    """Answers as its script says, and notes what it was asked."""
    asked, script = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            asked.append((self.path, self.headers.get("idempotency-key")))
            step = script.pop(0) if script else 200
            if step == "close":
                self.close_connection = True
                self.connection.close()
                return
            if isinstance(step, bytes):  # another program answers in this one's place
                self.send_response(200)
                self.send_header("content-length", str(len(step)))
                self.end_headers()
                self.wfile.write(step)
                return
            body = json.dumps({"referrals": [], "statement": "", "disclaimers": []}).encode()
            if step != 200:
                problem = {
                    "type": "urn:x", "title": "x", "status": step, "code": "overloaded",
                    "detail": "later",
                }  # fmt: skip
                body = json.dumps(problem).encode()
            self.send_response(step)
            if step == 503:
                self.send_header("Retry-After", "7")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the names are http.server's

        def log_message(self, *_):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", asked, script
    running.shutdown()
    running.server_close()
    thread.join(timeout=10)


def test_a_prefix_is_kept(server):
    url, asked, _ = server
    with Client(f"{url}/risk/", token="t") as client:
        client.referrals()
    assert asked == [("/risk/v1/referrals", None)]


def test_a_connection_closed_while_idle_is_replaced(server):
    url, asked, script = server
    script += [200, "close", 200]
    with Client(url, token="t") as client:
        client.referrals()
        client.referrals()
    assert len(asked) == 3


def test_what_is_refused_for_now_is_tried_again_when_told_under_the_same_key(server, monkeypatch):
    url, asked, script = server
    waited = []
    monkeypatch.setattr(client_transport.time, "sleep", waited.append)
    script += [503, 429, "close"]
    with Client(url, token="t") as client:
        client._ask("POST", "/v1/rank", b"{}")
    assert waited[0] == 7.0
    assert len(asked) == 4
    assert len({key for _, key in asked}) == 1
    assert asked[0][1]
    script += [503] * 4
    with Client(url, token="t") as client, pytest.raises(RefusedError):
        client._ask("POST", "/v1/rank", b"{}")


@pytest.mark.parametrize("answer", [302, 307, b"<html>Sign in to the network</html>", b'{"a": 1}'])
def test_another_program_that_answers_is_one_clear_line(server, answer):
    """A proxy that leads elsewhere, a network that asks to sign in, another version."""
    url, asked, script = server
    script[:] = [answer]
    with (
        Client(url, token="t") as client,
        pytest.raises(UnreachableError) as caught,
    ):
        client.referrals()
    assert len(asked) == 1
    assert "\n" not in caught.value.what
    assert str(answer) in str(caught.value) or "not this service" in caught.value.what


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid", "http://127.0.0.1:1", "gopher://x", "http://[bad"]
)
def test_an_address_where_nobody_answers_is_one_clear_line(url):
    with pytest.raises(UnreachableError, match=r"address|answer"):
        Client(url, token="t").referrals()


def test_it_pages_through_a_list_and_plans(url, service):
    from serving.contract.plan import PlanAsk

    token = service.tokens["chief"]
    with Client(url, token=token, purpose="licensing") as client:
        listed = client.rank(RankRequest(k=25, random_share=0, limit=10))
        pages = list(client.list_pages(listed.list_id, limit=10))
        assert [len(page.rows) for page in pages] == [10, 10, 5]
        assert [row for page in pages for row in page.rows] == client.issued_list(
            listed.list_id
        ).rows
        ask = PlanAsk(office="office0", weeks=2, n_investigators=20)
        assert client.plan(ask).office == "office0"


class AskedError(Exception):
    """Ends a call once it is known what it asks for."""


# What a parameter that must be given is, by its name or its type.
GIVEN = {
    "list_id": "L-20260101-0123456789ab", "kind": "csv", "dealer": "1-10-00000", "referral_id": 7,
    "decision_id": 7, "request_id": "C-20260101-0123456789ab", "plan_id": "P-20260101-0123456789ab",
    "inspection_id": "I1", "partner": "hsi", "dealers": ["1-10-00000"], "rows": [{"a": 1.0}],
}  # fmt: skip
NO_METHOD = set()  # routes that the client has no method for, each with its reason


def test_every_route_has_a_method_of_the_client(service, monkeypatch):
    asked = set()

    def note(self, method, path, *_, **__):
        asked.add((method, path.partition("?")[0]))
        raise AskedError

    monkeypatch.setattr(Client, "_ask", note)
    client = Client("http://x", token="t")
    monkeypatch.setattr(
        client._connection, "stream", lambda method, path: note(client, method, f"/{path}")
    )
    for name, method in inspect.getmembers(client, inspect.ismethod):
        if name.startswith("_") or name == "close":
            continue
        needed = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
        given = [GIVEN[p.name] if p.name in GIVEN else AnyBody() for p in needed]
        with pytest.raises(AskedError):
            begin(method(*given))
    routes = {
        (method.upper(), path)
        for path, methods in service.client.get("/docs.json").json()["paths"].items()
        if path.startswith("/v1/")
        for method in methods
    }
    patterns = {one: re.sub(r"\\\{[^}]+\}", "[^/.]+", re.escape(one[1])) for one in sorted(routes)}
    taken = {
        next(one for one, like in patterns.items() if one[0] == method and re.fullmatch(like, path))
        for method, path in asked
    }
    assert routes - taken == NO_METHOD
    assert len(routes) > 30
    client.close()


def begin(found):
    """Take the first step of an answer that comes in parts."""
    return found.__enter__() if hasattr(found, "__enter__") else next(iter(found))


class AnyBody:
    """Stands in for the body of any write."""

    def model_dump_json(self, **_):
        return "{}"
