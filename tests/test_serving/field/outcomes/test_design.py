"""The design of a list comes back with the outcome, and into the warehouse."""

from datetime import UTC, date, datetime, timedelta

import pytest

from features.engine.embedded import EmbeddedEngine
from features.warehouse import Warehouse
from models.policy import SevereFinding
from serving.field.outcomes.outcomes import collect
from serving.store.tables import OUTCOMES
from training.labels.dated_labels import compliance


def outcome(listed, dealer, **more):
    return {
        "inspection_id": f"V-{dealer}",
        "dealer": dealer,
        "opened_on": "2026-02-01",
        "closed_on": "2026-03-01",
        "selected_by": "risk",
        "list_id": listed["list_id"],
        "outcome": "none",
    } | more


@pytest.fixture
def listed(service):
    return service.post("/v1/rank", "chief", {"k": 100, "random_share": 0.1}).json()


def of(listed, *why):
    return next(row for row in listed["rows"] if row["why"] == list(why))


def test_a_drawn_dealer_comes_back_as_drawn_whatever_the_client_says(service, listed, tmp_path):
    row = of(listed, "random")
    answer = service.post("/v1/outcomes", "chief", outcome(listed, row["dealer"])).json()
    assert answer["selected_by"] == "random"
    assert answer["why"] == "random"
    assert answer["inclusion_probability"] == row["inclusion_probability"] < 0.1
    assert answer["is_mandatory"] is True

    assert collect(service.runtime.store, tmp_path / "w", today=datetime.now(UTC).date()) == 1
    (stored,) = Warehouse.open(tmp_path / "w").read("inspections").to_pylist()
    assert stored["list_id"] == listed["list_id"]
    assert stored["why"] == stored["selected_by"] == "random"
    assert stored["inclusion_probability"] == row["inclusion_probability"]
    assert stored["is_mandatory"] is True
    assert stored["mandatory_probability"] == 1.0
    assert stored["certain_places"] == sum(one["why"][0] == "model" for one in listed["rows"]) < 100
    assert stored["mandatory_places"] == sum(one["is_mandatory"] for one in listed["rows"]) > 0
    assert stored["office"] == row["office"]
    assert len(stored["investigator_token"]) == 16


def test_the_models_places_are_certain_and_some_mandatory(service, listed):
    model = [row for row in listed["rows"] if row["why"] == ["model"]]
    must = next(row for row in model if row["is_mandatory"])
    may = next(row for row in model if not row["is_mandatory"])
    for row, is_mandatory in ((must, True), (may, False)):
        answer = service.post(
            "/v1/outcomes", "chief", outcome(listed, row["dealer"], selected_by="random")
        ).json()
        assert answer["selected_by"] == "risk"
        assert answer["inclusion_probability"] == 1.0
        assert answer["is_mandatory"] is is_mandatory


def test_random_without_a_list_is_unknown(service, listed):
    body = outcome(listed, listed["rows"][0]["dealer"], list_id=None, selected_by="random")
    answer = service.post("/v1/outcomes", "chief", body).json()
    assert answer["selected_by"] == "unknown"
    assert answer["inclusion_probability"] is None


@pytest.mark.parametrize("claimed", ["risk", "complaint", "other"])
def test_what_was_not_drawn_keeps_its_word(service, listed, claimed):
    body = outcome(listed, listed["rows"][1]["dealer"], list_id=None, selected_by=claimed)
    assert service.post("/v1/outcomes", "chief", body).json()["selected_by"] == claimed


def test_a_list_that_did_not_have_the_dealer_is_refused_like_none(service, listed):
    on = {row["dealer"] for row in listed["rows"]}
    columns = service.runtime.snapshot.columns
    other = next(d for d in columns["dealer"] if d not in on)
    absent = listed | {"list_id": "L-20260101-ffffffffffff"}
    answers = [
        service.post("/v1/outcomes", "chief", outcome(a_list, other, legal_basis="warrant"))
        for a_list in (listed, absent)
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json()["code"] == answers[1].json()["code"]


def test_a_list_cannot_have_ordered_an_earlier_visit(service, listed):
    row = of(listed, "random")
    body = outcome(listed, row["dealer"], opened_on="2025-12-31", legal_basis="warrant")
    refused = service.post("/v1/outcomes", "chief", body)
    assert refused.status_code == 409
    assert "as of 2026-01-01" in refused.json()["found"]


def test_a_later_version_keeps_the_list_that_it_does_not_name(service, listed):
    row = of(listed, "random")
    first = outcome(listed, row["dealer"], closed_on=None)
    assert service.post("/v1/outcomes", "chief", first).json()["version"] == 1
    later = outcome(listed, row["dealer"], list_id=None, outcome="report")
    answer = service.post("/v1/outcomes", "chief", later).json()
    assert answer["version"] == 2
    assert answer["why"] == "random"
    assert answer["list_id"] == listed["list_id"]


def test_an_outcome_of_an_older_version_gets_its_design_when_it_is_collected(
    service, listed, tmp_path
):
    row = of(listed, "random")
    service.post("/v1/outcomes", "chief", outcome(listed, row["dealer"]))
    plain = outcome(listed, row["dealer"]) | {
        "kind": "compliance", "hours": None, "recommended_outcome": None, "violations": [],
        "firearms_unaccounted_initial": None, "firearms_unaccounted_final": None,
    }  # fmt: skip
    with service.runtime.store.write() as connection:
        connection.execute(OUTCOMES.update().values(document=plain))
    collect(service.runtime.store, tmp_path / "w", today=date.today())  # noqa: DTZ011
    (stored,) = Warehouse.open(tmp_path / "w").read("inspections").to_pylist()
    assert stored["inclusion_probability"] == row["inclusion_probability"]
    assert stored["selected_by"] == "random"


def test_the_page_and_the_files_mark_mandatory_rows(service, listed):
    path = f"/v1/lists/{listed['list_id']}.csv"
    lines = service.get(path, "chief").content.decode("utf-8-sig").splitlines()
    names = next(line for line in lines if line.startswith("position")).split(",")
    assert "is_mandatory" in names
    n = sum(row["is_mandatory"] for row in listed["rows"])
    assert n == listed["design"]["n_mandatory"] == 10


def test_a_citation_that_a_later_version_leaves_out_is_taken_back(service, listed, tmp_path):
    """It stayed in force for ever: an inspection put right to nothing found was severe."""
    row, today = of(listed, "model"), datetime.now(UTC).date()
    cited = [{"citation": "27 CFR 478.99 (c)", "instances": 2}, {"citation": "478.125(e)"}]
    first = outcome(listed, row["dealer"], outcome="report", violations=cited)
    service.post("/v1/outcomes", "chief", first)
    assert collect(service.runtime.store, tmp_path / "w", today=today) == 1
    rule = SevereFinding("warning_conference", 1, 11)
    as_of = [date(2026, 1, 1)]
    assert compliance(Warehouse.open(tmp_path / "w"), as_of, rule=rule).y.tolist() == [1.0]

    right = outcome(listed, row["dealer"], violations=[{"citation": "478.125(e)"}])
    assert service.post("/v1/outcomes", "chief", right).json()["version"] == 2
    assert collect(service.runtime.store, tmp_path / "w", today=today) == 1
    assert collect(service.runtime.store, tmp_path / "w", today=today) == 0
    store = Warehouse.open(tmp_path / "w")
    assert [one["outcome"] for one in store.read("inspections").to_pylist()] == ["none"]
    assert compliance(store, as_of, rule=rule).y.tolist() == [0.0]
    with EmbeddedEngine(store) as engine:
        standing = engine.query("SELECT citation FROM violations WHERE superseded_on IS NULL")
    assert standing["citation"].to_pylist() == ["478.125(e)"]
    # As of the day before it was put right, the citation stands.
    then = store.read("violations", as_of=today + timedelta(days=1)).to_pylist()
    assert {one["citation"]: one["instances"] for one in then}["478.99(c)"] == 2
