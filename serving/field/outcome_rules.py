"""What an outcome must be to be kept, whoever tells it: a page, a program, a generated client.

The same rules for all: a citation is a provision of law and is kept in its one spelling; the number
of an inspection belongs to one dealer, in the store and in the records that were ingested.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from features.errors import InvalidValueError
from features.reference.legal.citation import normalize
from features.warehouse import Warehouse, WarehouseMissingError
from serving.contract.field import OutcomeRequest
from serving.errors import ConflictError, InvalidRequestError
from serving.store.database import Store
from serving.store.tables import OUTCOMES


def checked(store: Store, warehouse: Path, request: OutcomeRequest, dealer: str) -> OutcomeRequest:
    """Return an outcome as it is kept.

    Raises
    ------
    InvalidRequestError
        When a citation is none.
    ConflictError
        When the inspection is known as one of another dealer.
    """
    wrong = [n for n, one in enumerate(request.violations) if not _is_known(one.citation)]
    if wrong:
        raise InvalidRequestError(
            "What is cited is no provision of law.",
            found=", ".join(f"violations.{n}.citation" for n in wrong[:10]),
            expected="a provision such as 478.124(c)(1) or 18 USC 922(t)(5)",
        )
    if is_of_another(store, warehouse, request.inspection_id, dealer):
        raise ConflictError(
            "This inspection is known as one of another dealer.", fix="check inspection_id"
        )
    spelled = [
        one.model_copy(update={"citation": normalize(one.citation).text})
        for one in request.violations
    ]
    return request.model_copy(update={"violations": spelled})


def _is_known(text: str) -> bool:
    try:
        normalize(text)
    except InvalidValueError:
        return False
    return True


def is_of_another(store: Store, warehouse: Path, inspection_id: str, dealer: str) -> bool:
    """Whether a number is that of an inspection of another dealer, told here or ingested."""
    query = sa.select(OUTCOMES.c.dealer).where(OUTCOMES.c.inspection_id == inspection_id).limit(1)
    with store.read() as connection:
        told = connection.scalar(query)
    if told is not None:
        return str(told) != dealer
    known = _ingested(warehouse, inspection_id)
    return bool(known) and dealer not in known


def _ingested(warehouse: Path, inspection_id: str) -> set[str]:
    import duckdb

    try:
        opened = Warehouse.open(warehouse)
    except WarehouseMissingError:
        return set()
    if not opened.has("inspections"):
        return set()
    query = (
        f"SELECT DISTINCT dealer FROM {opened.scan('inspections')} "  # noqa: S608 - own names
        "WHERE inspection_id = $number"
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        found = connection.execute(query, {"number": inspection_id}).fetchall()
    return {str(row[0]) for row in found}
