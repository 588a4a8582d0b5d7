"""What the newest listing that has a dealer says of it: the one place where it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from features.warehouse import Warehouse, WarehouseMissingError


def newest_listings(
    warehouse: Path, dealers: Iterable[str], columns: Sequence[str]
) -> dict[str, Mapping[str, str]]:
    """Return what the newest listing with each dealer says, as it stands now.

    Parameters
    ----------
    warehouse : Path
    dealers : iterable of str
        Dealer keys.
    columns : sequence of str
        Columns of the listings.

    Returns
    -------
    dict of str to mapping of str to str
        By dealer; what is not known is empty. Dealers that no listing ever had are left out.
    """
    import duckdb

    try:
        opened = Warehouse.open(warehouse)
    except WarehouseMissingError:
        return {}
    if not opened.has("licenses"):
        return {}
    # Of a dealer and a day one listing stands, so that no two are the newest.
    query = (
        f"SELECT dealer, {', '.join(columns)} FROM {opened.scan('licenses')} "  # noqa: S608 - own names
        "WHERE superseded_on IS NULL AND dealer IN (SELECT unnest($dealers)) "
        "QUALIFY row_number() OVER (PARTITION BY dealer ORDER BY listed_on DESC) = 1"
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        rows = connection.execute(query, {"dealers": sorted(dealers)}).fetchall()
    return {
        str(dealer): {name: str(value or "") for name, value in zip(columns, values, strict=True)}
        for dealer, *values in rows
    }
