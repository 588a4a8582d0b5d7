"""The citations of a dossier are those of what was told last of each inspection."""

from __future__ import annotations

import pytest

from features.ingest import ingest
from serving import clock
from serving.access.accounts import Principal
from serving.dealers.dossier import dossier
from serving.dealers.field_packet import _facts
from serving.field.outcomes.outcomes import collect
from tests.test_serving.pages import Visitor
from tests.test_serving.web.forms.outcome_form import follow, outcome

FIRST, SECOND = "478.124(c)(1)", "478.125(e)"
TOLD = {
    "inspection_id": "I-7", "kind": "compliance", "opened_on": "2025-11-03", "outcome": "report",
    "closed_on": "2025-11-07", "legal_basis": "warrant",
}  # fmt: skip


@pytest.fixture
def free(service):
    """A dealer of the inspector's office that was never inspected."""
    columns = service.runtime.snapshot.columns
    is_free = (columns["office"] == "office0") & (columns["n_inspections"] == 0)
    return str(columns["dealer"][is_free][0])


@pytest.fixture
def tell(service, free):
    def told(*citations, **more):
        cited = [{"citation": one} for one in citations]
        said = TOLD | {"dealer": free, "violations": cited} | more
        answer = service.post("/v1/outcomes", "inspector", said)
        assert answer.status_code == 200, answer.text

    return told


@pytest.fixture
def citations(service, free):
    """What the dossier, the packet and the page say was found, which must agree."""

    def seen():
        runtime = service.runtime
        scope = runtime.scope(Principal("chief", "supervisor", frozenset({"nation"})))
        document = dossier(
            scope, runtime.snapshot.row_of[free], runtime.settings.home / "warehouse", lists=[],
            store=runtime.store,
        )  # fmt: skip
        found = document["citations"]
        assert service.get(f"/v1/dealers/{free}", "inspector").json()["citations"] == found
        assert len(_facts(document)[2]["lines"]) == len(found)
        page = Visitor(service, "inspector").get(f"/dealers/{free}").text
        part = page.partition(">Citations found</h2>")[2].partition("</section>")[0]
        assert ("None on record" in part) is (not found)
        assert all(one in part for one in found)
        return found

    return seen


def test_what_was_told_counts_at_once_and_a_correction_takes_it_back(tell, citations):
    assert citations() == {}
    tell(FIRST, SECOND, closed_on=None)  # still open: it is in no warehouse before it is closed
    assert set(citations().values()) == {1}
    assert len(citations()) == 2
    tell(FIRST)
    assert len(citations()) == 1


def test_a_correction_stands_for_the_records_and_adds_to_others(
    service, free, tell, citations, tmp_path
):
    files = tmp_path / "files"
    files.mkdir()
    columns = "inspection_id,dealer,kind,opened_on,closed_on,selected_by,outcome,known_on\n"
    lines = "".join(
        f"{name},{free},compliance,2025-{month}-03,2025-{month}-07,risk,report,2025-{month}-20\n"
        for name, month in (("I-7", "11"), ("I-6", "05"))
    )
    (files / "inspections.csv").write_text(columns + lines)
    (files / "violations.csv").write_text(
        "inspection_id,citation,known_on\n"
        f"I-7,{FIRST},2025-11-20\nI-7,{SECOND},2025-11-20\nI-6,{FIRST},2025-05-20\n"
    )
    warehouse = service.runtime.settings.home / "warehouse"
    ingest(files, warehouse)
    recorded = citations()
    assert sorted(recorded.values()) == [1, 2]
    twice = next(name for name, n in recorded.items() if n == 2)
    tell(FIRST)
    assert citations() == {twice: 2}
    collect(service.runtime.store, warehouse, today=clock.today())
    assert citations() == {twice: 2}


def test_a_provision_cited_twice_is_kept_once_or_refused(service, free, tell, citations, tmp_path):
    """Two rows of one provision that differ would both be rejected by the records."""
    twice = [{"citation": FIRST, "instances": 2}, {"citation": f"27 CFR {FIRST}", "instances": 3}]
    said = TOLD | {"dealer": free, "violations": [{"citation": SECOND}, *twice]}
    refused = service.post("/v1/outcomes", "inspector", said)
    assert refused.status_code == 422
    assert refused.json()["found"] == "violations.1 and violations.2"
    fields = outcome(citation_0=FIRST, instances_0="2", citation_1=f"27 CFR {FIRST}")
    page = follow(Visitor(service, "inspector"), free, fields)
    assert "is entered twice, and not alike" in page.text
    tell(FIRST, f"27 CFR {FIRST}", SECOND)
    warehouse = service.runtime.settings.home / "warehouse"
    collect(service.runtime.store, warehouse, today=clock.today())
    assert len(citations()) == 2
