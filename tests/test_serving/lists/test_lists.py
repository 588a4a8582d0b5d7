"""Issued lists: composition, the legal gate, the random share, reproducibility, files."""

import csv
import io
import json
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import openpyxl
import pytest

from features.domain.spreadsheet_formulas import neutral
from features.errors import InvalidValueError
from models.order.random_share import lowest
from serving.access.accounts import Principal
from serving.commands.operator import require_place
from serving.contract.answers import IssuedList, ListPage, RankRequest
from serving.lists.compose import Issue, compose
from serving.lists.files import list_files
from serving.scores import holds
from serving.scores.visible_dealers import View
from serving.scores.words.wording import percent

CHIEF = Principal("chief", "supervisor", frozenset({"nation"}))
ISSUE = Issue("L-20260101-000000000001", "2026-01-01T00:00:00.000000Z", 7)


def composed(snapshot, **request):
    return compose(View(snapshot), CHIEF, RankRequest(**request), issue=ISSUE, previous=None)


def test_a_list_is_ranked_full_and_valid(service):
    answer = service.post("/v1/rank", "inspector", {"k": 20})
    assert answer.status_code == 200
    read = ListPage.model_validate(answer.json())
    assert len(read.rows) == 20
    assert [row.position for row in read.rows] == list(range(1, 21))
    assert {row.office for row in read.rows} == {"office0"}
    priorities = [row.priority for row in read.rows]
    assert priorities == sorted(priorities, reverse=True)
    assert read.design.n_by_why["random"] == 1
    assert read.design.n_mandatory == 2
    assert read.next_cursor is None


def test_a_place_without_dealers_is_refused_by_the_command(snapshot_of):
    """An office that an agency's visits name, but no listing, gave an empty list and no word."""
    snapshot = snapshot_of()
    require_place(snapshot, {"office": "office1", "division": None, "state": "TX"})
    for kind, asked, near in (("office", "ofice1", "office1"), ("state", "ZZ", "AZ, TX")):
        with pytest.raises(InvalidValueError, match=asked) as refused:
            require_place(snapshot, {kind: asked})
        assert near in str(refused.value)


def test_no_dealer_inspected_within_twelve_months_is_listed(snapshot_of):
    document = composed(snapshot_of(), k=400, random_share=0.5)
    assert all(row["is_eligible"] for row in document["rows"])
    shown = [row["last_inspected_on"] for row in document["rows"] if row["last_inspected_on"]]
    assert max(shown) < date(2025, 1, 2)
    assert document["design"]["n_eligible"] < document["design"]["n_in_area"]


def test_recalls_come_first_then_coverage_then_the_model(snapshot_of):
    document = composed(snapshot_of(), k=60, n_coverage=5)
    n = document["design"]["n_by_why"]
    assert n["recall"] > 0
    assert n["coverage"] == 5
    assert n["random"] == 3
    assert sum(n.values()) == 60
    coverage = [row for row in document["rows"] if row["why"][0] == "coverage"]
    assert all(row["last_inspected_on"] is None for row in coverage)


def test_drawn_places_have_equal_and_known_probability(snapshot_of):
    """The mean of many draws is each dealer's probability, inside the list and outside."""
    snapshot = snapshot_of()
    n = len(snapshot.columns["dealer"])
    drawn = {True: np.zeros(n), False: np.zeros(n)}
    stated: dict[bool, set[float]] = {True: set(), False: set()}
    n_inside = set()
    for seed in range(400):
        issue = Issue(ISSUE.list_id, ISSUE.issued_at, seed * 7_919)
        request = RankRequest(k=50, random_share=0.4)
        document = compose(View(snapshot), CHIEF, request, issue=issue, previous=None)
        mandatory = [row for row in document["rows"] if row["is_mandatory"]]
        n_inside.add(sum("model" in row["why"] for row in mandatory))
        for row in mandatory:
            is_inside = row["why"] == ["model"]
            drawn[is_inside][snapshot.row_of[row["dealer"]]] += 1
            stated[is_inside].add(
                row["mandatory_probability"] if is_inside else row["inclusion_probability"]
            )
            assert is_inside or row["mandatory_probability"] == 1
    assert n_inside == {10}
    for is_inside, times in drawn.items():
        (probability,) = stated[is_inside]
        share = times[times > 0] / 400
        assert len(share) == pytest.approx(10 / probability, abs=1)
        assert share.mean() == pytest.approx(probability, rel=0.01)
        # Five standard errors of a proportion over 400 draws.
        assert np.abs(share - probability).max() < 5 * np.sqrt(
            probability * (1 - probability) / 400
        )


@pytest.mark.parametrize(("n_rows", "n"), [(1, 1), (10, 3), (7, 7), (100, 33), (5, 9)])
def test_draws_are_distinct_and_complete(n_rows, n):
    rng = np.random.default_rng(n_rows)
    for _ in range(50):
        drawn, probability = lowest(
            np.arange(n_rows),
            n,
            numbers=rng.random(n_rows),
            strata=np.sort(rng.integers(0, 4, n_rows)),
            start=rng.random(),
        )
        assert len(set(drawn.tolist())) == min(n, n_rows)
        assert probability == min(n, n_rows) / n_rows


def mandatory(document):
    return {row["dealer"] for row in document["rows"] if row["is_mandatory"]}


def test_issuing_again_gives_the_same_draw(service):
    first, again = (service.post("/v1/rank", "inspector", {"k": 40}).json() for _ in range(2))
    assert first["list_id"] != again["list_id"]
    assert first["design"]["random_seed"] == again["design"]["random_seed"]
    assert mandatory(first) == mandatory(again)
    assert len(mandatory(first)) == 4


def test_more_places_meet_the_same_dealers_first(snapshot_of):
    """Asking for a longer list cannot be used to be rid of a drawn dealer."""
    within = {"area": {"office": "office1"}, "license_types": ["01"], "with_recalls": False}
    few, many = (
        composed(snapshot_of(), k=k, random_share=share, **within)
        for k, share in ((20, 0.2), (20, 0.4))
    )
    drawn = {row["dealer"] for row in few["rows"] if row["why"] == ["random"]}
    assert len(drawn) == 2
    assert drawn <= {row["dealer"] for row in many["rows"]}


def test_a_list_all_at_random_has_no_certain_place(snapshot_of):
    document = composed(snapshot_of(), k=30, random_share=1.0, with_recalls=False)
    assert {tuple(row["why"]) for row in document["rows"]} == {("random",)}


def test_a_plans_draw_is_fixed_by_the_period_and_not_by_its_seed(service):
    body = {
        "starts_on": "2026-01-05",
        "office": "office0",
        "start": {"latitude": 32, "longitude": -110.5},
    }
    one, two = (service.post("/v1/plan", "supervisor", body | {"seed": s}) for s in (0, 9))
    drawn = [
        {v["dealer"] for v in answer.json()["visits"] if v["why"] == "random"}
        for answer in (one, two)
    ]
    assert drawn[0]
    assert drawn[0] == drawn[1]


def test_a_manual_pick_needs_a_legal_basis_when_it_is_too_early(service, audit_of, monkeypatch):
    columns = service.runtime.snapshot.columns
    early = np.flatnonzero(columns["eligible_on"] > np.datetime64("2026-01-01"))[0]
    pick = {"dealer": columns["dealer"][early], "reason": "warrant served"}
    until = columns["eligible_on"][early].astype("datetime64[D]").item()
    # The law asks about the day of the visit: on that day nothing is needed, whatever the records.
    monkeypatch.setattr(
        "serving.clock.now", lambda: datetime(*until.timetuple()[:3], 9, tzinfo=UTC)
    )
    by_hand = service.post("/v1/rank", "chief", {"manual": [pick], "k": 5})
    assert by_hand.status_code == 200
    row = next(r for r in by_hand.json()["rows"] if r["dealer"] == pick["dealer"])
    assert (row["why"], row["is_eligible"]) == (["manual"], False)
    before = until - timedelta(days=1)
    monkeypatch.setattr("serving.clock.now", lambda: datetime(*before.timetuple()[:3], tzinfo=UTC))
    refused = service.post("/v1/rank", "chief", {"manual": [pick], "k": 5})
    assert refused.status_code == 409
    assert refused.json()["code"] == "not_eligible"
    assert "eligible on" in refused.json()["found"]
    done = service.post(
        "/v1/rank", "chief", {"manual": [pick | {"legal_basis": "warrant"}], "k": 5}
    )
    row = next(r for r in done.json()["rows"] if r["dealer"] == pick["dealer"])
    assert row["why"] == ["manual"]
    assert not row["is_eligible"]
    assert "warrant" in row["note"]
    actions = [r["action"] for r in audit_of(service)]
    assert actions == ["rank", "rank", "override_legal_gate"]


def test_the_same_issue_gives_the_same_bytes(snapshot_of):
    one = json.dumps(composed(snapshot_of(), k=50), default=str)
    two = json.dumps(composed(snapshot_of(), k=50), default=str)
    assert one == two


def test_the_list_read_later_is_the_list_issued(service):
    issued = service.post("/v1/rank", "inspector", {"k": 30, "limit": 10}).json()
    path = f"/v1/lists/{issued['list_id']}"
    whole = service.get(path, "inspector")
    assert IssuedList.model_validate(whole.json()).rows[:10] == ListPage.model_validate(issued).rows
    service.runtime.replace(service.runtime.snapshot)
    assert service.get(path, "inspector").content == whole.content
    rows, cursor = [], 0
    while cursor is not None:
        page = service.get(f"{path}?cursor={cursor}&limit=7", "inspector").json()
        rows, cursor = rows + page["rows"], page["next_cursor"]
    assert rows == whole.json()["rows"]


def test_a_list_is_read_by_owner_supervisor_and_auditor_only(service):
    list_id = service.post("/v1/rank", "inspector", {"k": 5}).json()["list_id"]
    path = f"/v1/lists/{list_id}"
    assert service.get(path, "supervisor").status_code == 200  # of division0, which has office0
    assert service.get(path, "auditor").status_code == 200
    other = service.get(path, "inspector_west")
    absent = service.get("/v1/lists/L-20260101-ffffffffffff", "inspector_west")
    assert other.status_code == absent.status_code == 404
    assert other.content == absent.content


def test_what_changed_since_the_last_list(service):
    first = service.post("/v1/rank", "inspector", {"k": 20, "random_share": 0}).json()
    assert first["change"] is None
    second = service.post("/v1/rank", "inspector", {"k": 10, "random_share": 0}).json()
    assert second["change"]["previous_list"] == first["list_id"]
    assert second["change"]["n_entered"] == 0
    assert second["change"]["n_left"] == 10
    assert all(row["change"]["priority"] == 0 for row in second["rows"])


def test_another_as_of_than_the_published_is_refused(service):
    answer = service.post("/v1/rank", "chief", {"as_of": "2025-01-01"})
    assert answer.status_code == 409
    assert "2026-01-01" in answer.json()["found"]


@pytest.mark.parametrize(
    ("area", "role", "status"),
    [
        ({"office": "office0"}, "inspector", 200),
        ({"office": "office1"}, "inspector", 403),
        ({"division": "division0"}, "inspector", 403),
        ({"state": "TX"}, "inspector", 403),
        ({"office": "office1"}, "supervisor", 200),
        ({"office": "office2"}, "supervisor", 403),
        ({"division": "division1"}, "supervisor", 403),
        ({"box": [-111.5, 31, -110, 32]}, "inspector", 200),
        ({"radius": {"latitude": 31.9, "longitude": -110.5, "km": 40}}, "scheduler", 200),
        ({"office": "nowhere"}, "scheduler", 200),
    ],
)
def test_areas(service, area, role, status):
    answer = service.post("/v1/rank", role, {"area": area, "k": 400, "random_share": 0})
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["code"] == "outside_area"
        assert "within" in answer.json()["expected"]
    for row in answer.json().get("rows", []):
        assert row["office"] == "office0" or role != "inspector"


def test_files_hold_the_list_and_no_formula(service):
    nasty = '=cmd|"/C calc"!A0'
    runtime = service.runtime
    rows = np.arange(len(runtime.snapshot.columns["dealer"]))
    names = np.full(len(rows), nasty, dtype=object)
    runtime.update(lambda s: s.changed(rows, business_name=names))
    issued = service.post("/v1/rank", "inspector", {"k": 5}).json()
    path = f"/v1/lists/{issued['list_id']}"
    text = service.get(f"{path}.csv", "inspector").content.decode("utf-8-sig")
    lines = list(csv.reader(io.StringIO(text)))
    assert lines[0][0] == "position"
    assert [line[1] for line in lines[1:]] == [r["dealer"] for r in issued["rows"]]
    assert not any(cell.startswith(("=", "+", "@")) for line in lines for cell in line)
    answer = service.get(f"{path}.csvm", "inspector")
    beside = answer.json()
    assert any("not evidence" in note for note in beside["notes"])
    assert [column["name"] for column in beside["tableSchema"]["columns"]] == lines[0]
    assert "describedby" in service.get(f"{path}.csv", "inspector").headers["link"]
    sheet = openpyxl.load_workbook(io.BytesIO(service.get(f"{path}.xlsx", "inspector").content))[
        "List"
    ]
    assert sheet.max_row == 6
    kinds = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    heads = {cell.value: cell.column for cell in sheet[1]}
    assert "Chance of a severe finding" in heads
    seen = [
        row[heads["Last compliance or recall inspection, opened on"] - 1]
        for row in sheet.iter_rows(min_row=2)
    ]
    assert all(cell.is_date for cell in seen if cell.value is not None)
    chance = sheet.cell(2, heads["Chance of a severe finding"])
    assert chance.number_format == "0.0##%"
    assert chance.value == pytest.approx(
        issued["rows"][0]["heads"]["compliance"]["value"], rel=5e-3
    )
    pdf = service.get(f"{path}.pdf", "inspector")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF")
    assert b"StructTreeRoot" in pdf.content


def test_a_printed_row_says_each_score_between_its_bounds(service, monkeypatch):
    """Typesetting is another's: what is handed to it is what is read."""

    given = {}
    monkeypatch.setattr(list_files, "pdf", lambda name, content, **_: given.update(content) or b"")
    issued = service.post("/v1/rank", "inspector", {"k": 5, "purpose": "licensing"}).json()
    list_files.to_pdf(issued)
    for row, printed in zip(issued["rows"], given["rows"], strict=True):
        assert printed["scores"].count("between") == len(row["heads"])
        chance = row["heads"]["compliance"]
        for end in ("value", "lower", "upper"):
            assert f"{percent(chance[end])}" in printed["scores"]
    bare = [{k: v for k, v in row.items() if k != "heads"} for row in issued["rows"]]
    list_files.to_pdf({**issued, "rows": bare})
    assert not any(row["scores"] for row in given["rows"])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "|x"])
def test_formulas_are_neutralized(text):
    assert neutral(text) == "'" + text


def test_a_hold_leaves_no_trace(service):
    """With a dealer held, every answer is what it would be had the dealer never been listed."""
    runtime = service.runtime
    snapshot = runtime.snapshot
    top = View(snapshot).order[0]
    dealer = str(snapshot.columns["dealer"][top])
    hold = holds.place(runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    runtime.refresh_holds()
    others = [d for d in snapshot.columns["dealer"].tolist() if d != dealer]

    def answers():
        scores = service.post("/v1/score", "analyst", {"dealers": others}).json()["scores"]
        ranked = service.post("/v1/rank", "scheduler", {"k": 30, "random_share": 0}).json()
        unseen = service.post("/v1/explain", "analyst", {"dealer": dealer})
        listed = [{k: v for k, v in row.items() if k != "change"} for row in ranked["rows"]]
        return scores, listed, ranked["design"]["n_in_area"], unseen.status_code, unseen.content

    held = answers()
    holds.lift(runtime.store, hold, date(2025, 1, 2))
    # The same country, from which the dealer is absent altogether.
    runtime.replace(snapshot.changed(np.array([top]), is_in_scope=np.array([False])))
    runtime.refresh_holds()
    assert answers() == held
    assert max(score["national_rank"] for score in held[0]) == len(others)


def test_the_owner_of_a_hold_still_sees_the_dealer(service):
    runtime = service.runtime
    dealer = str(runtime.snapshot.columns["dealer"][View(runtime.snapshot).order[0]])
    holds.place(runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    runtime.refresh_holds()
    assert service.post("/v1/explain", "chief", {"dealer": dealer}).status_code == 200
    assert service.post("/v1/explain", "analyst", {"dealer": dealer}).status_code == 404
    assert service.get(f"/v1/dealers/{dealer}", "analyst").status_code == 404
    owner_list = service.post("/v1/rank", "chief", {"k": 3, "with_recalls": False}).json()
    assert dealer in {row["dealer"] for row in owner_list["rows"]} or not owner_list["rows"]


def test_a_hold_costs_no_more_and_no_fewer_steps(service, monkeypatch):
    """Timing, counted instead of clocked: a held dealer is answered by the same queries."""
    runtime = service.runtime
    dealer = str(runtime.snapshot.columns["dealer"][View(runtime.snapshot).order[0]])
    steps: list[str] = []
    connect = runtime.store.read
    monkeypatch.setattr(runtime.store, "read", lambda: steps.append("read") or connect())

    def count(path, body=None):
        del steps[:]
        answer = service.post(path, "analyst", body) if body else service.get(path, "analyst")
        with runtime.store.write() as connection:
            n_audit = connection.exec_driver_sql("SELECT seq FROM audit_head").scalar()
        return answer.status_code, tuple(steps), n_audit, len(answer.content)

    asked = [
        ("/v1/score", {"dealers": [dealer]}),
        ("/v1/explain", {"dealer": dealer}),
        (f"/v1/dealers/{dealer}", None),
    ]
    absent = [
        ("/v1/score", {"dealers": ["1-99-99999"]}),
        ("/v1/explain", {"dealer": "1-99-99999"}),
        ("/v1/dealers/1-99-99999", None),
    ]
    holds.place(runtime.store, dealer, owners=["chief"], starts_on=date(2025, 1, 1))
    runtime.refresh_holds()

    def steady(path, body):
        """The fewest steps of several: an account that was looked up long ago is read again."""
        return min((count(path, body) for _ in range(4)), key=lambda found: len(found[1]))

    for held, missing in zip(asked, absent, strict=True):
        before, after = steady(*missing), steady(*held)
        assert before[:2] == after[:2]
        assert before[3] == after[3]
        # Both leave as much in the audit.
        start, kept, absent_kept = (count(*which)[2] for which in (missing, held, missing))
        assert kept - start == absent_kept - kept


def test_a_list_is_the_same_bytes_after_three_retrainings(service, snapshot_of):
    """A list is what was issued: later tables, of other bundles and days, do not touch it."""
    runtime = service.runtime
    at = f"/v1/lists/{service.post('/v1/rank', 'chief', {'k': 20}).json()['list_id']}"

    def files():
        return [service.get(at + kind, "chief").content for kind in ("", ".csv", ".xlsx", ".pdf")]

    issued = files()
    for n, n_dealers in enumerate((390, 300, 350), start=1):
        later = snapshot_of(n_dealers)
        manifest = {
            **later.table.manifest,
            "as_of": f"{2026 + n}-01-01",
            "bundle": f"invented-{n + 1}",
            "bundle_sha256": str(n) * 64,
            "fingerprint": str(n) * 64,
        }
        table = replace(later.table, name=f"{n + 1:06d}", manifest=manifest)
        runtime.replace(replace(later, table=table))
        time.sleep(1.01)  # files tell time in seconds
        assert files() == issued
