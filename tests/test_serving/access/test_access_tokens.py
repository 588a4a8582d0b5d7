"""Access tokens of a real issuer on this machine: whose, and how long they are good."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from serving.access import oidc
from serving.access.oidc import Verifier
from serving.errors import InvalidRequestError, NotReadyError, UnauthenticatedError
from serving.settings import OidcSettings

AUDIENCE = "ffl-risk"


@dataclass
class Issuer:
    """A small OpenID Connect issuer: discovery, keys, and whatever tokens a test asks for."""

    url: str
    keys: dict[str, Any] = field(default_factory=dict)
    n_fetches: int = 0
    odd: list[Any] = field(default_factory=list)
    hangs: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add_key(self, key_id: str, key: Any) -> None:
        self.keys[key_id] = key

    def jwks(self) -> dict[str, Any]:
        self.n_fetches += 1
        out = []
        for key_id, key in self.keys.items():
            kind = jwt.algorithms.RSAAlgorithm
            if isinstance(key, ec.EllipticCurvePrivateKey):
                kind = jwt.algorithms.ECAlgorithm
            public = json.loads(kind.to_jwk(key.public_key()))
            out.append(public | {"kid": key_id, "use": "sig"})
        while self.hangs:
            time.sleep(0.02)
        return {"keys": [*self.odd, *out]}

    def about(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }

    def exchange(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Give the token of a code, once, to whoever can show what its challenge is of."""
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge:
            return None
        if asked["redirect_uri"] != form.get("redirect_uri"):
            return None
        more = {"nonce": asked["nonce"], "aud": asked["client_id"]}
        return {"id_token": self.token(**(more | json.loads(asked.get("changed", "{}"))))}

    def token(self, key_id: str = "one", algorithm: str = "RS256", **changed: Any) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "maria",
            "iat": now,
            "exp": now + timedelta(minutes=5),
            "ffl_risk_role": "supervisor",
            "ffl_risk_areas": ["division:division0"],
        } | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.keys[key_id], algorithm, headers={"kid": key_id})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    served = Issuer("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            documents = {
                "/.well-known/openid-configuration": served.about,
                "/keys": served.jwks,
            }
            content = json.dumps(documents[self.path]()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            form = dict(parse_qsl(self.rfile.read(length).decode()))
            found = served.exchange(form)
            content = json.dumps(found or {"error": "invalid_grant"}).encode()
            self.send_response(200 if found else 400)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    served.add_key("one", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


def settings_for(issuer: Issuer, **changed: Any) -> OidcSettings:
    given = {
        "issuer": issuer.url,
        "audience": AUDIENCE,
        "jwks_url": "",
        "algorithms": ("RS256", "ES256"),
        "skew_seconds": 30.0,
    } | changed
    return OidcSettings(**given)


def test_a_good_access_token_is_a_principal(issuer):
    principal = Verifier(settings_for(issuer)).principal(issuer.token())
    assert (principal.name, principal.role) == ("oidc:maria", "supervisor")
    assert principal.divisions == {"division0"}


def test_access_tokens_work_over_http_beside_local_ones(service, issuer):
    service.runtime.oidc = Verifier(settings_for(issuer))
    service.tokens["maria"] = issuer.token()
    assert service.post("/v1/rank", "maria", {"k": 3}).status_code == 200
    assert service.post("/v1/score", "analyst", {"dealers": ["x"]}).status_code == 200
    service.tokens["maria"] = issuer.token(aud="other")
    assert service.post("/v1/rank", "maria", {"k": 3}).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another-service"},
        {"aud": None},
        {"iss": "http://elsewhere"},
        {"exp": timedelta(minutes=-2)},
        {"exp": None},
        {"iat": None},
        {"sub": None},
        {"nbf": timedelta(hours=1)},
        {"ffl_risk_role": "emperor"},
        {"ffl_risk_role": None},
        {"ffl_risk_areas": "nation"},
        {"ffl_risk_areas": ["galaxy"]},
        {"ffl_risk_role": "inspector", "ffl_risk_areas": []},
    ],
    ids=str,
)
def test_access_tokens_with_a_wrong_claim_are_refused(issuer, changed):
    now = datetime.now(UTC)
    changed = {k: now + v if isinstance(v, timedelta) else v for k, v in changed.items()}
    with pytest.raises(UnauthenticatedError):
        Verifier(settings_for(issuer)).principal(issuer.token(**changed))


def test_clocks_may_differ_by_the_stated_skew_and_no_more(issuer):
    verifier = Verifier(settings_for(issuer))
    late = issuer.token(exp=datetime.now(UTC) - timedelta(seconds=10))
    assert verifier.principal(late).name == "oidc:maria"
    with pytest.raises(UnauthenticatedError):
        verifier.principal(issuer.token(exp=datetime.now(UTC) - timedelta(seconds=60)))


def test_unsigned_and_symmetric_tokens_are_refused(issuer):
    verifier = Verifier(settings_for(issuer))
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none", headers={"kid": "one"})
    public = issuer.keys["one"].public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # The classic confusion: the public key used as an HMAC secret. The library refuses to make
    # such a token, so its parts are put together by hand.
    import hmac

    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "kid": "one", "typ": "JWT"}) + b"." + part(claims)
    mac = base64.urlsafe_b64encode(hmac.new(pem, signed, hashlib.sha256).digest()).rstrip(b"=")
    for token in (unsigned, (signed + b"." + mac).decode(), "a.b.c", ""):
        with pytest.raises(UnauthenticatedError):
            verifier.principal(token)


def test_rotated_keys_are_taken_up_and_withdrawn_ones_are_not_accepted(issuer, monkeypatch):
    monkeypatch.setattr(oidc, "MIN_REFETCH_SECONDS", 0.0)
    verifier = Verifier(settings_for(issuer))
    verifier.principal(issuer.token())
    issuer.add_key("two", ec.generate_private_key(ec.SECP256R1()))
    assert verifier.principal(issuer.token("two", "ES256")).name == "oidc:maria"
    old = issuer.token("one")
    del issuer.keys["one"]
    monkeypatch.setattr(oidc, "MAX_AGE_SECONDS", 0.0)
    with pytest.raises(UnauthenticatedError):
        verifier.principal(old)


def test_unknown_keys_do_not_make_the_service_hammer_the_issuer(issuer):
    verifier = Verifier(settings_for(issuer))
    issuer.add_key("hidden", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    token = issuer.token("hidden")
    del issuer.keys["hidden"]
    for _ in range(20):
        with pytest.raises(UnauthenticatedError):
            verifier.principal(token)
    assert issuer.n_fetches == 1


@pytest.mark.parametrize(
    "odd",
    [{"kty": "RSA", "kid": "odd"}, {"kty": "new", "kid": "odd"}, {"kid": "odd"}, {}, "text", None],
    ids=str,
)
def test_an_odd_key_spoils_no_good_one(issuer, odd):
    issuer.odd = [odd]
    assert Verifier(settings_for(issuer)).principal(issuer.token()).name == "oidc:maria"


@pytest.mark.parametrize(
    "subject", ["", " ", " maria", "maria ", "ma\x00ria", "ma\nria", "m" * 256]
)
def test_a_subject_that_names_nobody_is_refused(issuer, subject):
    with pytest.raises(UnauthenticatedError):
        Verifier(settings_for(issuer)).principal(issuer.token(sub=subject))


def test_long_subjects_are_never_cut_to_the_same_person(service, issuer, audit_of):
    service.runtime.oidc = Verifier(settings_for(issuer))
    names = {"p" * 254 + end for end in "ab"}
    for name in names:
        service.tokens[name] = issuer.token(sub=name)
        assert service.post("/v1/rank", name, {"k": 3}).status_code == 200
    assert {record["who"] for record in audit_of(service)} == {f"oidc:{name}" for name in names}


def test_a_hanging_issuer_and_junk_hold_up_nobody_whose_key_is_known(service, issuer):
    verifier = Verifier(settings_for(issuer))
    service.runtime.oidc = verifier
    service.tokens["maria"] = issuer.token()
    assert service.post("/v1/rank", "maria", {"k": 3}).status_code == 200
    issuer.add_key("hidden", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    junk = issuer.token("hidden")
    del issuer.keys["hidden"]
    issuer.hangs = True
    verifier._tried = -1e6  # long ago: a fetch may begin
    with ThreadPoolExecutor(25) as pool:
        tries = [pool.submit(verifier.principal, junk) for _ in range(24)]
        time.sleep(0.2)
        begun = time.monotonic()
        for _ in range(10):
            assert verifier.principal(issuer.token()).name == "oidc:maria"
        assert time.monotonic() - begun < 1.0
        issuer.hangs = False
        for one in tries:
            with pytest.raises(UnauthenticatedError):
                one.result(timeout=20)
    n = issuer.n_fetches
    with pytest.raises(UnauthenticatedError):
        verifier.principal(junk)  # that it failed is remembered
    assert issuer.n_fetches == n


def test_known_keys_stand_while_the_issuer_is_away_but_not_for_ever(issuer, monkeypatch):
    verifier = Verifier(settings_for(issuer))
    verifier.principal(issuer.token())
    monkeypatch.setattr(verifier, "_fetch", lambda: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(oidc, "MAX_AGE_SECONDS", 0.0)
    assert verifier.principal(issuer.token()).name == "oidc:maria"
    monkeypatch.setattr(oidc, "STALE_SECONDS", 0.0)
    with pytest.raises(NotReadyError):
        verifier.principal(issuer.token())


def test_a_token_that_no_key_could_save_fetches_none(issuer):
    verifier = Verifier(settings_for(issuer))
    for changed in ({"aud": "another"}, {"iss": "elsewhere"}, {"exp": 1}):
        with pytest.raises(UnauthenticatedError):
            verifier.principal(issuer.token(**changed))
    assert issuer.n_fetches == 0


def test_an_issuer_that_does_not_answer_is_said_to_be_away(issuer):
    verifier = Verifier(settings_for(issuer, jwks_url="http://127.0.0.1:9/keys"))
    with pytest.raises(NotReadyError, match="keys of the issuer"):
        verifier.principal(issuer.token())


@pytest.mark.parametrize("algorithms", [("none",), ("HS256",), ("RS256", "HS512"), ()])
def test_unsafe_algorithms_cannot_be_configured(issuer, algorithms):
    with pytest.raises(InvalidRequestError):
        Verifier(settings_for(issuer, algorithms=algorithms))
