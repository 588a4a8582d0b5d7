"""What an attacker tries first: other readings of one request, numbers that count the hidden."""

import itertools
import json
import socket
import time
from contextlib import suppress
from datetime import date
from urllib.parse import quote, urlsplit

import pytest

from serving.scores import holds
from tests.test_serving.field.test_reading_back import decide, listed_by, tell
from tests.test_serving.pages import Visitor


def raw(url, *lines, body=b""):
    """Send bytes as they are, and return status and body of the answer."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
        got = b""
        while part := connection.recv(65_536):
            got += part
    head, _, content = got.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def head_of(service, role, *more):
    return (
        "POST /v1/score HTTP/1.1", "Host: x", "Content-Type: application/json",
        f"Authorization: Bearer {service.tokens[role]}", "Ffl-Risk-Purpose: licensing", *more,
    )  # fmt: skip


TWICE = ["Authorization: Bearer {analyst}", "Ffl-Risk-Purpose: statistics", "Host: y",
     "Content-Type: text/plain", "Content-Length: 5", "Idempotency-Key: b",
     "Content-Encoding: identity\r\nContent-Encoding: gzip"]  # fmt: skip


def test_a_request_with_two_readings_is_refused(service, url):
    """Of two identities or lengths, one part would take the first and another the last."""
    for twice in TWICE:
        body = json.dumps({"dealers": ["1-10-00000"]}).encode()
        plain = head_of(service, "partner", f"Content-Length: {len(body)}", "Idempotency-Key: a")
        assert raw(url, *plain, body=body)[0] == 403  # a partner sees no score
        status, content = raw(url, *plain, twice.format(**service.tokens), body=body)
        assert status == 400, twice
        assert b"national_rank" not in content


@pytest.mark.parametrize(
    ("path", "role", "body"),
    [("/v1/score", "analyst", b'{"dealers":["1-10-00000"],"with_reasons":false}'),
     ("/v1/rank", "chief", b'{"k":1}'), ("/v1/decisions", "chief", b'{"dealer":"a"}')],
)  # fmt: skip
def test_a_body_with_two_readings_is_refused(service, path, role, body):
    """By its type or its packing for one program, by its key that stands twice for another."""

    def sent(content, **headers):
        told = {"Content-Type": "application/json"} | headers
        return service.call("POST", path, role, content=content, headers=told)

    plain = sent(body)
    assert sent(body, **{"Content-Type": 'application/json; charset="UTF-8"'}).status_code == (
        plain.status_code
    )
    for kind in ("application/jsonx", "application/json; charset=utf-16", "text/plain", "json", ""):
        refused = sent(body, **{"Content-Type": kind})
        assert (refused.status_code, "Content-Type" in refused.text) == (422, True), kind
    for packed in ("gzip", "br", "deflate", "gzip, identity", "aes128gcm"):
        assert "packed" in sent(body, **{"Content-Encoding": packed}).text
    twice = sent(body[:-1] + b"," + body[1:])
    assert (twice.status_code, twice.json()["code"]) == (400, "malformed_body")
    assert "twice" in twice.json()["detail"]


def test_a_filter_that_is_none_is_refused(service):
    """Ignored, a misspelled filter would show everything."""
    for path, role in (
        ("/v1/decisions?deler=1-10-00000", "chief"), ("/v1/outcomes?dealer=a&dealer=b", "chief"),
        ("/v1/lists?limit=1&limit=2", "chief"), ("/v1/audit?whose=chief", "auditor"),
        ("/v1/responsibilities?x", "partner"), ("/v1/dealers/1-10-00000?as_of=2020-01-01", "chief"),
    ):  # fmt: skip
        answer = service.get(path, role)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), path
    assert "dealer" in service.get("/v1/decisions?deler=x", "chief").json()["detail"]
    for path, role in (("/v1/score", "analyst"), ("/v1/rank", "chief")):
        body = {"dealers": ["1-10-00000"]} if path == "/v1/score" else {"k": 1}
        assert service.post(path, role, body).status_code == 200
        assert service.post(f"{path}?k=9", role, body).status_code == 422
    # What may stand several times still may.
    assert service.get("/v1/staffing?investigators=a=1&investigators=b=1", "chief").status_code in {
        422, 503,
    }  # fmt: skip


@pytest.mark.parametrize("role", ["analyst", "scheduler"])
def test_a_national_role_that_is_given_an_area_stays_within_it(service, role):
    accounts = service.runtime.directory
    columns = service.runtime.snapshot.columns
    inside = columns["office"] == "office1"
    accounts.add_account("bounded", role, areas=["office:office1"])
    service.tokens["bounded"] = accounts.issue_token("bounded")
    own, other = (str(columns["dealer"][rows][0]) for rows in (inside, ~inside))
    scores = service.post("/v1/score", "bounded", {"dealers": [own, other]}).json()["scores"]
    assert [one["status"] for one in scores] == ["scored", "unknown"]
    rows = service.get("/v1/scores/export", "bounded").text.splitlines()[1:]
    assert len(rows) == inside.sum()


def test_a_fault_in_a_route_is_a_problem_document(service, monkeypatch):
    from serving.api.routes import insight

    monkeypatch.setattr(insight, "measures_for", lambda *_: 1 / 0)
    answer = service.get("/v1/measures", "chief")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "ZeroDivision" not in answer.text


@pytest.mark.parametrize(
    "head",
    [f"X: {'a' * 70_000}", "\r\n".join(f"X{n}: a" for n in range(300)), "X: " + "a" * 3_000_000],
    ids=["long", "many", "endless"],
)
def test_headers_are_bounded(url, head):
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        with suppress(OSError):  # closed before all is sent
            connection.sendall(f"GET /readyz HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
        got = b""
        with suppress(OSError):
            while part := connection.recv(65_536):
                got += part
    assert got[:12] in {b"HTTP/1.1 431", b""}
    assert b"ready" not in got


def test_what_is_no_http_is_refused_in_words(url):
    status, content = raw(url, "NONSENSE / HTTP/9")
    assert status == 400
    assert json.loads(content)["code"] == "refused"


LENGTHS = ["chunked", "Chunked", "chunked, identity", " chunked"]  # fmt: skip


def test_two_ways_of_saying_how_long_a_body_is_are_refused(service, url):
    for chunked in LENGTHS:
        inner = "GET /v1/audit HTTP/1.1\r\nHost: x\r\n\r\n"
        body = f"0\r\n\r\n{inner}".encode()
        head = head_of(service, "analyst", f"Content-Length: {len(body)}",
                       f"Transfer-Encoding: {chunked}")  # fmt: skip
        status, content = raw(url, *head, body=body)
        assert status == 400, chunked
        assert content.count(b"HTTP/1.1") == 0  # nothing within the body was taken for a request


def test_numbers_do_not_count_what_is_hidden(service):
    """With gaps of their own, a gap where something is held says nothing."""
    gaps = set()
    for n in range(24):
        listed = listed_by(service, "chief", 1)
        gaps.add(decide(service, "chief", listed, 0)["decision_id"])
        tell(service, "chief", str(service.runtime.snapshot.columns["dealer"][n]), f"N{n}")
    told = service.get("/v1/outcomes?limit=1000", "chief").json()["outcomes"]
    for numbers in (sorted(gaps), [one["outcome_id"] for one in told]):
        steps = {b - a for a, b in itertools.pairwise(numbers)}
        assert len(numbers) == 24
        assert len(steps) > 1
        assert max(steps) > 1


def test_a_key_of_a_write_shows_a_held_dealer_to_nobody(service):
    """Neither the answer kept for the first time, nor what was written under it."""
    service.post("/v1/rank", "scheduler", {"k": 3, "random_share": 0},
                 headers={"Idempotency-Key": "k"})  # fmt: skip
    first = service.post("/v1/rank", "scheduler", {"k": 3, "random_share": 0},
                         headers={"Idempotency-Key": "k"}).json()  # fmt: skip
    dealer = first["rows"][0]["dealer"]
    holds.place(service.runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    again = service.post("/v1/rank", "scheduler", {"k": 3, "random_share": 0},
                         headers={"Idempotency-Key": "k"})  # fmt: skip
    assert again.status_code == 200
    assert dealer not in again.text


FORGED_CURSORS = ["-1", "1.5", "9" * 40, "0x1", "null", "1;2", "' OR 1=1--", "é"]  # fmt: skip


def test_forged_cursors_are_refused_and_lead_nowhere(service):
    for value in FORGED_CURSORS:
        for path in ("/v1/decisions", "/v1/outcomes", "/v1/referrals", "/v1/lists", "/v1/plans"):
            answer = service.get(path, "chief", params={"cursor": value})
            assert answer.status_code == 422, (path, answer.text)


ELSEWHERE = ["//evil.example", "/\\evil.example", "https://evil.example", "\\\\evil", "/%0d%0aX: y",
           "/\t/evil.example", "javascript:alert(1)", "/..//evil.example"]  # fmt: skip


def test_signing_in_leads_to_no_other_site():
    for to in ELSEWHERE:
        from serving.web.sign_in.form import local_address

        found = local_address(to)
        assert found.startswith("/")
        assert not found.startswith(("//", "/\\"))
        assert not set(found) & set("\r\n\t")


READ_IN_TWO_WAYS = [("Host: x\r\n", ""), ("Host: x", "Host: a b"), ("Host: x", "Host: x/../y"),
     ("Host: x", "Host: <script>"), ("HTTP/1.1", "HTTP/1.0"), ("Host: x", "Host : x"),
     ("Host: x", "Host: x\r\n folded"), ("Host: x", "Host: x\r\nX: a\rY: b"),
     ("Transfer-Encoding: chunked", "Transfer-Encoding: xchunked"),
     ("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked"),
     ("HTTP/1.1", "HTTP/2.0"), ("HTTP/1.1", "HTTP/0.9"),
     ("Transfer-Encoding: chunked", "Content-Length: +31"),
     ("Transfer-Encoding: chunked", "Content-Length: 31, 31"),
     ("Transfer-Encoding: chunked", "Content-Length: 0x1f"), ("\r\n1f\r\n", "\r\n-1f\r\n"),
     ("\r\n1f\r\n", "\r\nfffffffffffffffffff\r\n"), ("\r\n1f\r\n", "\n1f\n")]  # fmt: skip


def test_what_proxies_read_in_several_ways_is_refused(service, url):
    """Another length, another host, another end of a line: each is one more request to smuggle."""
    for was, sent in READ_IN_TWO_WAYS:
        body = '{"dealers": ["1-10-00000"]}    '
        head = "\r\n".join(head_of(service, "analyst", "Transfer-Encoding: chunked"))
        whole = f"{head}\r\nConnection: close\r\n\r\n1f\r\n{body}\r\n0\r\n\r\n"
        assert b"national_rank" in exchanged(url, whole)
        assert was in whole
        got = exchanged(url, whole.replace(was, sent, 1))
        assert got.startswith(b"HTTP/1.1 400"), sent
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"national_rank" not in got


UPGRADE = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")


CUTS = [None, 20, 300, -3]  # fmt: skip


def test_a_client_that_offers_another_protocol_is_answered_in_this_one(service, url):
    """As Java's does with each first request: its body must not be lost, nor what follows it."""
    for cut in CUTS:
        body = json.dumps({"dealers": ["1-10-00000"]})
        plain = head_of(service, "analyst", f"Content-Length: {len(body)}")
        offered = "\r\n".join([*plain, *UPGRADE, "Connection: Upgrade, HTTP2-Settings", "", body])
        last = "\r\n".join([*plain, "Connection: close", "", body])
        whole = offered + last
        got = exchanged(url, *([whole] if cut is None else [whole[:cut], whole[cut:]]))
        assert got.count(b"HTTP/1.1 200") == got.count(b'"national_rank"') == 2
        refused = exchanged(url, "CONNECT /v1/audit HTTP/1.1\r\nHost: x\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 400")


def test_what_follows_a_body_is_no_header(service, url):
    """It was seen by no proxy, and comes when the headers have been checked."""
    head = [line for line in head_of(service, "analyst", "Transfer-Encoding: chunked",
            "Connection: close") if "Authorization" not in line]  # fmt: skip
    token = f"Authorization: Bearer {service.tokens['analyst']}"
    body = '1f\r\n{"dealers": ["1-10-00000"]}    \r\n0\r\n'
    late = "\r\n".join([*head, "", f"{body}{token}", "", ""])
    assert exchanged(url, late).startswith(b"HTTP/1.1 401")
    owned = "\r\n".join([*head, token, "", f"{body}Content-Type: text/plain", "", ""])
    assert exchanged(url, owned).startswith(b"HTTP/1.1 200")
    # Nor is it read for ever: neither a trailer nor a note on a chunk.
    for endless in ("X: ", "X: a\r\nY: "):
        cut = exchanged(
            url, owned.replace("Content-Type: text/plain\r\n\r\n", endless), "y" * 400_000
        )
        assert b"200 OK" not in cut
    assert b"200 OK" not in exchanged(url, owned.replace("1f\r\n", "1f;"), "y" * 400_000)


def test_half_a_request_is_not_acted_on(service, url):
    """Its JSON may be whole by chance: what followed is not known."""
    body = '{"k": 3}'
    head = "\r\n".join([*head_of(service, "chief", f"Content-Length: {len(body) + 1}"), "", body])
    head = head.replace("/v1/score", "/v1/rank")
    n_before = len(service.get("/v1/lists", "chief").json()["lists"])
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(head.encode())
        time.sleep(0.1)
    assert exchanged(url, head.replace(f"{len(body) + 1}\r", f"{len(body)}\r\nConnection: close\r"))
    assert len(service.get("/v1/lists", "chief").json()["lists"]) == n_before + 1


WAITING = ["[" * 100_000, '[["\\ud800", "b"]]', "[[1, 2, 3]]", "{}", "x"]  # fmt: skip


def test_a_form_that_waits_for_a_sign_in_may_be_forged_and_harms_nobody(service):
    for kept in WAITING:
        again = Visitor(service, "chief")
        fields = {"token": service.tokens["chief"], "purpose": "licensing", "resume": "/lists",
                  "kept": kept, "form_token": again._secret("/sign-in", "form_token")}  # fmt: skip
        answer = again.http.post("/sign-in", data=fields, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


def exchanged(url, *parts):
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        for n, part in enumerate(parts):
            time.sleep(0.05 * (n > 0))
            with suppress(OSError):
                connection.sendall(part.encode())
        got = b""
        with suppress(OSError):
            while part := connection.recv(65_536):
                got += part
    return got


DEEP = {
    "open": b"[" * 500_000, "closed": b"[" * 5_000 + b"]" * 5_000, "objects": b'{"a":' * 100_000,
    "number": b'{"k":' + b"9" * 400_000 + b"}", "infinite": b'{"k":1e400}', "nan": b'{"k":NaN}',
    "surrogate": b'{"\\ud800":1}', "nul": b'{"k":1}\x00', "two": b'{"k":1}{"k":2}',
}  # fmt: skip


def test_json_of_any_depth_is_refused_in_words(service):
    for shape, content in DEEP.items():
        for path, role in (
            ("/v1/score", "analyst"), ("/v1/score_features", "analyst"), ("/v1/rank", "chief"),
            ("/v1/plan", "chief"), ("/v1/explain", "chief"), ("/v1/outcomes", "chief"),
            ("/v1/decisions", "chief"), ("/v1/events", "scheduler"),
        ):  # fmt: skip
            answer = service.call("POST", path, role, content=content,
                                  headers={"Content-Type": "application/json"})  # fmt: skip
            assert answer.status_code in {400, 422}, (shape, path)
            assert answer.json()["code"] in {"malformed_body", "invalid_request"}, path


LOOKALIKES = ["\uff11-10-00000", "\u0661-10-00000", "1\u201010\u201000000", "1-10-00000\u200b",
     "\ufeff1-10-00000", "1-10-00000\u0301", "1-10-00000\x00", "1-10-0000\u0660",
     "1-10-O0000"]  # fmt: skip


def test_a_key_that_only_looks_like_one_is_no_dealer_anywhere(service):
    """Nor is anything kept under it, which a hold or a count by the true key would then miss."""
    for key in LOOKALIKES:
        scored = service.post("/v1/score", "analyst", {"dealers": [key]}).json()["scores"]
        assert [one["status"] for one in scored] == ["unknown"], key
        assert service.post("/v1/explain", "analyst", {"dealer": key}).status_code == 404
        assert service.get(f"/v1/dealers/{quote(key, safe='')}", "chief").status_code == 404
        body = {"inspection_id": "I", "dealer": key, "opened_on": "2026-02-01", "outcome": "none"}
        assert service.post("/v1/outcomes", "chief", body).status_code == 404


def test_a_session_begins_anew_at_sign_in_and_writes_nothing_by_the_api(service):
    """What was planted in a browser before is worth nothing after; framed by nobody."""
    again = Visitor(service, "chief")
    planted = again.http.cookies["ffl_risk_session"]  # somebody else's, who signs in over it
    fields = {"token": service.tokens["analyst"], "purpose": "licensing",
              "form_token": again._secret("/sign-in", "form_token")}  # fmt: skip
    assert again.http.post("/sign-in", data=fields, follow_redirects=False).status_code == 303
    assert again.http.cookies["ffl_risk_session"] != planted
    for path in ("/sign-in", "/lists", "/nothing", "/v1/nothing", "/map"):
        headers = again.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "no-referrer")
    assert again.http.post("/v1/score", json={"dealers": ["1-10-00000"]}).status_code in {401, 403}


def test_a_token_in_an_address_opens_nothing_and_stands_in_no_log(service, url, caplog, capfd):
    token = service.tokens["chief"]
    caplog.set_level("DEBUG")
    for path in (f"/v1/lists?access_token={token}", f"/v1/dealers/{token}", f"/{token}",
                 f"/sign-in/issuer/back?code={token}&state={token}"):  # fmt: skip
        status, content = raw(url, f"GET {path} HTTP/1.1", "Host: x", f"X-Request-ID: {token}!")
        assert status in {303, 401, 404, 422}, path
        assert token.encode() not in content
    told = capfd.readouterr()
    assert token not in caplog.text + told.out + told.err


def test_a_body_in_another_coding_than_the_one_named_is_refused(service):
    """Whoever filters UTF-8 in front of the service saw none of it, and the service kept it."""
    body = {"dealer": "1-10-00000"}
    for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"):
        for path, role in (("/v1/decisions", "chief"), ("/v1/score", "analyst")):
            told = {"Content-Type": "application/json"}
            answer = service.call(
                "POST", path, role, content=json.dumps(body).encode(coding), headers=told
            )
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body"), coding
            assert "UTF-8" in answer.json()["detail"]


def test_a_number_is_no_day_and_a_truth_value_is_no_number(service):
    """Zero was the first of January 1970, and true was one."""
    told = {
        "inspection_id": "I1", "dealer": "1-10-00000", "opened_on": "2025-12-01",
        "closed_on": "2025-12-02", "outcome": "none", "hours": 1, "firearms_unaccounted_final": 0,
        "violations": [{"citation": "478.124", "instances": 1}],
    }  # fmt: skip
    for field in ("opened_on", "closed_on"):
        for day in (0, "0", "-0", 1_764_547_200, "1764547200", "2025-W49-1", "20251201"):
            answer = service.post("/v1/outcomes", "chief", told | {field: day})
            assert answer.status_code == 422, (field, day)
            assert [one["where"] for one in answer.json()["errors"]] == [f"body.{field}"]
    one = {"latitude": True, "longitude": 0, "km": 1}
    for path, role, body, where in (
        ("/v1/outcomes", "chief", told | {"hours": True}, "hours"),
        ("/v1/outcomes", "chief", told | {"firearms_unaccounted_final": False},
         "firearms_unaccounted_final"),
        ("/v1/outcomes", "chief", told | {"violations": [{"citation": "1", "instances": True}]},
         "violations.0.instances"),
        ("/v1/rank", "chief", {"k": True}, "k"), ("/v1/rank", "chief", {"limit": True}, "limit"),
        ("/v1/rank", "chief", {"as_of": 0}, "as_of"),
        ("/v1/rank", "chief", {"random_share": True}, "random_share"),
        ("/v1/rank", "chief", {"area": {"radius": one}}, "area.radius.latitude"),
        ("/v1/explain", "chief", {"dealer": "1-10-00000", "k": True}, "k"),
        ("/v1/plan", "chief", {"office": "office0", "weeks": True}, "weeks"),
        ("/v1/plan", "chief", {"office": "office0", "starts_on": 1_764_547_200}, "starts_on"),
    ):  # fmt: skip
        answer = service.post(path, role, body)
        assert answer.status_code == 422, (path, body)
        assert answer.json()["errors"][0]["where"] == f"body.{where}"
    for query in ("from_day=0", "to_day=1764547200", "from_day=2025-W49-1"):
        assert service.get(f"/v1/audit?{query}", "auditor").status_code == 422, query
