"""Signing in with an issuer's account: only the browser that left comes back, and only once."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.testclient import TestClient

from serving.access.code_flow import Journey
from serving.access.oidc import Verifier
from serving.errors import UnauthenticatedError
from serving.server.app import build_app
from tests.test_serving.access.test_access_tokens import issuer, settings_for

__all__ = ["issuer"]  # the fixture
CLIENT = "ffl-risk-pages"


@pytest.fixture
def browser(runtime, issuer):
    settings = settings_for(issuer, client_id=CLIENT, client_secret="s")
    runtime.oidc = Verifier(settings)
    return TestClient(build_app(runtime), base_url="http://localhost", follow_redirects=False)


def leave(browser, **query):
    """Leave for the issuer; return what it is asked."""
    answer = browser.get("/sign-in/issuer", params=query)
    assert answer.status_code == 303, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def approve(issuer, asked, **changed):
    """The person signs in at the issuer, which makes a code."""
    issuer.codes["c0de"] = asked | ({"changed": json.dumps(changed)} if changed else {})
    return {"code": "c0de", "state": asked["state"], "iss": issuer.url}


def back(browser, **query):
    return browser.get("/sign-in/issuer/back", params=query)


def test_one_signs_in_and_goes_on_where_one_was(browser, issuer, runtime):
    page = browser.get("/sign-in?next=/lists")
    assert "/sign-in/issuer?purpose=licensing&amp;next=/lists" in page.text
    asked = leave(browser, next="/lists", purpose="criminal_investigation")
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert (asked["client_id"], asked["scope"]) == (CLIENT, "openid")
    answer = back(browser, **approve(issuer, asked))
    assert answer.status_code == 200
    assert 'content="0;url=/lists"' in answer.text
    cookie = next(c for c in answer.headers.get_list("set-cookie") if "ffl_risk_session" in c)
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    lists = browser.get("/lists")
    assert lists.status_code == 200
    assert "oidc:maria" in lists.text
    assert "criminal investigation" in lists.text
    assert runtime.directory.end_sessions("oidc:maria") == 1
    assert browser.get("/lists").status_code == 303


def test_the_code_of_another_browser_opens_nothing(browser, issuer, runtime):
    asked = leave(browser)
    arrival = approve(issuer, asked)
    other = TestClient(build_app(runtime), base_url="http://localhost", follow_redirects=False)
    assert back(other, **arrival).status_code == 401
    leave(other)
    assert back(other, **arrival).status_code == 401
    assert "ffl_risk_session" not in other.cookies
    assert back(browser, **arrival).status_code == 200


def test_a_code_is_good_for_once(browser, issuer):
    arrival = approve(issuer, leave(browser))
    journey = browser.cookies["ffl_risk_journey"]
    assert back(browser, **arrival).status_code == 200
    browser.cookies.set("ffl_risk_journey", journey, path="/")
    assert back(browser, **arrival).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "ffl-risk"},
        {"iss": "http://elsewhere"},
        {"exp": 1},
        {"sub": ""},
        {"ffl_risk_role": "emperor"},
        {"ffl_risk_role": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_opens_nothing(browser, issuer, changed):
    answer = back(browser, **approve(issuer, leave(browser), **changed))
    assert answer.status_code == 401
    assert "ffl_risk_session" not in browser.cookies


@pytest.mark.parametrize(
    "query",
    [{"state": "x"}, {"code": ""}, {"iss": "http://elsewhere"}, {"error": "access_denied"}],
    ids=str,
)
def test_an_arrival_that_does_not_fit_opens_nothing(browser, issuer, query):
    answer = back(browser, **(approve(issuer, leave(browser)) | query))
    assert answer.status_code == 401
    assert "ffl_risk_session" not in browser.cookies


def test_a_journey_of_somebody_elses_making_is_refused(browser, issuer):
    asked = leave(browser)
    body, _, seal = browser.cookies["ffl_risk_journey"].partition(".")
    with pytest.raises(UnauthenticatedError):
        Journey.opened(f"{body}.\xe9", b"key", state="")
    for forged in (f"{body}.{'0' * 64}", f"{body[:-2]}.{seal}", "x", ""):
        browser.cookies.set("ffl_risk_journey", forged, path="/")
        assert back(browser, **approve(issuer, asked)).status_code == 401


@pytest.mark.parametrize("where", ["//evil", "https://evil", "/\\evil", "/sign-in", "javascript:1"])
def test_nobody_is_led_elsewhere(browser, issuer, where):
    answer = back(browser, **approve(issuer, leave(browser, next=where)))
    assert 'content="0;url=/"' in answer.text


def test_an_issuer_that_is_away_is_said_to_be(browser, runtime, issuer):
    settings = replace(runtime.oidc.settings, issuer="http://127.0.0.1:9")
    runtime.oidc = Verifier(settings)
    assert browser.get("/sign-in/issuer").status_code == 503


def test_without_a_client_there_is_nothing_to_leave_for(runtime):
    browser = TestClient(build_app(runtime), base_url="http://localhost", follow_redirects=False)
    assert browser.get("/sign-in/issuer").status_code == 422
    assert "issuer" not in browser.get("/sign-in").text
