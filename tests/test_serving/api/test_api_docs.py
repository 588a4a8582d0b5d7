"""docs/api.md is executed: its curl commands and its Python against a running server."""

import re
import subprocess
from pathlib import Path

import pytest

from serving.api.client import Client, RefusedError
from serving.contract.answers import RankRequest
from serving.contract.field.decisions import DecisionRequest
from serving.contract.field.events import EventsRequest
from serving.contract.field.outcomes import OutcomeRequest

PAGE = (Path(__file__).parents[3] / "docs/api.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def client_of(service, url, role="chief"):
    return Client(url, token=service.tokens[role], purpose="licensing")


def test_the_commands_on_the_page_work(service, url):
    with client_of(service, url) as client:
        listed = client.rank(RankRequest(k=5, with_recalls=False))
    environment = {
        "URL": url,
        "TOKEN": service.tokens["chief"],
        "DEALER": str(service.runtime.snapshot.columns["dealer"][0]),
        "LIST": listed.list_id,
        "LISTED": listed.rows[0].dealer,
        "PATH": "/usr/bin:/bin",
    }
    commands = blocks("bash")
    assert len(commands) >= 5
    for command in commands:
        done = subprocess.run(
            ["bash", "-euc", command], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout


def test_the_python_on_the_page_works(service, url, capsys):
    names = {
        "URL": url,
        "TOKEN": service.tokens["analyst"],
        "DEALER": str(service.runtime.snapshot.columns["dealer"][0]),
    }
    for code in blocks("python"):
        exec(compile(code, "docs/api.md", "exec"), names)  # noqa: S102 - the page is ours
    assert "invented-1" in capsys.readouterr().out


def test_the_page_names_every_route_setting_and_role(service):
    document = service.client.get("/docs.json").json()
    for path in document["paths"]:
        stem = path.split("{")[0].rstrip("/")
        assert stem in PAGE or stem in {"/v1/score_features", "/v1/plan"}, path


def test_the_client_reaches_every_route(service, url):
    dealer = str(service.runtime.snapshot.columns["dealer"][0])
    names = [signal["name"] for signal in service.runtime.snapshot.bundle.signals]
    with client_of(service, url) as chief:
        listed = chief.rank(RankRequest(k=5, with_recalls=False))
        first = listed.rows[0].dealer
        assert chief.issued_list(listed.list_id).rows == listed.rows
        assert b"position" in chief.list_file(listed.list_id, "csv")
        assert chief.explain(dealer).score.dealer == dealer
        assert chief.dossier(dealer).dealer == dealer
        decision = DecisionRequest(list_id=listed.list_id, dealer=first, decision="accept")
        assert chief.decide(decision).decision == "accept"
        outcome = OutcomeRequest(
            inspection_id="I1", dealer=first, opened_on="2026-02-01", outcome="none"
        )
        assert chief.report_outcome(outcome).version == 1
        assert chief.referrals().referrals == []
    with client_of(service, url, "analyst") as analyst:
        rows = [dict.fromkeys(names, 1.0)]
        assert len(analyst.score_features(rows).scores) == 1
        with pytest.raises(RefusedError) as caught:
            analyst.rank(RankRequest(k=5))
        assert caught.value.problem.code == "forbidden_role"
    with client_of(service, url, "scheduler") as feed:
        bad = EventsRequest(table="tips", rows=[{"tip_id": "1"}])
        assert feed.send_events(bad).rejected[0].code == "missing_required"
        assert [one.list_id for one in feed.decisions()] == [listed.list_id]
        assert feed.decision(next(feed.decisions()).decision_id).dealer == first
        assert [(one.inspection_id, one.version) for one in feed.outcomes(dealer=first)] == [
            ("I1", 1)
        ]
        assert feed.outcome("I1").outcome == "none"
        assert list(feed.plans()) == []
        kinds = [one.kind for page in feed.changes() for one in page.changes]
        assert kinds == ["decision", "outcome"]
        assert list(feed.changes(since=1_000)) == []
        with feed.export("csv") as parts:
            assert b"".join(parts).startswith(b"dealer,")
    with client_of(service, url, "auditor") as auditor:
        assert [one.list_id for one in auditor.lists()] == [listed.list_id]
        records = list(auditor.audit())
        assert {"decisions", "export"} <= {one.action for one in records}
        assert [one.seq for one in auditor.audit(since=records[-1].seq)][1:] == []
        with pytest.raises(RefusedError), auditor.export():
            raise AssertionError("an auditor sees no scores")


def test_the_client_asks_for_a_case_and_takes_a_referral(service, url):
    from serving.contract.field.referral import CaseDecision, CaseRequest, StepRequest
    from serving.field.referrals.referrals import Pattern, queue

    row = int((service.runtime.snapshot.columns["office"] == "office0").argmax())
    dealer = str(service.runtime.snapshot.columns["dealer"][row])
    who = service.runtime.directory.principal_of_token(service.tokens["chief"])
    found = Pattern("several_dealers", (dealer,), {"records": ["R1"]})
    queue(service.runtime.store, [found], ledger=service.runtime.ledger(who))
    asked = CaseRequest(
        case_reference="X-1", legal_basis="warrant", agency="HSI", dealers=[dealer],
        why="firearms moving today", approver="chief",
    )  # fmt: skip
    with client_of(service, url, "agent") as agent, client_of(service, url) as chief:
        case = agent.ask_case(asked)
        assert chief.decide_case(case.request_id, CaseDecision(approved=[dealer])).approved
        assert [one.dealer for one in agent.case(case.request_id).rows] == [dealer]
        (referral,) = agent.referrals().referrals
        taken = agent.step(referral.referral_id, StepRequest(step="take"))
        assert agent.referral(referral.referral_id).steps == taken.steps
        assert agent.responsibilities().rows == []
        with pytest.raises(RefusedError) as caught:
            agent.case("../audit")
        assert caught.value.problem.status in {404, 422}
