"""What a program sends in another spelling or type: taken where it is plain, else told."""

import pytest


def test_a_dealer_key_is_taken_in_any_case_by_every_route(service):
    """Files and events were, routes were not: a dealer in lower case was said not to exist."""
    runtime = service.runtime
    columns = runtime.snapshot.columns
    row = int(runtime.snapshot.where("office", ["office0"]).argmax())
    old = str(columns["dealer"][row])
    dealer, lower = "1-77-A0001", " 1-77-a0001"
    runtime.snapshot.columns["dealer"][row] = dealer
    runtime.snapshot.row_of[dealer] = runtime.snapshot.row_of.pop(old)
    scored = service.post("/v1/score", "chief", {"dealers": [lower]}).json()["scores"]
    assert (scored[0]["status"], scored[0]["dealer"]) == ("scored", dealer)
    assert service.post("/v1/explain", "chief", {"dealer": lower}).status_code == 200
    assert service.get(f"/v1/dealers/{lower.strip()}", "chief").json()["dealer"] == dealer
    told = {"inspection_id": "I-9", "dealer": lower, "opened_on": "2025-12-01", "outcome": "none"}
    told |= {"legal_basis": "warrant", "kind": "warrant"}
    assert service.post("/v1/outcomes", "chief", told).json()["dealer"] == dealer
    assert service.get(f"/v1/outcomes?dealer={lower.strip()}", "chief").json()["outcomes"]


@pytest.mark.parametrize(
    ("path", "body", "where", "what"),
    [
        ("/v1/score", {"dealers": [12345]}, "body.dealers.0",
         'Input should be a valid string, in quotes, such as "1-56-21093"; a number was sent'),
        ("/v1/outcomes", {"inspection_id": 12, "dealer": "1-10-00001", "opened_on": "2025-12-01",
                          "outcome": "none"}, "body.inspection_id",
         'Input should be a valid string, in quotes, such as "I-2026-0017"; a number was sent'),
        ("/v1/outcomes", {"inspection_id": "I", "dealer": "1-10-00001", "opened_on": "2025-12-02",
                          "closed_on": "2025-12-01", "outcome": "none"}, "body",
         "closed_on is before opened_on"),
    ],
)  # fmt: skip
def test_a_number_in_place_of_text_is_told_with_an_example(service, path, body, where, what):
    (error,) = service.post(path, "chief", body).json()["errors"]
    assert error == {"where": where, "what": what}


def test_a_limit_without_a_cursor_gives_the_first_page(service):
    listed = service.post("/v1/rank", "chief", {"k": 12}).json()
    path = f"/v1/lists/{listed['list_id']}"
    page = service.get(f"{path}?limit=5", "chief").json()
    assert (len(page["rows"]), page["next_cursor"]) == (5, 5)
    assert len(service.get(path, "chief").json()["rows"]) == 12
