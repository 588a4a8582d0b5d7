"""Templates, the words and numbers in them, and the static files."""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, TypedDict

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from features.domain.agency_day import moment_in_words
from features.domain.number_words import counted
from features.reference.legal.outcome import outcome_label
from serving import clock
from serving.access.accounts import Principal
from serving.access.roles import ACCESS, DEALER_LEVEL, NOT_IN_NAVIGATION
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.contract.records.scores import BasisRecord
from serving.errors import NotReadyError
from serving.lists.owners import owner_in_words
from serving.runtime import Runtime
from serving.scores.areas import own_in_words
from serving.scores.words.area_names import codes_in_words, county_label, office_label
from serving.scores.words.reason_sentences import lack_unsaid
from serving.scores.words.wording import (
    RATES,
    head_label,
    last_kind_label,
    miles,
    part_label,
    percent,
    planned_label,
    score,
    total_label,
    why_label,
)
from serving.statements import (
    NOT_EVIDENCE,
    OLD_RECORDS,
    UNJUDGED,
    WITHOUT_COMPLIANCE,
    data_sentence,
    each_once,
    scored_alone,
)

STATIC: Final = Path(__file__).parent / "static"
# What one record of a table is, and several are.
_RECORDS: Final[Mapping[str, tuple[str, str]]] = {
    "licenses": ("listing of the license", "listings of the license"),
    "inspections": ("inspection", "inspections"),
    "violations": ("citation", "citations"),
    "traces": ("trace", "traces"),
    "seizures": ("seizure", "seizures"),
    "multiple_sales": ("report of a multiple sale", "reports of multiple sales"),
    "thefts_losses": ("report of a theft or loss", "reports of thefts or losses"),
    "sales_volume": ("monthly count of background checks", "monthly counts of background checks"),
    "denials": ("monthly count of buyers denied", "monthly counts of buyers denied"),
    "tips": ("tip", "tips"),
    "ballistic_leads": ("ballistic lead", "ballistic leads"),
}
# What each simple rule is called; a model is compared with them.
_RULES: Final[Mapping[str, str]] = {
    "points": "the table of points", "logistic": "logistic regression",
    "trace_count": "most traces first", "longest_unseen": "longest unseen first",
    "longest_uninspected_first": "longest unseen first", "random": "at random",
}  # fmt: skip
_FAMILIES: Final[Mapping[str, str]] = {
    "license": "License", "traces": "Traces", "time_to_crime": "Time from sale to recovery",
    "southbound": "Recoveries in Mexico", "border": "Distance from the border",
    "violations": "Inspections and violations", "losses": "Thefts and losses",
    "multiple_sales": "Multiple sales", "volume": "Sales volume", "ballistics": "Ballistic leads",
    "network": "Shared purchasers and neighbors", "area": "Area", "tips": "Tips",
}  # fmt: skip
# Heads that count firearms; the others are chances.
_LEAST_COMPRESSED: Final = 1_000
_AT_THE_TOP: Final = (OLD_RECORDS, UNJUDGED, WITHOUT_COMPLIANCE)  # of every page
# (name, address, text, the action of `serving.access.roles` that it needs)
_PAGES: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("lists", "/lists", "Lists", "lists"),
    ("map", "/map", "Map", "dealers"),
    ("dealers", "/dealers", "Dealers", "dealers"),
    ("plan", "/plan", "Plan", "plan"),
    ("plan", "/plans", "Plans", "plans"),
    ("referrals", "/referrals", "Referrals", "referrals"),
    ("flows", "/flows", "Flows", "flows"),
    ("areas", "/responsibilities", "Who answers", "responsibilities"),
    ("audit", "/audit", "Audit", "audit"),
    ("shares", "/shares", "Releases", "shares"),
    ("measures", "/measures", "Measures", "measures"),
    ("model", "/model", "Model", "measures"),
)


def pages_for(principal: Principal) -> list[tuple[str, str, str]]:
    """Return (name, address, text) of the pages a role and purpose reach."""
    return [
        (name, address, text)
        for name, address, text, action in _PAGES
        if principal.role in ACCESS[action] - NOT_IN_NAVIGATION.get(address, frozenset())
        and (principal.purpose != "statistics" or action not in DEALER_LEVEL)
    ]


def rule_label(name: str) -> str:
    """Return what a simple rule of ordering is called; an unknown one keeps its name.

    >>> rule_label("trace_count"), rule_label("newest_first")
    ('most traces first', 'newest first')
    """
    return _RULES.get(name, name.replace("_", " "))


def upper_first(text: str) -> str:
    """Write a text with a capital at its beginning and nothing else changed.

    >>> upper_first("firearms traced in Mexico")
    'Firearms traced in Mexico'
    """
    return text[:1].upper() + text[1:]


def signed(value: float) -> str:
    """Write a number with its sign, a true minus included.

    >>> signed(0.5), signed(-0.25), signed(-0.001)
    ('+0.50', '−0.25', '0.00')
    """
    text = f"{value:+.2f}".replace("-", "−")
    return text[1:] if text.endswith("0.00") and len(text) == 5 else text


def dealer_name(row: Mapping[str, Any]) -> str:
    """Return the name on the door, else the licensee, else the key."""
    return str(row.get("business_name") or row.get("licensee_name") or row["dealer"])


def list_day(list_id: str) -> str:
    """Return the day on which a list was issued, out of its id.

    >>> list_day("L-20260105-0123456789ab")
    '5 January 2026'
    """
    when = date.fromisoformat(list_id[2:10])
    return f"{when.day} {when:%B %Y}"


def counted_records(n: int, table: str) -> str:
    """Say how many records of a table there are.

    >>> counted_records(1, "inspections"), counted_records(2_000, "sales_volume")
    ('1 inspection', '2,000 monthly counts of background checks')
    """
    one, many = _RECORDS.get(table, (table.replace("_", " "),) * 2)
    return counted(n, one, many)


def area_label(text: str) -> str:
    """Return an area as a list names it, its codes in words.

    >>> area_label("office 785110"), area_label("county 04013, state AZ")
    ('Phoenix: Maricopa County, AZ (office 785110)', 'Maricopa County, AZ, state AZ')
    """
    return codes_in_words(
        text.replace("everything within the caller's area", "all of the owner's area")
    )


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
    # Each showing of a form that makes a thing is told apart by it (`serving.web.once`).
    env.globals["rates"] = RATES
    env.globals["once"] = lambda: secrets.token_urlsafe(12)
    env.filters |= {
        "upper_first": upper_first,
        "words": lambda text: str(text or "").replace("_", " "),
        "whole": lambda value: f"{value:,.0f}",
        "px": lambda value: f"{value:.1f}",
        "percent": percent,
        "lack_unsaid": lack_unsaid,
        "signed": signed,
        "amount": lambda value: f"{value:.1f}" if value >= 10 else f"{value:.2f}",
        "score": score,
        "head_label": head_label,
        "part_label": part_label,
        "total_label": total_label,
        "family": lambda name: _FAMILIES.get(name, name.replace("_", " ").capitalize()),
        "list_day": list_day,
        "counted": counted_records,
        "scored_alone": scored_alone,
        "noun": counted,
        "outcome": outcome_label,
        "instant": moment_in_words,
        "short_day": lambda day: f"{day.day} {day:%B}",
        "dealer_name": dealer_name,
        "office": office_label,
        "area": area_label,
        "county": county_label,
        "owner": owner_in_words,
        "miles": miles,
        "last_kind": last_kind_label,
        "why_label": why_label,
        "planned_label": planned_label,
        "override_label": lambda reason: OVERRIDE_WORDS.get(reason, reason).lower(),
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


class _DataNote(TypedDict):
    sentence: str
    is_old: bool
    warning: str
    judged: str


def _data(runtime: Runtime) -> _DataNote:
    """Return up to when the records go, and whether that is long ago."""
    snapshot, today = runtime.snapshot, clock.today()
    reach = f"reach to {snapshot.records_to} and " if snapshot.records_to < snapshot.as_of else ""
    return {
        "sentence": data_sentence(snapshot.as_of),
        "is_old": snapshot.is_stale(today),
        "judged": snapshot.judged,
        "warning": f"They {reach}are {snapshot.age_days(today):,} days old: of what happened since"
        " only what was told to this service is known. Who may be visited rests on both.",
    }


def _said(runtime: Runtime) -> list[str]:
    """Return what must be said and does not stand at the top of the page."""
    said = each_once(runtime.snapshot.disclaimers)
    return [one for one in said if not one.startswith(_AT_THE_TOP)]


def _basis(runtime: Runtime) -> BasisRecord | None:
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
