"""A visit is told on its day wherever the day begins: Guam is ten hours ahead of UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from features.ingest import ingest
from features.warehouse import Warehouse
from serving import clock
from serving.field.outcomes import outcomes
from tests.test_serving.field.test_reading_back import tell
from tests.test_serving.pages import Visitor
from tests.test_serving.published_country import write_country
from tests.test_serving.server.test_clock_set_back import Hands
from tests.test_serving.web.forms.outcome_form import follow, outcome

# Eight in the morning of March 10 in Guam, ten in the evening of March 9 by UTC.
EARLY = datetime(2026, 3, 9, 22, tzinfo=UTC)


@pytest.fixture
def service(monkeypatch, runtime, start):
    hands = Hands(EARLY)
    monkeypatch.setattr(clock, "_clock", clock.Clock(hands.wall, hands.steady))
    return start(runtime)


def test_what_was_opened_and_closed_this_morning_in_guam_is_told_and_learned(service, tmp_path):
    assert (clock.today(), clock.latest_day()) == (date(2026, 3, 9), date(2026, 3, 10))
    dealer = str(service.runtime.snapshot.columns["dealer"][3])
    page = follow(Visitor(service, "chief"), dealer,
                  outcome(opened_on="2026-03-10", legal_basis="warrant"))  # fmt: skip
    assert "Keep it for ever" in page.text
    days = {"opened_on": "2026-03-10", "closed_on": "2026-03-10"}
    assert tell(service, "chief", dealer, "GUAM", **days)["is_label"]
    # Put right a minute later: both versions are known, the later one stands.
    tell(service, "chief", dealer, "GUAM", outcome="report", **days)
    write_country(tmp_path / "files")
    folder = tmp_path / "warehouse"
    ingest(tmp_path / "files", folder, today=date(2026, 3, 9))
    assert outcomes.collect(service.runtime.store, folder, today=clock.today()) == 1
    table = Warehouse.open(folder).read("inspections").to_pandas()
    assert table.loc[table["inspection_id"] == "GUAM", "outcome"].tolist() == ["report"]


def test_a_day_that_has_begun_nowhere_is_refused(service):
    dealer = str(service.runtime.snapshot.columns["dealer"][3])
    body = {"inspection_id": "I-1", "dealer": dealer, "opened_on": "2026-03-11", "outcome": "none"}
    assert service.post("/v1/outcomes", "chief", body).status_code == 422
    page = follow(Visitor(service, "chief"), dealer, outcome(opened_on="2026-03-11"))
    assert "not in the future; today is 2026-03-09 (UTC)" in page.text
