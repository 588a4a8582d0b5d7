"""Inspections that find much close late; the labels known so far stand for those still open."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from models.policy import SevereFinding
from training.heads.compliance.compliance import place_labels
from training.heads.country_history import known_range
from training.labels import dated_labels as labels
from training.labels.weights.delays import CLOSING, MIN_SHARE, delay_weights

UNTIL = pd.Timestamp("2024-01-01")
RATE = 0.10


def visits(n: int = 40_000, *, seed: int = 0) -> pd.DataFrame:
    """Four years of visits, one in ten severe; those close after about 90 days, others after 30."""
    rng = np.random.default_rng(seed)
    opened = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1461, n), unit="D")
    y = (rng.random(n) < RATE).astype(float)
    delay = rng.gamma(4.0, np.where(y > 0, 90, 30) / 4.0)
    known = opened + pd.to_timedelta(np.ceil(delay), unit="D")
    frame = pd.DataFrame({"opened_on": opened, "known_on": known, CLOSING: known, "y": y})
    return frame.assign(inspection_id=[f"V{i}" for i in range(n)], dealer="1-54-00001")


def known(frame: pd.DataFrame, until: pd.Timestamp = UNTIL) -> pd.DataFrame:
    return frame[frame["known_on"] < until].reset_index(drop=True)


def test_the_newest_labels_look_clean_and_weighted_they_do_not() -> None:
    found = known(visits())
    weight = delay_weights(found, UNTIL)
    is_new = (found["opened_on"] >= UNTIL - pd.Timedelta(days=150)).to_numpy()

    naive = found["y"][is_new].mean()
    weighted = np.average(found["y"][is_new], weights=weight[is_new])

    assert naive < 0.75 * RATE
    assert weighted == pytest.approx(RATE, abs=0.01)


def test_weights_stand_for_the_visits_still_open() -> None:
    everything = visits()
    found = known(everything)
    weight = delay_weights(found, UNTIL)
    first = UNTIL - pd.Timedelta(days=200)
    last = found["opened_on"][weight > 0].max()

    opened = everything["opened_on"].between(first, last).sum()

    assert weight[found["opened_on"].between(first, last)].sum() == pytest.approx(opened, rel=0.02)


def test_visits_long_closed_count_once_and_the_newest_not_at_all() -> None:
    found = known(visits())
    weight = delay_weights(found, UNTIL)
    age = (UNTIL - found["opened_on"]).dt.days

    assert weight[age > 400] == pytest.approx(1.0)
    assert (weight[age < 20] == 0).all()
    assert weight.max() <= 1 / MIN_SHARE


def test_what_becomes_known_later_changes_no_weight() -> None:
    everything = visits()
    later = everything["known_on"] >= UNTIL
    everything.loc[later, "y"] = 1.0 - everything.loc[later, "y"]

    changed = delay_weights(known(everything), UNTIL)

    assert changed.tolist() == delay_weights(known(visits()), UNTIL).tolist()


def test_few_settled_visits_of_an_outcome_leave_all_weights_at_one() -> None:
    found = known(visits(150))

    assert delay_weights(found, UNTIL).tolist() == [1.0] * len(found)


def test_cutting_labels_weighs_them_anew() -> None:
    frame = visits().assign(as_of=pd.Timestamp("2020-01-01"), graded=0.0)
    whole = labels.Labels(frame.assign(delay_weight=1.0), "severe", 12)

    cut = whole.known_before(UNTIL.date())

    assert cut.frame["delay_weight"].tolist() == delay_weights(known(frame), UNTIL).tolist()
    assert cut.frame["delay_weight"].max() > 1


def test_a_visit_too_new_to_tell_is_as_if_nobody_had_looked() -> None:
    rows = pd.DataFrame({"dealer": ["A", "B", "C"], "as_of": pd.Timestamp("2023-01-01")})
    found = rows.iloc[:2].assign(
        y=1.0, graded=0.5, selected_by="random", delay_weight=[2.0, 0.0], office="111222",
        investigator="p1",
    )  # fmt: skip

    looked = place_labels(rows, labels.Labels(found, "severe", 12))

    assert looked.is_inspected.tolist() == [True, False, False]
    assert looked.is_random.tolist() == [True, False, False]
    assert looked.y.tolist() == [1.0, 0.0, 0.0]
    assert looked.delay_weight.tolist() == [2.0, 0.0, 0.0]
    assert looked.investigator.tolist() == ["p1", "", ""]


def test_labels_read_as_known_then_are_weighted_as_of_then(make_warehouse) -> None:
    rng = np.random.default_rng(1)
    made = []
    for i in range(600):
        opened = pd.Timestamp("2020-01-02") + pd.Timedelta(days=int(rng.integers(0, 1000)))
        is_severe = i % 3 == 0
        closed = opened + pd.Timedelta(days=int(rng.gamma(4, 25 if is_severe else 6)) + 1)
        made.append({
            "inspection_id": f"V{i}", "dealer": f"1-54-{i:05d}", "opened_on": f"{opened:%Y-%m-%d}",
            "closed_on": f"{closed:%Y-%m-%d}",
            "outcome": "warning_conference" if is_severe else "none",
        })  # fmt: skip
    warehouse = make_warehouse(inspections=made)
    rule = SevereFinding("warning_conference", 1, 11)
    dates = [date(2020, 1, 1), date(2021, 1, 1), date(2022, 1, 1)]

    then = labels.compliance(warehouse, dates, rule=rule, known_before=date(2022, 9, 1)).frame
    cut = labels.compliance(warehouse, dates, rule=rule).known_before(date(2022, 9, 1)).frame

    assert then["delay_weight"].max() > 1
    assert then["delay_weight"].tolist() == pytest.approx(cut["delay_weight"].tolist())


def test_a_detail_corrected_later_neither_delays_a_closing_nor_shortens_the_history(
    make_warehouse,
) -> None:
    """Severe visits of which some were corrected after 200 days stood for 1.35 visits each."""
    made, again = [], []
    for i in range(400):
        opened = pd.Timestamp("2020-01-02") + pd.Timedelta(days=3 * i)
        closed = opened + pd.Timedelta(days=60)
        made.append({
            "inspection_id": f"V{i}", "dealer": f"1-54-{i:05d}", "opened_on": f"{opened:%Y-%m-%d}",
            "closed_on": f"{closed:%Y-%m-%d}", "known_on": f"{closed:%Y-%m-%d}",
            "outcome": "none" if i % 4 else "warning_conference",
        })  # fmt: skip
        if i % 8 == 0:
            late = closed + pd.Timedelta(days=200)
            again.append(made[-1] | {"hours": 30, "known_on": f"{late:%Y-%m-%d}"})
    # The export comes again as a whole when offices have new names.
    renamed = [row | {"office": "763026", "known_on": "2024-06-01"} for row in made]
    rule = SevereFinding("warning_conference", 1, 11)
    store = make_warehouse(inspections=made + again + renamed)
    first = [date(2022, 1, 1)]

    then = labels.compliance(store, first, rule=rule, known_before=date(2023, 1, 1)).frame
    now = labels.compliance(
        store, first, rule=rule, known_before=date(2024, 6, 2), records_to=date(2023, 7, 1)
    )

    assert len(then) > 50
    assert set(then["delay_weight"]) == {1.0}
    assert set(now.frame["delay_weight"]) == {1.0}
    assert (now.frame["office"] == "763026").all()
    end = pd.Timestamp(made[-1]["closed_on"]).date() + timedelta(days=1)
    assert known_range(store) == (date(2020, 3, 2), end)
