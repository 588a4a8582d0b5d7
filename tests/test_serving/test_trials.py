"""Trials: the lot, what it can show, readings as planned, and intervals that hold."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import FflRiskError
from features.ingest import ingest
from ffl_risk import app
from serving.commands.trial_steps import averted_in_words, in_words
from serving.errors import InvalidRequestError
from serving.scores.snapshot import Snapshot
from serving.store.tables import LISTS
from serving.trials import assignments, averts, design, planning, reading
from serving.trials import averts_frames as draw_frames
from serving.trials.planning import Asked
from serving.trials.protocol import protocol, protocol_page

STARTS = date(2026, 1, 1)
OFFICES = [f"office{i:02d}" for i in range(10)]
ASKED = Asked("spring", "Does the list find more?", "the list", "usual practice", STARTS, 0.05, 7)


def past(n_offices=10, *, rate=0.12, n=40, years=2, seed=0):
    rng = np.random.default_rng(seed)
    days = pd.Timestamp(STARTS) - pd.to_timedelta(rng.integers(1, 365 * years, 0), unit="D")
    rows = []
    for office in OFFICES[:n_offices]:
        size = n * 4 * years
        days = pd.Timestamp(STARTS) - pd.to_timedelta(rng.integers(1, 365 * years, size), unit="D")
        rows.append(
            pd.DataFrame(
                {
                    "dealer": [f"{office}-{i}" for i in range(size)],
                    "office": office,
                    "opened_on": days,
                    "is_closed": True,
                    "y": (rng.random(size) < rate).astype(float),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def planned(**more):
    return planning.by_office_and_period(
        ASKED, past(), offices=OFFICES, months=3, n_pairs=3, **more
    )


def test_each_office_works_each_pair_by_either_arm_and_half_begin_with_each():
    cells = planned().cells
    assert len(cells) == 10 * 2 * 3
    for pair in range(3):
        own = [cell for cell in cells if cell.pair == pair]
        first = min(cell.starts_on for cell in own)
        begins = [cell.arm for cell in own if cell.starts_on == first]
        assert sorted(begins) == ["a"] * 5 + ["b"] * 5
        for office in OFFICES:
            assert sorted(c.arm for c in own if c.office == office) == ["a", "b"]


def test_the_lot_gives_every_order_the_stated_probability():
    n_first = dict.fromkeys(OFFICES[:5], 0)
    for seed in range(600):
        cells = design.by_office_and_period(
            OFFICES[:5], starts_on=STARTS, months=3, n_pairs=1, seed=seed
        )
        for cell in cells:
            n_first[cell.office] += cell.arm == "a" and cell.starts_on == STARTS
    share = np.array(list(n_first.values())) / 600
    assert np.abs(share - 0.5).max() < 5 * np.sqrt(0.25 / 600)


def test_an_interleaved_list_is_as_long_as_either_and_half_of_the_difference():
    a, b = [f"d{i}" for i in range(60)], [f"d{i}" for i in range(20, 80)]
    drawn = np.zeros(80)
    for seed in range(300):
        places = design.interleaved(a, b, seed=seed)
        chosen = [place for place in places if place.is_drawn]
        assert len(chosen) == 60
        assert sum(place.side == "both" for place in chosen) == 40
        assert sum(place.side == "a" for place in chosen) == 10
        for place in chosen:
            drawn[int(place.dealer[1:])] += 1
    share = np.r_[drawn[:20], drawn[60:]] / 300
    assert np.abs(share - 0.5).max() < 5 * np.sqrt(0.25 / 300)
    assert (drawn[20:60] == 300).all()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (["x", "y"], ["x"], "alike in length"),
        (["x", "x"], ["x", "y"], "alike in length"),
        (["x", "y"], ["y", "x"], "same dealers"),
        # One dealer that differs ended in a division by nothing.
        (["x", "y"], ["y", "z"], "too few places"),
        (list("abcx"), list("xdef"), "too few places"),
    ],
)
def test_lists_that_cannot_be_compared_are_refused(a, b, expected):
    with pytest.raises(InvalidRequestError, match=expected):
        design.interleaved(a, b, seed=1)


def test_too_few_offices_are_refused():
    with pytest.raises(InvalidRequestError, match="more offices"):
        design.by_office_and_period(OFFICES[:3], starts_on=STARTS, months=3, n_pairs=2, seed=1)


def simulated(seed, *, n_offices=10, n_pairs=3, effect=0.05, n_visits=30, looks=1):
    """Read one trial of offices that differ, in periods that differ, with effects that differ."""
    rng = np.random.default_rng(seed)
    cells = design.by_office_and_period(
        OFFICES[:n_offices], starts_on=STARTS, months=3, n_pairs=n_pairs, seed=seed
    )
    office = np.array([OFFICES.index(cell.office) for cell in cells])
    pair = np.array([cell.pair for cell in cells])
    is_a = np.array([cell.arm == "a" for cell in cells])
    is_first = np.array(
        [c.starts_on == min(o.starts_on for o in cells if o.pair == c.pair) for c in cells]
    )
    own, own_effect = rng.normal(0, 0.04, n_offices), rng.normal(0, 0.02, n_offices)
    period = rng.normal(0, 0.03, 2 * n_pairs)[2 * pair + ~is_first]
    p = np.clip(0.14 + own[office] + period + is_a * (effect + own_effect[office]), 0.005, 0.95)
    n = rng.poisson(n_visits, len(p)) + 1
    found = rng.binomial(n, p)
    return reading.by_office_and_period(
        found.astype(float), n.astype(float), office=office, pair=pair, is_a=is_a,
        is_first=is_first, level=0.95,
    )  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"n_offices": 5, "n_pairs": 2}, {"n_visits": 8}])
def test_intervals_hold_the_effect_at_their_level(settings):
    """Many cheap trials: the interval holds the effect 95 times in a hundred."""
    held = [d.low <= 0.05 <= d.high for d in (simulated(seed, **settings) for seed in range(400))]
    # Two and a half standard errors of 400 trials.
    assert np.mean(held) > 0.95 - 2.5 * np.sqrt(0.95 * 0.05 / 400)
    assert np.mean(held) < 0.995


def test_the_estimate_is_unbiased_and_its_error_is_foreseen():
    found = [simulated(seed).value for seed in range(400)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.004)
    trial = planned()
    assert 0.5 < trial.power.error / np.std(found) < 1.6


def test_intervals_of_interleaved_lists_hold():
    held = 0
    for seed in range(1500):
        rng = np.random.default_rng(seed)
        a, b = rng.binomial(50, 0.2), rng.binomial(50, 0.08)
        d = reading.interleaved(a, 50, b, 50, share=0.5, level=0.95)
        held += d.low <= 0.06 <= d.high
    assert 0.94 <= held / 1500 <= 0.98


def test_power_is_what_many_trials_show():
    power = design.power_of(0.14, 0.02, 9.0, 0.06)
    rng = np.random.default_rng(1)
    from scipy.stats import t

    drawn = 0.06 / 0.02 + rng.standard_normal(20_000)
    scale = np.sqrt(rng.chisquare(9, 20_000) / 9)
    seen = np.mean(np.abs(drawn / scale) > t.ppf(0.975, 9))
    assert power.power == pytest.approx(seen, abs=0.01)
    assert design.power_of(0.14, 0.02, 9.0, power.detectable).power == pytest.approx(0.8, abs=0.02)


def test_planned_looks_spend_five_per_cent_between_them():
    levels = design.look_levels(4)
    assert sum(1 - level for level in levels) == pytest.approx(0.05)
    assert levels == sorted(levels, reverse=True)


def visits_of(trial, *, effect=0.2, n=30, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for cell in trial.cells:
        p = 0.1 + effect * (cell.arm == "a")
        rows.append(
            pd.DataFrame(
                {
                    "dealer": [f"{cell.office}{cell.starts_on}{i}" for i in range(n)],
                    "office": cell.office,
                    "opened_on": pd.Timestamp(cell.starts_on) + pd.to_timedelta(range(n), unit="D"),
                    "is_closed": True,
                    "y": (rng.random(n) < p).astype(float),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def test_a_trial_is_read_when_planned_and_not_before():
    trial = planned(n_looks=3)
    visits = visits_of(trial)
    early = reading.read(trial, visits, today=trial.looks[0].on - timedelta(days=1))
    assert early.difference is None
    assert early.look is None
    first = reading.read(trial, visits, today=trial.looks[1].on - timedelta(days=1))
    assert first.look == trial.looks[0]
    assert not first.is_final
    assert first.difference.n_a == 10 * 30  # what ended before the look, no more
    last = reading.read(trial, visits, today=trial.looks[-1].on)
    assert last.is_final
    assert last.difference.low > 0
    assert last.difference.level < first.difference.level


def test_a_reading_goes_by_the_arm_drawn():
    """Findings of arm A move with the arm, whatever the office did in the other period."""
    trial = planned()
    turned = replace(
        trial, cells=tuple(replace(c, arm="b" if c.arm == "a" else "a") for c in trial.cells)
    )
    visits = visits_of(trial)
    one, other = (
        reading.read(t, visits, today=trial.looks[-1].on).difference for t in (trial, turned)
    )
    assert one.value == pytest.approx(-other.value)


def test_a_place_that_nobody_visited_found_nothing():
    a, b = [f"d{i}" for i in range(40)], [f"d{i}" for i in range(20, 60)]
    trial = planning.interleaved(ASKED, past(), list_a=a, list_b=b, ends_on=date(2026, 7, 1))
    drawn = [p.dealer for p in trial.places if p.is_drawn and p.side == "a"]
    visits = pd.DataFrame(
        {
            "dealer": drawn[:6],
            "office": "office00",
            "opened_on": pd.Timestamp("2026-02-01"),
            "is_closed": [True] * 5 + [False],
            "y": [1.0] * 6,
        }
    )
    found = reading.read(trial, visits, today=trial.looks[-1].on)
    assert found.difference.rate_a == 5 / 10
    assert found.difference.rate_b == 0.0
    assert (found.n_open, found.n_unvisited) == (1, 14)
    assert trial.share == 0.5
    said = in_words(trial, found)
    assert "0.500 and usual practice 0.000 severe findings a drawn place, visited or not" in said
    assert "50% of a list, so whole lists differ by +0.250 a place" in said
    assert "findings a visit" not in said


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path))
    visits = past()
    rows = pd.DataFrame(
        {
            "inspection_id": [f"I{i}" for i in range(len(visits))],
            "dealer": [f"1-54-{i:05d}" for i in range(len(visits))],
            "kind": "compliance",
            "opened_on": visits["opened_on"].dt.date,
            "closed_on": (visits["opened_on"] + pd.Timedelta(days=20)).dt.date,
            "selected_by": "risk",
            "office": visits["office"],
            "outcome": np.where(visits["y"] > 0, "warning_conference", "none"),
        }
    )
    rows.to_parquet(tmp_path / "inspections.parquet", index=False)
    ingest([tmp_path / "inspections.parquet"], tmp_path / "warehouse")
    return tmp_path


PLAN = [
    "trial", "plan", "spring", "--question", "Does the list find more?", "--starts-on",
    "2026-01-01", "--difference", "0.05", "--pairs", "2",
]  # fmt: skip


def test_a_trial_is_kept_with_the_audit_and_a_changed_assignment_is_refused(home):
    run = CliRunner()
    made = run.invoke(app, [*PLAN, "--json"])
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    path = home / "trials" / "spring.json"
    assert path.stat().st_mode & 0o077 == 0
    assert {cell["office"] for cell in document["cells"]} == set(OFFICES)
    assert "Signed before the start" in (home / "trials" / "spring.html").read_text()

    told = run.invoke(app, ["trial", "read", "spring"])
    assert told.exit_code == 0, told.output
    again = run.invoke(app, PLAN)
    assert isinstance(again.exception, FflRiskError)
    assert "planned already" in str(again.exception)

    path.write_text(path.read_text().replace('"arm": "a"', '"arm": "b"', 1))
    refused = run.invoke(app, ["trial", "read", "spring"])
    assert isinstance(refused.exception, assignments.UnknownTrialError)
    assert "not the one that was planned" in str(refused.exception)


def test_lists_of_files_are_interleaved(home):
    for name, dealers in (("a", range(30)), ("b", range(10, 40))):
        lines = ["# a remark", "position,dealer", *(f"{i},1-54-{i:05d}" for i in dealers)]
        (home / f"{name}.csv").write_text("\n".join(lines))
    lists = ["--list-a", str(home / "a.csv"), "--list-b", str(home / "b.csv")]
    made = CliRunner().invoke(app, [*PLAN, *lists, "--ends-on", "2026-07-01", "--json"])
    assert made.exit_code == 0, made.output
    places = json.loads(made.stdout)["places"]
    assert sum(place["is_drawn"] for place in places) == 30
    refused = CliRunner().invoke(app, ["trial", "plan", "other", *PLAN[3:], *lists])
    assert "last day" in str(refused.exception)


def test_the_protocol_says_what_is_signed():
    text = protocol(planned(n_looks=2))
    for said in ("intention to treat", "seed 7", "the list", "usual practice", "80%"):
        assert said in text
    assert "<table>" in protocol_page(planned())


@pytest.mark.parametrize(
    "name", ["../etc/passwd", "", "1st", "a" * 41, "a b"],
)  # fmt: skip
def test_names_that_are_no_names_are_refused(name):
    with pytest.raises(InvalidRequestError, match="name of the trial"):
        replace(ASKED, trial_id=name)


def drawn_frames(seed, effect, *, n=400, n_drawn=40, n_lists=6, mean=1.5):
    """Counts as uneven as traces are: most dealers have none."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n_lists):
        y = rng.negative_binomial(0.4, 0.4 / (0.4 + mean), n).astype(float)
        is_drawn = np.zeros(n, dtype=bool)
        is_drawn[rng.permutation(n)[:n_drawn]] = True
        # Each firearm of a visited dealer is averted with the same chance.
        y[is_drawn] = rng.binomial(y[is_drawn].astype(int), 1.0 - effect)
        out.append((y, is_drawn))
    return out


@pytest.mark.slow
def test_what_is_averted_is_held_by_the_interval_and_stated_where_it_tells():
    held = [
        (d.low <= -0.4 * 1.5 <= d.high, d.can_be_said)
        for d in (averts.averted(drawn_frames(seed, 0.4)) for seed in range(300))
    ]
    assert np.mean([h for h, _ in held]) > 0.93
    assert np.mean([said for _, said in held]) > 0.8
    nothing = [averts.averted(drawn_frames(seed, 0.0)).can_be_said for seed in range(300)]
    assert np.mean(nothing) < 0.07


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "n_drawn", "n_lists"), [(0.05, 40, 1), (0.2, 8, 8)])
def test_of_rare_traces_nothing_is_said_more_often_than_chance_allows(mean, n_drawn, n_lists):
    """Variances of a few dozen rare counts said "averted" of nothing in one trial of six."""
    said = [
        averts.averted(drawn_frames(s, 0.0, n=2000, n_drawn=n_drawn, n_lists=n_lists, mean=mean))
        for s in range(200)
    ]
    for is_one_way in ([d.high < 0 for d in said], [d.low > 0 for d in said]):
        assert np.mean(is_one_way) <= 0.05  # 2.5% nominal; more is a one in fifty event


def test_no_trace_at_all_averts_nothing():
    y, drawn = np.zeros(400), np.arange(400) < 40
    assert not averts.averted([(y, drawn)]).can_be_said


def test_few_drawn_dealers_say_nothing():
    few = averts.averted(drawn_frames(1, 0.9, n_drawn=4, n_lists=2))
    assert not few.can_be_said
    assert "cannot be said" in averted_in_words(few, n_lists=2)
    assert averts.averted([]) is None
    assert "cannot be said" in averted_in_words(None, n_lists=0)
    clear = averts.Averted(-0.6, -0.9, -0.3, 1.5, 240, 2000)
    assert "0.60 (+0.30 to +0.90) fewer" in averted_in_words(clear, n_lists=6)


def test_the_frame_of_a_draw_is_who_could_have_been_drawn(service, monkeypatch):
    monkeypatch.setattr(Snapshot, "load", lambda home, name=None: service.runtime.snapshot)
    area = {"area": {"office": "office0"}, "k": 20, "random_share": 0.4}
    listed = service.post("/v1/rank", "inspector", area).json()
    service.post("/v1/rank", "inspector", area)  # the same draw again does not count twice
    home = service.runtime.settings.home
    (frame,) = draw_frames.frames(service.runtime.store, home, today=date(2028, 2, 1))
    assert frame.list_id == listed["list_id"]
    chosen = {row["dealer"] for row in listed["rows"] if row["why"] == ["random"]}
    assert set(frame.dealer[frame.is_drawn]) == chosen
    (probability,) = {
        row["inclusion_probability"] for row in listed["rows"] if row["why"] == ["random"]
    }
    assert len(chosen) / len(frame.dealer) == pytest.approx(probability)
    certain = {row["dealer"] for row in listed["rows"]} - chosen
    assert not certain & set(frame.dealer)
    assert not list(draw_frames.frames(service.runtime.store, home, today=date(2027, 12, 1)))
    # Without an area each office is asked for its own: a frame of its own, and one of the same.
    own = {"k": 20, "random_share": 0.4}
    west, _ = (
        service.post("/v1/rank", who, own).json()["list_id"]
        for who in ("inspector_west", "inspector")
    )
    frames = draw_frames.frames(service.runtime.store, home, today=date(2028, 2, 1))
    assert [one.list_id for one in frames] == [listed["list_id"], west]


def test_a_dealer_counts_in_one_frame_of_a_period_whatever_tables_and_areas(service, monkeypatch):
    """A state's list beside an office's brought the same drawn dealers as if independent."""
    monkeypatch.setattr(Snapshot, "load", lambda home, name=None: service.runtime.snapshot)
    for area in ({"office": "office0"}, None):
        asked = {"k": 20, "random_share": 0.4} | ({} if area is None else {"area": area})
        service.post("/v1/rank", "chief", asked)
    home = service.runtime.settings.home
    with service.runtime.store.write() as connection:  # as of another month of the same quarter
        connection.execute(LISTS.update().values(scored=LISTS.c.list_id))
    found = list(draw_frames.frames(service.runtime.store, home, today=date(2028, 2, 1)))
    assert len(found) == 2
    together = np.concatenate([frame.dealer for frame in found])
    assert len(together) == len(set(together.tolist()))
