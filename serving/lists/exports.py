"""A list as CSV, spreadsheet or PDF; no cell can become a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from serving.statements import PEERS, basis_sentence

# The full-width signs are the same to a spreadsheet set to an East Asian language.
_FORMULA: Final = tuple("=+-@\t\r\n|\uff1d\uff0b\uff0d\uff20")
_COLUMNS: Final = (
    "position", "dealer", "license_number", "license_type", "licensee_name", "business_name",
    "street", "city", "state", "zip", "county", "office", "division", "why",
    "inclusion_probability", "is_mandatory", "note", "priority", "percentile", "national_rank",
    "support", "last_inspected_on", "last_outcome", "eligible_on", "reasons",
)  # fmt: skip


def neutral(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula.

    >>> neutral("=HYPERLINK(A1)"), neutral("Smith & Sons")
    ("'=HYPERLINK(A1)", 'Smith & Sons')
    """
    # Some programs skip leading blanks and act on what follows them.
    is_formula = text.lstrip(" \u00a0").startswith(_FORMULA) or text[:1] in "\t\r\n"
    return f"'{text}" if text and is_formula else text


def header(document: Mapping[str, Any]) -> list[str]:
    """Return the lines that stand above the rows of every file."""
    return [
        f"List {document['list_id']}, issued {document['issued_at']} to {document['owner']}",
        f"Area: {document['area_in_words']}",
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
    return [neutral(value) if isinstance(value, str) else value for value in values]


def to_csv(document: Mapping[str, Any]) -> bytes:
    """Return the list as CSV; the statements stand first, as comments."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for line in header(document):
        writer.writerow([f"# {line}"])
    names, rows = table(document)
    writer.writerow(names)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def _issued_at(document: Mapping[str, Any]) -> datetime:
    """Return when the list was issued: a file says that, so that it is the same in a year."""
    return datetime.fromisoformat(str(document["issued_at"])).astimezone(UTC)


def to_xlsx(document: Mapping[str, Any]) -> bytes:
    """Return the list as a spreadsheet; every text is stored as text."""
    import xlsxwriter

    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, options) as book:
        book.set_properties({"created": _issued_at(document)})
        sheet, about = book.add_worksheet("List"), book.add_worksheet("About")
        bold = book.add_format({"bold": True, "bottom": 1})
        for n, line in enumerate(header(document)):
            about.write_string(n, 0, neutral(line))
        names, rows = table(document)
        for j, name in enumerate(names):
            sheet.write_string(0, j, name, bold)
        for i, cells in enumerate(rows, start=1):
            for j, value in enumerate(cells):
                if isinstance(value, str):
                    sheet.write_string(i, j, value)
                elif value is not None:
                    sheet.write_number(i, j, value)
        sheet.freeze_panes(1, 2)
        sheet.autofilter(0, 0, max(1, len(rows)), len(names) - 1)
        sheet.set_column(0, len(names) - 1, 14)
    return out.getvalue()


def to_pdf(document: Mapping[str, Any]) -> bytes:
    """Return the list as a printable document, one block a dealer."""
    from fpdf import FPDF

    pdf = FPDF(format="letter")
    pdf.set_creation_date(_issued_at(document))
    pdf.set_auto_page_break(auto=True, margin=15)
    pdf.set_title(f"Inspection list {document['list_id']}")
    pdf.add_page()
    for n, line in enumerate(header(document)):
        pdf.set_font("Helvetica", style="B" if n == 0 else "", size=13 if n == 0 else 8)
        pdf.multi_cell(0, 6 if n == 0 else 4, _latin(line), new_x="LMARGIN", new_y="NEXT")
    for row in document["rows"]:
        pdf.ln(2)
        name = row["business_name"] or row["licensee_name"]
        pdf.set_font("Helvetica", style="B", size=9)
        title = f"{row['position']}. {name} ({row['dealer']})"
        pdf.multi_cell(0, 5, _latin(title), new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("Helvetica", size=8)
        place = (
            f"{row['street']}, {row['city']}, {row['state']} {row['zip']}; office {row['office']}"
        )
        must = " Mandatory." if row.get("is_mandatory") else ""
        why = f"Here because: {', '.join(row['why'])}.{must}"
        if "percentile" in row:
            why += f" Percentile {row['percentile']:g}."
        reasons = " ".join(reason["sentence"] for reason in row.get("reasons", ())[:3])
        for line in (place, f"{why} {reasons}"):
            pdf.multi_cell(0, 4, _latin(line), new_x="LMARGIN", new_y="NEXT")
    return bytes(pdf.output())


def _latin(text: str) -> str:
    """Replace letters that the built-in fonts do not hold."""
    return text.encode("latin-1", "replace").decode("latin-1")
