"""The checks of the data contract as one SQL query a table: typed columns, and the first fault.

Every row of a file comes out of the query, with ``fault`` 0 when it is good, else the number of
the first rule that it breaks; nothing stops at a bad row and nothing is dropped. The same
conditions hold for every source, because adapters only say where a column comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from features.domain.license_number import dealer_of_number_sql
from features.domain.missing_values import plain_sql
from features.domain.postal import zip_in_state_sql
from features.ingest.checking import conversion
from features.reference.destinations import COUNTRY_COLUMNS, countries
from features.reference.geography.state_codes import COUNTRY_OF_STATE, no_state_sql, state_sql
from features.schema import EARLIEST_DAY, TABLES, Column, RejectReason, Table, day_orders
from features.sources.layout import Plan
from features.sources.publishers.listing import STATE_FIPS
from features.sources.rows.delimited import DAMAGED, LINE
from features.sql import literal, quoted

# Laws of an area may be older.
EARLIEST: Final = f"DATE '{EARLIEST_DAY}'"
EARLIEST_LAW: Final = "DATE '1700-01-01'"
_MOST_COLUMNS: Final = 1_000  # of a file whose sums and notes are looked for
POINT: Final = ("latitude", "longitude")
# The only dates that lie ahead of the day of ingest by nature.
MAY_BE_AHEAD: Final = frozenset({"expires_on", "ends_on", "submits_to", "to"})

KNOWN_ON: Final = {
    "licenses": "listed_on",
    "traces": "coalesce(completed_on, requested_on + 14)",
    # An inspection still open is known to exist since it was opened; what it found is known when
    # it closes. The row without closed_on is therefore known on opened_on, and the later, closed
    # row of the same inspection supersedes it.
    "inspections": "coalesce(closed_on, opened_on)",
    "violations": "inspection_known_on",
    "multiple_sales": "reported_on",
    "thefts_losses": "reported_on",
    "sales_volume": "CAST(date_trunc('month', month) + INTERVAL 2 MONTH AS DATE)",
    "denials": "CAST(date_trunc('month', month) + INTERVAL 2 MONTH AS DATE)",
    "seizures": "reported_on",
    "ballistic_leads": "lead_on",
    "tips": "received_on",
    "holds": "starts_on",
    # Which country an agency serves is no event: it tells of no day on which it came to be known.
    "agencies": "coalesce(submits_from, DATE '1900-01-01')",
    "area_covariates": '"from"',
}  # fmt: skip

# The first day on which all that a row says can be known, whatever day its file gives: where it is
# none of the row's own days, as `day_orders` has them.
_FIRST_KNOWN: Final = {
    "violations": "inspection_closed_on",
    "sales_volume": "CAST(date_trunc('month', month) + INTERVAL 1 MONTH AS DATE)",
    "denials": "CAST(date_trunc('month', month) + INTERVAL 1 MONTH AS DATE)",
}

# Text that not every spelling of has a meaning, and the reason of one that has none; any other
# text is read as it stands.
_PARSED: Final[Mapping[str, RejectReason]] = {
    "dealer": "unparsed_license",
    "license_number": "unparsed_license",
    "citation": "unknown_code",
}
_BAD_KIND: Final[Mapping[str, RejectReason]] = {
    "date": "bad_date",
    "integer": "out_of_range",
    "number": "out_of_range",
    "boolean": "unknown_code",
}


@dataclass(frozen=True)
class Rule:
    """One way in which a row can be bad.

    Parameters
    ----------
    reason : str
        The reason code.
    column : str
        The column at fault.
    condition : str
        SQL, true for a bad row.
    """

    reason: RejectReason
    column: str
    condition: str


@dataclass(frozen=True)
class CheckQuery:
    """The query that checks a table, and the rules that its ``fault`` numbers from 1.

    Parameters
    ----------
    sql : str
        Gives the contract's columns typed, ``known_on`` and whether the file says it
        (``is_dated``), ``source_line``, ``is_set_aside``, ``fault`` and ``fault_value``; of a bad
        row also its ``first_cell`` and ``n_filled``.
    rules : tuple of Rule
        In the order in which they are tried.
    unknowns : tuple of str
        The columns whose bits ``unknown`` holds, from the lowest: a value was given there that
        stands for nothing, such as the first date that a program can write.
    doubts : tuple of str
        The columns of numbers written as text. ``doubt_x`` holds one that has two readings
        (``1.000``), and ``dots_x`` what each row tells of the dots of its column.
    n_columns : int
        Of the texts among which ``first_cell`` is the first that is filled.
    """

    sql: str
    rules: tuple[Rule, ...]
    unknowns: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    n_columns: int = 0

    def rule_of(self, column: str, reason: RejectReason) -> int:
        """Return the number of the first rule for a column and a reason."""
        return next(
            n for n, r in enumerate(self.rules, 1) if (r.column, r.reason) == (column, reason)
        )


def check_query(
    plan: Plan,
    types: Mapping[str, str],
    raw_text: tuple[str, ...],
    today: date,
    *,
    is_trimmed: bool,
) -> CheckQuery:
    """Return the query that checks the rows of `plan`.

    Parameters
    ----------
    plan : Plan
        Where each column comes from.
    types : mapping of str to str
        The DuckDB type of each expression of the plan.
    raw_text : tuple of str
        The text columns of the file; a row that has nothing in any of them is no row. Empty where
        columns are typed.
    today : date
        The day of ingest; a later date is a fault.
    is_trimmed : bool
        Whether they come without blanks around them and null where nothing is left.
    """
    table = TABLES[plan.table]
    rules = _rules(table, plan, types, today)
    values = _values(table, plan)
    faults = "".join(f" WHEN {r.condition} THEN {n}" for n, r in enumerate(rules, 1))
    shown = "".join(f" WHEN {n} THEN {values[r.column]}" for n, r in enumerate(rules, 1))
    names = ", ".join(quoted(name) for name in table.names)
    known_on = KNOWN_ON[plan.table]
    is_dated = "false"
    if "known_on" in plan.columns:
        known_on, is_dated = f"coalesce(own_known_on, {known_on})", "own_known_on IS NOT NULL"
    derived = f"{known_on} AS known_on, {is_dated} AS is_dated"
    if _has_dealer_of_number(plan):
        derived += f", {dealer_of_number_sql('license_number')} AS dealer"
    unknowns = _unknowns(table, plan)
    doubted = [
        column
        for column in table.columns
        if column.kind in ("integer", "number") and types.get(column.name) == "VARCHAR"
    ]
    bits = " + ".join(
        f"CASE WHEN {condition} THEN {1 << n} ELSE 0 END"
        for n, condition in enumerate(unknowns.values())
    )
    rows = _typed(table, plan, types, raw_text, is_trimmed=is_trimmed)
    sql = (
        f"SELECT {names}, known_on, is_dated, {LINE}, is_set_aside, fault, "
        f"CAST({bits or '0'} AS UINTEGER) AS unknown, {_dots(doubted)}"
        f"CASE WHEN fault > 0 THEN CASE fault{shown} END END AS fault_value"
        f"{_row_as_text(len(raw_text))} FROM ("
        f"SELECT *, CAST(CASE WHEN is_set_aside THEN 0{faults} ELSE 0 END AS UTINYINT) AS fault "
        f"FROM (SELECT *, {derived} FROM ({rows})))"
    )
    doubts = tuple(column.name for column in doubted)
    return CheckQuery(sql, tuple(rules), tuple(unknowns), doubts, len(raw_text))


def _trimmed(names: tuple[str, ...], is_trimmed: bool) -> list[str]:
    """Return SQL of the texts of a row, null where nothing is left."""
    return [quoted(name) if is_trimmed else conversion.trimmed(quoted(name)) for name in names]


def _dots(columns: Sequence[Column]) -> str:
    """Return SQL for numbers that have two readings, and for what their columns tell of dots."""
    told = ""
    for column in columns:
        given, value = quoted("given_" + column.name), quoted(column.name)
        doubt = conversion.doubtful(column, given)
        dots = f"CAST({conversion.sign_of_dots(value, given, doubt)} AS UTINYINT)"
        told += f"{doubt} AS {quoted('doubt_' + column.name)}, "
        told += f"{dots} AS {quoted('dots_' + column.name)}, "
    return told


def _row_as_text(n_columns: int) -> str:
    """Return SQL for the first filled field of a bad row, and for how many are filled."""
    if not 1 < n_columns <= _MOST_COLUMNS:
        return ", CAST(NULL AS VARCHAR) AS first_cell, 0 AS n_filled"
    names = [f"raw_{n}" for n in range(n_columns)]
    filled = " + ".join(f"CAST({name} IS NOT NULL AS INTEGER)" for name in names)
    return (
        f", CASE WHEN fault > 0 THEN coalesce({', '.join(names)}) END AS first_cell, "
        f"CASE WHEN fault > 0 THEN {filled} END AS n_filled"
    )


def _unknowns(table: Table, plan: Plan) -> dict[str, str]:
    """Return, for columns where a value may stand for nothing, SQL that is true where it does."""
    given = {c.name: "shown_" + c.name for c in table.columns if c.kind == "date"}
    # A word for nothing is no ZIP code, and none is missed.
    given |= {name: f"given_{name}" for name in ("premises_zip", "mail_zip")}
    given |= {name: f"given_{name}" for name in (*COUNTRY_OF_STATE, *POINT)}
    given["dealer"] = "shown_dealer"
    return {
        name: f"{quoted(before)} IS NOT NULL AND {quoted(name)} IS NULL"
        for name, before in given.items()
        if name in plan.columns
    }


def _typed(
    table: Table,
    plan: Plan,
    types: Mapping[str, str],
    raw_text: tuple[str, ...],
    *,
    is_trimmed: bool,
) -> str:
    """Return SQL with each column as given (``given_x``) and typed (``x``).

    What the file holds is ``written_x``, and as a reader would see it ``shown_x``. In ``given_x``
    words for nothing are null, and of dates the first reading is ``read_x``: a mark of no date is
    read and yet no date. Each step names what the step before gave: written out within one
    another they make a query that DuckDB plans for longer than it runs.
    """
    written, plain, shown, given, read, typed = [], [], [], [], [], []
    texts = _trimmed(raw_text, is_trimmed)
    for column in _columns(table, plan):
        name = column.name
        own = quoted("own_known_on" if name == "known_on" else name)
        own = quoted(f"read_{name}") if name in POINT else own
        if name not in plan.columns:
            typed.append(f"CAST(NULL AS {_SQL_TYPE[column.kind]}) AS {own}")
            continue
        kind, as_shown, as_given = types[name], quoted("shown_" + name), quoted("given_" + name)
        if kind == "VARCHAR" and not is_trimmed:
            as_written, as_plain = quoted("written_" + name), quoted("plain_" + name)
            written.append(f"{plan.columns[name]} AS {as_written}")
            plain.append(f"{plain_sql(as_written)} AS {as_plain}")
            shown.append(f"{conversion.trimmed(as_plain)} AS {as_shown}")
        else:
            written.append(f"{plan.columns[name]} AS {as_shown}")
        given.append(f"{conversion.given(column, kind, as_shown)} AS {as_given}")
        if column.kind == "date":
            as_read = quoted("read_" + name)
            read.append(f"{conversion.read_date(as_given, kind)} AS {as_read}")
            typed.append(f"{conversion.date_of(table.name, name, as_read)} AS {own}")
        elif name != "dealer" or not _has_dealer_of_number(plan):
            made = conversion.converted(column, kind, as_given)
            if name == "premises_zip" and "premises_state" in plan.columns:
                text = as_given if kind == "VARCHAR" else f"CAST({as_given} AS VARCHAR)"
                made = zip_in_state_sql(text, quoted("given_premises_state"))
            if name in COUNTRY_OF_STATE and COUNTRY_OF_STATE[name] in plan.columns:
                country = quoted("given_" + COUNTRY_OF_STATE[name])
                made = state_sql(made, f"CAST({country} AS VARCHAR)")
            typed.append(f"{made} AS {own}")
    joined, rest = "", ""
    if table.name == "violations":
        rest = ", inspection_known_on, inspection_closed_on"
        column, kind = table.column("inspection_id"), types["inspection_id"]
        visit = conversion.converted(column, kind, quoted("given_inspection_id"))
        joined = (
            f" LEFT JOIN known_inspections ON {visit} = known_inspection_id"
            " LEFT JOIN known_citations ON given_citation = cited_as"
        )
    if 1 < len(texts) <= _MOST_COLUMNS:
        written += [f"{text} AS raw_{n}" for n, text in enumerate(texts)]
    inner = (
        f"SELECT {', '.join(written)}, {LINE}, {plan.set_aside} AS is_set_aside, "
        f"{DAMAGED} OR coalesce({plan.undecodable}, false) AS is_undecodable "
        f"FROM {plan.rows} AS source_rows"
    )
    if texts:
        inner += f" WHERE coalesce({', '.join(texts)}) IS NOT NULL"
    for step in (plain, shown):
        if step:
            inner = f"SELECT *, {', '.join(step)} FROM ({inner})"
    dates = f", {', '.join(read)}" if read else ""
    rows = (
        f"SELECT *, {', '.join(typed)}{rest} FROM (SELECT *{dates} FROM "
        f"(SELECT *, {', '.join(given)} FROM ({inner}))){joined}"
    )
    if POINT[0] in table.names:
        rows = conversion.points(rows, "premises_state" if "premises_state" in table.names else "")
    return rows


def _has_dealer_of_number(plan: Plan) -> bool:
    """Whether one reading of the license number gives the dealer as well."""
    return "dealer" in plan.columns and plan.columns["dealer"] == plan.columns.get("license_number")


_SQL_TYPE: Final = {
    "string": "VARCHAR",
    "date": "DATE",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
}


def _columns(table: Table, plan: Plan) -> tuple[Column, ...]:
    own = (Column("known_on", "date", is_required=False),) if "known_on" in plan.columns else ()
    return (*table.columns, *own)


def _values(table: Table, plan: Plan) -> dict[str, str]:
    """Return, for each column, SQL for the value that a reject shows; never a purchaser's token."""
    values = {c.name: "CAST(NULL AS VARCHAR)" for c in table.columns}
    values |= {n: f"CAST({quoted('shown_' + n)} AS VARCHAR)" for n in plan.columns}
    values |= {"purchaser_token": "CAST(NULL AS VARCHAR)", "": "CAST(NULL AS VARCHAR)"}
    values.setdefault("known_on", "CAST(known_on AS VARCHAR)")
    return values


def _rules(table: Table, plan: Plan, types: Mapping[str, str], today: date) -> list[Rule]:
    rules = [Rule("undecodable", "", "is_undecodable")]
    for column in _columns(table, plan):
        rules += _column_rules(table, column, column.name in plan.columns, today)
    return rules + _row_rules(table, plan)


def _column_rules(table: Table, column: Column, is_given: bool, today: date) -> list[Rule]:
    name = column.name
    value = quoted("own_known_on" if name == "known_on" else name)
    given = quoted("given_" + name) if is_given else "NULL"
    rules = []
    if column.is_required:
        is_missing = f"{given} IS NULL"
        if is_given and column.kind == "date":  # a mark of no date is none
            is_missing += f" OR ({quoted('read_' + name)} IS NOT NULL AND {value} IS NULL)"
        rules.append(Rule("missing_required", name, is_missing))
    if not is_given:
        return rules
    if column.kind != "string" or name in _PARSED:
        unread = _PARSED[name] if name in _PARSED else _BAD_KIND[column.kind]
        is_read_first = column.kind == "date" or name in POINT
        result = quoted("read_" + name) if is_read_first else value
        rules.append(Rule(unread, name, f"{given} IS NOT NULL AND {result} IS NULL"))
    if column.allowed:
        codes = ", ".join(map(literal, sorted(column.allowed)))
        reason: RejectReason = "unknown_type" if name == "license_type" else "unknown_code"
        rules.append(Rule(reason, name, f"{value} NOT IN ({codes})"))
    bounds = [
        f"{value} {sign} {bound}"
        for sign, bound in (("<", column.minimum), (">", column.maximum))
        if bound is not None
    ]
    if bounds:
        rules.append(Rule("out_of_range", name, " OR ".join(bounds)))
    if column.kind == "date":
        earliest = EARLIEST_LAW if table.name == "area_covariates" else EARLIEST
        rules.append(Rule("out_of_range", name, f"{value} < {earliest}"))
        if name not in MAY_BE_AHEAD:
            ahead = f"{value} > DATE {literal(today.isoformat())}"
            rules.append(Rule("future_date", name, ahead))
    return rules + _pattern_rules(table, column)


_FORMS: Final = {
    "county_fips": "NOT regexp_full_match(county_fips, '[0-9]{5}')",
    "month": "day(month) <> 1",
    "area": "NOT regexp_full_match(area, '[0-9]{2}([0-9]{3})?')",
}


def _pattern_rules(table: Table, column: Column) -> list[Rule]:
    """Rules for the columns whose text has a form that `schema` does not state."""
    name = column.name
    reason: RejectReason = "out_of_range"
    if name in COUNTRY_COLUMNS:
        known = ", ".join(map(literal, sorted(countries())))
        reason, condition = "unknown_code", f"{name} NOT IN ({known})"
    elif name == "premises_state":
        states = ", ".join(map(literal, sorted(STATE_FIPS)))
        reason, condition = "unknown_code", f"premises_state NOT IN ({states})"
    elif name in COUNTRY_OF_STATE:
        reason, condition = (
            "unknown_code",
            no_state_sql(quoted(name), quoted(COUNTRY_OF_STATE[name])),
        )
    elif name in _FORMS:
        condition = _FORMS[name]
    else:
        return []
    return [Rule(reason, name, condition)]


def _row_rules(table: Table, plan: Plan) -> list[Rule]:
    """Rules over more than one column."""
    rules = []
    if table.name == "licenses" and not _has_dealer_of_number(plan):
        differs = f"dealer <> {dealer_of_number_sql('license_number')}"
        rules.append(Rule("unparsed_license", "dealer", differs))
    for order in day_orders(table):
        first, last = (", ".join(map(quoted, names)) for names in (order.first, order.last))
        is_late = f"coalesce({first}) > coalesce({last})"
        rules.append(Rule(order.reason, order.column, is_late))
    if table.name == "inspections":
        # An outcome without the day on which it was known would leak into the days before.
        told = "closed_on IS NULL AND outcome <> 'none'"
        if "known_on" in plan.columns:
            told += " AND own_known_on IS NULL"
        rules.append(Rule("missing_required", "closed_on", told))
    if table.name == "violations":
        unknown = "inspection_known_on IS NULL"
        rules.append(Rule("unknown_inspection", "inspection_id", unknown))
    if table.name in _FIRST_KNOWN and "known_on" in plan.columns:
        early = f"known_on < {_FIRST_KNOWN[table.name]}"
        rules.append(Rule("known_before_event", "known_on", early))
    return rules
