"""A list as CSV, spreadsheet or PDF; no cell can become a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, TypedDict

from features.domain.agency_day import day_of, moment_in_words
from features.domain.number_words import counted
from features.domain.spreadsheet_formulas import neutral_row
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.lists.owners import owner_in_words
from serving.papers.spreadsheet import Field, Sheet, Value, book
from serving.papers.typesetting import pdf
from serving.scores.words.area_names import codes_in_words
from serving.scores.words.wording import (
    RATES,
    head_label,
    last_kind_label,
    types_in_words,
    why_label,
)
from serving.scores.words.wording import score as written
from serving.statements import PEERS, basis_sentence, data_sentence, scored_alone

if TYPE_CHECKING:
    from serving.lists.files.follow_up import FollowUp

_COLUMNS: Final = (
    "position", "dealer", "license_number", "license_type", "licensee_name", "business_name",
    "street", "city", "state", "zip", "county", "office", "division", "why",
    "inclusion_probability", "is_mandatory", "note", "priority", "percentile", "national_rank",
    "support", "last_inspected_on", "last_outcome", "eligible_on", "reasons",
)  # fmt: skip


def header(document: Mapping[str, Any]) -> list[str]:
    """Return the lines that stand above the rows of every file."""
    # Who reads the file need not be who asked for it.
    area = document["area_in_words"].replace("the caller's area", "the owner's area")
    said = shortfall(document) or left_to_the_law(document)
    return [
        f"List {document['list_id']}, issued {moment_in_words(document['issued_at'])} to "
        f"{owner_in_words(document['owner'])}",
        f"Area: {codes_in_words(area)}.{f' {said}' if said else ''}",
        basis_sentence(document["basis"]),
        PEERS,
        *document["disclaimers"],
    ]


def shortfall(document: Mapping[str, Any]) -> str:
    """Say why a list has fewer dealers than were asked for; empty when it has as many."""
    design, n = document["design"], len(document["rows"])
    if n >= design["k"]:
        return ""
    if not design["n_in_area"]:
        return f"{design['k']:,} asked for, none given: the area has no such dealer on record."
    types = document.get("license_types")
    kept_out = design["n_in_area"] - design["n_eligible"]
    return (
        f"{design['k']:,} asked for, {n:,} given: of "
        f"{counted(design['n_in_area'], 'dealer')} of the area"
        f"{f' with {types_in_words(types)}' if types else ''} {design['n_eligible']:,} could be "
        f"visited on {document['basis']['as_of']}; {counted(kept_out, 'was', 'were')} inspected in "
        "the twelve months before that day and could not."
    )


def n_passed_over(document: Mapping[str, Any]) -> int:
    """Return how many dealers a list left out as the law did not allow a visit on its day."""
    design, rows = document["design"], document["rows"]
    n_by_hand = sum(not row.get("is_eligible", True) for row in rows)
    n: int = design["n_in_area"] - design["n_eligible"] - n_by_hand
    return n


def left_to_the_law(document: Mapping[str, Any]) -> str:
    """Say how many dealers the twelve-month rule kept off a list; empty when none."""
    n = n_passed_over(document)
    if n <= 0:
        return ""
    return (
        f"{counted(n, 'dealer was', 'dealers were')} passed over by the twelve-month rule as of "
        f"{document['basis']['as_of']}, the day that the list goes by."
    )


def table(
    document: Mapping[str, Any], since: FollowUp | None = None
) -> tuple[list[str], list[list[str | float | None]]]:
    """Return column names and one row a dealer; texts are neutral, numbers are numbers.

    What came of a dealer since the list was issued stands behind what the list says, as new
    columns always do: programs read the earlier ones by their place.
    """
    rows = document["rows"]
    heads = sorted({head for row in rows for head in row.get("heads", ())})
    # What an auditor reads has no scores: it has no columns for them either.
    names = [n for n in _COLUMNS if not rows or n in rows[0] or n == "is_mandatory"]
    cells = [_cells(row, names, heads) for row in rows]
    for head in heads:
        names += [head, f"{head}_lower", f"{head}_upper"]
    seen = [name for name in _KIND if not rows or "last_inspected_on" in rows[0]]
    names += [*seen, *_BASIS]
    names += since.columns if since is not None else ()
    basis = document["basis"]
    behind = [
        [
            *(_last_kind(row) for _ in seen),
            *(row.get("as_of") or basis["as_of"], basis["bundle"]),
            *(since.cells(row["dealer"]) if since else ()),
        ]
        for row in rows
    ]
    return names, [[*own, *neutral_row(more)] for own, more in zip(cells, behind, strict=True)]


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


def _last_kind(row: Mapping[str, Any]) -> str | None:
    """Return of what kind the last inspection was, that it is not known, or None without one."""
    return row.get("last_kind") or ("unknown" if row["last_inspected_on"] else None)


def to_csv(
    document: Mapping[str, Any], since: FollowUp | None = None, *, with_comments: bool = False
) -> bytes:
    """Return the list as CSV: a head row and one row a dealer.

    What must be said with it is in `csv_metadata`; `with_comments` puts it above the head row.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if with_comments:
        for line in header(document):
            writer.writerow([f"# {line}"])
    names, rows = table(document, since)
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def csv_metadata(document: Mapping[str, Any], since: FollowUp | None = None) -> bytes:
    """Return what the CSV of a list is about, as W3C tabular metadata (CSVW)."""
    names, _ = table(document, since)
    title, *notes = header(document)
    kinds = dict.fromkeys(_DATES, "date") | dict.fromkeys(_NUMBERS, "number")
    kinds["decided_at"] = "datetime"
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
    "last_kind": Field("Kind of the last inspection", width=12),
    "as_of": Field("Scores as of", "date", 12),
    "bundle": Field("Bundle", width=10),
    "handed_to": Field("With", width=14),
    "decision": Field("Decision", width=11),
    "decision_reason": Field("Why overridden", width=18),
    "decision_note": Field("Note on the decision", width=24),
    "decided_by": Field("Decided by", width=14),
    "decided_at": Field("Decided on", "date", 12),
    "decided_on_list": Field("Decided on which list", width=11),
    "visit_opened_on": Field("Visited since, opened on", "date", 12),
    "visit_ended_on": Field("Last day of that visit", "date", 12),
    "visit_kind": Field("Kind of that visit", width=12),
    "visit_outcome": Field("Outcome of that visit", width=18),
    "not_before": Field("After that visit not before", "date", 12),
}
_KIND: Final = ("last_kind",)
_BASIS: Final = ("as_of", "bundle")
_NEVER: Final = "9999-12-31"
_DATES: Final = tuple(
    name for name, field in _HEADINGS.items() if field.kind == "date" and name != "decided_at"
)
_NUMBERS: Final = tuple(name for name, f in _HEADINGS.items() if f.kind not in {"text", "date"})
_CODES: Final = frozenset({"Its outcome", "Kind of that visit", "Outcome of that visit"})


def to_xlsx(document: Mapping[str, Any], since: FollowUp | None = None) -> bytes:
    """Return the list as a spreadsheet for people: their headings, real dates and per cents."""
    names, rows = table(document, since)
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
    label = head_label(head)
    text = label[:1].upper() + label[1:] + end
    return Field(text, "number" if head in RATES else "percent", 13)


def _for_sheet(field: Field, value: str | float | None) -> Value:
    if field.kind == "date" and value:
        return date.fromisoformat(day_of(str(value)))  # of an instant, the day
    if field.heading in _CODES and isinstance(value, str):
        return value.replace("_", " ")
    if field.heading == "Decision" and value:
        return "accepted" if value == "accept" else "overridden"
    if field.heading == "Why overridden" and isinstance(value, str):
        return OVERRIDE_WORDS.get(value, value).lower()
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
            _block(row, told.get(row["dealer"], ""), made.get(row["dealer"], ""), basis["as_of"])
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


def _block(
    row: Mapping[str, Any], told: str = "", decided: str = "", as_of: str = _NEVER
) -> _Block:
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
            f"{last}: {last_kind_label(row.get('last_kind'))}, {outcome}."
            if last
            else f"No {'earlier ' if told else ''}compliance or recall inspection on record."
        )
    if alone := scored_alone(row, as_of):
        facts.append(alone)
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
