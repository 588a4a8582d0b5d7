"""The field packet: two pages to take along to a dealer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypedDict

from features.domain.number_words import counted
from features.reference.destinations import destination_label
from features.reference.legal.citation import cause_of
from serving.contract.records.dealers import DossierDocument
from serving.papers.typesetting import pdf
from serving.statements import PEERS, basis_sentence, data_sentence, in_short

_MOST_REASONS: Final = 6
_MOST_CITATIONS: Final = 8
_MOST_INSPECTIONS: Final = 4
_MOST_YEARS: Final = 8
_CHECKLIST: Final = (
    "Credentials shown; purpose of the visit said; who is in charge asked",
    "License and premises as listed; business activity within the license type",
    "Acquisition and disposition record: openings, recent entries, entries without a disposition",
    "Forms 4473: the sample agreed, dates, identification, background check numbers",
    "Inventory counted against the record; what is missing written down before it is explained",
    "Multiple-sale and theft or loss reports made in time",
    "Answers to trace requests found in the record",
    "What was found said to the dealer; next steps and dates agreed",
)


def field_packet(
    document: DossierDocument,
    *,
    name: str,
    picture: str,
    way: str,
    traces: Sequence[tuple[int, str, int]],
) -> bytes:
    """Return the packet as a tagged PDF; the same dossier gives the same bytes.

    Parameters
    ----------
    document : mapping
        The dealer's `Dossier`.
    picture : str
        Map as SVG, empty when the place is not known.
    way : str
        How far it is, in words.
    traces : sequence of (int, str, int)
        Year, destination and number of traces.
    """
    score, basis = document["score"], document["basis"]
    as_of = datetime.fromisoformat(str(basis["as_of"])).replace(tzinfo=UTC)
    seen = (
        "May be visited, on these records."
        if score["is_eligible"]
        else f"May be visited from {score['eligible_on']} on, twelve months after the last "
        "compliance or recall inspection."
    )
    state = f"{document['state']} {document['zip']}"
    content = {
        "title": f"Field packet: {name}",
        "lines": [
            ", ".join(filter(None, (document["street"], document["city"], state))),
            f"License {document['license_number']}, type {document['license_type']}; licensee"
            f" {document['licensee_name'] or 'not listed'}; dealer key {document['dealer']}",
            f"{data_sentence(score['as_of'] or basis['as_of'])} {seen}",
        ],
        "statements": [*in_short(document["disclaimers"]), PEERS],
        "foot": f"{name[:60]}. {basis_sentence(basis)}",
        "facts": _facts(document),
        "map": picture,
        "map_alt": f"Map of the county of {name[:60]} and its neighbors, with the dealer marked",
        "way": way,
        "traces": _by_year(traces),
        "traces_title": f"{counted(document['traces']['n_traces'], 'trace')}, by year and place of"
        " recovery",
        "checklist": _CHECKLIST,
    }
    return pdf("packet", content, created=as_of)


class _Section(TypedDict):
    title: str
    lines: list[str]
    none: str


def _facts(document: DossierDocument) -> list[_Section]:
    in_sight = [e for e in document["timeline"] if e["table"] in {"inspections", "outcomes"}]
    cited = list(document["citations"].items())[:_MOST_CITATIONS]
    reasons = [r for r in document["score"]["reasons"] or [] if r["contribution"] > 0]
    return [
        {
            "title": "Why it is looked at",
            "lines": [r["sentence"] for r in reasons[:_MOST_REASONS]],
            "none": "No single signal stands out.",
        },
        {
            "title": "Last inspections",
            "lines": [f"{e['on']}: {e['what']}" for e in in_sight[:_MOST_INSPECTIONS]],
            "none": "None on record.",
        },
        {
            "title": "Citations found",
            "lines": [_cited(citation, n) for citation, n in cited],
            "none": "None on record.",
        },
    ]


def _cited(citation: str, n: int) -> str:
    cause = cause_of(citation)
    times = "at one inspection" if n == 1 else f"at {n} inspections"
    return f"{citation}{', ' + cause if cause else ''}: {times}"


def _by_year(traces: Sequence[tuple[int, str, int]]) -> list[list[str]]:
    """Return a table of years and destinations with its head row, empty when there is no trace.

    What lies before the years shown is one row, so that the rows are all the traces there are.
    """
    if not traces:
        return []
    total: Counter[str] = Counter()
    cells: dict[tuple[int, str], int] = {}
    for year, destination, n in traces:
        total[destination] += n
        cells[year, destination] = n
    names = [name for name, _ in total.most_common()]
    years = sorted({year for year, _, _ in traces}, reverse=True)
    head = ["Year", *(destination_label(name) for name in names), "All"]
    groups = [(str(year), [year]) for year in years[:_MOST_YEARS]]
    if years[_MOST_YEARS:]:
        groups.append(("Earlier", years[_MOST_YEARS:]))
    rows = []
    for label, of_years in groups:
        counts = [sum(cells.get((year, name), 0) for year in of_years) for name in names]
        rows.append([label, *(f"{n:,}" for n in (*counts, sum(counts)))])
    return [head, *rows]
