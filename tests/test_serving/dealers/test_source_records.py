"""The records named behind a signal are those that its value counts."""

from __future__ import annotations

import dataclasses
from datetime import date

import duckdb
import pandas as pd
import pytest

from features.reference.attribution import counts_toward_dealer
from features.schema import TABLES
from features.signals.registry import SIGNALS
from features.signals.shipped import shipped
from features.table import build_features
from serving.dealers.dealer_rows import rows_of_dealer
from serving.dealers.source_records import merged, named_records, said
from tests.properties import invented

AS_OF = date(2019, 3, 1)
# Signals whose value is a number of rows, and the column whose sum over rows is the value.
COUNTS = {
    "traces": (
        "n_90d n_1y n_3y n_5y same_state_3y other_state_3y latin_america_3y canada_3y guatemala_3y "
        "lawful_exports_3y unanswered_3y class_handgun_3y short_last_calendar_year"
    ),
    "time_to_crime": "n_under_90d_1y n_under_1y_1y n_under_3y_3y",
    "southbound": "traces_1y traces_5y short_3y fifty_caliber_5y seizures_3y",
    "violations": (
        "trigger_citations_5y serious_citations_5y record_citations_5y repeated_citations_10y "
        "willful_5y inspections_5y inspections_10y softened_5y"
    ),
    "losses": "reports_1y burglary_5y loss_5y late_5y",
    "multiple_sales": (
        "handgun_1y rifle_3y traced_3y traced_within_1y_3y repeat_buyers_2y"
    ),
    "tips": "substantiated_1y agency_3y self_reports_3y",
}  # fmt: skip
SUMS = {
    "violations_unaccounted_initial_5y": "firearms_unaccounted_initial",
    "violations_unaccounted_final_5y": "firearms_unaccounted_final",
    "losses_firearms_3y": "n_firearms",
    "losses_lost_firearms_5y": "n_firearms",
    "multiple_sales_firearms_3y": "n_firearms",
    "volume_sales_1y": "n_checks",
    "volume_denied_1y": "n_denied",
}
# How many different values the rows have.
DISTINCT = {
    "southbound_states_reached_5y": "recovery_state",
    "ballistics_leads_1y": "lead_id",
    "ballistics_leads_3y": "lead_id",
    "ballistics_firearms_3y": "trace_id",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Return a country's rows in force, its signals, and the records named behind them."""
    country = invented.Country(3, n_dealers=24)
    folder = tmp_path_factory.mktemp("behind")
    warehouse = invented.store(country.tables, folder)
    frame = build_features(warehouse, AS_OF).frame.set_index("dealer")
    signals = [dataclasses.asdict(s) for s in SIGNALS]
    named = {d: named_records(folder / "warehouse", signals, str(d), AS_OF) for d in frame.index}
    return warehouse, frame, named


def in_force(warehouse, table, key):
    rows = invented.stored(warehouse, table)
    known, until = (pd.to_datetime(rows[c]) for c in ("known_on", "superseded_on"))
    day = pd.Timestamp(AS_OF)
    rows = rows[(known < day) & (until.isna() | (until >= day))]
    return rows.set_index(rows[list(key)].astype(str).agg(" ".join, axis=1))


def first(named, signal):
    return next(iter(named[signal].values()), {})


def test_the_records_of_a_count_are_as_many_as_it_says(told):
    _, frame, named = told
    for family, names in COUNTS.items():
        for name in names.split():
            signal = f"{family}_{name}"
            values = frame[signal].dropna()
            found = {d: len(first(named[d], signal)) for d in values.index}
            assert found == values.astype(int).to_dict(), signal
            assert values.sum() > 0, signal


def test_the_records_of_a_sum_add_up_to_it(told):
    warehouse, frame, named = told
    signals = {s.name: s for s in SIGNALS}
    keys = {
        "inspections": ("inspection_id",), "thefts_losses": ("report_id",),
        "multiple_sales": ("report_id",), "sales_volume": ("dealer", "month"),
        "denials": ("dealer", "month"),
    }  # fmt: skip
    for signal, column in SUMS.items():
        table = signals[signal].table
        rows = in_force(warehouse, table, keys[table])[column]
        values = frame[signal].dropna()
        found = {d: int(rows[list(first(named[d], signal))].sum()) for d in values.index}
        assert found == values.astype(int).to_dict(), signal
        assert values.sum() > 0, signal


def test_the_records_of_a_distinct_count_hold_as_many_values(told):
    warehouse, frame, named = told
    keys = {"traces": ("trace_id",), "ballistic_leads": ("lead_id", "trace_id")}
    signals = {s.name: s for s in SIGNALS}
    for signal, column in DISTINCT.items():
        rows = in_force(warehouse, signals[signal].table, keys[signals[signal].table])[column]
        values = frame[signal].dropna()
        found = {d: rows[list(first(named[d], signal))].nunique() for d in values.index}
        assert found == values.astype(int).to_dict(), signal
        assert values.sum() > 0, signal


def test_the_last_outcome_is_named_by_its_inspection(told):
    warehouse, frame, named = told
    rows = in_force(warehouse, "inspections", ("inspection_id",))
    values = frame["violations_years_since_last_outcome"].dropna()
    assert len(values)
    for dealer, years in values.items():
        (name,) = named[dealer]["violations_last_outcome"]["inspections"]
        days = (pd.Timestamp(AS_OF) - pd.Timestamp(rows.loc[name, "closed_on"])).days
        assert days / 365 == pytest.approx(years)


def test_a_trace_that_counts_toward_no_dealer_is_named_nowhere(told):
    warehouse, _, named = told
    traces = in_force(warehouse, "traces", ("trace_id",))
    counts = counts_toward_dealer(traces)
    assert not counts.all()
    for dealer, by_signal in named.items():
        for signal, tables in by_signal.items():
            if signal == "traces_lawful_exports_3y":
                continue
            ids = list(tables.get("traces", ()))
            assert counts[traces.index.get_indexer(ids)].all(), (dealer, signal)


def test_citations_and_leads_are_named_with_what_joins_them_to_the_dealer(told):
    _, _, named = told
    cited = [one["violations_record_citations_5y"] for one in named.values()]
    assert {tuple(one) for one in cited if one} == {("violations", "inspections")}
    for one in filter(None, cited):
        assert {name.split()[0] for name in one["violations"]} == set(one["inspections"])
    led = [one["ballistics_leads_3y"] for one in named.values()]
    assert {tuple(one) for one in led if one} == {("ballistic_leads", "traces")}


def test_what_is_read_of_others_names_no_records_and_the_rest_some(told):
    _, _, named = told
    of_others = {"network_component_traces_2y"} | {
        s.name for s in SIGNALS if s.family == "area" or ("_within_" in s.name and "km" in s.name)
    }
    some = {name for by_signal in named.values() for name, one in by_signal.items() if one}
    assert not some & of_others
    assert {s.name for s in shipped()} - of_others - some == set()


def test_a_dealer_s_own_rows_are_joined_and_follow_the_rule_of_attribution(told):
    """What a dossier's timeline and a packet show is what signals could read."""
    warehouse, frame, _ = told
    rows = {
        "traces": in_force(warehouse, "traces", ("trace_id",)),
        "inspections": in_force(warehouse, "inspections", ("inspection_id",)),
        "violations": in_force(warehouse, "violations", ("inspection_id", "citation")),
        "ballistic_leads": in_force(warehouse, "ballistic_leads", ("lead_id", "trace_id")),
    }
    traces, leads, cited = (rows[t] for t in ("traces", "ballistic_leads", "violations"))
    counted = traces[counts_toward_dealer(traces)]
    plain = traces[~((traces["serial_status"] == "none") | (traces["outcome"] == "unserialized"))]
    visits = rows["inspections"]
    n = dict.fromkeys(("traces", "violations", "ballistic_leads"), 0)
    for dealer in frame.index:
        own = {
            "traces": plain.index[plain["dealer"] == dealer],
            "violations": cited.index[
                cited["inspection_id"].isin(visits.index[visits["dealer"] == dealer])
                & (cited["instances"].fillna(1) > 0)
            ],
            "ballistic_leads": leads.index[
                leads["trace_id"].isin(counted.index[counted["dealer"] == dealer])
            ],
        }
        for table, expected in own.items():
            key = " || ' ' || ".join(TABLES[table].key)
            found = duckdb.execute(
                f"SELECT {key} FROM ({rows_of_dealer(warehouse, table)})",  # noqa: S608 - own names
                {"dealer": dealer, "as_of": AS_OF.isoformat()},
            ).fetchall()
            assert {name for (name,) in found} == set(expected), (dealer, table)
            n[table] += len(expected)
    assert min(n.values()) > 0
    assert len(plain) < len(traces)


def test_records_are_told_newest_first_and_not_without_end(told):
    _, _, named = told
    whole = merged(one for by_signal in named.values() for one in by_signal.values())
    for one in said(whole):
        days = [whole[one["table"]][name] for name in one["ids"]]
        assert days == sorted(days, reverse=True)
        assert (one["n_records"], len(days)) == (
            len(whole[one["table"]]), min(50, len(whole[one["table"]])),
        )  # fmt: skip
    assert max(one["n_records"] for one in said(whole)) > 50
