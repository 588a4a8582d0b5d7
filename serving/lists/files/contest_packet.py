"""The contest packet: what a dealer or counsel may ask for about a place on a list.

::

    README.txt              what is here, what may leave, the disclaimers
    public/                 list entry without what is restricted, the model card, the list's facts
    restricted/             the whole entry, its reasons with the records that each counts, source
                            records, audit entries: law enforcement only
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar, cast

import sqlalchemy as sa
from pydantic_core import to_json

from features.domain.agency_day import moment_in_words
from features.openjson import Json, Row
from features.schema import TABLES
from features.signals.shipped import shipped
from features.warehouse import Warehouse, WarehouseMissingError
from serving.access.audit.hash_chain import AuditRow
from serving.contract.records.dealers import SourceRecords
from serving.contract.records.lists import (
    ListDocument,
    ListRowRecord,
    PublicDesignRecord,
    PublicEntryRecord,
    PublicListRecord,
    StoredDecisionRecord,
)
from serving.contract.records.scores import BasisRecord
from serving.dealers.dealer_rows import has_rows_of_dealers, rows_of_dealer
from serving.dealers.source_records import named_records, said
from serving.errors import UnknownDealerError
from serving.scores.champion import card_of
from serving.statements import NOT_EVIDENCE, PEERS, TRACE_DISCLAIMER, basis_sentence
from serving.store.database import Store
from serving.store.rows import picked
from serving.store.tables import AUDIT, DECISIONS, LISTS, OUTCOMES

Part = TypeVar("Part", bound=Mapping[str, object])
_SCORES: Final = frozenset(
    {"heads", "priority", "percentile", "national_rank", "support", "change"}
)
_README: Final = """\
Dealer {dealer} on list {list_id}, issued {issued_at}
{basis}

public/      may be given to the dealer or counsel.
restricted/  holds what is derived from trace or law-enforcement records; 18 USC 923 note and the
             agency's rules say to whom it may go. Leave the folder out where it may not.

{not_evidence}

{peers}

{disclaimer}
"""


def packet(
    store: Store, home: Path, *, document: ListDocument, dealer: str, warehouse: Path
) -> bytes:
    """Return the packet as a zip, with fixed dates: the same packet has the same bytes.

    Parameters
    ----------
    document : mapping
        The list as whoever asks may see it (`serving.lists.issued.document_for`).

    Raises
    ------
    UnknownDealerError
        When the dealer is not on it.
    """
    list_id = str(document["list_id"])
    row = next((row for row in document["rows"] if row["dealer"] == dealer), None)
    if row is None:
        raise UnknownDealerError(f"{dealer} is not on list {list_id}.")
    # A dealer scored alone after an event was scored on records of a later day than the list's.
    as_of = max(str(document["basis"]["as_of"]), str(row.get("as_of") or ""))
    readme = _README.format(
        dealer=dealer,
        list_id=list_id,
        issued_at=moment_in_words(document["issued_at"]),
        basis=basis_sentence(document["basis"]),
        not_evidence=NOT_EVIDENCE,
        peers=PEERS,
        disclaimer=TRACE_DISCLAIMER,
    )
    files = {
        "README.txt": readme.encode(),
        "public/list.json": to_json(_public_list(document), indent=1),
        "public/entry.json": to_json(public_part(row, document["basis"]), indent=1),
        "public/model_card.md": _card(store, home, list_id),
        "restricted/entry.json": to_json(row, indent=1),
        "restricted/reasons.json": to_json(
            _reasons(store, home, list_id, row=row, as_of=as_of, warehouse=warehouse), indent=1
        ),
        "restricted/records.json": to_json(_records(warehouse, dealer, as_of), indent=1),
        "restricted/corrections_since.json": to_json(
            _records(warehouse, dealer, as_of, corrected=True), indent=1
        ),
        "restricted/audit.json": to_json(_audit(store, list_id, dealer), indent=1),
        "restricted/field.json": to_json(_field(store, list_id, dealer), indent=1),
    }
    return _zip(files)


def public_part(row: ListRowRecord, basis: BasisRecord) -> PublicEntryRecord:
    """Return a list entry without scores and reasons that rest on restricted records.

    A score rests on all signals of its bundle, whichever its first reasons are.
    """
    hidden = frozenset() if basis["restriction"] == "public" else _SCORES
    kept = {name: value for name, value in row.items() if name not in hidden}
    reasons = [r for r in row["reasons"] if r["restriction"] == "public"]
    return _named(PublicEntryRecord, {**kept, "reasons": reasons})


def _public_list(document: ListDocument) -> PublicListRecord:
    """Return the facts of a list: not the seed, by which every office's random share is told."""
    design = _named(PublicDesignRecord, document["design"])
    return _named(PublicListRecord, {**document, "design": design})


def _named(kind: type[Part], whole: Mapping[str, Any]) -> Part:
    """Return what a public record names, and nothing else; older lists lack some of it."""
    return cast("Part", {name: whole[name] for name in kind.__annotations__ if name in whole})


def _champion(store: Store, list_id: str) -> str:
    with store.read() as connection:
        query = sa.select(LISTS.c.recipe).where(LISTS.c.list_id == list_id)
        recipe: Mapping[str, Any] = connection.execute(query).scalar_one()
    return str(recipe["champion"])


def _card(store: Store, home: Path, list_id: str) -> bytes:
    name = _champion(store, list_id)
    path = home / "champion" / name / "card.md"
    if not path.is_file():
        return b"The bundle is no longer here.\n"
    return card_of(home, name, path.read_text(encoding="utf-8")).encode()


class _ReasonRecords(TypedDict):
    signal: str
    sentence: str
    value: float | None
    records: list[SourceRecords]


def _reasons(
    store: Store, home: Path, list_id: str, *, row: ListRowRecord, as_of: str, warehouse: Path
) -> list[_ReasonRecords]:
    """Return the reasons of an entry, each with the records that its value counts."""
    path = home / "champion" / _champion(store, list_id) / "signals.json"
    # Of a bundle that is no longer here, the signals as they ship.
    signals = (
        json.loads(path.read_text(encoding="utf-8"))
        if path.is_file()
        else [dataclasses.asdict(one) for one in shipped()]
    )
    wanted = {reason["signal"] for reason in row["reasons"]}
    named = named_records(
        warehouse,
        [one for one in signals if one["name"] in wanted],
        str(row["dealer"]),
        date.fromisoformat(as_of),
    )
    return [
        {
            "signal": reason["signal"],
            "sentence": reason["sentence"],
            "value": reason["value"],
            "records": said(named.get(reason["signal"], {}), most=None),
        }
        for reason in row["reasons"]
    ]


def _records(
    warehouse: Path, dealer: str, as_of: str, *, corrected: bool = False
) -> dict[str, list[Row]]:
    """Return the dealer's rows known on the day, or those of them corrected since."""
    import duckdb

    try:
        opened = Warehouse.open(warehouse)
    except WarehouseMissingError:
        return {}
    since = " WHERE superseded_on IS NOT NULL" if corrected else ""
    out: dict[str, list[Row]] = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, table in TABLES.items():
            if not has_rows_of_dealers(opened, name):
                continue
            # A buyer's token stays here, and who investigated.
            columns = [c for c in table.names if c not in {"purchaser_token", "investigator_token"}]
            query = (
                f"SELECT {', '.join(columns)}, known_on, superseded_on "  # noqa: S608 - own names
                f"FROM ({rows_of_dealer(opened, name)}){since} ORDER BY known_on, 1, 2"
            )
            found = connection.execute(query, {"dealer": dealer, "as_of": as_of})
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            if rows:
                out[name] = rows
    return out


def _audit(store: Store, list_id: str, dealer: str) -> list[AuditRow]:
    """Return the audit records of the list that name the dealer or the list itself."""
    query = sa.select(AUDIT).where(AUDIT.c.list_id == list_id).order_by(AUDIT.c.seq)
    with store.read() as connection:
        records = [picked(AuditRow, row._mapping) for row in connection.execute(query)]
    for record in records:
        # Other dealers on the list are no business of this one's counsel.
        named = set(str(record["subject"]).split())
        record["subject"] = dealer if dealer in named else list_id
    return records


class _ToldOutcome(TypedDict):
    version: int
    document: Json
    at: str


class _FieldDocument(TypedDict):
    decisions: list[StoredDecisionRecord]
    outcomes: list[_ToldOutcome]


def _field(store: Store, list_id: str, dealer: str) -> _FieldDocument:
    decisions = sa.select(DECISIONS).where(
        DECISIONS.c.list_id == list_id, DECISIONS.c.dealer == dealer
    )
    outcomes = sa.select(OUTCOMES.c.version, OUTCOMES.c.document, OUTCOMES.c.at).where(
        OUTCOMES.c.dealer == dealer
    )
    with store.read() as connection:
        decided = connection.execute(decisions).all()
        told = connection.execute(outcomes).all()
        return {
            "decisions": [picked(StoredDecisionRecord, row._mapping) for row in decided],
            "outcomes": [picked(_ToldOutcome, row._mapping) for row in told],
        }


def _zip(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue()
