"""A trial counts as severe what the agency counts."""

import json
import re
from dataclasses import asdict, replace
from datetime import date

from features.ingest import ingest
from features.warehouse import Warehouse
from models.policy import DEFAULT
from serving.scores.champion import policy_in_force
from serving.trials import assignments
from serving.trials.protocol import protocol
from serving.trials.visits import independent_visits
from tests.test_serving.test_trials import planned


def own_policy(home, **severe):
    """Put a champion in force whose policy has its own line of what is severe."""
    folder = home / "champion" / "000001"
    folder.mkdir(parents=True)
    text = DEFAULT.read_text(encoding="utf-8")
    for name, value in severe.items():
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {json.dumps(value)}", text)
    (folder / "policy.toml").write_text(text, encoding="utf-8")
    (home / "champion.json").write_text('{"bundle": "000001"}', encoding="utf-8")


def test_a_trial_counts_as_severe_what_the_agency_has_it_and_keeps_that(tmp_path):
    """Trials went by the policy that ships, whatever the champion had learned."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "inspections.csv").write_text(
        "inspection_id,dealer,kind,opened_on,closed_on,outcome,selected_by\n"
        "I1,1-54-00001,compliance,2024-02-01,2024-03-01,warning_letter,unknown\n",
        encoding="utf-8",
    )
    (source / "violations.csv").write_text(
        "inspection_id,citation,cited_on\nI1,478.125(e),2024-02-01\n", encoding="utf-8"
    )
    ingest([source], tmp_path / "warehouse")
    store = Warehouse.open(tmp_path / "warehouse")
    shipped = policy_in_force(tmp_path).severe_finding
    own_policy(tmp_path, outcome_at_least="warning_letter")
    own = policy_in_force(tmp_path).severe_finding
    found = [
        independent_visits(store, known_before=date(2027, 1, 1), rule=rule)["y"].tolist()
        for rule in (shipped, own)
    ]
    assert found == [[0.0], [1.0]]
    trial = replace(planned(), severe=own)
    text = json.dumps(asdict(trial), default=str)
    assert assignments._from_json(json.loads(text)).rule == own
    assert "the outcome warning letter or a graver one" in protocol(trial)
    before = {k: v for k, v in json.loads(text).items() if k != "severe"}
    assert assignments._from_json(before).rule == shipped
