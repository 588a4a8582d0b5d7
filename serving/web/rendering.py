"""Templates, the words and numbers in them, and the static files."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from features import reference
from serving.access.accounts import Principal
from serving.access.roles import ACCESS, DEALER_LEVEL
from serving.errors import NotReadyError
from serving.runtime import Runtime
from serving.scores.areas import own_in_words
from serving.scores.wording import miles
from serving.statements import NOT_EVIDENCE, data_sentence

STATIC: Final = Path(__file__).parent / "static"
# What each head is called where people read it.
HEADS: Final[Mapping[str, str]] = {
    "compliance": "chance of a severe finding",
    "later_penalized": "chance of a later penalty",
    "severity": "chance that a penalty is severe",
    "diversion": "firearms traced soon, 12 months",
    "mexico": "firearms traced in Mexico, 12 months",
}
# What each head is called where space is short.
_PARTS: Final[Mapping[str, str]] = {
    "compliance": "severe finding", "diversion": "traced soon", "mexico": "Mexico",
    "later_penalized": "later penalty", "severity": "severity",
}  # fmt: skip
_FAMILIES: Final[Mapping[str, str]] = {
    "license": "License", "traces": "Traces", "time_to_crime": "Time from sale to recovery",
    "southbound": "Recoveries in Mexico", "border": "Distance from the border",
    "violations": "Inspections and violations", "losses": "Thefts and losses",
    "multiple_sales": "Multiple sales", "volume": "Sales volume", "ballistics": "Ballistic leads",
    "network": "Shared purchasers and neighbors", "area": "Area", "tips": "Tips",
}  # fmt: skip
# Heads that count firearms; the others are chances.
RATES: Final = frozenset({"diversion", "mexico"})
_LEAST_COMPRESSED: Final = 1_000
# What is said at the top of the page, or again by the card after the first two statements.
_SAID_ALREADY: Final = (
    "These answers rest on records to",  # at the top of the page
    "A score is not evidence. It orders", "It never justifies letting", "Traces are requested by",
)  # fmt: skip
# Their own pages say whom they need.
_ELSEWHERE: Final = frozenset({"inspector", "analyst", "scheduler"})
# (name, address, text, the action of `serving.access.roles` that it needs, roles it is not for
# although they may: those have a page that says it better)
_PAGES: Final[tuple[tuple[str, str, str, str, frozenset[str]], ...]] = (
    ("lists", "/lists", "Lists", "lists", frozenset()),
    ("map", "/map", "Map", "dealers", frozenset()),
    ("dealers", "/dealers", "Dealers", "dealers", frozenset()),
    ("plan", "/plan", "Plan", "plan", frozenset()),
    ("plan", "/plans", "Plans", "plans", ACCESS["plan"]),
    ("referrals", "/referrals", "Referrals", "referrals", frozenset()),
    ("flows", "/flows", "Flows", "flows", frozenset()),
    ("areas", "/responsibilities", "Who answers", "responsibilities", _ELSEWHERE),
    ("audit", "/audit", "Audit", "audit", frozenset()),
    ("measures", "/measures", "Measures", "measures", frozenset({"auditor"})),
    ("model", "/model", "Model", "measures", frozenset()),
)


def pages_for(principal: Principal) -> list[tuple[str, str, str]]:
    """Return (name, address, text) of the pages a role and purpose reach."""
    return [
        (name, address, text)
        for name, address, text, action, others in _PAGES
        if principal.role in ACCESS[action] - others
        and (principal.purpose != "statistics" or action not in DEALER_LEVEL)
    ]


def head_label(name: str) -> str:
    """Return what a head is called; an unknown one keeps its name."""
    return HEADS.get(name, name.replace("_", " "))


def score(value: float, head: str) -> str:
    """Write a head's value: a chance in per cent, a rate as a number.

    >>> score(0.1234, "compliance"), score(2.345, "diversion")
    ('12.3%', '2.3')
    """
    if head in RATES:
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return percent(value)


def percent(value: float) -> str:
    """Write a share in per cent, with the digits that matter.

    >>> percent(0.5), percent(0.0123), percent(0.00012)
    ('50%', '1.2%', '0.012%')
    """
    hundred = 100 * value
    if hundred == round(hundred) or hundred >= 20:
        return f"{hundred:.0f}%"
    return f"{hundred:.1f}%" if hundred >= 0.1 else f"{hundred:.2g}%"


def signed(value: float) -> str:
    """Write a number with its sign, a true minus included.

    >>> signed(0.5), signed(-0.25)
    ('+0.50', '−0.25')
    """
    return f"{value:+.2f}".replace("-", "−")


def instant(text: str) -> str:
    """Write an instant of the store as a person reads it.

    >>> instant("2026-01-05T10:20:30.123456Z")
    '5 January 2026, 10:20 UTC'
    """
    when = datetime.fromisoformat(text)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def dealer_name(row: Mapping[str, Any]) -> str:
    """Return the name on the door, else the licensee, else the key."""
    return str(row.get("business_name") or row.get("licensee_name") or row["dealer"])


def _head_text(head: Mapping[str, float]) -> str:
    return f"{head['value']:.3g}, between {head['lower']:.3g} and {head['upper']:.3g}"


@cache
def office_label(name: str) -> str:
    """Return an office with the name of its division.

    The published records know offices by code only.
    """
    known = reference.offices()
    if name in known.index:
        division = str(known.loc[name, "field_division"])
        return f"office {name}, {division}"
    if name.isalnum() and any(c.isdigit() for c in name):
        return f"office {name}"
    return name or "no office"


@cache
def environment() -> Environment:
    """Return the template environment: everything escaped, a missing name is an error."""
    env = Environment(
        loader=PackageLoader("serving.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "upper_first": lambda text: text[:1].upper() + text[1:],
        "words": lambda text: str(text or "").replace("_", " "),
        "whole": lambda value: f"{value:,.0f}",
        "px": lambda value: f"{value:.1f}",
        "percent": percent,
        "signed": signed,
        "amount": lambda value: f"{value:.1f}" if value >= 10 else f"{value:.2f}",
        "score": score,
        "head_label": head_label,
        "part_label": lambda name: _PARTS.get(name, name.replace("_", " ")),
        "family": lambda name: _FAMILIES.get(name, name.replace("_", " ").capitalize()),
        "head_text": _head_text,
        "instant": instant,
        "short_day": lambda day: f"{day.day} {day:%B}",
        "dealer_name": dealer_name,
        "office": office_label,
        "miles": miles,
    }
    return env


def page(
    request: Request,
    template: str,
    *,
    title: str,
    active: str = "",
    me: Principal | None = None,
    status: int = 200,
    **context: Any,
) -> Response:
    """Render a page: with who is signed in, what it was made from and what must be said with it."""
    runtime: Runtime = request.app.state.runtime
    basis = _basis(runtime) if me is not None else None
    html = (
        environment()
        .get_template(template)
        .render(
            title=title,
            active=active,
            me=me,
            me_area="" if me is None or not me.areas else own_in_words(me),
            pages=pages_for(me) if me is not None else [],
            basis=basis,
            data=_data(runtime) if basis is not None else None,
            disclaimers=_said(runtime) if basis is not None else [NOT_EVIDENCE],
            version=static_version(),
            **context,
        )
    )
    # What a page shows is restricted: no cache may keep it past the session.
    headers = {"Cache-Control": "no-store", "Vary": "Accept-Encoding"}
    content = html.encode()
    if len(content) > _LEAST_COMPRESSED and takes_gzip(request.headers.get("accept-encoding")):
        content = gzip.compress(content, 6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(content, status, headers=headers, media_type="text/html; charset=utf-8")


def takes_gzip(accepted: str | None) -> bool:
    """Return whether a browser says that it reads gzip.

    >>> takes_gzip("br, gzip;q=0.5"), takes_gzip("gzip;q=0"), takes_gzip(None)
    (True, False, False)
    """
    for part in (accepted or "").split(","):
        name, _, rank = part.strip().partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            return rank.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _data(runtime: Runtime) -> dict[str, Any]:
    """Return up to when the records go, and whether that is long ago."""
    as_of = runtime.snapshot.as_of
    days = (datetime.now(UTC).date() - as_of).days
    return {
        "sentence": data_sentence(as_of),
        "is_old": days > runtime.settings.stale_days,
        "warning": f"They are {days:,} days old: what happened since is not in them. Who may be"
        " visited is said on these records.",
    }


def _said(runtime: Runtime) -> list[str]:
    """Return what must be said, each thing once: the card of a model repeats the first two."""
    said = list(runtime.snapshot.disclaimers)
    return [s for s in dict.fromkeys(said) if not s.startswith(_SAID_ALREADY)]


def _basis(runtime: Runtime) -> dict[str, Any] | None:
    try:
        return runtime.snapshot.basis
    except NotReadyError:
        return None


@cache
def static_version() -> str:
    """Return a digest of the static files: a changed file has a new address."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:10]
