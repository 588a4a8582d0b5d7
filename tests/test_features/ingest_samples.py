"""Small invented files for the ingest tests, and a digest of a warehouse folder."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import xlsxwriter

TODAY = date(2026, 6, 1)

# One good row of every table; all invented.
ROWS: dict[str, dict[str, str]] = {
    "licenses": {
        "dealer": "5-74-90001", "license_number": "5-74-201-01-8F-90001", "license_type": "01",
        "expires_on": "2028-06-01", "listed_on": "2026-01-01", "licensee_name": "INVENTED, ONE",
        "business_name": "SAMPLE ARMS", "premises_street": "1 SAMPLE ST",
        "premises_city": "HOUSTON", "premises_state": "TX", "premises_zip": "77002",
        "mail_zip": "77002", "county_fips": "48201", "latitude": "29.76", "longitude": "-95.37",
        "is_residential": "false",
    },
    "traces": {
        "trace_id": "T1", "requested_on": "2025-03-01", "completed_on": "2025-03-11",
        "recovered_on": "2025-02-20", "recovery_country": "US", "recovery_state": "TX",
        "recovery_place": "HOUSTON", "requester": "TXHPD0000", "dealer": "5-74-90001",
        "sold_on": "2024-02-20", "purchaser_token": "a1b2c3d4e5f6",
        "is_purchaser_possessor": "false", "firearm_type": "pistol", "caliber": "9mm",
        "manufacturer": "SAMPLE", "is_semiautomatic_rifle": "false", "is_fifty_caliber": "false",
        "serial_status": "legible", "acquisition_route": "retail", "outcome": "purchaser",
        "crime_code": "520",
    },
    "inspections": {
        "inspection_id": "I1", "dealer": "5-74-90001", "kind": "compliance",
        "opened_on": "2025-01-10", "closed_on": "2025-03-10", "selected_by": "risk",
        "hours": "21.5", "investigator_token": "inv1", "office": "782075",
        "outcome": "warning_letter", "recommended_outcome": "warning_letter",
        "firearms_unaccounted_initial": "3", "firearms_unaccounted_final": "0", "list_id": "",
        "why": "", "inclusion_probability": "", "is_mandatory": "", "mandatory_probability": "",
        "certain_places": "", "mandatory_places": "",
    },
    "violations": {
        "inspection_id": "I1", "citation": "478.124(c)(1)", "instances": "4",
        "is_willful": "false", "is_repeat": "true",
    },
    "multiple_sales": {
        "report_id": "M1", "dealer": "5-74-90001", "sold_on": "2025-05-01",
        "reported_on": "2025-05-02", "kind": "handgun", "n_firearms": "2",
        "purchaser_token": "ffee0011",
    },
    "thefts_losses": {
        "report_id": "L1", "dealer": "5-74-90001", "discovered_on": "2025-05-01",
        "reported_on": "2025-05-02", "kind": "burglary", "n_firearms": "5",
    },
    "sales_volume": {"dealer": "5-74-90001", "month": "2025-03-01", "n_checks": "120"},
    "denials": {"dealer": "5-74-90001", "month": "2025-03-01", "n_denied": "2"},
    "seizures": {
        "seizure_id": "S1", "seized_on": "2025-04-01", "reported_on": "2025-04-03",
        "agency": "CBP", "port_code": "2304", "latitude": "27.5", "longitude": "-99.5",
        "firearm_type": "rifle", "is_semiautomatic_rifle": "true", "dealer": "5-74-90001",
        "trace_id": "T1",
    },
    "ballistic_leads": {
        "lead_id": "B1", "trace_id": "T1", "lead_on": "2025-05-05", "n_linked_events": "2",
    },
    "tips": {
        "tip_id": "P1", "dealer": "5-74-90001", "received_on": "2025-05-05",
        "source": "public", "is_self_report": "false", "is_substantiated": "",
    },
    "holds": {
        "hold_id": "H1", "dealer": "5-74-90001", "starts_on": "2025-05-05",
        "ends_on": "2027-01-01",
    },
    "agencies": {
        "requester": "TXHPD0000", "country": "US", "state": "TX", "kind": "local",
        "submits_from": "2024-01-01", "submits_to": "",
    },
    "area_covariates": {
        "area": "48", "name": "permit_required", "from": "2021-09-01", "to": "", "value": "0",
        "source": "invented",
    },
}  # fmt: skip

LISTING_2013 = (
    "Lic Regn\tLic Dist\tLic Cnty\tLic Type\tLic Xprdte\tLic Seqn\tLicense Name\tBusiness Name\t"
    "Premise Street\tPremise City\tPremise State\tPremise Zip Code\tMail Street\tMail City\t"
    "Mail State\tMail Zip Code\tVoice Phone"
)
LISTING_LATER = LISTING_2013.replace("\t", ",").replace(" ", "_").upper()


def row(table: str, **changes: str) -> dict[str, str]:
    """Return the good row of `table` with some values changed."""
    return ROWS[table] | changes


def csv_text(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    """Return rows as delimited text with a header; values need no quotes."""
    header = list(rows[0])
    lines = [header, *([r[name] for name in header] for r in rows)]
    quoted = [[f'"{v}"' if delimiter in v else v for v in line] for line in lines]
    return "".join(delimiter.join(line) + "\n" for line in quoted)


def write(folder: Path, name: str, rows: list[dict[str, str]]) -> Path:
    """Write rows as a canonical file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(csv_text(rows))
    return path


def listing_line(sequence: int, **changes: str) -> list[str]:
    """Return the 17 fields of one invented line of the license listing."""
    fields = {
        "regn": "1", "dist": "54", "cnty": "059", "type": "01", "xprdte": "5F",
        "seqn": f"{sequence:05d}", "name": "INVENTED, ONE", "business": "SAMPLE ARMS",
        "street": "1 SAMPLE ST", "city": "FAIRFAX", "state": "VA", "zip": "22030",
        "mail_street": "2 SAMPLE ST", "mail_city": "FAIRFAX", "mail_state": "VA",
        "mail_zip": "220301234", "phone": "7035550100",
    }  # fmt: skip
    return list((fields | changes).values())


def listing_2013(lines: list[list[str]]) -> str:
    """Return lines as the listing of 2013: tabs, a rule line, quoted names."""
    rule = "\t".join("-" * 8 for _ in range(17))
    body = ["\t".join(f'"{v}"' if "," in v else v for v in line) for line in lines]
    return "\n".join([LISTING_2013, rule, *body]) + "\n"


def listing_later(lines: list[list[str]]) -> str:
    """Return lines as the later listing: commas."""
    body = [",".join(f'"{v}"' if "," in v else v for v in line) for line in lines]
    return "\n".join([LISTING_LATER, *body]) + "\n"


def digest(folder: Path) -> dict[str, Any]:
    """Return the SHA-256 of every file of a warehouse except the empty lock."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    """Write a workbook."""
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd"}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for n, cells in enumerate(rows):
                sheet.write_row(n, 0, cells)
