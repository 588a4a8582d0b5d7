"""A dealer's rows are all of its own and no other's; a page looks through each table once."""

from __future__ import annotations

from collections import Counter

import pytest

from features.schema import TABLES
from features.warehouse import Warehouse
from features.warehouse.own_rows import JOINED, OwnRows
from tests.browser.records import write_warehouse
from tests.properties import invented
from tests.test_serving.pages import Visitor

NOBODYS = {"agencies", "area_covariates"}


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return folder / "warehouse", invented.store(invented.Country(5, n_dealers=6).tables, folder)


def expected(rows, table, dealer):
    own = rows[table]
    if table not in JOINED:
        return own[own["dealer"] == dealer]
    by, key = JOINED[table]
    named = own[key].isin(rows[by].loc[rows[by]["dealer"] == dealer, key])
    if "dealer" not in own:
        return own[named]
    return own[(own["dealer"] == dealer) | (own["dealer"].isna() & named)]


def keys(frame):
    return Counter(zip(*(frame[c].astype(str) for c in frame.columns), strict=True))


def test_the_rows_of_a_dealer_are_all_of_its_own_and_no_other_s(country):
    path, warehouse = country
    rows = {name: invented.stored(warehouse, name) for name in TABLES if warehouse.has(name)}
    dealers = sorted(rows["licenses"]["dealer"].unique())[:3]
    n = Counter()
    opened = {dealer: OwnRows(path, dealer) for dealer in dealers}  # side by side
    for table in rows.keys() - NOBODYS:
        columns = [*TABLES[table].key, "known_on"]
        for dealer, own in opened.items():
            sql = f"SELECT {', '.join(columns)} FROM {own.scan(table)}"  # noqa: S608 - own names
            found = own.query(sql).to_arrow_table().to_pandas(date_as_object=True)
            assert keys(found) == keys(expected(rows, table, dealer)[columns]), (table, dealer)
            n[table] += len(found)
    for own in opened.values():
        own.close()
    assert {"traces", "violations", "seizures", "ballistic_leads"} <= {t for t in n if n[t]}


def test_without_a_warehouse_or_a_table_a_dealer_has_no_rows(country, tmp_path):
    path, warehouse = country
    absent = next(name for name in TABLES if not warehouse.has(name))
    for place, table in ((tmp_path / "none", "traces"), (path, absent)):
        with OwnRows(place, "5-76-01234") as own:
            assert not own.has(table)
            found = own.query(f"FROM {own.scan(table)}").to_arrow_table()
            assert len(found) == 0
            assert set(TABLES[table].names) < set(found.column_names)


def test_a_dealer_s_page_looks_through_each_table_once_and_its_place_through_none(
    service, monkeypatch, tmp_path
):
    columns = service.runtime.snapshot.columns
    dealers = columns["dealer"][columns["office"] == "office0"][:20]
    write_warehouse(dealers, service.runtime.settings.home / "warehouse", folder=tmp_path / "files")
    inspector = Visitor(service, "inspector")
    read, scan = Counter(), Warehouse.scan
    monkeypatch.setattr(
        Warehouse, "scan", lambda self, table: read.update([table]) or scan(self, table)
    )
    page = inspector.get(f"/dealers/{dealers[0]}")
    assert page.status_code == 200
    assert "Records behind it" in page.text
    assert {"traces", "inspections", "violations"} <= read.keys()
    assert set(read.values()) == {1}
    read.clear()
    assert inspector.get(f"/dealers/{dealers[0]}/place?against={dealers[1]}").status_code == 200
    assert not read
