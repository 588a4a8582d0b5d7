"""The five APIs of BentoML: its client, plain HTTP and the application say the same."""

import http.client
import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from serving.access.audit.writer import load_key, verify
from serving.contract.answers import Explanation, ListPage, ScoreAnswer
from serving.contract.features import FeaturesAnswer
from serving.contract.plan import PlanAnswer
from serving.scores.snapshot import Snapshot
from serving.store.tables import AUDIT
from tests.test_serving.published_country import dealer
from tests.test_serving.server.processes.test_crash import Country

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("crash")]
PURPOSE = "licensing"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    country = Country(tmp_path_factory.mktemp("bento"))
    with country.serving(timeout=120):
        yield country


@pytest.fixture(scope="module")
def rows(served: Country) -> list[dict[str, float | None]]:
    snapshot = Snapshot.load(served.home)
    names = [str(signal["name"]) for signal in snapshot.bundle.signals]
    return [
        {name: None if value != value else float(value) for name, value in zip(names, row)}  # noqa: B905
        for row in snapshot.inputs[:40]
    ]


@contextmanager
def client_of(country: Country, who: str) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own imports use what their makers mean to remove
        from bentoml import SyncHTTPClient

    url = f"http://127.0.0.1:{country.port}"
    with SyncHTTPClient(url, token=country.tokens[who], server_ready_timeout=60) as client:
        yield client
    client._temp_dir.cleanup()  # it leaves its folder to the interpreter's end, which warns


def ask(country: Country, path: str, body: Any, **headers: str) -> tuple[int, str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", country.port, timeout=60)
    with closing(connection):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, content, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, str(answer.getheader("content-type")), json.loads(answer.read())


def bearer(country: Country, who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {country.tokens[who]}"}


def test_its_client_gets_what_plain_http_gets(served: Country, rows):
    with client_of(served, "chief") as client:
        listed = client.rank(k=3, random_share=0, purpose=PURPOSE)
        first = ListPage.model_validate(listed).rows[0]
        body = {"dealers": [first.dealer, "1-11-99999"], "with_reasons": True, "purpose": PURPOSE}
        scored = client.score(**body)
        assert ScoreAnswer.model_validate(scored).scores[1].status == "unknown"
        assert scored == ask(served, "/v1/score", body, **bearer(served, "chief"))[2]
        body = {"dealer": first.dealer, "purpose": PURPOSE}
        explained = client.explain(**body)
        assert Explanation.model_validate(explained).score.dealer == first.dealer
        assert explained == ask(served, "/v1/explain", body, **bearer(served, "chief"))[2]
        body = {"office": first.office, "weeks": 2, "n_investigators": 20, "purpose": PURPOSE}
        planned = client.plan(**body)
        assert PlanAnswer.model_validate(planned).office == first.office
        assert planned == ask(served, "/v1/plan", body, **bearer(served, "chief"))[2]
    with client_of(served, "analyst") as client:
        body = {"rows": rows[:3], "purpose": PURPOSE}
        found = client.score_features(**body)
        assert FeaturesAnswer.model_validate(found).scores
        assert found == ask(served, "/v1/score_features", body, **bearer(served, "analyst"))[2]


def test_requests_scored_together_get_their_own_rows_and_a_record_each(served: Country, rows):
    headers = bearer(served, "analyst") | {"Ffl-Risk-Purpose": PURPOSE}

    def scores_of(some: list[dict[str, float | None]]) -> list[dict[str, Any]]:
        status, _, answer = ask(served, "/v1/score_features", {"rows": some}, **headers)
        assert status == 200, answer
        return answer["scores"]

    alone = [scores_of([row])[0] for row in rows]
    store = served.store()
    count = sa.select(sa.func.count()).where(AUDIT.c.action == "score_features")
    with store.read() as connection:
        before = connection.scalar(count)

    def together(n: int) -> Any:
        return n, scores_of(rows[n : n + 1 + n % 3])

    with ThreadPoolExecutor(12) as pool:
        for n, scores in pool.map(together, [n % 37 for n in range(80)]):
            expected = alone[n : n + 1 + n % 3]
            assert [s["priority"] for s in scores] == pytest.approx(
                [s["priority"] for s in expected], rel=1e-12
            )
    with store.read() as connection:
        assert connection.scalar(count) == before + 80
    assert verify(store, load_key(served.home / "audit.key")).is_intact
    store.close()


@pytest.mark.parametrize(
    ("path", "who", "body", "status", "code"),
    [
        ("score", "chief", {"dealers": []}, 422, "invalid_request"),
        ("score", "chief", {"dealers": ["x"] * 21, "surprise": 1}, 422, "invalid_request"),
        ("score_features", "analyst", {"rows": []}, 422, "invalid_request"),
        ("score_features", "analyst", {"rows": [{"no_such_signal": 1}]}, 422, "invalid_request"),
        ("rank", "chief", {"k": 0}, 422, "invalid_request"),
        ("explain", "chief", {"dealer": dealer(3), "k": "many"}, 422, "invalid_request"),
        ("plan", "chief", {"office": "x", "weeks": 99}, 422, "invalid_request"),
        ("explain", "chief", {"dealer": "1-11-99999"}, 404, "unknown_dealer"),
        ("plan", "chief", {"office": "nowhere"}, 403, "outside_area"),
        ("rank", "analyst", {"k": 1}, 403, "forbidden_role"),
        ("score_features", "chief", {"rows": [{}]}, 403, "forbidden_role"),
        ("rank", "nobody", {"k": 1}, 401, "unauthenticated"),
        ("score", "nobody", {"dealers": ["x"]}, 401, "unauthenticated"),
        ("explain", "chief", b"{not json", 400, "malformed_body"),
        ("score_features", "analyst", b"\xff", 400, "malformed_body"),
    ],
)
def test_what_bentoml_refuses_is_a_problem_document(served, path, who, body, status, code):
    served.tokens.setdefault("nobody", "ffl_000000000000_" + "x" * 43)
    headers = bearer(served, who) | {"Ffl-Risk-Purpose": PURPOSE}
    answer = ask(served, f"/v1/{path}", body, **headers)
    assert answer[:2] == (status, "application/problem+json")
    assert answer[2]["code"] == code
    assert "no_such_signal" not in json.dumps(answer[2].get("errors", ""))


def test_a_purpose_is_needed_there_too_and_nothing_of_a_request_is_logged(served: Country, rows):
    for path, who, body in (
        ("rank", "chief", {"k": 1}),
        ("explain", "chief", {"dealer": dealer(1)}),
        ("score_features", "analyst", {"rows": rows[:1]}),
        ("score", "chief", {"dealers": [dealer(n) for n in range(30)]}),
    ):
        status, _, told = ask(served, f"/v1/{path}", body, **bearer(served, who))
        assert (status, told["code"]) == (403, "purpose_required"), path
    ask(served, "/v1/explain", {"dealer": ["Zq9Secret"]}, **bearer(served, "chief"))
    log = (served.home / "serve.log").read_text()
    assert "Traceback" not in log
    assert "Zq9Secret" not in log


def test_the_schema_names_the_five_with_their_types(served: Country):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    with closing(connection):
        connection.request("GET", "/schema.json")
        schema = json.loads(connection.getresponse().read())
    found = {route["route"]: route for route in schema["routes"]}
    assert set(found) == {
        f"/v1/{name}" for name in ("score", "score_features", "rank", "explain", "plan")
    }
    assert [path for path, route in found.items() if route["batchable"]] == ["/v1/score_features"]
    assert found["/v1/rank"]["input"]["properties"]["k"]["maximum"] == 5000
    assert "scores" in found["/v1/score_features"]["output"]["properties"]
