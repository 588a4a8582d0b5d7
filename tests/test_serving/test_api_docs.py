"""docs/api.md is executed: its curl commands and its Python against a running server."""

import re
import subprocess
from pathlib import Path

import pytest

from serving.api.client import Client, RefusedError
from serving.contract.answers import RankRequest
from serving.contract.field import DecisionRequest, EventsRequest, OutcomeRequest

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")


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
