"""The pages Repeats and Staffing, and the way to them: every figure is that of the report."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from features.insight.flows.corridors import MIN_COUNT
from features.insight.repeats import repeats
from features.insight.staffing import WhatIf, staffing
from serving.web.rendering import environment
from tests.simulated import AS_OF
from tests.test_serving.pages import Visitor
from tests.test_serving.web.words.test_counted_nouns import faults

amount = environment().filters["amount"]


@pytest.fixture
def named(service, simulated):
    """The invented table, as of the simulated country's day, of its repeat violators first."""
    runtime = service.runtime
    (runtime.settings.home / "warehouse").symlink_to(simulated.warehouse.path)
    snapshot = runtime.snapshot
    manifest = snapshot.table.manifest | {"as_of": AS_OF.isoformat()}
    told = [one.dealer for one in repeats(simulated.warehouse, AS_OF, years=9).violators]
    every = set(simulated.warehouse.read("licenses", columns=["dealer"])["dealer"].to_pylist())
    n = len(snapshot.columns["dealer"])
    dealers = np.array([*told, *sorted(every - set(told))][:n], dtype=object)
    runtime.replace(
        replace(
            snapshot,
            table=replace(snapshot.table, manifest=manifest),
            columns={**snapshot.columns, "dealer": dealers},
            row_of={dealer: i for i, dealer in enumerate(dealers)},
        )
    )
    return service


def rows_of(text: str, section: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    body = text.split(f'aria-labelledby="{section}"')[1].split("</section>", maxsplit=1)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body.split("<tbody>")[1], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [
        [unescape(re.sub(r"<[^>]+>", " ", cell)).strip() for cell in row] for row in cells if row
    ]


def test_the_page_of_repeats_says_what_the_report_says_of_the_own_area(named, simulated):
    columns = named.runtime.snapshot.columns
    own = set(columns["dealer"][columns["division"] == "division0"])
    report = repeats(simulated.warehouse, AS_OF, years=9).within(own.__contains__)
    visitor = Visitor(named, "supervisor")
    text = visitor.get("/repeats?years=9").text
    assert re.findall(r'href="/dealers/([^"]+)"', text) == [o.dealer for o in report.violators]
    assert f"{len(report.violators)} dealer" in text
    assert "Last inspection, closed on" in text
    rows = rows_of(text, "dealers-h")
    for cells, one in zip(rows, report.violators, strict=True):
        assert ("not seen again" in cells[2]) == (not one.repeats and not one.n_seen_after)
        for again in one.repeats[:3]:
            assert f"{again.citation}" in cells[2]
            assert again.repeated_on.isoformat() in cells[2]
        assert str(one.last_closed_on) in cells[4]
        assert (cells[3] == "no") == (one.n_softened == 0)
    for cells, one in zip(rows_of(text, "offices-h"), report.offices, strict=True):
        counts = (one.n_warned, one.n_seen_after, one.n_repeated, one.n_softened, one.n_recall_due)
        assert cells[1:6] == [f"{n:,}" for n in counts]
    assert "in the year before" in visitor.get("/repeats?years=1").text


def test_a_recall_that_was_told_is_no_longer_due(named, simulated):
    report = repeats(simulated.warehouse, AS_OF, years=9)
    dealer = next(one.dealer for one in report.violators if one.recall == "due")
    visitor = Visitor(named, "chief")

    def cell() -> str:
        text = visitor.get("/repeats?years=9").text
        row = text[text.index(f">{dealer}</span>") :].split("</tr>")[0]
        return re.sub(r"<[^>]+>", " ", row.rsplit("<td>", 1)[1])

    assert "due since" in cell()
    visit = {"inspection_id": "I-9", "dealer": dealer, "kind": "recall", "selected_by": "recall",
             "opened_on": str(AS_OF), "closed_on": str(AS_OF)}  # fmt: skip
    # Which of the two hangs on the day that it is.
    in_a_year = f"due (from|by the calendar since) {AS_OF.replace(year=AS_OF.year + 1)}"
    for outcome, said in (("none", "none follows"), ("warning_letter", in_a_year)):
        answer = named.post("/v1/outcomes", "chief", visit | {"outcome": outcome})
        assert answer.status_code == 200, answer.text
        assert re.search(said, cell())
        assert f"after the visit opened {AS_OF}" in cell()
    # Put right to be no visit that a recall is counted from, it changes nothing.
    answer = named.post("/v1/outcomes", "chief", visit | {"outcome": "none", "kind": "trace"})
    assert answer.status_code == 200, answer.text
    assert "due since" in cell()
    assert "after the visit" not in cell()


def test_a_year_is_held_against_the_one_before_once_that_is_kept(named):
    visitor = Visitor(named, "supervisor")
    text = visitor.get("/measures?year=2024").text
    assert 'No measures of 2023 are kept yet: <a href="/measures?year=2023">' in text
    assert "2022 are kept" in visitor.get("/measures?year=2023").text
    text = visitor.get("/measures?year=2024").text
    assert "are kept yet" not in text
    told = named.get("/v1/measures?year=2024", "supervisor").json()
    assert told["rule"] in unescape(text)
    for cells, one in zip(rows_of(text, "measures-h"), told["measures"], strict=True):
        assert cells[4:6] == [one["against_target"], one["against_year_before"]]


def test_the_page_of_staffing_answers_the_form_and_empty_fields_are_not_stated(named, simulated):
    visitor = Visitor(named, "analyst")
    plain = visitor.get("/staffing?office=&investigators=&hours=&border_share=")
    assert plain.status_code == 200
    first = plain.text.split('id="most-h"')[1].split("<li>")[1].split("</li>")[0]
    found = staffing(simulated.warehouse, AS_OF)
    office = found.offices[0].name
    most = max(found.offices, key=lambda row: row.added_high or 0)
    assert f"(office {most.name})" in first
    assert first.endswith(f"{amount(most.added_high)} severe findings.")
    asked = visitor.get(f"/staffing?office={office}&investigators=7&hours=250&border_share=50")
    more = staffing(simulated.warehouse, AS_OF, WhatIf({office: 7.0}, 250.0, 0.5))
    for answer, told in ((plain, found), (asked, more)):
        rows = rows_of(answer.text, "areas-h") + rows_of(answer.text, "offices-h")
        for cells, row in zip(rows, (*told.areas, *told.offices), strict=True):
            assert cells[1:4] == [f"{row.dealers:,}", f"{row.recalls:,}", amount(row.investigators)]
            assert cells[5] == f"{row.visits:,.0f}"
            years = row.years_to_coverage
            assert cells[6] == ("over 100" if years is None else amount(years))
            assert cells[7].endswith(f"{amount(row.findings_low)} to {amount(row.findings_high)}")


def test_measures_lead_to_what_the_role_may_see_and_nobody_else_gets_there(named):
    for name, seen in (("supervisor", 3), ("analyst", 1), ("inspector", 0)):
        visitor = Visitor(named, name)
        text = visitor.get("/measures?year=2024").text
        found = ('href="/repeats"' in text) * 2 + ('href="/staffing"' in text)
        assert found == seen, name
        assert visitor.get("/repeats").status_code == (200 if seen == 3 else 403)
        assert visitor.get("/staffing").status_code == (200 if seen else 403)


def test_flows_lead_to_the_dealers_whose_firearms_are_recovered_soonest(named):
    text = Visitor(named, "analyst").get("/flows?subject=US").text
    rows = rows_of(text, "fast-h")
    assert rows
    for _, *counts, share in rows:
        n, short = (int(count.replace(",", "")) for count in counts)
        assert short <= n
        assert float(share.rstrip("%")) >= 100 * short / n - 1
    # What is not drawn, or not named, is said with its number.
    flow = named.get("/v1/flows?subject=US", "analyst").json()
    stayed = sum(link["n"] for link in flow["links"] if link["course"] == "intrastate")
    assert stayed > 0
    assert f"Not drawn: {stayed:,} firearms recovered in the state where they were sold" in text
    assert f"A corridor of fewer than {MIN_COUNT} traces is not named here" in text
    assert "for a dealer alone has too few sales" not in text
    dealer = flow["dealers"][0]["dealer"]
    own = unescape(Visitor(named, "analyst").get(f"/flows?subject={dealer}").text)
    assert "The county's, for a dealer alone has too few sales to compare." in own


def test_pages_of_the_country_count_as_people_do(named):
    visitor = Visitor(named, "supervisor")
    dealers = named.runtime.snapshot.columns["dealer"]
    own = dealers[named.runtime.snapshot.columns["division"] == "division0"]
    paths = ["/measures?year=2024", "/staffing", "/repeats?years=9", "/referrals", "/shares"]
    pages = {path: visitor.get(path) for path in paths}
    pages |= {one: visitor.get(f"/flows?subject={one}") for one in (*own[:3], "2304", "48201")}
    assert sum(page.status_code == 200 for page in pages.values()) >= len(paths)
    assert not {path: wrong for path, page in pages.items() if (wrong := faults(page.text))}
