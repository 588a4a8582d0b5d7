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
    answer = post(service, "/v1/rank", {"k": 4}, "a")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert n_rows(service, LISTS) == 1


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


def test_another_worker_that_makes_the_same_write_meanwhile_keeps_nothing(service, monkeypatch):
    from serving.server.idempotency import Idempotency

    post(service, "/v1/rank", {"k": 2}, "a")
    monkeypatch.setattr(Idempotency, "_known", lambda *_: None)  # it looked before the first kept
    answer = post(service, "/v1/rank", {"k": 2}, "a")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert n_rows(service, LISTS) == 1


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
