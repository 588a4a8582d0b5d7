"""The whole OpenAPI document against the running application: no 5xx, no answer outside it."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi

from serving.access.roles import ACCESS
from serving.contract.meanings import ANYWHERE, meanings
from serving.server.app import build_app

# Enough of each kind for every branch of a route; more find nothing else and take minutes.
EXAMPLES = 20
CHECK_NAMES = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)
METHODS = ("get", "post", "put", "patch", "delete")
PUBLIC = {"/healthz", "/readyz", "/metrics", "/docs.json"}


@pytest.fixture
def document(service) -> dict[str, Any]:
    return service.client.get("/docs.json").json()


def operations_of(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def role_for(path: str) -> str:
    """Return an account that may use the route, so that the route itself answers."""
    action = path.removeprefix("/v1/").split("/")[0]
    names = {"inspector": "inspector", "supervisor": "chief"}
    allowed = ACCESS.get(action, frozenset({"analyst"}))
    preferred = ("supervisor", "analyst", "scheduler", "inspector", "auditor", "admin")
    role = next(role for role in preferred if role in allowed)
    return names.get(role, role)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_is(document):
    operations = list(operations_of(document))
    names = [operation["operationId"] for _, _, operation in operations]
    assert len(set(names)) == len(names)
    # A generated client makes methods of them.
    assert all(name.isidentifier() and len(name) <= 30 for name in names), names
    assert all(operation["summary"] for _, _, operation in operations)


def test_every_data_route_is_described_whole(document):
    for path, _, operation in operations_of(document):
        if path in PUBLIC:
            assert "security" not in operation
            continue
        assert operation["security"] == [{"token": []}]
        assert operation["description"]
        assert {"200", "400", "401", "403", "413", "422", "429", "500", "503", "504"} <= set(
            operation["responses"]
        )
        content = operation["responses"]["200"]["content"]
        is_file = "application/json" not in content
        assert is_file or content["application/json"]["schema"]
        for body in operation.get("requestBody", {}).get("content", {}).values():
            assert body["schema"]


def test_every_refusal_is_declared_as_a_problem_document_and_as_nothing_else(document):
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for path, _, operation in operations_of(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert response["content"] == {"application/problem+json": schema}, (path, status)


def test_every_reference_leads_somewhere_and_every_part_is_used(document):
    text = str(document)
    used = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert used == set(document["components"]["schemas"])


def test_a_generator_finds_a_type_for_every_part(document):
    """What makes a client out of the document needs: each schema says what it is, all the way."""
    definitions = document["components"]["schemas"]

    def untyped(schema, place):
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/components/schemas/")
            return [] if name in definitions else [place]
        parts = [part for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, ())]
        parts += list(schema.get("properties", {}).values())
        parts += [
            schema[key]
            for key in ("items", "additionalProperties")
            if isinstance(schema.get(key), dict)
        ]
        is_said = parts or {"type", "enum", "const"} & schema.keys()
        found = [] if is_said else [place]
        return found + [one for part in parts for one in untyped(part, place)]

    assert [one for name, schema in definitions.items() for one in untyped(schema, name)] == []
    for path, method, operation in operations_of(document):
        named = set(re.findall(r"{(\w+)}", path))
        in_path = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
        assert named == in_path, (method, path)
        names = [p["name"] for p in operation.get("parameters", ())]
        assert len(set(names)) == len(names), (method, path)


def test_the_document_names_servers_and_every_tag_that_is_used(document):
    used = {tag for _, _, operation in operations_of(document) for tag in operation["tags"]}
    assert [server["url"] for server in document["servers"]] == ["/"]
    assert {tag["name"] for tag in document["tags"]} == used
    assert all(tag["description"] for tag in document["tags"])


def test_every_code_that_is_sent_is_in_the_documents_enum(document):
    """Whatever code stands in the source as one that is answered."""
    told = set(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    written = set()
    for path in (Path(__file__).parents[3] / "serving").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        written |= set(re.findall(r"""problem\(\s*\d{3},\s*"(\w+)\"""", text))
        written |= set(re.findall(r"""refuse\(\s*scope, \d{3}, "(\w+)\"""", text))
        written |= set(re.findall(r"""^    code = "(\w+)"$""", text, flags=re.MULTILINE))
        written |= set(re.findall(r"""^    \d{3}: \("(\w+)",""", text, flags=re.MULTILINE))
    assert len(written) > 30
    assert written - told == {"unreachable", "unknown_trial"}  # of the client and a command alone


def test_every_example_is_what_it_is_an_example_of(document):
    from serving.contract import answers, features, plan
    from serving.contract.examples import EXAMPLES
    from serving.contract.field import decisions, events, outcomes, referral

    rooms = (answers, decisions, events, features, outcomes, plan, referral)
    bodies = {
        content["schema"]["$ref"].rpartition("/")[2]
        for _, _, operation in operations_of(document)
        for content in operation.get("requestBody", {}).get("content", {}).values()
        if "$ref" in content["schema"]
    }
    assert bodies == EXAMPLES.keys()
    for name, example in EXAMPLES.items():
        kind = next(getattr(room, name) for room in rooms if hasattr(room, name))
        kind.model_validate(example)
        assert document["components"]["schemas"][name]["examples"] == [example]


def test_every_parameter_and_answer_says_what_it_is_and_every_parameter_shows_one(document):
    from jsonschema import Draft202012Validator

    from serving.contract.examples import PARAMETERS

    named = set()
    for path, method, operation in operations_of(document):
        for parameter in operation.get("parameters", ()):
            named.add(parameter["name"])
            place = (method, path, parameter["name"])
            assert parameter["description"], place
            if parameter["name"] != "cursor":  # what it is differs, and is never made by hand
                Draft202012Validator(parameter["schema"]).validate(parameter["example"])
        for status, response in operation["responses"].items():
            assert response["description"] not in {"", "Successful Response"}, (path, status)
    assert named == PARAMETERS.keys()


def test_rows_of_events_are_typed_one_schema_a_table(service, document):
    from typing import get_args

    from serving.contract.examples import EXAMPLES
    from serving.contract.field.events import EventTable

    schemas = document["components"]["schemas"]
    kinds = schemas["EventsRequest"]["properties"]["rows"]["items"]["anyOf"]
    named = [kind["$ref"].rpartition("/")[2] for kind in kinds if "$ref" in kind]
    assert len(named) == len(get_args(EventTable)) == 6
    tips = schemas["TipsRow"]
    assert tips["properties"]["received_on"]["format"] == "date"
    assert "public" in tips["properties"]["source"]["enum"]
    row = EXAMPLES["EventsRequest"]["rows"][0]
    assert set(tips["required"]) <= row.keys() <= tips["properties"].keys()
    dealer = str(service.runtime.snapshot.columns["dealer"][0])
    sent = {"table": "tips", "rows": [row | {"dealer": dealer}]}
    assert service.post("/v1/events", "scheduler", sent).json()["rejected"] == []


def test_every_instant_says_that_it_is_one(document):
    for name, schema in document["components"]["schemas"].items():
        for field_name, part in schema.get("properties", {}).items():
            if field_name == "at" or field_name.endswith("_at"):
                kinds = [part, *part.get("anyOf", ())]
                assert any(kind.get("format") == "date-time" for kind in kinds), (name, field_name)


def test_a_route_that_will_go_says_so_in_every_answer_and_in_the_document(service, monkeypatch):
    from datetime import date

    from serving.api import deprecations

    gone = deprecations.Deprecation(date(2027, 1, 1), date(2027, 9, 1), "GET /v2/lists")
    path = "/v1/lists/{list_id}"
    monkeypatch.setitem(deprecations.DEPRECATED, f"GET {path}", gone)
    listed = service.post("/v1/rank", "chief", {"k": 1}).json()["list_id"]
    for who in ("chief", "analyst"):  # a refusal says it too
        headers = service.get(f"/v1/lists/{listed}", who).headers
        assert headers["deprecation"] == "@1798761600"
        assert headers["sunset"] == "Wed, 01 Sep 2027 00:00:00 GMT"
    assert "sunset" not in service.get("/v1/lists", "chief").headers
    document = build_app(service.runtime).app.app.openapi()
    assert document["paths"][path]["get"]["deprecated"] is True
    with pytest.raises(ValueError, match="182 days"):
        deprecations.Deprecation(date(2027, 1, 1), date(2027, 2, 1), "nothing")


def test_each_kind_of_file_is_declared_as_what_it_is(document):
    kinds = {}
    for path, operations in document["paths"].items():
        for media, told in (
            operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {}).items()
        ):
            schema = told.get("schema", {})
            if path.endswith(("{kind}", "/export")):
                kinds[media] = (schema["type"], schema.get("format"))
    assert kinds["text/csv"] == ("string", None)
    assert kinds["application/pdf"] == ("string", "binary")
    assert kinds["application/csvm+json"] == ("object", None)


def test_what_is_deprecated_is_there(document):
    from serving.api.deprecations import DEPRECATED

    known = {f"{method.upper()} {path}" for path, method, _ in operations_of(document)}
    assert DEPRECATED.keys() <= known


@pytest.mark.slow
def test_every_operation_keeps_to_the_document(service, document, subtests):
    service.runtime.settings = replace(service.runtime.settings, rate=1e6, burst=1e6)
    app = build_app(service.runtime)
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    listed = service.post("/v1/rank", "chief", {"k": 5}).json()
    known = {
        "list_id": listed["list_id"],
        "dealer": str(service.runtime.snapshot.columns["dealer"][0]),
        "kind": "csv",
    }
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    with asgi.get_client(app) as client:
        for found, mode in itertools.product(schema.get_all_operations(), modes):
            operation = found.ok()
            if mode is GenerationMode.NEGATIVE and not _takes_anything(operation):
                continue  # nothing can be wrong with it
            headers = {"Authorization": f"Bearer {service.tokens[role_for(operation.path)]}"}
            more = known if mode is GenerationMode.POSITIVE else {}
            named = frozenset(str(p.name) for p in operation.iter_parameters())
            call = _Calls(client, headers, more, named)
            with subtests.test(f"{operation.label} {mode.value}"):
                call.drive(operation.as_strategy(generation_mode=mode))


@dataclass(frozen=True)
class _Calls:
    """Calls one operation with what is generated for it."""

    client: Any
    headers: dict[str, str]
    known: dict[str, str]
    named: frozenset[str]

    def drive(self, cases: st.SearchStrategy[Any]) -> None:
        checks = [CHECKS.get_one(name) for name in CHECK_NAMES]

        @seed(1)
        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=cases, is_known=st.booleans())
        def keeps_to_it(case, is_known):
            if is_known:
                _put(case, self.known)
            answer = case.call(session=self.client, headers=self.headers)
            # What an address asks beside the parameters is passed over, as on the web everywhere.
            asked = set(case.query or {})
            chosen = [c for c in checks if c.__name__ != CHECK_NAMES[5] or asked <= self.named]
            # The service of this test has no warehouse, and may say so.
            is_honest = answer.status_code == 503 and answer.json()["code"] == "not_ready"
            case.validate_response(
                answer, checks=chosen[1:] if is_honest else chosen, headers=self.headers
            )

        keeps_to_it()


def _takes_anything(operation: Any) -> bool:
    return bool(operation.body) or any(operation.iter_parameters())


def _put(case: Any, known: dict[str, str]) -> None:
    """Name things that exist, so that more than the refusals are looked at."""
    for place in (case.path_parameters, case.body if isinstance(case.body, dict) else {}):
        for name in known.keys() & place.keys():
            place[name] = known[name]


def test_every_property_says_what_it_means(document):
    schemas = document["components"]["schemas"]
    silent = [
        f"{name}.{prop}"
        for name, schema in schemas.items()
        for prop, about in schema.get("properties", {}).items()
        if not about.get("description")
    ]
    assert silent == []


def test_every_meaning_is_told_of_something(document):
    """A name that no schema has, or that says itself what it means, is told of nobody."""
    schemas = document["components"]["schemas"]
    told = meanings()

    def is_told(name: str, prop: str, said: str) -> bool:
        return schemas[name].get("properties", {}).get(prop, {}).get("description") == said

    for name, table in told.items():
        places = schemas if name == ANYWHERE else (name,)
        for prop, said in table.items():
            assert any(is_told(place, prop, said) for place in places), (name, prop)
            assert not said.endswith("."), said
            is_said_twice = name != ANYWHERE and said == told[ANYWHERE].get(prop)
            assert not is_said_twice, (name, prop)
