"""The tables of the warehouse: columns, types, allowed values, keys and the day a fact is known.

Names are public: command-line users, notebooks, the service and outside programs rely on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

Kind = Literal["string", "date", "integer", "number", "boolean"]

RejectReason = Literal[
    "unparsed_license", "unknown_type", "bad_date", "future_date", "sold_after_recovery",
    "known_before_event", "unknown_code", "missing_required", "duplicate_key_conflict",
    "unknown_inspection", "out_of_range", "too_many_fields", "undecodable",
]  # fmt: skip
# Columns whose text is kept in capitals.
UPPER_CASE: Final = frozenset(
    {"premises_state", "recovery_state", "recovery_country", "country", "state"}
)
# The Federal Firearms Act of 1938 made the first licensees.
EARLIEST_DAY: Final = "1938-01-01"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name : str
        Name in canonical files and in the warehouse.
    kind : {"string", "date", "integer", "number", "boolean"}
        Type; dates are ISO ``YYYY-MM-DD`` in text files.
    is_required : bool
        A row without it is rejected as ``missing_required``.
    allowed : frozenset of str
        The codes a value may take; empty means any. Another value is ``unknown_code``.
    minimum, maximum : float, optional
        Bounds, both included. A value outside is ``out_of_range``.
    """

    name: str
    kind: Kind = "string"
    is_required: bool = True
    allowed: frozenset[str] = frozenset()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def is_typed(self) -> bool:
        """Whether it holds dates, numbers or licenses, in whose place any word says nothing."""
        return self.kind != "string" or self.name in ("dealer", "license_number")


@dataclass(frozen=True)
class Table:
    """One table of the warehouse.

    Parameters
    ----------
    name : str
        Name of the table, and of its canonical file.
    columns : tuple of Column
        The columns of the contract, in order. The warehouse adds `STORED_COLUMNS`.
    key : tuple of str
        Primary key; a row with the same key and a later ``known_on`` supersedes it from then on.
    event_date : str or None
        Column of the event date.
    known_on : str
        Where ``known_on`` comes from when the source has none: a column, or a named rule.
    is_optional : bool
        True for context about agencies and areas that no agency has to have.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    event_date: str | None
    known_on: str
    is_optional: bool = False

    def column(self, name: str) -> Column:
        """Return the column called `name`."""
        return next(c for c in self.columns if c.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(c.name for c in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the columns that may not be null."""
        return tuple(c.name for c in self.columns if c.is_required)


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _opt(name: str, kind: Kind = "string", allowed: str = "", **bounds: float) -> Column:
    return _bounded(Column(name, kind, is_required=False, allowed=_codes(allowed)), bounds)


def _req(name: str, kind: Kind = "string", allowed: str = "", **bounds: float) -> Column:
    return _bounded(Column(name, kind, is_required=True, allowed=_codes(allowed)), bounds)


def _bounded(column: Column, bounds: Mapping[str, float]) -> Column:
    return replace(column, minimum=bounds.get("minimum"), maximum=bounds.get("maximum"))


# The license types of the public listing; type 03 (collectors) is set aside, not rejected.
LICENSE_TYPES: Final = ("01", "02", "06", "07", "08", "09", "10", "11")
SET_ASIDE_TYPES: Final = ("03",)

FIREARM_TYPES: Final = "pistol revolver rifle shotgun receiver other"
INSPECTION_KINDS: Final = "application compliance recall trace criminal warrant"
OUTCOMES: Final = "none report warning_letter warning_conference revocation surrender other"
SELECTIONS: Final = "risk random recall complaint application other unknown"
# Why a dealer is on a list.
WHYS: Final = "model random recall coverage manual"


def _degrees(name: str, most: float) -> Column:
    return Column(name, "number", is_required=False, minimum=-most, maximum=most)


# No draw has so many dealers; one row of less would stand for more than all others together.
_LEAST_PROBABILITY: Final = 1e-9


def _probability(name: str) -> Column:
    """Make a probability that is known, so not zero: nobody comes to a dealer that cannot come."""
    return _opt(name, "number", minimum=_LEAST_PROBABILITY, maximum=1.0)


_TABLES = (
    Table(
        "licenses",
        (
            _req("dealer"),
            _opt("license_number"),
            _req("license_type", allowed=" ".join(LICENSE_TYPES)),
            _opt("expires_on", "date"),
            _req("listed_on", "date"),
            _opt("licensee_name"),
            _opt("business_name"),
            _opt("premises_street"),
            _req("premises_city"),
            _req("premises_state"),
            _opt("premises_zip"),
            _opt("mail_zip"),
            _req("county_fips"),
            _degrees("latitude", 90.0),
            _degrees("longitude", 180.0),
            _opt("is_residential", "boolean"),
        ),
        ("dealer", "listed_on"),
        "listed_on",
        "listed_on",
    ),
    Table(
        "traces",
        (
            _req("trace_id"),
            _req("requested_on", "date"),
            _opt("completed_on", "date"),
            _opt("recovered_on", "date"),
            _req("recovery_country"),
            _opt("recovery_state"),
            _opt("recovery_place"),
            _req("requester"),
            _opt("dealer"),
            _opt("sold_on", "date"),
            _opt("purchaser_token"),
            _opt("is_purchaser_possessor", "boolean"),
            _req("firearm_type", allowed=FIREARM_TYPES),
            _opt("caliber"),
            _opt("manufacturer"),
            _opt("is_semiautomatic_rifle", "boolean"),
            _opt("is_fifty_caliber", "boolean"),
            _req("serial_status", allowed="legible obliterated none"),
            _opt("acquisition_route", allowed="retail export government unknown"),
            _req(
                "outcome",
                allowed="purchaser dealer no_dealer_answer pre1968 unserialized foreign incomplete",
            ),
            _opt("crime_code"),
        ),
        ("trace_id",),
        "recovered_on",
        "completed_on, else requested_on + 14 days",
    ),
    Table(
        "inspections",
        (
            _req("inspection_id"),
            _req("dealer"),
            _req("kind", allowed=INSPECTION_KINDS),
            _req("opened_on", "date"),
            _opt("closed_on", "date"),
            _req("selected_by", allowed=SELECTIONS),
            _opt("hours", "number", minimum=0.0, maximum=10_000.0),
            _opt("investigator_token"),
            _opt("office"),
            _req("outcome", allowed=OUTCOMES),
            _opt("recommended_outcome", allowed=OUTCOMES),
            _opt("firearms_unaccounted_initial", "integer", minimum=0, maximum=500_000),
            _opt("firearms_unaccounted_final", "integer", minimum=0, maximum=500_000),
            # The design under which the visit was ordered.
            _opt("list_id"),
            _opt("why", allowed=WHYS),
            _probability("inclusion_probability"),
            _opt("is_mandatory", "boolean"),
            _probability("mandatory_probability"),
            _opt("certain_places", "integer", minimum=1, maximum=100_000),
            _opt("mandatory_places", "integer", minimum=1, maximum=100_000),
        ),
        ("inspection_id",),
        "opened_on",
        "closed_on",
    ),
    Table(
        "violations",
        (
            _req("inspection_id"),
            _req("citation"),
            _opt("instances", "integer", minimum=0, maximum=10_000_000),
            _opt("is_willful", "boolean"),
            _opt("is_repeat", "boolean"),
        ),
        ("inspection_id", "citation"),
        None,
        "the inspection's",
    ),
    Table(
        "multiple_sales",
        (
            _req("report_id"),
            _req("dealer"),
            _req("sold_on", "date"),
            _req("reported_on", "date"),
            _req("kind", allowed="handgun rifle"),
            _req("n_firearms", "integer", minimum=1, maximum=100_000),
            _opt("purchaser_token"),
        ),
        ("report_id",),
        "sold_on",
        "reported_on",
    ),
    Table(
        "thefts_losses",
        (
            _req("report_id"),
            _req("dealer"),
            _req("discovered_on", "date"),
            _req("reported_on", "date"),
            _req("kind", allowed="burglary robbery larceny loss"),
            _req("n_firearms", "integer", minimum=1, maximum=1_000_000),
        ),
        ("report_id",),
        "discovered_on",
        "reported_on",
    ),
    Table(
        "sales_volume",
        (
            _req("dealer"),
            _req("month", "date"),
            _req("n_checks", "integer", minimum=0, maximum=500_000),
        ),
        ("dealer", "month"),
        "month",
        "first day of the month after next",
    ),
    Table(
        "denials",
        (
            _req("dealer"),
            _req("month", "date"),
            _req("n_denied", "integer", minimum=0, maximum=100_000),
        ),
        ("dealer", "month"),
        "month",
        "first day of the month after next",
    ),
    Table(
        "seizures",
        (
            _req("seizure_id"),
            _req("seized_on", "date"),
            _req("reported_on", "date"),
            _req("agency", allowed="CBP HSI ATF other"),
            _opt("port_code"),
            _degrees("latitude", 90.0),
            _degrees("longitude", 180.0),
            _req("firearm_type", allowed=FIREARM_TYPES),
            _opt("is_semiautomatic_rifle", "boolean"),
            _opt("dealer"),
            _opt("trace_id"),
        ),
        ("seizure_id",),
        "seized_on",
        "reported_on",
    ),
    Table(
        "ballistic_leads",
        (
            _req("lead_id"),
            _req("trace_id"),
            _req("lead_on", "date"),
            _req("n_linked_events", "integer", minimum=0, maximum=10_000),
        ),
        ("lead_id", "trace_id"),
        "lead_on",
        "lead_on",
    ),
    Table(
        "tips",
        (
            _req("tip_id"),
            _req("dealer"),
            _req("received_on", "date"),
            _req("source", allowed="industry public agency"),
            _req("is_self_report", "boolean"),
            _opt("is_substantiated", "boolean"),
        ),
        ("tip_id",),
        "received_on",
        "received_on",
    ),
    Table(
        "holds",
        (
            _req("hold_id"),
            _req("dealer"),
            _req("starts_on", "date"),
            _opt("ends_on", "date"),
        ),
        ("hold_id",),
        "starts_on",
        "starts_on",
    ),
    Table(
        "agencies",
        (
            _req("requester"),
            _req("country"),
            _opt("state"),
            _req("kind", allowed="federal state local military"),
            _opt("submits_from", "date"),
            _opt("submits_to", "date"),
        ),
        ("requester",),
        None,
        "submits_from, else always",
        is_optional=True,
    ),
    Table(
        "area_covariates",
        (
            _req("area"),
            _req("name"),
            _req("from", "date"),
            _opt("to", "date"),
            _req("value", "number"),
            _req("source"),
        ),
        ("area", "name", "from"),
        None,
        "from",
        is_optional=True,
    ),
)

TABLES: Final[Mapping[str, Table]] = {table.name: table for table in _TABLES}

# What the warehouse adds to each row. ``superseded_on`` is the ``known_on`` of the row's next
# version (null for the current one): as of T a row is in force when known_on < T <= superseded_on.
# A row that only repeats the version before it is superseded the day it was known: never in force.
# ``source_id`` indexes the manifest's sources and ``source_line`` is the line or row within it.
STORED_COLUMNS: Final = (
    Column("known_on", "date"),
    Column("superseded_on", "date", is_required=False),
    Column("source_id", "integer"),
    Column("source_line", "integer"),
)


@dataclass(frozen=True)
class DayOrder:
    """Two days of one row, the second of which cannot lie before the first.

    Parameters
    ----------
    reason, column : str
        Reason code of a row in which it does, and the column at fault.
    first, last : tuple of str
        Columns of either day: the first of them that is not null.
    """

    reason: RejectReason
    column: str
    first: tuple[str, ...]
    last: tuple[str, ...]

    def broken_by(self, row: Mapping[str, object]) -> str:
        """Return the later column of a row of ISO days that breaks it, empty when none does."""
        first, last = (
            next((name for name in names if row.get(name)), "") for names in (self.first, self.last)
        )
        return last if first and last and str(row[first]) > str(row[last]) else ""


_DAY_ORDERS: Final[Mapping[str, tuple[DayOrder, ...]]] = {
    "traces": (
        DayOrder("sold_after_recovery", "sold_on", ("sold_on",), ("recovered_on", "requested_on")),
        DayOrder("known_before_event", "completed_on", ("requested_on",), ("completed_on",)),
    ),
    "inspections": (DayOrder("known_before_event", "closed_on", ("opened_on",), ("closed_on",)),),
}
# The day on which all that a row says can be known at the earliest.
_FIRST_KNOWN: Final = {
    "traces": ("completed_on", "requested_on"),
    "inspections": ("closed_on", "opened_on"),
    "multiple_sales": ("reported_on",),
    "thefts_losses": ("reported_on",),
    "seizures": ("reported_on",),
}


def day_orders(table: Table) -> tuple[DayOrder, ...]:
    """Return which days of a row follow each other, the day it was known last."""
    found = list(_DAY_ORDERS.get(table.name, ()))
    for last, first in (("ends_on", "starts_on"), ("submits_to", "submits_from"), ("to", "from")):
        if {first, last} <= set(table.names):
            found.append(DayOrder("out_of_range", last, (first,), (last,)))
    if table.event_date:
        event = table.event_date
        found.append(DayOrder("known_before_event", event, (event,), ("known_on",)))
    if table.name in _FIRST_KNOWN:
        first_known = _FIRST_KNOWN[table.name]
        found.append(DayOrder("known_before_event", "known_on", first_known, ("known_on",)))
    return tuple(found)
