"""What a corridor draws beyond its sales is not how completely its source is traced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.insight.flows.corridors import corridors
from features.insight.flows.tracing import Tracing
from serving.web.oversight.flow_answers import lane_in_words

COUNTIES = {"48001": "TX", "48003": "TX", "48005": "TX", "04001": "AZ", "04003": "AZ"}


def cells_of(counts: dict[tuple[str, str], int]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "county": county, "state": COUNTIES[county], "market": market,
                "destination": "mexico" if market.startswith("MX") else "domestic",
                "class": "handgun", "band": 1, "n": n, "n_complete": n,
            }
            for (county, market), n in counts.items()
        ]
    )  # fmt: skip


def sales_of(sold: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame([{"county": c, "state": COUNTIES[c], "sales": n} for c, n in sold.items()])


def test_a_county_that_is_traced_twice_as_much_has_no_corridor_for_it():
    """All sell alike; one is traced twice as often everywhere, and one sends more to Sonora."""
    sold = dict.fromkeys(COUNTIES, 50_000.0)
    home = {c: (c, COUNTIES[c]) for c in COUNTIES}
    counts = {home[c]: 4_000 if c == "48001" else 2_000 for c in COUNTIES}
    counts |= {(c, "MX-SON"): {"48001": 200, "04003": 400}.get(c, 100) for c in COUNTIES}
    ranked = corridors(cells_of(counts), sales_of(sold), by="county")
    found = {(c.source, c.market): c for c in ranked}
    lanes = {c: found[c, "MX-SON"] for c in COUNTIES}
    # By sales alone the one that is traced more has twice what the other three have.
    assert lanes["48001"].excess == pytest.approx(2 * lanes["48003"].excess)
    assert lanes["48001"].traced_excess == pytest.approx(lanes["48003"].traced_excess, rel=0.03)
    assert lanes["04003"].traced_excess == pytest.approx(4 * lanes["04001"].traced_excess)
    figures = (f"{one:.2g}" for one in (lanes["04003"].traced_low, lanes["04003"].traced_high))
    said = lane_in_words(lanes["04003"])
    assert "what its sales and its tracing would bring" in said
    assert " to ".join(figures) in said
    away = [c.source for c in ranked if c.market == "MX-SON"]
    assert away[0] == "04003"
    assert away.index("48001") > 0
    for lane in lanes.values():
        assert lane.traced_low < lane.traced_excess < lane.traced_high


def test_what_a_market_draws_is_shared_out_and_nothing_is_said_at_home():
    counts = {
        ("48001", "TX"): 300, ("48003", "TX"): 50, ("04001", "AZ"): 80, ("04003", "AZ"): 20,
        ("48001", "AZ"): 30, ("48003", "AZ"): 9, ("04001", "TX"): 12, ("48005", "MX-TAM"): 40,
        ("04001", "MX-TAM"): 3,
    }  # fmt: skip
    sold = {"48001": 9e3, "48003": 4e3, "48005": 2e3, "04001": 6e3, "04003": 1e3}
    cells, sales = cells_of(counts), sales_of(sold)
    found = corridors(cells, sales, by="county")
    assert all((c.traced_expected is None) is (c.course == "intrastate") for c in found)
    assert all(c.expected is not None for c in found)
    weight = Tracing.of(cells, sales, "county").weight
    drawn = {"AZ": 139, "TX": 362, "MX-TAM": 43}
    for lane in found:
        if lane.course != "intrastate":
            share = weight[lane.source] / weight.sum()
            assert lane.traced_expected == pytest.approx(drawn[lane.market] * share)


def test_without_a_trace_at_home_sales_alone_tell():
    counts = {("48001", "MX-TAM"): 40, ("04001", "MX-TAM"): 10}
    found = corridors(cells_of(counts), sales_of({"48001": 2e3, "04001": 1e3}), by="county")
    assert [c.traced_expected for c in found] == pytest.approx([c.expected for c in found])


def test_the_interval_holds_what_it_says():
    """Of counting, and of how well the tracing of the source is known."""
    rng = np.random.default_rng(5)
    sold = pd.Series(30_000.0, index=[f"48{n:03d}" for n in range(1, 80, 2)])
    sales = pd.DataFrame({"county": sold.index, "state": "TX", "sales": sold.to_numpy()})
    held, n = 0, 0
    for _ in range(60):
        traced = rng.gamma(8, 1 / 8, len(sold))
        home = rng.poisson(12 * traced)
        away = rng.poisson(6 * traced)
        rows = pd.DataFrame(
            {
                "county": np.tile(sold.index, 2), "state": "TX",
                "market": np.repeat(["TX", "MX-TAM"], len(sold)),
                "destination": np.repeat(["domestic", "mexico"], len(sold)),
                "band": 1, "n": np.concatenate([home, away]), "n_complete": 0,
            }
        )  # fmt: skip
        lanes = [c for c in corridors(rows[rows["n"] > 0], sales, by="county")
                 if c.market == "MX-TAM"]  # fmt: skip
        n += len(sold)
        # A source without a trace there has no corridor, and its interval begins at nothing.
        held += sum(c.traced_low <= 1 <= c.traced_high for c in lanes) + len(sold) - len(lanes)
    assert 0.93 <= held / n <= 0.98
