"""Follow the guns: an oracle for the counts, the known corridors, and what distance alone says."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date, timedelta
from html import unescape

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from features.commands.display import flow_view
from features.errors import InvalidValueError
from features.insight.flows.breadth import BroadAreas
from features.insight.flows.clusters import DAYS
from features.insight.flows.corridors import corridors, course_of, rate_range
from features.insight.flows.exports import content_for
from features.insight.flows.follow import NO_WRONG, Flow, follow
from features.insight.flows.hubs import BORDER_KM
from features.insight.flows.pictures import flow_map, sankey
from features.insight.flows.places import point_of
from features.insight.flows.subject import subject_of
from features.reference.geography.places import counties
from serving.insight.flows import _Told, _within
from serving.web.atlas import flow_ground
from tests.simulated import AS_OF, Simulated

YEARS = 8


@pytest.fixture(scope="module")
def nation(simulated: Simulated) -> Flow:
    return follow(simulated.warehouse, subject_of("US"), AS_OF, years=YEARS)


@pytest.fixture(scope="module")
def plain(simulated: Simulated) -> pd.DataFrame:
    """Traces that count toward a listed dealer, with its newest place: pandas alone."""
    traces = simulated.warehouse.read("traces", as_of=AS_OF).to_pandas()
    listed = simulated.warehouse.read("licenses", as_of=AS_OF).to_pandas()
    newest = listed.sort_values("listed_on").drop_duplicates("dealer", keep="last")
    bare = (traces["serial_status"] == "none") | (traces["outcome"] == "unserialized")
    gone = traces["acquisition_route"].isin(["export", "government"])
    recent = traces["known_on"] >= AS_OF - timedelta(days=365 * YEARS)
    own = traces[~bare & ~gone & recent & traces["dealer"].notna()]
    place = newest[["dealer", "county_fips", "premises_state"]]
    return own.merge(place, on="dealer")


def test_counts_are_those_of_a_plain_count(nation: Flow, plain: pd.DataFrame) -> None:
    assert nation.n_traces == len(plain)
    southern = plain[plain["recovery_country"] == "MX"]
    expected = southern.groupby(["premises_state", "recovery_state"]).size()
    found = {(c.source, c.market): c.n for c in nation.corridors if c.destination == "mexico"}
    assert len(found) > 8
    assert all(expected[key] == n for key, n in found.items())
    days = [
        None if pd.isna(a) or pd.isna(b) else (a - b).days
        for a, b in zip(plain["recovered_on"], plain["sold_on"], strict=True)
    ]
    assert nation.by_band["up to 90 days"] == sum(d is not None and 0 <= d <= 90 for d in days)
    assert nation.by_band["not known"] == sum(d is None for d in days)
    assert sum(nation.by_class.values()) == sum(nation.by_band.values()) == len(plain)


def test_every_market_is_counted_alone(simulated: Simulated, plain: pd.DataFrame) -> None:
    """Canada is not California, Colombia not Colorado, though their codes are the same."""
    foreign = ~plain["recovery_country"].isin(["US", "MX"])
    market = plain["recovery_state"].where(~foreign, "country " + plain["recovery_country"])
    market = market.fillna(plain["recovery_country"])
    both = plain.loc[market == "country CA", "dealer"].isin(plain.loc[market == "CA", "dealer"])
    dealer = plain.loc[both[both].index[0], "dealer"]
    flow = follow(simulated.warehouse, subject_of(dealer), AS_OF, years=YEARS)
    links = [link for link in flow.links if link.kind == "source to market"]
    found = {link.target: link.n for link in links}
    assert found == market[plain["dealer"] == dealer].value_counts().to_dict()
    assert len(found) == len(links)
    courses = {link.target: link.course for link in links}
    assert courses["country CA"] == "international" != courses["CA"]


def test_who_does_not_exist_for_the_caller_is_counted_nowhere(
    simulated: Simulated, nation: Flow, plain: pd.DataFrame
) -> None:
    busiest = plain["dealer"].value_counts().index[:3].tolist()
    busiest += [pair.first for pair in nation.patterns[:1]]
    left = plain[~plain["dealer"].isin(busiest)]
    flow = follow(simulated.warehouse, subject_of("US"), AS_OF, years=YEARS, without=busiest)
    assert flow.n_traces == len(left) < nation.n_traces
    southern = left[left["recovery_country"] == "MX"]
    expected = southern.groupby(["premises_state", "recovery_state"]).size()
    found = {(c.source, c.market): c.n for c in flow.corridors if c.destination == "mexico"}
    assert len(found) > 8
    assert all(expected[key] == n for key, n in found.items())
    assert not set(busiest) & {d for c in flow.clusters for d in c.dealers}
    assert not set(busiest) & {d for p in flow.patterns for d in (p.first, p.second)}
    assert not set(busiest) & {hub.dealer for hub in flow.dealers}


def test_excess_is_counted_over_the_share_of_sales(
    simulated: Simulated, nation: Flow, plain: pd.DataFrame
) -> None:
    sold = simulated.warehouse.read("sales_volume", as_of=AS_OF).to_pandas()
    sold = sold[sold["known_on"] >= AS_OF - timedelta(days=365 * YEARS)]
    listed = simulated.warehouse.read("licenses", as_of=AS_OF).to_pandas()
    newest = listed.sort_values("listed_on").drop_duplicates("dealer", keep="last")
    sold = sold.merge(newest[["dealer", "premises_state"]], on="dealer")
    share = sold.groupby("premises_state")["n_checks"].sum() / sold["n_checks"].sum()
    lane = next(c for c in nation.corridors if (c.source, c.market) == ("AZ", "MX-SON"))
    drawn = (plain["recovery_state"] == "MX-SON").sum()
    assert lane.expected == pytest.approx(drawn * share["AZ"], rel=1e-9)
    assert lane.excess == pytest.approx(lane.n / lane.expected, rel=1e-9)


def test_known_corridors_come_out_on_top(nation: Flow) -> None:
    lanes = [(c.source, c.market) for c in nation.corridors if c.destination == "mexico"]
    top = lanes[:10]
    for known in (("AZ", "MX-SON"), ("TX", "MX-TAM"), ("TX", "MX-CHH"), ("CA", "MX-BCN")):
        assert known in top, top
    by_count = sorted(
        (c for c in nation.corridors if c.destination == "mexico"), key=lambda c: -c.n
    )
    assert {("AZ", "MX-SON"), ("TX", "MX-TAM")} <= {(c.source, c.market) for c in by_count[:6]}
    assert all(c.low <= c.excess <= c.high for c in nation.corridors if c.excess is not None)


def test_inland_hubs_stand_beside_the_border_and_distance_alone_fails(
    nation: Flow, plain: pd.DataFrame
) -> None:
    top = nation.counties[:20]
    inland = [hub for hub in top if hub.zone == "inland"]
    assert len(inland) >= 8
    assert {"04013", "48201"} & {hub.county for hub in top[:6]}
    assert all((hub.km_to_line <= BORDER_KM) == (hub.zone == "border") for hub in top)
    # The counties that distance alone would name: those nearest the line that sell at all.
    from features.reference.geography.border_distances import km_to_mexico_line

    selling = counties().loc[sorted(set(plain["county_fips"]))]
    km = km_to_mexico_line(selling["lat"].to_numpy(), selling["lon"].to_numpy())
    nearest = set(selling.index[np.argsort(km)[:20]])
    n = plain[plain["recovery_country"] == "MX"].groupby("county_fips").size()
    held = n.reindex(sorted(nearest)).fillna(0).sum() / n.sum()
    named = n.reindex([hub.county for hub in top]).sum() / n.sum()
    assert held < 0.75 * named
    assert len(nearest & {hub.county for hub in top}) <= 12


def test_the_fastest_dealers_are_those_whose_short_share_is_surely_high(
    nation: Flow, plain: pd.DataFrame
) -> None:
    """SciPy's Wilson interval over a plain count; few traces do not outrank many."""
    from scipy.stats import binomtest

    timed = plain[plain["sold_on"].notna() & plain["recovered_on"].notna()]
    days = [(a - b).days for a, b in zip(timed["recovered_on"], timed["sold_on"], strict=True)]
    short = pd.Series([0 <= d <= 1095 for d in days], index=timed.index)
    counts = short.groupby(timed["dealer"]).agg(["sum", "size"]).query("size >= 5")
    low = {
        dealer: binomtest(int(row["sum"]), int(row["size"])).proportion_ci(method="wilson").low
        for dealer, row in counts.iterrows()
    }
    best = sorted(low.values(), reverse=True)[: len(nation.fast_dealers)]
    assert [low[hub.dealer] for hub in nation.fast_dealers] == pytest.approx(best, abs=1e-9)
    assert len(best) == 25
    assert [hub.dealer for hub in nation.fast_dealers] != [hub.dealer for hub in nation.dealers]


def test_ranges_stand_where_completeness_was_told(nation: Flow) -> None:
    southern = [c for c in nation.corridors if c.destination == "mexico" and c.adjusted_low]
    assert southern
    assert all(c.n <= c.adjusted_low * 1.0001 <= c.adjusted_high * 1.0001 for c in southern)
    assert all(c.adjusted_low is None for c in nation.corridors if c.destination == "domestic")


def test_a_dealer_is_followed_from_maker_to_market_with_its_records(
    simulated: Simulated, nation: Flow
) -> None:
    dealer = nation.dealers[0].dealer
    flow = follow(simulated.warehouse, subject_of(dealer), AS_OF, years=YEARS)
    kinds = {link.kind for link in flow.links}
    assert {"maker to dealer", "source to market"} <= kinds
    made = sum(link.n for link in flow.links if link.kind == "maker to dealer")
    assert made <= flow.n_traces == nation.dealers[0].n
    link = next(k for k in flow.links if k.kind == "source to market")
    assert link.record_ids
    ids = simulated.warehouse.read("traces", as_of=AS_OF).to_pandas().set_index("trace_id")
    assert (ids.loc[list(link.record_ids), "dealer"] == dealer).all()
    assert flow.statements[0] == NO_WRONG


def test_what_lies_beyond_a_port_is_a_range_and_inferred(simulated: Simulated) -> None:
    flow = follow(simulated.warehouse, subject_of("2304"), AS_OF, years=YEARS)
    beyond = [link for link in flow.links if link.kind == "port to market"]
    assert [link.status for link in beyond] == ["inferred"]
    assert beyond[0].low == 0 < beyond[0].n
    seized = simulated.warehouse.read("seizures", as_of=AS_OF).to_pandas()
    known = [link for link in flow.links if link.kind == "source to port"]
    recent = seized["known_on"] >= AS_OF - timedelta(days=365 * YEARS)
    assert sum(link.n for link in known) == ((seized["port_code"] == "2304") & recent).sum()


def test_pairs_share_purchasers_and_never_show_who(simulated: Simulated, nation: Flow) -> None:
    assert nation.clusters
    text = json.dumps(nation.as_dict())
    tokens = simulated.warehouse.read("traces", as_of=AS_OF)["purchaser_token"]
    seen = {t for t in tokens.to_pylist() if t}
    assert not any(f'"{token}"' in text for token in list(seen)[:5000])
    assert all(p.days == DAYS for p in nation.patterns)


def test_communities_part_the_counties(nation: Flow) -> None:
    every = [county for group in nation.communities for county in group.counties]
    assert len(every) == len(set(every))
    assert all(group.bridge in group.counties for group in nation.communities)


@pytest.mark.parametrize(
    "name", ["f.csv", "f.graphml", "f.geojson", "f.json", "f.svg", "f.map.svg"]
)
def test_every_format_holds_the_links(nation: Flow, name: str) -> None:
    content = content_for(nation, name)
    if name.endswith(("svg", "graphml")):
        ET.fromstring(content)  # noqa: S314 - written by this very program
        assert b"http" not in content.replace(b"http://www.w3.org", b"").replace(
            b"http://graphml.graphdrawing.org", b""
        )
    if name == "f.geojson":
        found = json.loads(content)
        assert len(found["features"]) + found["n_without_place"] == len(nation.links)
        assert found["statements"][0] == NO_WRONG
    if name == "f.csv":
        assert content.decode().count("\n") == 1 + len(nation.links) + len(nation.statements)


def test_a_corridor_s_range_under_full_submission_is_in_file_and_terminal(nation: Flow) -> None:
    rows = list(csv.DictReader(io.StringIO(content_for(nation, "f.corridors.csv").decode())))
    lanes = {(lane.source, lane.market): lane for lane in nation.corridors}
    told = 0
    for row in rows[: len(lanes)]:
        lane = lanes[row["source"], row["market"]]
        assert int(row["n"]) == lane.n
        for name in ("adjusted_low", "adjusted_high"):
            value = getattr(lane, name)
            assert row[name] == ("" if value is None else str(value))
        told += lane.adjusted_low is not None
    assert told
    assert len(rows) == len(nation.corridors) + len(nation.statements)
    screen = Console(width=200, record=True, file=io.StringIO())
    screen.print(flow_view(nation))
    text = screen.export_text()
    shown = [one for one in nation.corridors if one.course != "intrastate"][:15]
    ranges = [
        f"{one.adjusted_low:,.0f} to {one.adjusted_high:,.0f}"
        for one in shown
        if one.adjusted_low is not None
    ]
    assert ranges
    assert all(said in text for said in ranges)


def test_pictures_take_the_color_of_the_page_and_name_no_place_over_another(nation: Flow) -> None:
    for picture in (sankey(nation), flow_map(nation)):
        assert 'fill="currentColor"' in picture
        assert "#212529" not in picture
        assert "#343a40" not in picture
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)">([^<]+)</text>', flow_map(nation))
    assert len(labels) > 5
    boxes = [(float(x), float(y), len(unescape(text))) for x, y, text in labels]
    for i, (x, y, n) in enumerate(boxes):
        for other_x, other_y, m in boxes[:i]:
            is_beside = x >= other_x + 6 * m or other_x >= x + 6 * n
            assert is_beside or abs(y - other_y) > 12


def test_a_flow_map_lies_on_the_ground_that_it_is_given(nation: Flow) -> None:
    picture = flow_map(nation, ground=flow_ground())
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture)[0])
    for x, text in re.findall(r'<text x="([\d.]+)" y="[\d.]+">([^<]+)</text>', picture):
        assert 0 <= float(x) <= width - 6 * len(unescape(text)), text
    dots = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', picture)]
    assert max(dots) < height < flow_ground().height
    assert picture.count('<path d="M') > 49  # every state below the links
    x, y = flow_ground().at(*point_of("TX"))
    assert 400 < x < 600
    assert 400 < y < 610
    assert flow_ground().at(*point_of("MX-CHP")) is not None
    assert flow_ground().at(*point_of("AK")) is None
    assert "°N" in flow_map(nation)


def test_pictures_show_what_is_inferred_as_such(simulated: Simulated) -> None:
    flow = follow(simulated.warehouse, subject_of("2304"), AS_OF, years=YEARS)
    assert "stroke-dasharray" in sankey(flow)
    assert "stroke-dasharray" in flow_map(flow)


@pytest.mark.parametrize("bad", ["XX", "99999", "MX-XXX", "1234", "a dealer", ""])
def test_what_cannot_be_followed_is_named(bad: str) -> None:
    with pytest.raises(InvalidValueError, match="nothing to follow"):
        subject_of(bad)


def test_a_format_that_is_not_known_is_refused(nation: Flow) -> None:
    with pytest.raises(InvalidValueError, match=r"graphml"):
        content_for(nation, "flow.xlsx")


def test_a_warehouse_without_traces_says_so(tmp_path, simulated: Simulated) -> None:
    from features.errors import WarehouseError
    from features.ingest import ingest
    from features.warehouse import Warehouse

    ingest([simulated.folder / "licenses.parquet"], tmp_path / "w", today=AS_OF)
    with pytest.raises(WarehouseError, match="no traces"):
        follow(Warehouse.open(tmp_path / "w"), subject_of("US"), AS_OF)


def test_tracing_is_told_of_an_area_only_where_its_traces_at_home_are(nation: Flow) -> None:
    """How completely it is traced follows from them, and they may be held back."""
    home = {c.source for c in nation.corridors if c.course == "intrastate"}
    lane = next(c for c in nation.corridors if c.traced_excess and c.source in home)
    states = BroadAreas(frozenset(), frozenset(c.source for c in nation.corridors))
    away = (lane.source, lane.market)
    told = _Told(states, frozenset({away}), frozenset(), frozenset(), {})
    (shown,) = _within(nation, told).corridors
    assert (shown.n, shown.excess) == (lane.n, lane.excess)
    assert shown.traced_expected is shown.traced_excess is shown.traced_low is None
    told = replace(told, cells=frozenset({away, (lane.source, lane.source)}))
    assert lane in _within(nation, told).corridors


def test_no_corridor_without_traces() -> None:
    assert corridors(pd.DataFrame(), pd.DataFrame()) == ()


def test_intervals_are_those_of_a_poisson_rate() -> None:
    """Jeffreys: over many draws the mean lies inside at about the stated rate."""
    draw = np.random.default_rng(1)
    n = draw.poisson(8.0, 20_000).astype(float)
    low, high = rate_range(n)
    assert ((low <= 8.0) & (high >= 8.0)).mean() == pytest.approx(0.95, abs=0.02)
    assert course_of("TX", "OK", "domestic") == "interstate"
    assert date(2025, 1, 1) == AS_OF
