"""However rows are spread over files and in whatever order these arrive, the past reads the same.

The oracle knows nothing of files: it sorts the rows of a key by the day on which each was known and
walks them. A row that repeats the one before it says nothing, so that a fact counts from the day on
which it was first known.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from features.ingest import ingest
from features.schema import TABLES
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write

FIRST = date(2026, 3, 1)
N_DAYS = 8

# Three contents that a row of each table may have, and columns that are no content.
CONTENTS = {
    "tips": [
        {"is_substantiated": ""},
        {"is_substantiated": "true"},
        {"dealer": "5-74-90002"},
    ],
    "traces": [
        {"outcome": "purchaser"},
        {"outcome": "no_dealer_answer", "purchaser_token": ""},
        {"dealer": "", "sold_on": ""},
    ],
    "inspections": [{"hours": ""}, {"outcome": "revocation"}, {"hours": "4.0"}],
    "multiple_sales": [{"n_firearms": "2"}, {"n_firearms": "3"}, {"kind": "rifle"}],
}
TOKENS = ("aaaa1111", "bbbb2222")
# Only the second key of multiple sales was sold over two years ago.
OLD = {"sold_on": "2023-05-01", "reported_on": "2023-05-02"}

# One row: key, days after FIRST on which it was known, content, token, and the file that it is in.
Row = tuple[str, int, int, int, int]


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Rows of two keys, one a day and key: a second one would be a conflict."""
    told = draw(
        st.lists(
            st.tuples(st.sampled_from("AB"), st.integers(0, N_DAYS - 1)),
            min_size=2,
            max_size=9,
            unique=True,
        )
    )
    kind = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 2))
    return [(*item, *draw(kind)) for item in told]


def record(table: str, told: Row) -> dict[str, str]:
    """Return the canonical row."""
    key, day, content, token, _ = told
    out = row(table, **CONTENTS[table][content]) | {TABLES[table].key[0]: key}
    if table == "multiple_sales":
        out["purchaser_token"] = TOKENS[token]
        out |= OLD if key == "B" else {}
    return out | {"known_on": (FIRST + timedelta(day)).isoformat()}


def in_force(told: list[Row], after: int) -> dict[str, tuple[date, int, int]]:
    """Return, for each key, since when its state was known, its content and its token."""
    state: dict[str, tuple[date, int, int]] = {}
    for key, day, content, token, _ in sorted(told):
        if day < after and (key not in state or state[key][1] != content):
            state[key] = (FIRST + timedelta(day), content, token)
    return state


def expected(table: str, told: list[Row], after: int, traced: str | None) -> list[dict[str, str]]:
    """Return what a reader should see, as text, sorted by key."""
    out = []
    for key, (known_on, content, token) in sorted(in_force(told, after).items()):
        seen = record(table, (key, 0, content, token, 0)) | {"known_on": known_on.isoformat()}
        if table == "multiple_sales" and key == "B" and seen["purchaser_token"] != traced:
            seen["purchaser_token"] = ""
        out.append(seen)
    return out


def as_text(rows: list[dict[str, object]], table: str) -> list[dict[str, str]]:
    """Return stored rows as the canonical file would spell them, sorted by key."""

    def spell(value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return "" if value is None else str(value)

    names = [*TABLES[table].names, "known_on"]
    texts = [{name: spell(found[name]) for name in names} for found in rows]
    return sorted(texts, key=lambda found: found[TABLES[table].key[0]])


def stored(folder: Path, table: str, told: list[Row], traced: str | None) -> Warehouse:
    """Ingest the rows, one file after the other, a trace with the token `traced` before them."""
    if traced:
        trace = write(folder, "traces.csv", [row("traces", purchaser_token=traced)])
        ingest(trace, folder / "w", today=TODAY)
    for number in sorted({item[4] for item in told}):
        rows = [record(table, item) for item in told if item[4] == number]
        ingest(write(folder / str(number), f"{table}.csv", rows), folder / "w", today=TODAY)
    return Warehouse.open(folder / "w")


@pytest.mark.parametrize("table", sorted(CONTENTS))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(told=histories(), traced=st.sampled_from([None, *TOKENS]))
# A restatement that arrives before the older row, and one that arrives before what it restates.
@example(told=[("A", 5, 0, 0, 0), ("A", 1, 0, 1, 1)], traced=None)
@example(told=[("A", 1, 0, 0, 0), ("A", 5, 0, 1, 1), ("A", 3, 1, 0, 2)], traced=None)
@example(told=[("A", 5, 0, 0, 0), ("A", 3, 1, 1, 1), ("A", 1, 0, 0, 2)], traced=None)
def test_the_order_of_arrival_does_not_change_what_a_day_knew(
    table: str, told: list[Row], traced: str | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if table == "traces":
        traced = None
    warehouse = stored(tmp_path_factory.mktemp("order"), table, told, traced)
    for after in range(N_DAYS + 1):
        as_of = FIRST + timedelta(after)
        wanted = expected(table, told, after, traced)
        assert as_text(warehouse.read(table, as_of=as_of).to_pylist(), table) == wanted, as_of
        # What the engines read: every version, and the rule of the interval.
        with duckdb.connect() as con:
            found = con.execute(
                f"FROM {warehouse.scan(table)} WHERE known_on < $1 "
                "AND (superseded_on IS NULL OR $1 <= superseded_on)",
                [as_of],
            ).to_arrow_table()
        assert as_text(found.to_pylist(), table) == wanted, as_of
    newest = as_text(warehouse.read(table).to_pylist(), table)
    assert newest == expected(table, told, N_DAYS, traced)


def test_of_two_contents_known_on_one_day_none_stands_whichever_came_first(tmp_path: Path) -> None:
    """Nothing tells which of the two is right, and the order of arrival least of all."""
    one, other = ("A", 1, 0, 0, 0), ("A", 1, 1, 0, 0)
    for first, second in ((one, other), (other, one)):
        folder = tmp_path / str(first[2])
        ingest(write(folder, "tips.csv", [record("tips", first)]), folder / "w", today=TODAY)
        late = write(folder / "late", "tips.csv", [record("tips", second)])
        summary = ingest(late, folder / "w", today=TODAY, max_rejects=1.0)
        assert summary.files[0].tables[0].reasons == {"duplicate_key_conflict": 1}
        found = as_text(Warehouse.open(folder / "w").read("tips").to_pylist(), "tips")
        assert found == []
