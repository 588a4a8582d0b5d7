"""Scores, explanations and what-if rows over HTTP."""

import numpy as np
import pandas as pd
import pytest
from pydantic_core import to_json

from serving.access.accounts import Principal
from serving.contract.answers import Explanation, ScoreAnswer
from serving.contract.features import FeaturesAnswer
from serving.dealers import explaining
from serving.scores import visible_dealers
from serving.scores.visible_dealers import eligible_rows
from serving.server.fastpath import FastPath
from tests.test_serving.conftest import NAMES


def dealers_of(service, office=None, n=3):
    columns = service.runtime.snapshot.columns
    rows = range(len(columns["dealer"]))
    return [columns["dealer"][i] for i in rows if office in {None, columns["office"][i]}][:n]


def test_known_and_unknown_dealers_are_answered_one_by_one(service):
    known = dealers_of(service, n=2)
    asked = [known[0], "9-99-99999", "nonsense", known[1]]
    answer = service.post("/v1/score", "analyst", {"dealers": asked})
    assert answer.status_code == 200
    read = ScoreAnswer.model_validate(answer.json())
    assert [s.status for s in read.scores] == ["scored", "unknown", "unknown", "scored"]
    assert [s.dealer for s in read.scores] == asked
    assert read.basis.bundle == "invented-1"
    assert any("traced" in line for line in read.disclaimers)


def test_a_license_number_in_any_spelling_finds_its_dealer(service):
    dealer = dealers_of(service, n=1)[0]
    number = service.runtime.snapshot.columns["license_number"][0]
    answer = service.post("/v1/score", "analyst", {"dealers": [number, number.lower()]})
    assert [s["dealer"] for s in answer.json()["scores"]] == [dealer, dealer]


def test_ranks_follow_priority_without_gaps(service):
    everyone = dealers_of(service, n=400)
    answer = service.post("/v1/score", "analyst", {"dealers": everyone}).json()
    scores = sorted(answer["scores"], key=lambda s: s["national_rank"])
    assert [s["national_rank"] for s in scores] == list(range(1, 401))
    priorities = [s["priority"] for s in scores]
    assert priorities == sorted(priorities, reverse=True)
    assert scores[0]["percentile"] == 100
    for office in {s["office"] for s in scores}:
        ranks = [s["office_rank"] for s in scores if s["office"] == office]
        assert ranks == list(range(1, len(ranks) + 1))


def test_reasons_come_when_asked_for_and_are_sentences(service):
    dealer = dealers_of(service, n=1)
    plain = service.post("/v1/score", "analyst", {"dealers": dealer}).json()
    told = service.post("/v1/score", "analyst", {"dealers": dealer, "with_reasons": True}).json()
    assert plain["scores"][0]["reasons"] is None
    reasons = told["scores"][0]["reasons"]
    assert len(reasons) == 8
    assert all(r["sentence"][-1] == "." and "{" not in r["sentence"] for r in reasons)
    contributions = [r["contribution"] for r in reasons]
    assert contributions == sorted(contributions, reverse=True)


def test_an_explanation_adds_up_and_names_families(service):
    dealer = dealers_of(service, n=1)[0]
    answer = service.post("/v1/explain", "analyst", {"dealer": dealer})
    assert answer.status_code == 200
    read = Explanation.model_validate(answer.json())
    total = read.base + sum(c.contribution for c in read.contributions)
    assert total == pytest.approx(read.score.priority, abs=1e-5)
    assert sum(read.by_family.values()) == pytest.approx(total - read.base, abs=1e-5)
    missing = [c for c in read.contributions if c.value is None]
    assert all(c.missing for c in missing)


def test_the_way_off_the_list_is_enough_when_it_says_so(service):
    top = service.post(
        "/v1/score", "analyst", {"dealers": dealers_of(service, office="office0", n=100)}
    ).json()["scores"]
    first = min((s for s in top if s["is_eligible"]), key=lambda s: s["office_rank"])
    read = service.post("/v1/explain", "analyst", {"dealer": first["dealer"], "k": 3}).json()
    way = read["way_off"]
    assert way["is_on_list"]
    assert way["is_enough"]
    columns = service.runtime.snapshot
    row = columns.row_of[first["dealer"]]
    names = [signal["name"] for signal in columns.bundle.signals]
    values = dict(zip(names, columns.inputs[row].tolist(), strict=True))
    values |= {c["signal"]: c["to_value"] for c in way["changes"]}
    values = {k: None if v != v else v for k, v in values.items()}
    again = service.post("/v1/score_features", "analyst", {"rows": [values]}).json()
    assert again["scores"][0]["priority"] < way["threshold"]


def test_off_the_list_is_who_comes_after_the_first_that_is_not_on_it(service, runtime):
    snapshot, scope = runtime.snapshot, runtime.scope(Principal("x", "analyst", frozenset()))
    columns, view = snapshot.columns, scope.view
    ranked = view.order[eligible_rows(view)[view.order]]
    ranked = ranked[columns["office"][ranked] == "office0"]
    n = len(ranked)
    for k in (3, n - 1, n, n + 1):
        row = int(ranked[min(k, n) - 1])  # the last on the list
        values = np.asarray(snapshot.bundle.explain(explaining.frame_of(
            snapshot, snapshot.inputs[[row]]))["priority"].values[0])  # fmt: skip
        way = explaining.way_off(scope, row, values, k=k)
        assert way["is_on_list"]
        after = float(columns["priority"][ranked[k]]) if k < n else None
        assert way["successor_priority"] == after
        assert way["threshold"] == (float(columns["priority"][ranked[k - 1]]) if k <= n else None)
        if after is None:  # all that may be visited are on the list: nothing takes one off
            assert (way["changes"], way["is_enough"]) == ([], False)
            continue
        changed = snapshot.inputs[[row]].copy()
        for change in way["changes"]:
            changed[0, NAMES.index(change["signal"])] = change["to_value"]
        found = float(snapshot.bundle.score(explaining.frame_of(snapshot, changed))["priority"][0])
        assert way["is_enough"] == (found < after)


def test_of_equal_priorities_the_lot_says_who_falls_off(runtime, monkeypatch):
    row = np.flatnonzero(runtime.snapshot.columns["office"] == "office0")
    turns = runtime.snapshot.places.turns
    first, last = sorted(row.tolist(), key=lambda r: turns[r])[:: len(row) - 1]
    bundle = type(runtime.snapshot.bundle)
    always = pd.DataFrame({"priority": np.full(9, -50.0)})
    monkeypatch.setattr(bundle, "score", lambda self, frame: always.iloc[: len(frame)])
    never = np.full(len(turns), np.datetime64("NaT", "s"))
    for mine, other, is_enough in ((first, last, False), (last, first, True)):
        priority = np.full(len(turns), -99.0)
        priority[mine], priority[other] = 0.0, -50.0
        change = {"priority": priority, "eligible_on": never}
        changed = runtime.snapshot.changed(np.arange(len(turns)), **change)
        runtime.replace(changed)
        scope = runtime.scope(Principal("x", "analyst", frozenset()))
        way = explaining.way_off(scope, mine, np.ones(len(NAMES)), k=1)
        assert (way["is_on_list"], way["is_enough"]) == (True, is_enough)
        assert way["changes"]


def test_an_inspector_sees_only_the_own_office(service):
    own = dealers_of(service, office="office0", n=1)[0]
    other = dealers_of(service, office="office4", n=1)[0]
    assert service.post("/v1/explain", "inspector", {"dealer": own}).status_code == 200
    outside = service.post("/v1/explain", "inspector", {"dealer": other})
    absent = service.post("/v1/explain", "inspector", {"dealer": "9-99-99999"})
    assert outside.status_code == absent.status_code == 404
    assert outside.content == absent.content


def test_rows_of_signals_are_scored_as_the_table_was(service):
    snapshot = service.runtime.snapshot
    names = [signal["name"] for signal in snapshot.bundle.signals]
    rows = [
        {n: None if v != v else v for n, v in zip(names, line, strict=True)}
        for line in snapshot.inputs[:5].tolist()
    ]
    answer = service.post("/v1/score_features", "analyst", {"rows": rows})
    read = FeaturesAnswer.model_validate(answer.json())
    wanted = snapshot.columns["priority"][:5].tolist()
    assert [s.priority for s in read.scores] == pytest.approx(wanted, rel=1e-6)
    assert read.out_of_range == []


def test_unknown_missing_and_wild_signals_are_named(service):
    names = [signal["name"] for signal in service.runtime.snapshot.bundle.signals]
    whole = dict.fromkeys(names, 1.0)
    typo = service.post("/v1/score_features", "analyst", {"rows": [whole | {"family0_signl0": 1}]})
    assert typo.status_code == 422
    assert "family0_signal0" in typo.json()["found"]
    short = service.post("/v1/score_features", "analyst", {"rows": [{names[0]: 1.0}]})
    assert names[1] in short.json()["found"]
    wild = service.post("/v1/score_features", "analyst", {"rows": [whole | {names[0]: 1e6}]})
    assert wild.json()["out_of_range"] == [names[0]]
    huge = service.post("/v1/score_features", "analyst", {"rows": [whole | {names[0]: 1e300}]})
    assert huge.status_code == 422


def test_every_access_is_recorded_with_who_why_and_what(service, audit_of):
    dealer = dealers_of(service, n=1)[0]
    service.post("/v1/score", "analyst", {"dealers": [dealer, "9-99-99999"]})
    service.post("/v1/explain", "chief", {"dealer": dealer, "purpose": "licensing"})
    records = audit_of(service)
    assert [(r["who"], r["action"], r["subject"], r["purpose"]) for r in records] == [
        ("analyst", "score", dealer, "licensing"),
        ("chief", "explain", dealer, "licensing"),
    ]
    assert {r["scored"] for r in records} == {"000001"}


def test_what_is_kept_as_json_is_what_each_row_says(service, monkeypatch):
    snapshot = service.runtime.snapshot
    everyone = list(snapshot.columns["dealer"])
    for most, with_reasons in ((20_000, False), (7, False), (20_000, True), (7, True)):
        monkeypatch.setattr(visible_dealers, "_MOST_IN_JSON", {False: most, True: most})
        view = visible_dealers.View(snapshot, hidden=everyone[5:9])
        rows = [row for row in range(len(everyone)) if view.is_visible[row]]
        expected = {row: to_json(view.score(row, with_reasons=with_reasons)) for row in rows}
        for asked in (rows[:3], rows[2:12], [rows[40], rows[0], rows[40]], rows, [], rows[:5]):
            found = view.scores_in_json(asked, with_reasons=with_reasons)
            assert found == [expected[row] for row in asked]
        assert len(view._in_json[with_reasons]) <= max(most, len(rows))
    never = [row for row in rows if view.eligible_on(row) is None]
    assert 0 < len(never) < len(rows)  # both kinds of days were said


def test_an_outcome_is_in_the_next_answer_however_often_a_dealer_was_asked_for(service):
    dealer = dealers_of(service, n=1)
    before = service.post("/v1/score", "analyst", {"dealers": dealer}).json()["scores"][0]
    assert service.post("/v1/score", "analyst", {"dealers": dealer}).json()["scores"][0] == before
    outcome = {
        "inspection_id": "KEPT-1", "dealer": dealer[0], "opened_on": "2026-02-01",
        "closed_on": "2026-02-10", "outcome": "warning_conference", "hours": 12.5,
    }  # fmt: skip
    answer = service.post("/v1/outcomes", "chief", outcome)
    assert answer.status_code == 200, answer.text
    after = service.post("/v1/score", "analyst", {"dealers": dealer}).json()["scores"][0]
    assert after["eligible_on"] == "2027-02-10"
    assert {k for k in before if before[k] != after[k]} <= {"eligible_on", "is_eligible"}


@pytest.mark.parametrize("n", [1, 20, 21, 400])
def test_the_short_way_and_the_long_one_answer_the_same_bytes(service, monkeypatch, n: int):
    asked = {"dealers": [*dealers_of(service, n=n), "9-99-99999"]}
    write = service.runtime.audit.record
    recorded = []

    async def record(access, **how):
        recorded.append(access)
        return await write(access, **how)

    monkeypatch.setattr(service.runtime.audit, "record", record)
    service.post(
        "/v1/score", "analyst", {"dealers": asked["dealers"][:1]}
    )  # now its token is known
    recorded.clear()
    answer, answered = FastPath._answer, []

    async def short_way(*asked):
        answered.append(await answer(*asked))
        return answered[-1]

    monkeypatch.setattr(FastPath, "_answer", short_way)
    short = service.post("/v1/score", "analyst", asked)
    assert answered == [short.content]

    async def long_way(*_):
        return None

    monkeypatch.setattr(FastPath, "_answer", long_way)
    long = service.post("/v1/score", "analyst", asked)
    assert short.status_code == long.status_code == 200
    assert short.content == long.content
    assert recorded[0] == recorded[1]
    assert len(recorded[0].subject.split()) == n
