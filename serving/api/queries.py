"""Queries that name what a route does not know: refused, for a filter that is ignored shows all."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import Request

from features.errors import did_you_mean
from serving.errors import InvalidRequestError


def check_query(request: Request) -> None:
    """Refuse a query that names what the route does not know, or one thing twice.

    A filter that is misspelled would otherwise be no filter, and all would be shown.

    Raises
    ------
    InvalidRequestError
        When it does.
    """
    if not request.scope["query_string"]:
        return
    route = request.scope.get("route")
    known = dict(_parameters(route.dependant)) if isinstance(route, APIRoute) else {}
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            raise InvalidRequestError(
                "The query names what this route does not know"
                f"{did_you_mean(name[:40], known) if name.isascii() else ''}.",
                expected=", ".join(sorted(known)) or "no query",
            )
        if given.count(name) > 1 and not known[name]:
            raise InvalidRequestError(f"The query gives {name} twice.", expected=f"{name} once")


def _parameters(dependant: Dependant) -> Iterable[tuple[str, bool]]:
    """Name the query parameters of a route, and whether each may be given several times."""
    for field in dependant.query_params:
        yield field.alias, "list[" in str(field.field_info.annotation)
    for inner in dependant.dependencies:
        yield from _parameters(inner)
