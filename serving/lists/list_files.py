"""A list as CSV, spreadsheet or PDF; no cell can become a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, TypedDict

from features.domain.spreadsheet_formulas import neutral_row
from serving.lists.owners import owner_in_words
from serving.papers.spreadsheet import Field, Sheet, Value, book
from serving.papers.typesetting import pdf
from serving.scores.words.wording import RATES, why_label
from serving.scores.words.wording import score as written
from serving.statements import PEERS, basis_sentence, data_sentence

_COLUMNS: Final = (
    "position", "dealer", "license_number", "license_type", "licensee_name", "business_name",
    "street", "city", "state", "zip", "county", "office", "division", "why",
    "inclusion_probability", "is_mandatory", "note", "priority", "percentile", "national_rank",
    "support", "last_inspected_on", "last_outcome", "eligible_on", "reasons",
)  # fmt: skip


def header(document: Mapping[str, Any]) -> list[str]:
    """Return the lines that stand above the rows of every file."""
    when = _issued_at(document)
    # Who reads the file need not be who asked for it.
    area = document["area_in_words"].replace("the caller's area", "the owner's area")
    return [
        f"List {document['list_id']}, issued {when.day} {when:%B %Y, %H:%M} UTC to "
        f"{owner_in_words(document['owner'])}",
        f"Area: {area}",
        basis_sentence(document["basis"]),
        PEERS,
        *document["disclaimers"],
    ]


def table(document: Mapping[str, Any]) -> tuple[list[str], list[list[str | float | None]]]:
    """Return column names and one row a dealer; texts are neutral, numbers are numbers."""
    rows = document["rows"]
    heads = sorted({head for row in rows for head in row.get("heads", ())})
    # What an auditor reads has no scores: it has no columns for them either.
    names = [n for n in _COLUMNS if not rows or n in rows[0] or n == "is_mandatory"]
    cells = [_cells(row, names, heads) for row in rows]
    for head in heads:
        names += [head, f"{head}_lower", f"{head}_upper"]
    return names, cells


def _cells(
    row: Mapping[str, Any], names: Sequence[str], heads: list[str]
) -> list[str | float | None]:
    flat = dict(row)
    flat["why"] = " ".join(row["why"])
    flat["is_mandatory"] = "yes" if row.get("is_mandatory") else "no"
    flat["reasons"] = " ".join(reason["sentence"] for reason in row.get("reasons", ()))
    values: list[Any] = [flat[name] for name in names]
    for head in heads:
        score = row["heads"][head]
        values += [score["value"], score["lower"], score["upper"]]
    return neutral_row(values)


def to_csv(document: Mapping[str, Any], *, with_comments: bool = False) -> bytes:
    """Return the list as CSV: a head row and one row a dealer.

    What must be said with it is in `csv_metadata`; `with_comments` puts it above the head row.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if with_comments:
        for line in header(document):
            writer.writerow([f"# {line}"])
    names, rows = table(document)
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def csv_metadata(document: Mapping[str, Any]) -> bytes:
    """Return what the CSV of a list is about, as W3C tabular metadata (CSVW)."""
    names, _ = table(document)
    title, *notes = header(document)
    kinds = dict.fromkeys(_DATES, "date") | dict.fromkeys(_NUMBERS, "number")
    metadata = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": f"{document['list_id']}.csv",
        "dc:title": title,
        "dc:issued": document["issued_at"],
        "notes": notes,
        "tableSchema": {
            "columns": [
                {
                    "name": name,
                    "titles": _HEADINGS[name].heading if name in _HEADINGS else name,
                    "datatype": kinds.get(name, "number" if name not in _HEADINGS else "string"),
                }
                for name in names
            ],
            "primaryKey": "dealer",
        },
    }
    return json.dumps(metadata, indent=1).encode()


def _issued_at(document: Mapping[str, Any]) -> datetime:
    """Return when the list was issued: a file says that, so that it is the same in a year."""
    return datetime.fromisoformat(str(document["issued_at"])).astimezone(UTC)


_HEADINGS: Final[Mapping[str, Field]] = {
    "position": Field("Place", "whole", 7),
    "dealer": Field("Dealer key", width=13),
    "license_number": Field("License number", width=24),
    "license_type": Field("License type", width=9),
    "licensee_name": Field("Licensee", width=28),
    "business_name": Field("Business name", width=28),
    "street": Field("Street", width=26),
    "city": Field("City", width=16),
    "state": Field("State", width=7),
    "zip": Field("ZIP", width=8),
    "county": Field("County code", width=9),
    "office": Field("Office", width=10),
    "division": Field("Division", width=10),
    "why": Field("On the list because", width=18),
    "inclusion_probability": Field("Probability of being on it", "percent", 12),
    "is_mandatory": Field("Mandatory", width=10),
    "note": Field("Note", width=24),
    "priority": Field("Priority", "number", 9),
    "percentile": Field("Percentile", "number", 10),
    "national_rank": Field("National rank", "whole", 9),
    "support": Field("Known from inspected dealers like it", "percent", 12),
    "last_inspected_on": Field("Last compliance or recall inspection, opened on", "date", 14),
    "last_outcome": Field("Its outcome", width=18),
    "eligible_on": Field("May be visited from", "date", 12),
    "reasons": Field("What stands out", width=80),
}
_DATES: Final = ("last_inspected_on", "eligible_on")
_NUMBERS: Final = tuple(name for name, f in _HEADINGS.items() if f.kind not in {"text", "date"})
_HEADS: Final[Mapping[str, str]] = {
    "compliance": "Chance of a severe finding",
    "later_penalized": "Chance of a later penalty",
    "severity": "Chance that a penalty is severe",
    "diversion": "Firearms traced soon, 12 months",
    "mexico": "Firearms traced in Mexico, 12 months",
}


def to_xlsx(document: Mapping[str, Any]) -> bytes:
    """Return the list as a spreadsheet for people: their headings, real dates and per cents."""
    names, rows = table(document)
    fields = [_HEADINGS[name] if name in _HEADINGS else _head_field(name) for name in names]
    cells = [
        [_for_sheet(field, value) for field, value in zip(fields, row, strict=True)] for row in rows
    ]
    sheet = Sheet("List", fields, cells)
    return book([sheet], about=header(document), created=_issued_at(document))


def _scores(row: Mapping[str, Any]) -> str:
    """Say what each head expects of a dealer, and between what bounds; empty without scores."""
    said = []
    for head, score in row.get("heads", {}).items():
        value, lower, upper = (written(score[end], head) for end in ("value", "lower", "upper"))
        said.append(f"{_head_field(head).heading}: {value}, between {lower} and {upper}.")
    return " ".join(said)


def _head_field(name: str) -> Field:
    head = name.removesuffix("_lower").removesuffix("_upper")
    end = {"_lower": ", lower end", "_upper": ", upper end"}.get(name[len(head) :], "")
    text = _HEADS.get(head, head.replace("_", " ").capitalize()) + end
    return Field(text, "number" if head in RATES else "percent", 13)


def _for_sheet(field: Field, value: str | float | None) -> Value:
    if field.kind == "date" and value:
        return date.fromisoformat(str(value))
    if field.heading == "Its outcome" and isinstance(value, str):
        return value.replace("_", " ")
    if field.heading == "On the list because" and isinstance(value, str):
        return "; ".join(map(why_label, value.split()))
    return value


def to_pdf(
    document: Mapping[str, Any],
    since: Mapping[str, str] | None = None,
    decided: Mapping[str, str] | None = None,
) -> bytes:
    """Return the list as a tagged PDF, one block a dealer, the statements on its first page.

    Parameters
    ----------
    document : mapping
    since : mapping of str to str, optional
        What was told of dealers since the list was issued: said in the place of what the list
        knew of when they may be visited.
    decided : mapping of str to str, optional
        What was decided about dealers since, and with whom they stand: said first.
    """
    told, made = since or {}, decided or {}
    title, *lines = header(document)
    basis = document["basis"]
    content = {
        "title": title,
        "lines": [data_sentence(basis["as_of"]), *lines[:2]],
        "statements": lines[2:],
        "foot": f"{document['list_id']}. {data_sentence(basis['as_of'])}",
        "rows": [
            _block(row, told.get(row["dealer"], ""), made.get(row["dealer"], ""))
            for row in document["rows"]
        ],
    }
    return pdf("list", content, created=_issued_at(document))


class _Block(TypedDict):
    title: str
    place: str
    facts: str
    scores: str
    reasons: list[str]


def _block(row: Mapping[str, Any], told: str = "", decided: str = "") -> _Block:
    name = row["business_name"] or row["licensee_name"] or row["dealer"]
    place = ", ".join(p for p in (row["street"], row["city"], f"{row['state']} {row['zip']}") if p)
    must = " Mandatory." if row.get("is_mandatory") else ""
    facts = [decided] if decided else []
    facts.append(f"On the list: {', '.join(map(why_label, row['why']))}.{must}")
    # What an auditor reads says nothing of inspections and scores.
    if "last_inspected_on" in row:
        if told:
            facts.append(told)
        last = row["last_inspected_on"]
        from features.reference.legal.outcome import (
            outcome_label,
        )  # the command line needs no tables

        outcome = outcome_label(row["last_outcome"])
        facts.append(
            f"{'Before that: last' if told else 'Last'} compliance or recall inspection, opened "
            f"{last}: {outcome}."
            if last
            else f"No {'earlier ' if told else ''}compliance or recall inspection on record."
        )
    if "is_eligible" in row and not told:
        facts.append(
            "May be visited, on these records."
            if row["is_eligible"]
            else f"May be visited from {row['eligible_on']} on."
        )
    return {
        "title": f"{row['position']}. {name}",
        "place": f"{place}. License {row['license_number']}, type {row['license_type']}; dealer"
        f" key {row['dealer']}; office {row['office']}.",
        "facts": " ".join(facts),
        "scores": _scores(row),
        "reasons": [reason["sentence"] for reason in row.get("reasons", ())[:3]],
    }
