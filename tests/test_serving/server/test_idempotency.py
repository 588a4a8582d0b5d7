"""A write under a key is kept once and answered once, whatever happens in between."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from serving.store.tables import DECISIONS, IDEMPOTENCY, LISTS, OUTCOMES


def n_rows(service, table) -> int:
    with service.runtime.store.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


def post(service, path, body, key, role="chief"):
    return service.post(path, role, body, headers={"Idempotency-Key": key})


def test_a_list_asked_for_again_under_its_key_is_the_same_list(service):
    first = post(service, "/v1/rank", {"k": 3}, "a")
    again = post(service, "/v1/rank", {"k": 3}, "a")
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert n_rows(service, LISTS) == 1
    other = post(service, "/v1/rank", {"k": 3}, "b")
    assert other.json()["list_id"] != first.json()["list_id"]
    # Another's key is another key.
    assert post(service, "/v1/rank", {"k": 3}, "a", role="supervisor").status_code == 200
    assert n_rows(service, LISTS) == 3


def test_a_key_used_for_something_else_is_refused(service):
    post(service, "/v1/rank", {"k": 3}, "a")
    row = service.runtime.snapshot.columns["dealer"][0]
    outcome = {"inspection_id": "I", "dealer": str(row), "opened_on": "2026-02-01",
               "outcome": "none"}  # fmt: skip
    # Another body, or any body at another route.
    for path, body in (("/v1/rank", {"k": 4}), ("/v1/outcomes", outcome)):
        answer = post(service, path, body, "a")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert (n_rows(service, LISTS), n_rows(service, OUTCOMES)) == (1, 0)


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_has_bounds_and_needs_an_identity(service, key):
    assert post(service, "/v1/rank", {"k": 3}, key).status_code == 422
    answer = service.client.post("/v1/rank", json={"k": 3}, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 401
    assert n_rows(service, IDEMPOTENCY) == 0


def test_a_refusal_is_not_kept_under_the_key(service):
    body = {"inspection_id": "I", "dealer": "1-11-99999", "opened_on": "2026-02-01",
            "outcome": "none"}  # fmt: skip
    assert post(service, "/v1/outcomes", body, "a").status_code == 404
    body["dealer"] = str(service.runtime.snapshot.columns["dealer"][0])
    body["legal_basis"] = "warrant"
    assert post(service, "/v1/outcomes", body, "a").status_code == 200
    assert n_rows(service, OUTCOMES) == 1


def test_a_process_that_ended_before_it_noted_the_answer_keeps_the_write_once(service):
    listed = service.post("/v1/rank", "chief", {"k": 1}).json()
    body = {"list_id": listed["list_id"], "dealer": listed["rows"][0]["dealer"],
            "decision": "accept", "note": "seen"}  # fmt: skip
    first = post(service, "/v1/decisions", body, "a").json()
    with service.runtime.store.write() as connection:
        # As the writing transaction leaves it.
        connection.execute(IDEMPOTENCY.update().values(status=1, body=b""))
    again = post(service, "/v1/decisions", body, "a")
    assert again.json() == first
    assert n_rows(service, DECISIONS) == 1


def test_the_write_and_its_key_are_kept_together(service, monkeypatch):
    from serving.server.idempotency import Idempotency

    monkeypatch.setattr(Idempotency, "_note", lambda *_: None)  # killed before the answer is noted
    assert post(service, "/v1/rank", {"k": 2}, "a").status_code == 200
    with service.runtime.store.read() as connection:
        assert connection.execute(sa.select(IDEMPOTENCY.c.status)).all() == [(1,)]
    again = post(service, "/v1/rank", {"k": 2}, "a")
    assert again.json()["list_id"]
    assert n_rows(service, LISTS) == 1


def test_a_write_that_another_worker_kept_meanwhile_is_answered_as_it_was(service, monkeypatch):
    """Not with a conflict: the client that is told of one does not know what was kept."""
    from serving.server.idempotency import Idempotency

    listed = post(service, "/v1/rank", {"k": 2}, "a")
    decided = {"list_id": listed.json()["list_id"], "dealer": listed.json()["rows"][0]["dealer"],
               "decision": "accept"}  # fmt: skip
    outcome = {"inspection_id": "I", "dealer": decided["dealer"], "opened_on": "2026-02-01",
               "outcome": "none"}  # fmt: skip
    known = Idempotency._known
    for n, (path, body) in enumerate(
        (("/v1/rank", {"k": 2}), ("/v1/decisions", decided), ("/v1/outcomes", outcome))
    ):
        first = post(service, path, body, f"{n}")
        assert first.status_code == 200, first.text
        looks = iter([None])  # it looked before the first kept
        monkeypatch.setattr(
            Idempotency, "_known", lambda self, name, looks=looks: next(looks, known(self, name))
        )
        again = post(service, path, body, f"{n}")
        assert (again.status_code, again.json()) == (200, first.json()), path
        # What is kept already is answered as it stands before a key is asked for.
        assert (again.headers.get("idempotency-replayed") == "true") == (path == "/v1/rank")
    assert [n_rows(service, one) for one in (LISTS, DECISIONS, OUTCOMES)] == [2, 1, 1]


def test_what_contradicts_an_earlier_decision_is_a_stated_revision(service):
    listed = service.post("/v1/rank", "chief", {"k": 1}).json()
    body = {"list_id": listed["list_id"], "dealer": listed["rows"][0]["dealer"]}
    accept = body | {"decision": "accept"}
    first = service.post("/v1/decisions", "chief", accept).json()
    assert first["revises"] is None
    assert service.post("/v1/decisions", "chief", accept).json() == first
    override = body | {"decision": "override", "reason": "capacity"}
    second = service.post("/v1/decisions", "chief", override).json()
    assert second["revises"] == first["decision_id"]
    assert service.post("/v1/decisions", "chief", override).json() == second
    assert n_rows(service, DECISIONS) == 2


def test_the_same_write_many_times_at_once_is_kept_once(service, url):
    import httpx

    headers = {"Authorization": f"Bearer {service.tokens['chief']}", "Idempotency-Key": "same",
               "Ffl-Risk-Purpose": "licensing"}  # fmt: skip

    def ask(_: int) -> str:
        with httpx.Client(base_url=url, timeout=60) as client:
            return client.post("/v1/rank", json={"k": 2}, headers=headers).text

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1
    assert n_rows(service, LISTS) == 1


def paths_of(routes):
    for route in routes:
        if "POST" in (getattr(route, "methods", None) or ()) and route.path.startswith("/v1/"):
            yield route.path
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from paths_of(inner.routes)


def test_every_route_that_keeps_something_takes_a_key(service):
    """Of the others nothing is kept that could be kept twice: they add to the audit alone."""
    from serving.server.app import build_app
    from serving.server.idempotent_routes import ROUTES
    from serving.store.tables import METADATA

    found = set(paths_of(build_app(service.runtime).app.app.routes))
    assert {"/v1/rank", "/v1/score"} <= found
    names = [signal["name"] for signal in service.runtime.snapshot.bundle.signals]
    dealer = str(service.runtime.snapshot.columns["dealer"][0])
    asked = {
        "/v1/score": ("analyst", {"dealers": [dealer]}),
        "/v1/score_features": ("analyst", {"rows": [dict.fromkeys(names, 1.0)]}),
        "/v1/explain": ("analyst", {"dealer": dealer}),
        "/v1/plan": (
            "chief",
            {"office": "office0", "weeks": 4, "n_investigators": 3, "starts_on": "2026-01-05"},
        ),
    }
    assert found == ROUTES.keys() | asked.keys()
    kept = [t for t in METADATA.sorted_tables if not t.name.startswith("audit")]
    before = [n_rows(service, table) for table in kept]
    for path, (role, body) in asked.items():
        assert post(service, path, body, "a", role=role).status_code == 200, path
    assert [n_rows(service, table) for table in kept] == before


def referral(service):
    from serving.field.referrals.referrals import Pattern, queue

    dealer = next(
        str(d)
        for d, office in zip(
            service.runtime.snapshot.columns["dealer"],
            service.runtime.snapshot.columns["office"],
            strict=True,
        )
        if office == "office0"
    )
    who = service.runtime.directory.principal_of_token(service.tokens["chief"])
    queue(service.runtime.store, [Pattern("several_dealers", (dealer,), {"records": ["R1"]})],
          ledger=service.runtime.ledger(who))  # fmt: skip
    return dealer


def test_a_step_and_a_case_request_sent_again_are_kept_once(service, monkeypatch):
    from serving.server.idempotency import Idempotency
    from serving.store.tables import CASE_REQUESTS, REFERRAL_STEPS

    dealer = referral(service)
    (queued,) = service.get("/v1/referrals", "chief").json()["referrals"]
    steps = f"/v1/referrals/{queued['referral_id']}/steps"
    case = {"case_reference": "X-1", "legal_basis": "warrant", "agency": "HSI", "dealers": [dealer],
            "why": "firearms moving today", "approver": "chief"}  # fmt: skip
    noted = Idempotency._note
    for is_noted in (False, True):  # the process is killed before the answer is noted, or is not
        monkeypatch.setattr(Idempotency, "_note", noted if is_noted else lambda *_: None)
        hand = {"step": "hand_over", "to_agency": f"HSI {is_noted}"}
        key = f"k{is_noted}"
        first = post(service, steps, hand, key)
        again = post(service, steps, hand, key)
        assert (first.status_code, again.status_code) == (200, 200), again.text
        assert len(again.json()["steps"]) == 1 + is_noted
        one = post(service, "/v1/case_requests", case, key, role="agent")
        two = post(service, "/v1/case_requests", case, key, role="agent")
        assert one.json()["request_id"] == two.json()["request_id"]
        decision = f"/v1/case_requests/{one.json()['request_id']}/decision"
        yes = post(service, decision, {"approved": [dealer]}, f"{key} yes")
        assert (
            post(service, decision, {"approved": [dealer]}, f"{key} yes").json()["status"]
            == "approved"
        )
        assert yes.status_code == 200
        assert n_rows(service, REFERRAL_STEPS) == n_rows(service, CASE_REQUESTS) == 1 + is_noted


def test_a_list_sent_again_shows_nothing_that_is_held_by_now(service):
    from datetime import date

    from serving.scores import holds

    listed = post(service, "/v1/rank", {"k": 3, "random_share": 0}, "a").json()
    dealer = listed["rows"][0]["dealer"]
    holds.place(service.runtime.store, dealer, owners=["nobody"], starts_on=date(2025, 1, 1))
    service.runtime.refresh_holds()
    again = post(service, "/v1/rank", {"k": 3, "random_share": 0}, "a")
    assert again.json()["list_id"] == listed["list_id"]
    assert dealer not in again.text


def test_who_sends_again_is_checked_anew_and_recorded(service, audit_of):
    listed = post(service, "/v1/rank", {"k": 3}, "a").json()
    n_before = len(audit_of(service))
    assert post(service, "/v1/rank", {"k": 3}, "a").status_code == 200
    record = audit_of(service)[n_before:][-1]
    assert (record["action"], record["purpose"]) == ("rank", "licensing")
    assert listed["list_id"] in record["subject"]
    without = service.post(
        "/v1/rank", "chief", {"k": 3}, purpose=None, headers={"Idempotency-Key": "a"}
    )
    assert without.status_code == 403
    from serving.access import suspension

    who = service.runtime.directory.principal_of_token(service.tokens["chief"])
    suspension.suspend(service.runtime.store, "a fault", ledger=service.runtime.ledger(who))
    service.runtime.switch = suspension.Switch(service.runtime.store)  # which has looked by now
    assert post(service, "/v1/rank", {"k": 3}, "a").json()["code"] == "suspended"
    service.runtime.directory.set_role("chief", "partner")
    service.tokens["chief"] = service.runtime.directory.issue_token("chief")
    assert post(service, "/v1/rank", {"k": 3}, "a").json()["code"] == "forbidden_role"


def test_another_identity_gets_nothing_by_a_key_it_knows(service):
    listed = post(service, "/v1/rank", {"k": 3}, "shared").json()
    other = post(service, "/v1/rank", {"k": 3}, "shared", role="supervisor").json()
    assert other["list_id"] != listed["list_id"]
    assert all(row["division"] == "division0" for row in other["rows"])
