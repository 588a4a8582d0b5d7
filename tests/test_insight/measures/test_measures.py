"""Measures: a plain count of figures, formulas that are only arithmetic, verdicts, snapshots."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from features.errors import InvalidValueError
from features.insight.measures.figures import (
    GROUNDS,
    KNOWN,
    RESTS_ON,
    Period,
    warehouse_figures,
)
from features.insight.measures.formula import evaluate, names_in
from features.insight.measures.measure import (
    ADDED,
    Measured,
    measure,
    notes_of,
    registry,
)
from features.insight.measures.public_report import public_report
from features.insight.measures.writing import as_text, freeze, frozen, to_csv, to_html, to_json
from tests.simulated import AS_OF, Simulated

YEAR = Period.year(2024)


@pytest.fixture(scope="module")
def figures(simulated: Simulated) -> dict[str, float | None]:
    return warehouse_figures(simulated.warehouse, YEAR)


@pytest.fixture(scope="module")
def visits(simulated: Simulated) -> pd.DataFrame:
    return simulated.warehouse.read("inspections", as_of=AS_OF).to_pandas()


def test_figures_are_those_of_a_plain_count(
    simulated: Simulated, figures: dict[str, float | None], visits: pd.DataFrame
) -> None:
    closed = visits[
        (visits["kind"] == "compliance")
        & (visits["closed_on"] >= date(2024, 1, 1))
        & (visits["closed_on"] < date(2025, 1, 1))
    ]
    severe = closed["outcome"].isin(["warning_conference", "revocation"])
    assert figures["visits"] == len(closed) > 50
    assert figures["severe_visits"] == severe.sum()
    timed = closed["hours"] > 0
    assert figures["hours"] == pytest.approx(closed["hours"].sum())
    assert (figures["timed_visits"], figures["timed_severe_visits"]) == (
        timed.sum(),
        (timed & severe).sum(),
    )
    counts = ["firearms_unaccounted_initial", "firearms_unaccounted_final"]
    at_first, in_the_end = closed.dropna(subset=counts)[counts].sum()
    assert (figures["unaccounted_initial"], figures["unaccounted_final"]) == (at_first, in_the_end)
    listed = simulated.warehouse.read("licenses", as_of=AS_OF).to_pandas()
    now = listed[listed["listed_on"] == listed["listed_on"].max()]["dealer"]
    seen = visits[
        visits["kind"].isin(["compliance", "recall"]) & (visits["opened_on"] >= date(2022, 1, 1))
    ]["dealer"]
    assert figures["dealers_listed"] == now.nunique()
    assert figures["dealers_seen_3y"] == now[now.isin(set(seen))].nunique()


def test_southbound_traces_at_dealers_seen_before(
    simulated: Simulated, figures: dict[str, float | None], visits: pd.DataFrame
) -> None:
    traces = simulated.warehouse.read("traces", as_of=AS_OF).to_pandas()
    own = traces[
        (traces["recovery_country"] == "MX")
        & traces["dealer"].notna()
        & (traces["known_on"] >= date(2024, 1, 1))
        & (traces["serial_status"] != "none")
        & (traces["outcome"] != "unserialized")
        & ~traces["acquisition_route"].isin(["export", "government"])
        & traces["sold_on"].notna()
    ]
    days = [(r - s).days for r, s in zip(own["recovered_on"], own["sold_on"], strict=True)]
    short = own[[0 <= d <= 1095 for d in days]]
    opened = visits.groupby("dealer")["opened_on"].apply(list).to_dict()
    seen = sum(
        any(known - timedelta(days=366) <= d < known for d in opened.get(dealer, ()))
        for dealer, known in zip(short["dealer"], short["known_on"], strict=True)
    )
    assert figures["mexico_short"] == len(short) > 20
    assert abs(figures["mexico_short_seen_before"] - seen) <= 1  # a leap day


def test_seized_firearms_are_joined_with_their_traces(
    simulated: Simulated, figures: dict[str, float | None]
) -> None:
    seizures = simulated.warehouse.read("seizures", as_of=YEAR.ends_on).to_pandas()
    traces = simulated.warehouse.read("traces", as_of=YEAR.ends_on).to_pandas()
    on = seizures["seized_on"]
    own = seizures[(on >= YEAR.starts_on) & (on < YEAR.ends_on)]
    traced = own["trace_id"].isin(traces.loc[traces["dealer"].notna(), "trace_id"])
    assert figures["seized"] == len(own) > 10
    assert figures["seized_to_dealer"] == (own["dealer"].notna() | traced).sum() > 0


def test_every_measure_is_said_or_says_why(figures: dict[str, float | None]) -> None:
    report = measure(registry(), figures, YEAR)
    assert len(report.measures) >= 15
    for m in report.measures:
        assert m.definition.decision
        assert m.definition.owner
        assert (m.value is None) == (m.verdict == "cannot be said")
        if m.value is None:
            assert m.said.startswith(("no data:", "nothing"))
        elif m.verdict == "not met":
            assert m.said == "no explanation is recorded"
    said = {m.definition.name: m for m in report.measures}
    assert said["hit_rate_over_rule"].verdict == "cannot be said"
    assert "share found by the bundle" in said["hit_rate_over_rule"].said
    assert said["severe_share"].low < said["severe_share"].value < said["severe_share"].high


def test_a_missed_target_carries_the_explanation_that_was_recorded(
    tmp_path: Path, figures: dict[str, float | None]
) -> None:
    (tmp_path / "measures_notes.toml").write_text('[2024]\nseen_in_three_years = "Too few people."')
    report = measure(registry(), figures, YEAR, notes=notes_of(tmp_path, "2024"))
    missed = next(m for m in report.measures if m.definition.name == "seen_in_three_years")
    assert (missed.verdict, missed.said) == ("not met", "Too few people.")


@pytest.mark.parametrize(
    ("least", "verdict"), [(0.004, "met"), (0.0, "not shown"), (-0.03, "not shown"),
                           (None, "not shown")],
)  # fmt: skip
def test_a_target_met_by_what_may_be_chance_is_not_said_to_be_met(least, verdict) -> None:
    told = {"recall_at_capacity": 0.33, "recall_best_rule": 0.31, "recall_gain_low": least}
    own = [one for one in registry() if one.name == "hit_rate_over_rule"]
    (found,) = measure(own, told, YEAR).measures
    assert found.value >= found.definition.target
    assert found.verdict == verdict
    assert bool(found.said) == (verdict == "not shown")
    (missed,) = measure(own, told | {"recall_at_capacity": 0.31}, YEAR).measures
    assert missed.verdict == "not met"


def test_a_figure_that_shows_a_measure_must_be_known(tmp_path: Path) -> None:
    text = (files("features.insight.measures") / "measures.toml").read_text(encoding="utf-8")
    (tmp_path / "measures.toml").write_text(text.replace('"recall_gain_low"', '"recal_gain_low"'))
    with pytest.raises(InvalidValueError, match="recal_gain_low"):
        registry(tmp_path)


def test_intervals_are_those_published() -> None:
    """Wilson: 10 of 100 is 5.5% to 17.4% (Newcombe 1998); Poisson by gamma quantiles."""
    found = evaluate("share(a, b)", {"a": 10, "b": 100}, what="x")
    assert (found.low, found.high) == pytest.approx((0.0552, 0.1744), abs=2e-4)
    left = evaluate("1 - share(a, b)", {"a": 10, "b": 100}, what="x")
    assert (left.low, left.high) == pytest.approx((1 - 0.1744, 1 - 0.0552), abs=2e-4)
    rate = evaluate("1000 * rate(a, b)", {"a": 4, "b": 2000.0}, what="x")
    assert rate.value == 2.0
    assert rate.low < 2.0 < rate.high


@pytest.mark.parametrize(
    "bad",
    ["__import__('os')", "a.b", "share(a)", "a if b else c", "[a]", "'a'", "a ** 9", "a +",
     "max(a, b, c)", "a" * 500, "True", "lambda: a"],
)  # fmt: skip
def test_a_formula_is_arithmetic_and_nothing_else(bad: str) -> None:
    with pytest.raises(InvalidValueError, match="formula of x"):
        names_in(bad, what="x")


def test_an_unknown_figure_is_named(tmp_path: Path) -> None:
    text = (Path("features/insight/measures/measures.toml")).read_text()
    (tmp_path / "measures.toml").write_text(
        text.replace("severe_visits, visits", "severe_visit, visits")
    )
    with pytest.raises(
        InvalidValueError, match=r"unknown figure 'severe_visit'; did you mean 'severe_visits'\?\n"
    ):
        registry(tmp_path)
    (tmp_path / "measures.toml").write_text(text.replace('owner = "Counsel"\n', "", 1))
    with pytest.raises(InvalidValueError, match="lacks 'owner'"):
        registry(tmp_path)
    (tmp_path / "measures.toml").write_text("[measure")
    with pytest.raises(InvalidValueError, match="TOML"):
        registry(tmp_path)


def test_every_figure_is_in_words_and_used() -> None:
    named = {n for d in registry() for n in names_in(d.formula, what=d.name)}
    assert named <= set(KNOWN) | set(ADDED)
    # Whether a measure may be shown rests on these.
    assert set(KNOWN) - named == {"visits_dealers", "timed_visits"}
    assert set(RESTS_ON) <= named | {d.shown_by for d in registry()}
    grounds = {name for pair in GROUNDS.values() for name in pair if name}
    assert not grounds & named
    assert {part for name in GROUNDS for part in name.split(" - ")} <= named | {"timed_visits"}


def test_a_frozen_period_never_changes(tmp_path: Path, figures: dict[str, float | None]) -> None:
    first = freeze(measure(registry(), figures, YEAR), tmp_path)
    later = measure(registry(), figures | {"visits": 1.0}, YEAR)
    assert freeze(later, tmp_path) == first == frozen(tmp_path, "2024")
    (tmp_path / "measures" / "2024.json").write_text("{}")
    with pytest.raises(InvalidValueError, match="cannot be read"):
        frozen(tmp_path, "2024")


def test_a_snapshot_from_before_there_were_units_is_said_with_them(
    tmp_path: Path, figures: dict[str, float | None]
) -> None:
    report = measure(registry(), figures, YEAR)
    freeze(report, tmp_path)
    path = tmp_path / "measures" / "2024.json"
    content = json.loads(path.read_text())
    for one in content["measures"]:
        del one["definition"]["unit"]
    content["measures"][0]["definition"]["formula"] = "severe_visits"
    path.write_text(json.dumps(content))
    first, *others = frozen(tmp_path, "2024").measures
    assert first.definition.unit == ""
    assert [m.definition.unit for m in others] == [m.definition.unit for m in report.measures[1:]]


def test_the_trend_holds_the_periods_before(figures: dict[str, float | None]) -> None:
    earlier = measure(registry(), figures, Period.year(2023))
    report = measure(registry(), figures, YEAR, before=[earlier])
    value = earlier.measures[0].value
    assert report.measures[0].trend == (("2023", value),)


RELEASED = date(2025, 2, 15)
# Enough of everything, of enough dealers: each test takes away from it.
ENOUGH = dict.fromkeys(KNOWN, 5000.0) | dict.fromkeys(
    (n for pair in GROUNDS.values() for n in pair), 40.0
)
ENOUGH |= {
    "severe_visits": 300.0, "timed_severe_visits": 300.0, "softened": 40.0,
    "dealers_seen_3y": 900.0, "border_seen_3y": 90.0,
    "mexico_short_seen_before": 90.0, "unaccounted_final": 90.0, "repeated_after_warning": 40.0,
    "random_severe": 40.0, "median_days_to_action": 9.0, "mexico_requests": 4000.0,
}  # fmt: skip


def public(figures: dict[str, float | None]) -> dict[str, Measured]:
    shown = public_report(measure(registry(), figures, YEAR), RELEASED)
    assert shown.figures == {}
    return {m.definition.name: m for m in shown.measures}


def held_back(**changes: float | None) -> set[str]:
    found = public(ENOUGH | changes)
    assert {m.said for m in found.values() if m.value is None} <= {"too few to be shown"}
    return {name for name, m in found.items() if m.value is None}


def test_the_public_variant_shows_what_rests_on_enough() -> None:
    """A median of nine days is no count of nine, and what is one dealer's is never shown."""
    assert held_back() == set()
    assert not {"office_spread", "oldest_unseen_years"} & public(ENOUGH).keys()
    every = [replace(one, is_public=True) for one in registry()]
    shown = public_report(measure(every, ENOUGH | dict.fromkeys(ADDED, 50.0), YEAR), RELEASED)
    never = {m.definition.name for m in shown.measures if m.value is None}
    assert {"oldest_unseen_years", "office_spread", "hit_rate_over_rule"} <= never


@pytest.mark.parametrize(
    ("figure", "measures"),
    [
        ("severe_visits", {"severe_share", "days_to_final_action"}),
        ("visits", {"severe_share"}),
        ("timed_severe_visits", {"severe_per_1000_hours"}),
        ("timed_visits", {"severe_per_1000_hours"}),
        ("dealers_seen_3y", {"seen_in_three_years"}),
        ("border_seen_3y", {"border_seen_in_three_years"}),
        ("mexico_short_seen_before", {"southbound_seen_before"}),
        ("mexico_short", {"southbound_seen_before"}),
        ("unaccounted_initial", {"firearms_accounted_for"}),
        ("unaccounted_final", {"firearms_accounted_for"}),
        ("repeated_after_warning", {"repeats_after_warning"}),
        ("softened", {"softened"}),
        ("recommended_revocations", {"softened"}),
        ("random_severe", {"random_prevalence"}),
        ("random_visits", {"random_prevalence"}),
        ("mexico_requests", {"mexican_completeness"}),
    ],
)
def test_few_none_and_a_single_case_are_held_back(figure: str, measures: set[str]) -> None:
    for n in (9.0, 1.0, 0.0):
        assert measures <= held_back(**{figure: n})


@pytest.mark.parametrize(
    ("part", "whole", "name"),
    [
        ("severe_visits", "visits", "severe_share"),
        ("dealers_seen_3y", "dealers_listed", "seen_in_three_years"),
        ("border_seen_3y", "border_listed", "border_seen_in_three_years"),
        ("mexico_short_seen_before", "mexico_short", "southbound_seen_before"),
        ("unaccounted_final", "unaccounted_initial", "firearms_accounted_for"),
        ("repeated_after_warning", "seen_after_warning", "repeats_after_warning"),
        ("softened", "recommended_revocations", "softened"),
        ("random_severe", "random_visits", "random_prevalence"),
    ],
)
def test_a_small_rest_is_held_back_as_a_small_part_is(part: str, whole: str, name: str) -> None:
    for rest in (9.0, 3.0, 0.0):
        assert name in held_back(**{part: ENOUGH[whole] - rest})


@pytest.mark.parametrize("figure", GROUNDS)
def test_what_is_of_few_dealers_or_mostly_of_one_is_held_back(figure: str) -> None:
    of_dealers, at_one = GROUNDS[figure]
    assert held_back(**{of_dealers: 2.0})
    assert held_back(**{of_dealers: None}), "a snapshot that does not tell is not shown"
    if at_one:
        n = [ENOUGH[name] for name in figure.split(" - ")]
        amount = n[0] if len(n) == 1 else n[0] - n[1]
        assert held_back(**{at_one: 0.71 * amount})
        assert not held_back(**{at_one: 0.69 * amount})


def test_the_dealers_behind_a_figure_are_those_of_a_plain_count(
    simulated: Simulated, figures: dict[str, float | None], visits: pd.DataFrame
) -> None:
    closed = visits[
        (visits["kind"] == "compliance")
        & (visits["closed_on"] >= date(2024, 1, 1))
        & (visits["closed_on"] < date(2025, 1, 1))
    ]
    counts = ["firearms_unaccounted_initial", "firearms_unaccounted_final"]
    missing = closed.dropna(subset=counts).groupby("dealer")[counts].sum()
    first, last = missing[counts[0]], missing[counts[1]]
    for name, one in (("", first), ("_final", last), ("_found", first - last)):
        assert figures[f"missing{name}_dealers"] == (one > 0).sum() > 0
        assert figures[f"missing{name}_top"] == one.max()
    severe = closed[closed["outcome"].isin(["warning_conference", "revocation"])]
    assert figures["severe_dealers"] == severe["dealer"].nunique()
    assert figures["mexico_short_top"] <= figures["mexico_short"]
    parts = figures["mexico_seen_dealers"] + figures["mexico_unseen_dealers"]
    assert parts >= figures["mexico_short_dealers"] > 0


def test_dealers_left_out_are_in_no_figure(
    simulated: Simulated, figures: dict[str, float | None], visits: pd.DataFrame
) -> None:
    listed = simulated.warehouse.read("licenses", as_of=AS_OF).to_pandas()
    now = set(listed[listed["listed_on"] == listed["listed_on"].max()]["dealer"])
    closed = visits[(visits["kind"] == "compliance") & (visits["closed_on"] >= date(2024, 1, 1))]
    held = sorted(now & set(closed["dealer"]))[:3]
    fewer = warehouse_figures(simulated.warehouse, YEAR, without=held)
    assert fewer["dealers_listed"] == figures["dealers_listed"] - 3
    assert fewer["visits"] == figures["visits"] - closed["dealer"].isin(held).sum()
    assert warehouse_figures(simulated.warehouse, YEAR, without=["9-99-99999"]) == figures


def test_a_year_is_released_when_its_last_quarter_is() -> None:
    report = measure(registry(), ENOUGH, YEAR)
    for early in (date(2024, 6, 1), date(2025, 1, 1), date(2025, 2, 14)):
        with pytest.raises(InvalidValueError, match="not released"):
            public_report(report, early)
    assert public_report(report, RELEASED).is_public


def test_reports_say_the_same_in_every_form(figures: dict[str, float | None]) -> None:
    report = measure(registry(), figures, YEAR)
    danger = replace(report.measures[0].definition, indicator="<script>")
    bent = replace(report, measures=(replace(report.measures[0], definition=danger),))
    assert b"<script>" not in to_html(bent)
    assert to_csv(report).count(b"\n") == 1 + len(report.measures)
    assert b'"cannot be said"' in to_json(report)


def test_a_share_is_said_in_per_cent_and_a_time_with_its_unit(figures) -> None:
    report = measure(registry(), figures, YEAR)
    page = to_html(report).decode()
    for m in report.measures:
        is_share = m.definition.formula.startswith(("share(", "1 - share("))
        assert not is_share or m.definition.unit == "share", m.definition.name
        if m.value is None:
            continue
        text = as_text(m.value, m.definition.unit)
        assert text in page
        if is_share:
            assert float(text.rstrip("%")) == pytest.approx(100 * m.value, rel=6e-3)
        assert not re.match(r"0\.\d+$", text) or not m.definition.unit, text
    assert as_text(1.0, "days") == "1 day"
    assert as_text(0.999, "days") == "0.999 days"


def test_an_unknown_unit_is_named(tmp_path: Path) -> None:
    shipped = files("features.insight.measures").joinpath("measures.toml").read_text("utf-8")
    (tmp_path / "measures.toml").write_text(shipped.replace('unit = "days"', 'unit = "moons"'))
    with pytest.raises(InvalidValueError, match="moons"):
        registry(tmp_path)


def test_an_empty_warehouse_says_nothing(tmp_path: Path, simulated: Simulated) -> None:
    from features.ingest import ingest
    from features.warehouse import Warehouse

    ingest([simulated.folder / "tips.parquet"], tmp_path / "w", today=AS_OF)
    found = warehouse_figures(Warehouse.open(tmp_path / "w"), YEAR)
    assert set(found.values()) == {None}
    report = measure(registry(), found, YEAR)
    assert {m.verdict for m in report.measures} == {"cannot be said"}
