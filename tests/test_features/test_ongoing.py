"""A simulated country that goes on: increments without a future, ordered visits, the same luck."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.ingest import ingest
from features.simulation.country.options import Options
from features.simulation.ongoing import Ongoing
from features.simulation.simulate import simulate
from features.simulation.visits.orders import Orders
from features.simulation.visits.selection import RANDOM, RISK
from features.warehouse import Warehouse

OPTIONS = Options(dealers=600, years=3, end=date(2024, 1, 1), seed=5)


@pytest.fixture(scope="module")
def country():
    """Two years of it."""
    made = Ongoing(OPTIONS)
    for _ in range(24):
        made.live()
    return made


def orders_of(dealer, reason=RISK, **design):
    n = len(dealer)
    none = np.full(n, None, dtype=object)
    values = {
        "list_id": none,
        "why": none,
        "inclusion_probability": np.full(n, np.nan),
        "is_mandatory": np.zeros(n, bool),
        "mandatory_probability": np.full(n, np.nan),
        "certain_places": np.full(n, np.nan),
    } | design
    return Orders(dealer, np.full(n, reason), **values)


@pytest.mark.slow
def test_month_by_month_is_the_history_at_once(tmp_path):
    whole = simulate(OPTIONS, tmp_path / "whole").out
    made = Ongoing(OPTIONS)
    for _ in range(OPTIONS.n_months):
        made.live()
    for name in ("inspections", "violations", "traces", "tips"):
        rows = pa.concat_tables(made._waiting[name])
        assert rows.equals(pq.read_table(whole / f"{name}.parquet").cast(rows.schema)), name


def test_increments_add_up_and_hold_no_future(country, tmp_path):
    made = country.fork()
    seen = 0
    for part in range(3):
        today = made.today
        increment = made.known()
        for name, column in (("inspections", "closed_on"), ("seizures", "reported_on")):
            days = increment[name][column]
            assert not len(days) or pc.max(days).as_py() < today
        told = set(increment["inspections"]["inspection_id"].to_pylist())
        assert set(increment["violations"]["inspection_id"].to_pylist()) <= told
        seen += len(told)
        if part < 2:
            for _ in range(3):
                made.live()
    waiting = sum(len(table) for table in made._waiting["inspections"])
    whole = country.fork()
    for _ in range(6):
        whole.live()
    assert seen + waiting == sum(len(table) for table in whole._waiting["inspections"])


def test_increments_are_ingested_with_their_design(country, tmp_path):
    made = country.fork()
    ingest([made.save(tmp_path / "0")], tmp_path / "w", today=made.today)
    dealer = np.flatnonzero(made.eligible)[:20]
    n = len(dealer)
    made.live(
        orders_of(
            dealer,
            RANDOM,
            list_id=np.full(n, "R-1", dtype=object),
            why=np.full(n, "random", dtype=object),
            inclusion_probability=np.full(n, 0.04),
            is_mandatory=np.ones(n, bool),
            mandatory_probability=np.ones(n),
        )
    )
    for _ in range(11):
        made.live(orders_of(dealer[:0]))
    ingest([made.save(tmp_path / "1")], tmp_path / "w", today=made.today)
    rows = Warehouse.open(tmp_path / "w").read("inspections").to_pandas()
    ordered = rows[rows["list_id"] == "R-1"]
    assert 15 <= len(ordered) <= 20  # a few are still open or out of business
    assert set(ordered["selected_by"]) == {"random"}
    assert set(ordered["inclusion_probability"]) == {0.04}
    assert ordered["is_mandatory"].all()


def test_what_a_visit_finds_does_not_depend_on_who_else_is_visited(country):
    dealer = np.flatnonzero(country.eligible)[:60]
    found = []
    for some in (dealer, dealer[::3]):
        made = country.fork()
        made.live(orders_of(some))
        rows = made._waiting["inspections"][-1].to_pandas()
        found.append(rows[rows["kind"] == "compliance"].set_index("dealer"))
    both = found[0].join(found[1], suffixes=("_all", "_some"), how="inner")
    assert len(both) == 20
    for name in ("outcome", "opened_on", "investigator_token"):
        assert (both[f"{name}_all"] == both[f"{name}_some"]).all()


def test_the_law_holds_for_ordered_visits(country):
    made = country.fork()
    dealer = np.flatnonzero(made.eligible)[:10]
    made.live(orders_of(dealer))
    assert not made.eligible[dealer].any()
    before = len(made._waiting["inspections"])
    made.live(orders_of(dealer))
    rows = made._waiting["inspections"][before:]
    kinds = [kind for table in rows for kind in table["kind"].to_pylist()]
    assert "compliance" not in kinds


def test_the_chances_are_what_visits_find(country):
    """Over a few months of visiting everybody, findings are as many as their chances say."""
    made = country.fork()
    expected = found = 0.0
    for _ in range(6):
        dealer = np.flatnonzero(made.eligible)
        before = len(made._waiting["inspections"])
        made.live(orders_of(dealer))
        expected += made.office.chances(made.world, made.month - 1)[dealer].sum()
        for table in made._waiting["inspections"][before:]:
            rows = table.to_pandas()
            rows = rows[rows["kind"] == "compliance"]
            found += rows["outcome"].isin(["warning_conference", "revocation"]).sum()
    # A tier-1 citation or missing firearms make a finding severe as well.
    assert 0.3 * expected < found < 1.3 * expected
