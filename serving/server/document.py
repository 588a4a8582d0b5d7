"""The OpenAPI document: what FastAPI cannot know of the routes is put into it here."""

from __future__ import annotations

from typing import Any, Final, get_args

from fastapi import FastAPI

from features.contract import row_schema
from features.openjson import Json
from serving.api.codes import codes
from serving.api.deprecations import DEPRECATED
from serving.api.problems import MEDIA_TYPE
from serving.contract.examples import EXAMPLES, PARAMETERS
from serving.contract.field.events import EventTable
from serving.contract.meanings import describe
from serving.server.idempotent_routes import ROUTES

_UNSAID: Final = "Successful Response"
_PROBLEM: Final = "#/components/schemas/Problem"
SERVERS: Final = [{"url": "/", "description": "The service that gave this document"}]
TAGS: Final = [
    {"name": "scores", "description": "Scores of dealers and what moves them"},
    {"name": "lists", "description": "Ranked lists: issued once, kept for ever"},
    {"name": "plans", "description": "Visits of an office, week by week"},
    {"name": "field", "description": "Decisions, outcomes and events, sent and read back"},
    {
        "name": "referrals",
        "description": "Patterns for agents at once, case requests, whom to call",
    },
    {"name": "dealers", "description": "Dossiers"},
    {"name": "changes", "description": "What was written, in order"},
    {"name": "audit", "description": "Who looked at what, and who changed what"},
    {"name": "insight", "description": "Flows, completeness, measures and releases"},
    {"name": "operations", "description": "Liveness, readiness, metrics and this document"},
]
_PURPOSE: Final = {
    "name": "Ffl-Risk-Purpose",
    "in": "header",
    "required": False,
    "description": "Why the data is needed; recorded. The body may say it instead.",
    "schema": {"enum": ["licensing", "criminal_investigation", "statistics"]},
}
_AGAIN: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again under the same key, a write is kept and answered once",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}


def complete(app: FastAPI) -> None:
    """Let the application give the whole document."""
    build = app.openapi

    def openapi() -> Json:
        if not app.openapi_schema:
            document = build()
            _parts(document.setdefault("components", {}))
            _operations(document["paths"])
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _parts(components: dict[str, Any]) -> None:
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schemas = components["schemas"]
    schemas["Problem"]["properties"]["code"]["enum"] = codes()
    describe(schemas)
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    rows = {f"{_named(table)}Row": row_schema(table) for table in get_args(EventTable)}
    schemas |= {name: {**row, "title": name} for name, row in rows.items()}
    # A row that is none of these is answered too, as rejected: the last of them is any object.
    kinds = [{"$ref": f"#/components/schemas/{name}"} for name in rows]
    schemas["EventsRequest"]["properties"]["rows"]["items"] = {
        "anyOf": [*kinds, {"type": "object", "additionalProperties": True}]
    }


def _named(table: str) -> str:
    return "".join(word.capitalize() for word in table.split("_"))


def _describe(parameter: dict[str, Any]) -> None:
    """Say what a parameter is, and show one."""
    said, example = PARAMETERS[parameter["name"]]
    parameter.setdefault("description", said)
    if example is not None and "example" not in parameter:
        parameter["example"] = example


def _operations(paths: dict[str, Any]) -> None:
    for path, operations in paths.items():
        for method, operation in operations.items():
            if path in ROUTES and method == "post":
                operation.setdefault("parameters", []).append(_AGAIN)
            if path.startswith("/v1/"):
                operation["security"] = [{"token": []}]
                operation.setdefault("parameters", []).append(_PURPOSE)
            if f"{method.upper()} {path}" in DEPRECATED:
                operation["deprecated"] = True
            for parameter in operation.get("parameters", ()):
                _describe(parameter)
            for response in operation["responses"].values():
                if response["description"] == _UNSAID:
                    response["description"] = operation["summary"]
                # FastAPI puts the model under the route's own media type, not under this one.
                if MEDIA_TYPE in response.get("content", {}):
                    response["content"] = {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM}}}
