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
from features.ingest.withdrawal import withdraw
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


def in_force(
    table: str, told: list[Row], after: int, traced: str | None
) -> dict[str, tuple[date, int, str]]:
    """Return, for each key, since when its state was known, its content and its token.

    Another token is another state; none, or one whose time is over, says nothing.
    """
    state: dict[str, tuple[date, int, str]] = {}
    last: dict[str, str] = {}
    for key, day, content, n_token, _ in sorted(told):
        token = TOKENS[n_token] if table == "multiple_sales" else ""
        if key == "B" and token != traced:
            token = ""
        if day >= after:
            continue
        if key not in state or state[key][1] != content:
            last[key] = ""
            state[key] = (FIRST + timedelta(day), content, token)
        elif token and token != last[key]:
            state[key] = (FIRST + timedelta(day), content, token)
        last[key] = token or last[key]
    return state


def expected(table: str, told: list[Row], after: int, traced: str | None) -> list[dict[str, str]]:
    """Return what a reader should see, as text, sorted by key."""
    out = []
    for key, (known_on, content, token) in sorted(in_force(table, told, after, traced).items()):
        seen = record(table, (key, 0, content, 0, 0)) | {"known_on": known_on.isoformat()}
        if table == "multiple_sales":
            seen["purchaser_token"] = token
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
    one, other = ("A", 1, 0, 0, 0), ("A", 1, 2, 0, 0)
    for first, second in ((one, other), (other, one)):
        folder = tmp_path / str(first[2])
        ingest(write(folder, "tips.csv", [record("tips", first)]), folder / "w", today=TODAY)
        late = write(folder / "late", "tips.csv", [record("tips", second)])
        summary = ingest(late, folder / "w", today=TODAY, max_rejects=1.0)
        assert summary.files[0].tables[0].reasons == {"duplicate_key_conflict": 1}
        found = as_text(Warehouse.open(folder / "w").read("tips").to_pylist(), "tips")
        assert found == []


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize(
    ("table", "while_open", "ended"),
    [
        # The usual trace: answered before the day that stands in for an answer.
        ("traces", {"completed_on": "", "outcome": "incomplete", "dealer": "", "sold_on": ""},
         {"completed_on": "2025-03-10"}),
        ("traces", {"completed_on": "", "outcome": "incomplete", "dealer": "", "sold_on": ""},
         {"completed_on": "2025-03-15"}),
        ("inspections", {"closed_on": "", "outcome": "none"}, {"closed_on": "2025-01-10"}),
        ("holds", {"ends_on": ""}, {"ends_on": "2027-01-01"}),
        ("tips", {"is_substantiated": ""}, {"is_substantiated": "true"}),
        ("agencies", {"submits_to": ""}, {"submits_to": "2025-07-01"}),
        ("area_covariates", {"to": ""}, {"to": "2025-07-01"}),
    ],
)  # fmt: skip
def test_what_ended_stands_whatever_came_first(
    table: str,
    while_open: dict[str, str],
    ended: dict[str, str],
    is_turned: bool,
    tmp_path: Path,
) -> None:
    rows = [row(table, **while_open), row(table, **ended)]
    for number, one in enumerate(rows[::-1] if is_turned else rows):
        path = write(tmp_path / str(number), f"{table}.csv", [one])
        summary = ingest(path, tmp_path / "w", today=TODAY)
        assert summary.files[0].tables[0].n_rejected == 0
    (found,) = as_text(Warehouse.open(tmp_path / "w").read(table).to_pylist(), table)
    assert found | ended == found
    # In one file both are told on one day.
    ingest(write(tmp_path, f"{table}.csv", rows), tmp_path / "one", today=TODAY)
    (found,) = as_text(Warehouse.open(tmp_path / "one").read(table).to_pylist(), table)
    assert found | ended == found


def test_an_end_told_later_is_not_known_before(tmp_path: Path) -> None:
    before, after = date(2025, 7, 1), date(2026, 6, 2)
    for day, told in ((date(2025, 6, 1), ""), (TODAY, "true"), (TODAY, "false")):
        path = write(tmp_path / told, "tips.csv", [row("tips", is_substantiated=told)])
        summary = ingest(path, tmp_path / "w", today=day, max_rejects=1.0)
        if told == "true":
            assert any("known since the day of this load" in n for n in summary.files[0].notes)
            warehouse = Warehouse.open(tmp_path / "w")
            seen = [
                warehouse.read("tips", as_of=day)["is_substantiated"].to_pylist()
                for day in (before, after)
            ]
            assert seen == [[None], [True]]
    # A second end of the same day is a dispute: what was known before goes on.
    assert Warehouse.open(tmp_path / "w").read("tips")["is_substantiated"].to_pylist() == [None]


def test_a_withdrawn_answer_leaves_the_open_trace(tmp_path: Path) -> None:
    while_open = row("traces", completed_on="", outcome="incomplete", dealer="", sold_on="")
    answered = row("traces", completed_on="2025-03-10")
    for number, one in enumerate((while_open, answered)):
        path = write(tmp_path, f"traces-{number}.csv", [one])
        ingest(path, tmp_path / "w", as_table="traces", today=TODAY)
    withdraw("traces-1.csv", tmp_path / "w", why="wrong", today=date(2026, 6, 5))
    warehouse = Warehouse.open(tmp_path / "w")
    assert warehouse.read("traces")["outcome"].to_pylist() == ["incomplete"]
    earlier = warehouse.read("traces", as_of=date(2025, 4, 1))
    assert earlier["outcome"].to_pylist() == ["purchaser"]


def test_a_correction_that_moves_its_day_back_is_told(tmp_path: Path) -> None:
    for closed_on in ("2025-03-10", "2025-03-01"):
        path = write(tmp_path, "inspections.csv", [row("inspections", closed_on=closed_on)])
        summary = ingest(path, tmp_path / "w", today=TODAY)
    assert any("--known-on" in note and "I1" in note for note in summary.files[0].notes)
