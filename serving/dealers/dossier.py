"""All there is about one dealer, out of the warehouse and the scored table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import sqlalchemy as sa

from features.arrays import Flags
from features.domain.agency_day import day_of
from features.domain.asof import in_force_sql
from features.insight.flows.places import label_sql
from features.reference.attribution import COUNTS_SQL, LAWFUL_SQL, UNSERIALIZED_SQL
from features.reference.destinations import destination_label, destination_sql, place_sql
from features.reference.legal.citation import CITED_SQL
from features.reference.legal.outcome import NAMES
from features.reference.legal.short_time_to_crime import band_sql
from features.reference.weapons import HIGH_POWERED, class_label, class_sql
from features.warehouse.own_rows import OwnRows, own_rows
from serving.contract.field.decisions import OVERRIDE_WORDS
from serving.contract.records.dealers import (
    DossierDocument,
    FactsRecord,
    RelatedRecord,
    TimelineRecord,
    TracesRecord,
)
from serving.dealers.dealer_rows import has_rows_of_dealers, rows_of_dealer
from serving.scores.table.loaded_table import premises
from serving.scores.visible_dealers import Scope
from serving.store.database import Store
from serving.store.tables import DECISIONS, OUTCOMES
from serving.store.warehouse_progress import Collected

_MOST_ENTRIES: Final = 500
_MOST_RELATED: Final = 20
_FIREARMS: Final = "CASE WHEN n_firearms = 1 THEN ' firearm' ELSE ' firearms' END"
_OUTCOME_CASES: Final = " ".join(f"WHEN '{code}' THEN '{said}'" for code, said in NAMES.items())
# One dated line a row: table, day, sentence, record id. Names come from the schema alone.
_LINES: Final = {
    "licenses": (
        "listed_on",
        "'listed as type ' || license_type || ' in ' || premises_city || ', ' || premises_state",
        "license_number",
    ),
    "inspections": (
        "opened_on",
        f"kind || ' inspection, outcome ' || CASE outcome {_OUTCOME_CASES} "
        "ELSE coalesce(replace(outcome, '_', ' '), 'not known') END",
        "inspection_id",
    ),
    "thefts_losses": (
        "discovered_on", f"kind || ' of ' || n_firearms || {_FIREARMS} || ' reported'", "report_id"
    ),
    "multiple_sales": (
        "sold_on",
        f"'multiple sale of ' || n_firearms || {_FIREARMS} || ' (' || kind || ')'",
        "report_id",
    ),
    "traces": (
        "coalesce(recovered_on, requested_on)",
        f"firearm_type || ' recovered in ' || {label_sql()} "
        f"|| CASE WHEN {LAWFUL_SQL} THEN ' (had left lawfully; not counted)' ELSE '' END",
        "trace_id",
    ),
    "seizures": ("seized_on", "firearm_type || ' seized by ' || agency", "seizure_id"),
    "ballistic_leads": (
        "lead_on",
        "'ballistic lead on a firearm that it sold: ' || n_linked_events || "
        "CASE WHEN n_linked_events = 1 THEN ' shooting' ELSE ' shootings' END",
        "lead_id || ' ' || trace_id",
    ),
    "tips": (
        "received_on",
        "CASE WHEN is_self_report THEN 'report by the dealer itself' "
        "ELSE 'tip from ' || source END",
        "tip_id",
    ),
}  # fmt: skip


def _no_facts() -> FactsRecord:
    return {
        "timeline": [],
        "citations": {},
        "traces": {
            "n_traces": 0, "by_time_to_crime": {}, "by_recovery": {}, "by_destination": {},
            "by_class": {}, "n_lawful_exports": 0, "n_unserialized": 0,
            "high_powered": {"n_traces": 0, "n_in_rifle_reports": 0},
        },
    }  # fmt: skip


def dossier(
    scope: Scope,
    row: int,
    warehouse: Path | OwnRows,
    *,
    lists: Sequence[str],
    store: Store | None = None,
) -> DossierDocument:
    """Return the dossier of a row, ready for the contract's `Dossier`.

    What was decided and found since the records end stands on the timeline at once, out of the
    store.
    """
    view, snapshot = scope.view, scope.view.snapshot
    dealer = str(snapshot.columns["dealer"][row])
    given = {"as_of": snapshot.as_of_row(row).isoformat()}
    with own_rows(warehouse, dealer) as own:
        facts = _facts(own, given)
        if store is not None:
            _add_since(facts, own, given, store)
    return {
        "basis": snapshot.basis,
        **premises(snapshot.columns, row),
        "score": view.score(row, with_reasons=True),
        **facts,
        "related": related(scope, row),
        "lists": list(lists),
        "disclaimers": snapshot.disclaimers,
    }


def _add_since(facts: FactsRecord, own: OwnRows, given: dict[str, str], store: Store) -> None:
    """Add what was told and decided in the store, and is not in the records yet."""
    told = _told_since(store, own, _inspections_known(own, given))
    told_here = {one.entry["record_id"] for one in told}
    stands = [
        entry
        for entry in facts["timeline"]
        if entry["table"] != "inspections" or entry["record_id"] not in told_here
    ]
    facts["timeline"] = sorted(
        [*stands, *(one.entry for one in told), *_decided(store, own.dealer)],
        key=lambda entry: entry["on"],
        reverse=True,
    )
    if told:
        recorded = _citations(own, given, told_here=told_here)
        facts["citations"] = _in_order(recorded, (one.cited for one in told))


def _facts(own: OwnRows, given: dict[str, str]) -> FactsRecord:
    facts = _no_facts()
    for name, (when, text, key) in _LINES.items():
        if has_rows_of_dealers(own, name):
            query = (
                f"SELECT {when} AS happened, {text}, {key} "  # noqa: S608 - from the table above
                f"FROM ({rows_of_dealer(own, name)}) "
                f"ORDER BY happened DESC LIMIT {_MOST_ENTRIES}"
            )
            facts["timeline"] += [
                {"on": on, "table": name, "what": what, "record_id": str(record)}
                for on, what, record in own.query(query, {**given, "dealer": own.dealer}).fetchall()
            ]
    if own.has("traces"):
        facts["traces"] = _traces(own, given)
    facts["citations"] = _citations(own, given)
    facts["timeline"].sort(key=lambda entry: entry["on"], reverse=True)
    return facts


def _in_force(own: OwnRows, table: str) -> str:
    return (
        f"(SELECT * FROM {own.scan(table)} "  # noqa: S608 - schema names only
        f"WHERE {in_force_sql('CAST($as_of AS DATE)')})"
    )


def _traces(own: OwnRows, given: dict[str, str]) -> TracesRecord:
    """Count what counts toward the dealer, and apart from it what does not.

    A firearm without a serial number cannot be followed to a sale, and a lawful export was no
    diversion (`features.reference.attribution`).
    """
    every = "dealer_traces"  # counted in many ways
    own.query(f"CREATE OR REPLACE TEMP TABLE {every} AS FROM {_in_force(own, 'traces')}", given)
    counting = f"(SELECT * FROM {every} WHERE {COUNTS_SQL})"  # noqa: S608 - schema names only
    place = f"CASE WHEN recovery_country = 'MX' THEN 'MX' ELSE {place_sql()} END"

    def by(what: str, order: str = "2 DESC, 1") -> dict[str, int]:
        query = f"SELECT {what}, count(*) FROM {counting} GROUP BY 1 ORDER BY {order}"  # noqa: S608
        return dict(own.query(query).fetchall())

    by_time, by_class = by(band_sql(named=True), "1"), by(class_sql())
    apart = (
        f"SELECT count(*) FILTER ({UNSERIALIZED_SQL}), "  # noqa: S608 - schema names only
        f"count(*) FILTER (NOT {UNSERIALIZED_SQL} AND {LAWFUL_SQL}) FROM {every}"
    )
    n_unserialized, n_exports = own.query(apart).fetchall()[0]
    reported = 0
    if own.has("multiple_sales"):
        rifles = (
            "SELECT coalesce(sum(n_firearms), 0) FROM "  # noqa: S608 - schema names only
            f"{_in_force(own, 'multiple_sales')} WHERE kind = 'rifle'"
        )
        reported = int(own.query(rifles, given).fetchall()[0][0])
    return {
        "n_traces": sum(by_time.values()),
        "by_time_to_crime": by_time,
        "by_recovery": by(place),
        "by_destination": {destination_label(k): n for k, n in by(destination_sql()).items()},
        "by_class": {class_label(name): n for name, n in by_class.items()},
        "n_lawful_exports": n_exports,
        "n_unserialized": n_unserialized,
        "high_powered": {
            "n_traces": sum(by_class.get(name, 0) for name in HIGH_POWERED),
            "n_in_rifle_reports": reported,
        },
    }


def traces_by_year(
    warehouse: Path | OwnRows, dealer: str, as_of: date
) -> list[tuple[int, str, int]]:
    """Return year of recovery, destination and number of the traces that count toward a dealer."""
    with own_rows(warehouse, dealer) as own:
        if not own.has("traces"):
            return []
        query = (
            "SELECT year(coalesce(recovered_on, requested_on)), "  # noqa: S608 - schema names only
            f"{destination_sql()}, count(*) FROM {_in_force(own, 'traces')} WHERE {COUNTS_SQL} "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        )
        found = own.query(query, {"as_of": as_of.isoformat()}).fetchall()
    return [(int(year), str(name), int(n)) for year, name, n in found]


def _citations(
    own: OwnRows, given: Mapping[str, str], *, told_here: Collection[str] = ()
) -> dict[str, int]:
    """Count the recorded inspections that each citation was found at, without those told here."""
    if not (own.has("violations") and own.has("inspections")):
        return {}
    query = (
        f"SELECT v.citation, count(*) FROM {_in_force(own, 'violations')} v "  # noqa: S608 - schema
        f"JOIN {_in_force(own, 'inspections')} i USING (inspection_id) WHERE {CITED_SQL} "
        "AND NOT list_contains($told_here, CAST(inspection_id AS VARCHAR)) "
        "GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return dict(own.query(query, {**given, "told_here": list(told_here)}).fetchall())


def _in_order(recorded: Mapping[str, int], told: Iterable[Sequence[str]]) -> dict[str, int]:
    """Add what was told here to what is recorded, the most frequent first."""
    counts = Counter(recorded)
    for cited in told:
        counts.update(set(cited))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def related(scope: Scope, row: int) -> list[RelatedRecord]:
    """Return other dealers the caller sees at the same premises or under the same name."""
    columns = scope.view.snapshot.columns
    same_place, same_name = _alike(scope, row)
    same_place, same_name = same_place & scope.own, same_name & scope.own
    out: list[RelatedRecord] = []
    for other in np.flatnonzero(same_place | same_name)[:_MOST_RELATED].tolist():
        relations = [
            name
            for name, mask in (("same premises", same_place), ("same licensee", same_name))
            if mask[other]
        ]
        out.append(
            {
                "dealer": str(columns["dealer"][other]),
                "licensee_name": str(columns["licensee_name"][other]),
                "city": str(columns["city"][other]),
                "state": str(columns["state"][other]),
                "relation": ", ".join(relations),
            }
        )
    return out


def n_related_elsewhere(scope: Scope, row: int) -> int:
    """Return how many licenses of the same premises or name lie outside the caller's area."""
    same_place, same_name = _alike(scope, row)
    return int(((same_place | same_name) & ~scope.own).sum())


def _alike(scope: Scope, row: int) -> tuple[Flags, Flags]:
    """Return which visible dealers have the same premises and which the same licensee name."""
    columns = scope.view.snapshot.columns
    is_other = scope.view.is_visible.copy()
    is_other[row] = False
    nobody = np.zeros(len(is_other), dtype=bool)
    street, name = columns["street"][row], columns["licensee_name"][row]
    is_there = (columns["street"] == street) & (columns["zip"] == columns["zip"][row])
    is_named = columns["licensee_name"] == name
    return (
        is_other & is_there if street else nobody,
        is_other & is_named if name else nobody,
    )


def _inspections_known(own: OwnRows, given: dict[str, str]) -> dict[str, str]:
    """Return since which day the warehouse knows each inspection as it has it."""
    if not own.has("inspections"):
        return {}
    query = (
        "SELECT inspection_id, CAST(known_on AS VARCHAR) "  # noqa: S608 - schema names only
        f"FROM {_in_force(own, 'inspections')}"
    )
    return dict(own.query(query, given).fetchall())


class _Told(NamedTuple):
    """What was told last of an inspection: its entry, and what it cites."""

    entry: TimelineRecord
    cited: list[str]


def _told_since(store: Store, own: OwnRows, known: Mapping[str, str]) -> list[_Told]:
    """Return what was told last of each inspection, where the warehouse does not have it so yet.

    Parameters
    ----------
    known : mapping of str to str
        Since which day the warehouse knows each inspection: what was told later stands for it.
    """
    taken_in = Collected.of(store, own.path).outcome_id
    query = sa.select(OUTCOMES).where(OUTCOMES.c.dealer == own.dealer).order_by(OUTCOMES.c.version)
    with store.read() as connection:
        newest = {row.inspection_id: row for row in connection.execute(query)}
    return [
        _Told(_as_told(row), _cited(row))
        for key, row in newest.items()
        # An open inspection is told, and comes into no warehouse before it is closed.
        if (day_of(row.at), row.outcome_id > taken_in or not row.document["closed_on"])
        > (known.get(key, ""), False)
    ]


def _cited(row: sa.Row[Any]) -> list[str]:
    """Return the citations of what was told; one without an instance was taken back."""
    told = row.document.get("violations", ())
    return [one["citation"] for one in told if one.get("instances") != 0]


def _as_told(row: sa.Row[Any]) -> TimelineRecord:
    told = row.document
    outcome = NAMES.get(told["outcome"], told["outcome"])
    cited = ", ".join(_cited(row))
    changed = f", version {row.version}" if row.version > 1 else ""
    return {
        "on": date.fromisoformat(told["opened_on"]),
        "table": "outcomes",
        "what": f"{told['kind']} inspection, outcome {outcome}"
        f"{'; cited ' + cited if cited else ''}; told by {row.who} on {day_of(row.at)}"
        f"{changed}; it comes with the next list",
        "record_id": row.inspection_id,
    }


def _decided(store: Store, dealer: str) -> list[TimelineRecord]:
    """Return the decisions about a dealer, as entries of its timeline."""
    query = sa.select(DECISIONS).where(DECISIONS.c.dealer == dealer)
    out: list[TimelineRecord] = []
    with store.read() as connection:
        for row in connection.execute(query):
            said = "accepted" if row.decision == "accept" else "overridden"
            why = f", {OVERRIDE_WORDS.get(row.reason, row.reason).lower()}" if row.reason else ""
            note = f": {row.note}" if row.note else ""
            out.append(
                {
                    "on": date.fromisoformat(day_of(row.at)),
                    "table": "decisions",
                    "what": f"{said} by {row.who}{why}{note}",
                    "record_id": row.list_id,
                }
            )
    return out
