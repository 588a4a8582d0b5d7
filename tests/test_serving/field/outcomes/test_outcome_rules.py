"""An outcome is held to the same rules, whoever tells it."""

import pytest

from features.warehouse import Warehouse
from serving.field.outcomes import outcome_rules


@pytest.fixture
def body(service):
    dealer = str(service.runtime.snapshot.columns["dealer"][0])
    return {"inspection_id": "I1", "dealer": dealer, "opened_on": "2026-02-01", "outcome": "report",
            "legal_basis": "warrant"}  # fmt: skip


@pytest.mark.parametrize("cited", ["nonsense", "478.", "18 ZZZ 922", "=1+1", "478.124(c"])
def test_what_is_no_citation_is_refused_with_its_place(service, body, cited):
    known = {"citation": "478.124(c)(1)"}
    body |= {"violations": [known, {"citation": cited}]}
    answer = service.post("/v1/outcomes", "chief", body)
    assert answer.status_code == 422
    assert answer.json()["found"] == "violations.1.citation"
    assert cited not in answer.text.replace(answer.json()["expected"], "")
    assert service.get("/v1/outcomes", "chief").json()["outcomes"] == []


def test_more_missing_in_the_end_than_at_first_is_refused_as_on_the_page(service, body):
    body |= {"firearms_unaccounted_initial": 3, "firearms_unaccounted_final": 7}
    answer = service.post("/v1/outcomes", "chief", body)
    assert answer.status_code == 422
    assert "firearms_unaccounted_final is above" in answer.text
    for first, last in ((3, 3), (None, 7), (7, None)):  # what is not told contradicts nothing
        body |= {"firearms_unaccounted_initial": first, "firearms_unaccounted_final": last}
        assert service.post("/v1/outcomes", "chief", body).status_code == 200


def test_a_citation_is_kept_in_its_one_spelling(service, body):
    body |= {"violations": [{"citation": "27 C.F.R. § 178.124 (C)(1)", "instances": 2}]}
    assert service.post("/v1/outcomes", "chief", body).json()["version"] == 1
    # Said again in another spelling it is the same, and no version is added.
    body |= {"violations": [{"citation": "478.124(c)(1)", "instances": 2}]}
    assert service.post("/v1/outcomes", "chief", body).json()["version"] == 1
    kept = service.get("/v1/outcomes/I1", "chief").json()["violations"]
    assert [one["citation"] for one in kept] == ["478.124(c)(1)"]


def test_a_number_of_another_dealers_inspection_is_refused(service, body, monkeypatch):
    """Whether it was told here or stands in the records that were ingested."""
    other = str(service.runtime.snapshot.columns["dealer"][1])
    monkeypatch.setattr(outcome_rules, "_ingested", lambda _, number: {other} - {number})
    answer = service.post("/v1/outcomes", "chief", body)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert other not in answer.text
    monkeypatch.setattr(outcome_rules, "_ingested", lambda *_: {body["dealer"]})
    assert service.post("/v1/outcomes", "chief", body).status_code == 200
    again = service.post("/v1/outcomes", "chief", body | {"dealer": other})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_ingested_numbers_are_found(simulated):
    import duckdb

    warehouse = simulated.warehouse
    assert isinstance(warehouse, Warehouse)
    with duckdb.connect() as connection:
        number, dealer = connection.execute(
            f"SELECT inspection_id, dealer FROM {warehouse.scan('inspections')} LIMIT 1"  # noqa: S608
        ).fetchone()
    assert outcome_rules._ingested(warehouse.path, number) == {dealer}
    assert outcome_rules._ingested(warehouse.path, "no such number") == set()
    assert outcome_rules._ingested(warehouse.path / "nowhere", number) == set()
