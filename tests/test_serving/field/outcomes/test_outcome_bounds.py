"""What is answered with 200 arrives: an outcome that the API takes, the warehouse stores."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from features.domain.missing_values import NULL_WORDS
from features.domain.name_numbers import whole
from features.reference.legal.citation import known_citations
from features.schema import EARLIEST_DAY, TABLES
from features.warehouse import Warehouse
from serving import clock
from serving.access.audit.writer import Access, Ledger
from serving.commands.app import app
from serving.contract.field.outcomes import OutcomeRequest
from serving.field.outcomes.outcomes import Author, collect, keep
from serving.store.tables import OUTCOMES

DEALER = "1-10-00001"
DAY = "2025-06-02"
GIVEN = {
    "inspection_id": "I-1", "dealer": DEALER, "opened_on": DAY, "closed_on": "2025-06-03",
    "outcome": "report",
}  # fmt: skip
BOUNDED = (
    ("inspections", "hours"), ("inspections", "firearms_unaccounted_initial"),
    ("inspections", "firearms_unaccounted_final"), ("violations", "instances"),
)  # fmt: skip


def edges(table: str, name: str) -> st.SearchStrategy[int | None]:
    """Return values around both ends of a column, and far beyond them."""
    column = TABLES[table].column(name)
    low, high = int(column.minimum), int(column.maximum)
    return st.sampled_from([low - 1, low, low + 1, high - 1, high, high + 1, 10 * high]) | st.none()


NAMES = (
    st.from_regex(r"\A[A-Za-z0-9._:-]{1,64}\Z")
    | st.sampled_from([*NULL_WORDS, "unknown", "12.0", "12", "0", "A.0", "1e5", "2025-01-01"])
)  # fmt: skip
DAYS = st.sampled_from(
    ["1900-01-01", "1930-05-05", "1937-12-31", EARLIEST_DAY, "1970-01-01", "1970-01-02", DAY]
)
CITED = st.fixed_dictionaries(
    {"citation": st.sampled_from(sorted(known_citations())[:40])},
    optional={
        "instances": edges("violations", "instances"),
        "is_willful": st.booleans() | st.none(),
        "is_repeat": st.booleans() | st.none(),
    },
)
COUNTS = ("firearms_unaccounted_initial", "firearms_unaccounted_final")


def accepted(told: dict[str, Any]) -> OutcomeRequest | None:
    try:
        return OutcomeRequest.model_validate(told)
    except ValidationError:
        return None


def taken(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return those of the values that the API takes for a field, whatever the others hold."""
    return values.filter(lambda value: accepted(GIVEN | {name: value}) is not None)


def in_order(told: dict[str, Any]) -> OutcomeRequest:
    """Return the request of fields each of which is taken: the later day last, the fewer last."""
    told["opened_on"], told["closed_on"] = sorted((told["opened_on"], told["closed_on"]))
    if all(told.get(name) is not None for name in COUNTS):
        told |= dict(zip(COUNTS, sorted((told[n] for n in COUNTS), reverse=True), strict=True))
    return OutcomeRequest.model_validate(told)


TAKEN = st.fixed_dictionaries(
    {
        "inspection_id": taken("inspection_id", NAMES),
        "dealer": st.just(DEALER),
        "opened_on": taken("opened_on", DAYS),
        "closed_on": taken("opened_on", DAYS),
        "kind": st.sampled_from(sorted(TABLES["inspections"].column("kind").allowed)),
        "outcome": st.sampled_from(sorted(TABLES["inspections"].column("outcome").allowed)),
        "violations": st.lists(
            CITED.filter(lambda one: accepted(GIVEN | {"violations": [one]}) is not None),
            max_size=2,
            unique_by=lambda one: one["citation"],
        ),
    },
    optional={
        "hours": taken("hours", edges("inspections", "hours") | st.floats(0, 10_000)),
        "investigator_token": taken("investigator_token", NAMES),
        COUNTS[0]: taken(COUNTS[0], edges("inspections", COUNTS[0])),
        COUNTS[1]: taken(COUNTS[1], edges("inspections", COUNTS[1])),
    },
).map(in_order)


def test_what_the_api_accepts_the_warehouse_stores_with_the_same_values(runtime, tmp_path):
    ledger = Ledger(runtime.audit_key, Access("feed", "scheduler", "", ""))
    who, today = Author("maria", "a1b2", ledger=ledger), clock.today()
    number = itertools.count()

    @settings(
        max_examples=4, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(TAKEN, min_size=25, max_size=25, unique_by=lambda one: one.inspection_id))
    def stores(requests):
        folder = tmp_path / str(next(number))
        with runtime.store.write() as connection:
            connection.execute(sa.delete(OUTCOMES))
        for request in requests:
            keep(runtime.store, request, dealer=DEALER, who=who, today=today)
        refused = []
        n = collect(runtime.store, folder, today=today, on_refused=refused.append)
        assert (n, refused) == (25, [])
        warehouse = Warehouse.open(folder)
        rows = {row["inspection_id"]: row for row in warehouse.read("inspections").to_pylist()}
        names = ("opened_on", "closed_on", "hours", "firearms_unaccounted_initial", "outcome")
        for request in requests:
            row = rows[request.inspection_id]
            assert [row[name] for name in names] == [getattr(request, name) for name in names]
            assert row["investigator_token"] == (request.investigator_token or "a1b2")
        n_cited = sum(len(request.violations) for request in requests)
        found = warehouse.read("violations").num_rows if n_cited else 0
        assert found == n_cited

    stores()


@pytest.mark.parametrize(("table", "name"), BOUNDED)
def test_the_bounds_of_an_outcome_are_those_of_its_column(table, name):
    most = int(TABLES[table].column(name).maximum)
    for value, is_taken in ((0, True), (most, True), (most + 1, False), (-1, False)):
        cited = {"citation": "478.124(c)(1)", name: value}
        more = {"violations": [cited]} if table == "violations" else {name: value}
        assert (accepted(GIVEN | more) is not None) is is_taken


@pytest.mark.parametrize(
    "change",
    [
        {"inspection_id": "NULL"}, {"inspection_id": "none"}, {"inspection_id": "-"},
        {"investigator_token": "nan"}, {"opened_on": "1937-12-31"}, {"opened_on": "1970-01-01"},
        {"opened_on": DAY, "closed_on": "1900-01-01"},
    ],
)  # fmt: skip
def test_what_the_records_would_take_for_nothing_is_refused(service, change):
    answer = service.post("/v1/outcomes", "chief", GIVEN | change)
    assert answer.status_code == 422
    assert next(iter(reversed(change))) in answer.text


def test_a_number_of_an_inspection_is_the_one_that_the_records_have():
    assert accepted(GIVEN | {"inspection_id": "12.0"}).inspection_id == whole("12.0") == "12"


@pytest.fixture
def kept_before(service):
    """Two outcomes, one as an earlier version took it: more firearms than the records take."""
    known = service.runtime.snapshot.columns["dealer"]
    for n in (1, 2):
        told = GIVEN | {"dealer": str(known[n]), "inspection_id": f"I-{n}"}
        told |= {"legal_basis": "warrant", "kind": "warrant", "firearms_unaccounted_initial": 7}
        assert service.post("/v1/outcomes", "chief", told).status_code == 200
    with service.runtime.store.write() as connection:
        query = sa.select(OUTCOMES.c.document).where(OUTCOMES.c.inspection_id == "I-1")
        document = connection.scalar(query) | {"firearms_unaccounted_initial": 600_000}
        change = sa.update(OUTCOMES).where(OUTCOMES.c.inspection_id == "I-1")
        connection.execute(change.values(document=document))
    return service.runtime


def test_a_row_that_is_refused_holds_up_no_other_and_is_told(kept_before, tmp_path):
    refused, today = [], clock.today()
    assert collect(kept_before.store, tmp_path, today=today, on_refused=refused.append) == 1
    assert refused == [{"inspections out_of_range": 1}]
    warehouse = Warehouse.open(tmp_path)
    assert warehouse.read("inspections")["inspection_id"].to_pylist() == ["I-2"]
    assert collect(kept_before.store, tmp_path, today=today, on_refused=refused.append) == 0
    assert len(refused) == 1


def test_the_command_says_what_was_refused_and_ends_with_its_code(kept_before, monkeypatch):
    monkeypatch.setenv("FFL_RISK_HOME", str(kept_before.settings.home))
    first = CliRunner().invoke(app, ["collect", "--json"])
    assert first.exit_code == 5, first.output
    assert json.loads(first.stdout)["refused"] == {"inspections out_of_range": 1}
    assert "ffl-risk: 1 refused (inspections out_of_range 1)" in first.stderr
    again = CliRunner().invoke(app, ["collect"])
    assert (again.exit_code, again.stdout) == (0, "outcomes: 0\nevents: 0\n")


@pytest.mark.parametrize(
    ("kind", "selected_by", "closed_on", "is_label"),
    [
        ("compliance", "risk", "2025-06-03", True),
        ("compliance", "recall", "2025-06-03", False),
        ("compliance", "risk", None, False),
        *((kind, "risk", "2025-06-03", False)
          for kind in ("recall", "trace", "criminal", "warrant", "application")),
    ],
)  # fmt: skip
def test_a_label_is_what_training_takes(service, kind, selected_by, closed_on, is_label):
    known = service.runtime.snapshot.columns["dealer"]
    told = GIVEN | {
        "dealer": str(known[0]), "kind": kind, "selected_by": selected_by, "closed_on": closed_on,
        "outcome": "none", "legal_basis": "warrant",
    }  # fmt: skip
    answer = service.post("/v1/outcomes", "chief", told)
    assert answer.status_code == 200, answer.text
    assert answer.json()["is_label"] is is_label
