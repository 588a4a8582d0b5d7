"""The published inspection records of 2015-17: one visit and its citations in each row.

Every row is penalized (warning letter or worse), so the records say how serious a penalized
inspection was, never how often an inspection finds something. They exist as comma separated text
and as JSON lines; both make the same rows of three tables:

- ``inspections``: opened when assigned, closed when completed. Five records have no completion
  date although they have a disposition; the day by which all the published records were closed
  (the latest completion in the file) stands in as the day they were known.
- ``violations``: one row a citation.
- ``licenses``: the dealer as the record describes it, listed the day before the assignment,
  because most of these dealers stand in no listing that the project ships. One number in twenty is
  not the one of that day: it expires later than any license listed that day could, which tells of
  a renewal still to come, or years before it. Its expiry is unknown then.
"""

from __future__ import annotations

from typing import Final

from features.domain.license_number import expires_on_sql, number_sql
from features.sources.layout import Layout, Plan
from features.sources.publishers.listing import county_sql
from features.sources.rows.delimited import DAMAGED, LINE, LINES, TextForm
from features.sql import case, literal

COLUMNS: Final = (
    "ui_number", "ffl_number", "ffl_type", "ffl_city", "ffl_state", "ffl_zip", "ffl_county",
    "inspection_assign_date", "inspection_complete_date", "final_disposition",
    "revocation_warranted", "revocation_effective_date", "violations", "longitude", "latitude",
    "citation_count", "license_type",
)  # fmt: skip
REQUIRED: Final = frozenset(
    {
        "ui_number", "ffl_number", "ffl_city", "ffl_state", "ffl_zip", "inspection_assign_date",
        "inspection_complete_date", "final_disposition", "revocation_warranted", "violations",
    }
)  # fmt: skip

FORM: Final = TextForm()
# On the listing of May 2013 no license expires more than 38 months ahead (three years, renewed
# early) and one in a thousand more than a year before (renewals that are pending).
_MONTHS_AHEAD: Final = 38
_MONTHS_PAST: Final = 12
_DISPOSITIONS: Final = {
    "Warning letter": "warning_letter",
    "Warning conference": "warning_conference",
    "Revocation/denial of renewal": "revocation",
    "Surrendered/out of business": "surrender",
    "Settlement": "other",
}


def inspections(columns: set[str], form: TextForm = FORM) -> Layout:
    """Return the layout of the records as text written in `form`, whose columns are `columns`."""
    return Layout("inspection records", _plans("raw", columns, "false"), form)


def inspection_lines() -> Layout:
    """Return the layout of the records as JSON lines; a line that is no JSON is undecodable."""
    fields = ", ".join(
        f"CASE WHEN json_valid(line) THEN nullif(trim(line ->> '$.{c}'), '') END AS {c}"
        for c in COLUMNS
    )
    rows = f"(SELECT line, {LINE}, {DAMAGED}, {fields} FROM raw)"
    plans = _plans(rows, set(COLUMNS), "NOT json_valid(line)")
    return Layout("inspection records (JSON lines)", plans, LINES)


def _plans(rows: str, columns: set[str], undecodable: str) -> tuple[Plan, ...]:
    # The same derived columns for the three tables; dates guarded so that a bad one stays text.
    assigned = "TRY_CAST(inspection_assign_date AS DATE)"
    completed = "TRY_CAST(nullif(inspection_complete_date, '') AS DATE)"
    base = (
        f"(SELECT *, {number_sql('ffl_number')} AS number, {assigned} AS assigned, "
        f"{completed} AS completed, max({completed}) OVER () AS all_closed FROM {rows})"
    )
    return (
        Plan("licenses", _license(columns), base, undecodable=undecodable),
        Plan("inspections", _inspection(), base, undecodable=undecodable),
        Plan(
            "violations",
            {
                "inspection_id": "ui_number",
                "citation": "citation",
            },
            f"(SELECT * FROM (SELECT *, trim(unnest(string_split(violations, ','))) AS citation "
            f"FROM {base}) WHERE citation <> '')",
        ),
    )


def _license(columns: set[str]) -> dict[str, str]:
    day = "CAST(assigned - INTERVAL 1 DAY AS DATE)"
    typed = "substr(number, 10, 2)"
    expiry = expires_on_sql("substr(number, 13, 2)", day)
    first = f"date_trunc('month', {day}) - INTERVAL {_MONTHS_PAST} MONTH"
    last = f"date_trunc('month', {day}) + INTERVAL {_MONTHS_AHEAD} MONTH"
    out = {
        "dealer": "ffl_number",
        "license_number": "ffl_number",
        "license_type": typed,
        "expires_on": f"CASE WHEN {expiry} BETWEEN {first} AND {last} THEN {expiry} END",
        "listed_on": day,
        "premises_city": "ffl_city",
        "premises_state": "ffl_state",
        "premises_zip": "ffl_zip",
        "county_fips": county_sql("ffl_state", "substr(number, 6, 3)"),
    }
    return out | {name: name for name in ("latitude", "longitude") if name in columns}


def _inspection() -> dict[str, str]:
    return {
        "inspection_id": "ui_number",
        "dealer": "ffl_number",
        "kind": literal("compliance"),
        "opened_on": "inspection_assign_date",
        "closed_on": "inspection_complete_date",
        "selected_by": literal("unknown"),
        "office": "left(ui_number, 6)",
        "outcome": case("trim(final_disposition)", _DISPOSITIONS),
        "recommended_outcome": (
            "CASE WHEN upper(trim(revocation_warranted)) = 'Y' THEN 'revocation' END"
        ),
        "known_on": "coalesce(completed, all_closed)",
    }
