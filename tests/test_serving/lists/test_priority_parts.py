"""What a list says of a priority is what its explanation says, by a bundle with a policy."""

import re
from html import unescape

import pytest

from serving.runtime import Runtime
from serving.settings import Settings
from tests.test_serving.pages import Visitor
from tests.test_serving.published_country import publish_country


@pytest.fixture
def runtime(tmp_path):
    publish_country(tmp_path)
    url = f"sqlite:///{tmp_path / 'service.db'}"
    running = Runtime.open(Settings(tmp_path, url, tmp_path / "audit.key", refused_days=1_000_000))
    running.load()
    yield running
    running.close()


def signed(text):
    return float(text.replace("\N{MINUS SIGN}", "-"))


def test_the_parts_said_of_a_priority_are_those_of_its_explanation(runtime, start):
    """What heads are set against is a part, too: without it a list told another sum."""
    service = start(runtime)
    chief = Visitor(service, "chief")
    listed = service.post("/v1/rank", "chief", {"k": 20}).json()
    text = unescape(chief.get(f"/lists/{listed['list_id']}?all=1").text)
    found = re.findall(r'<tr id="d-([^"]+)".*?small muted parts">(.*?)</div>', text, re.DOTALL)
    said = dict(found)
    assert len(said) == len(listed["rows"])
    assert any("set against dealers alike" in parts for parts in said.values())
    number = r"(?<!\S)[+\N{MINUS SIGN}]?\d+\.\d\d(?!\S)"
    for row in listed["rows"][:8]:
        asked = {"dealer": row["dealer"], "purpose": "licensing"}
        why = service.post("/v1/explain", "chief", asked).json()
        whole = sum(item["contribution"] for item in why["contributions"])
        total, *parts = map(signed, re.findall(number, said[row["dealer"]]))
        assert total == pytest.approx(whole, abs=0.011)
        assert sum(parts) == pytest.approx(whole, abs=0.03)
        place = unescape(chief.get(f"/dealers/{row['dealer']}/place").text)
        shown = re.search(r"Its parts, against the average dealer: (.*?)\.</li>", place)[1]
        assert shown in said[row["dealer"]]
