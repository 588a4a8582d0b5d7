"""A client that a generator makes out of the OpenAPI document does a week's work."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GENERATOR = ROOT / ".venv/generator/bin/openapi-python-client"
# The client runs in this environment: it needs httpx and attrs alone.
PACKAGE = "ffl_risk_client"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("client")


@pytest.fixture
def part(service: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What imports a part of the client made, once, out of the document as it is served."""
    document, served = folder / "openapi.json", service.client.get("/docs.json").text
    if not document.exists():
        document.write_text(served, encoding="utf-8")
        programs = {"PATH": f"{GENERATOR.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            [GENERATOR, "generate", "--path", document, "--output-path", folder / "made"],
            env=os.environ | programs, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning" not in done.stdout, done.stdout
    assert document.read_text(encoding="utf-8") == served
    monkeypatch.syspath_prepend(folder / "made")
    yield lambda name: importlib.import_module(f"{PACKAGE}.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture
def client_of(service: Any, url: str, part: Any) -> Iterator[Callable[[str], Any]]:
    opened = []

    def made(role: str) -> Any:
        client = part("client").AuthenticatedClient(
            base_url=url, token=service.tokens[role], headers={"Ffl-Risk-Purpose": "licensing"}
        )
        opened.append(client.__enter__())
        return client

    yield made
    for client in opened:
        client.__exit__(None, None, None)


@pytest.mark.slow
def test_a_generated_client_lists_explains_plans_and_reports(
    service: Any, part: Any, client_of: Callable[[str], Any]
) -> None:
    models, chief = part("models"), client_of("chief")

    def call(operation: str, *path: str, client: Any = chief, **body: Any) -> Any:
        return part(f"api.{operation}").sync(*path, client=client, **body)

    listed = call("lists.rank", body=models.RankRequest(k=5, with_recalls=False))
    first = listed.rows[0]
    assert [row.position for row in listed.rows] == [1, 2, 3, 4, 5]
    assert first.reasons[0].sentence
    assert call("lists.read_list", listed.list_id).rows == listed.rows
    scored = call("scores.score", body=models.ScoreRequest(dealers=[first.dealer]))
    assert scored.scores[0].priority == pytest.approx(first.priority)
    explained = call("scores.explain_dealer", body=models.ExplainRequest(dealer=first.dealer))
    assert sum(c.contribution for c in explained.contributions) + explained.base == pytest.approx(
        explained.score.priority, abs=1e-5
    )
    assert call("dealers.read_dossier", first.dealer).dealer == first.dealer
    accepted = models.DecisionRequest(
        list_id=listed.list_id,
        dealer=first.dealer,
        decision=models.DecisionRequestDecision.ACCEPT,
    )
    assert call("field.decisions", body=accepted).decision == "accept"
    reported = models.OutcomeRequest(
        inspection_id="I1",
        dealer=first.dealer,
        opened_on=date(2026, 2, 1),
        outcome=models.OutcomeRequestOutcome.NONE,
    )
    assert call("field.outcome", body=reported).version == 1
    tip = models.TipsRow(
        tip_id="T1", dealer=first.dealer, received_on=date(2026, 1, 2),
        source=models.TipsRowSource.PUBLIC, is_self_report=False,
    )  # fmt: skip
    sent = models.EventsRequest(table=models.EventsRequestTable.TIPS, rows=[tip])
    stored = call("field.events", client=client_of("scheduler"), body=sent)
    assert (stored.n_stored, stored.rejected, stored.pending) == (1, [], [first.dealer])
    assert call("referrals.referral_queue").referrals == []
    asked = models.PlanAsk(office="office0", weeks=4, n_investigators=3)
    assert call("plans.plan", body=asked).visits
    assert "position" in call("lists.read_file", listed.list_id, "csv")


@pytest.mark.slow
def test_a_refusal_reaches_a_generated_client_as_a_problem(
    part: Any, client_of: Callable[[str], Any]
) -> None:
    models = part("models")

    refused = part("api.lists.rank").sync(client=client_of("analyst"), body=models.RankRequest(k=5))

    assert isinstance(refused, models.Problem)
    assert refused.code == "forbidden_role"
    assert refused.status == 403
