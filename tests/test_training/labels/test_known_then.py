"""What a model learns is what was known on its day: corrections made since teach nobody before."""

from datetime import date
from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from features.table import FeatureTable
from training.heads import diversion
from training.heads.ahead import Ahead
from training.heads.country_history import CountryHistory
from training.labels import dated_labels as labels
from training.labels.cohort import places
from training.labels.splits import rolling
from training.progress import Steps
from training.recipe import load_recipe

DEALERS = [f"1-54-{10000 + i}" for i in range(30)]
DAYS = [date(2021, 1, 1), date(2022, 1, 1), date(2023, 1, 1)]


class LearnedError(Exception):
    """What a head was about to learn, by dealer and day."""


def history(end: date) -> CountryHistory:
    rows = pd.DataFrame(
        {"dealer": DEALERS * len(DAYS), "as_of": np.repeat(pd.to_datetime(DAYS), len(DEALERS))}
    ).astype({"as_of": "datetime64[s]"})
    splits = tuple(rolling(DAYS, horizon_months=12, n_tests=2))
    table = FeatureTable(rows, rows[[]], (), "full", "", "")
    return CountryHistory(table, splits[-1], end, pd.DataFrame(index=rows.index), splits)


def trace(number: int, dealer: str, completed: str, **more: object) -> dict[str, object]:
    return {
        "trace_id": f"T{number}", "dealer": dealer, "requested_on": completed,
        "completed_on": completed, "known_on": completed, "sold_on": "2020-06-01",
        "recovered_on": "2020-12-01", **more,
    }  # fmt: skip


def test_a_trace_counts_when_it_was_first_known_whatever_was_corrected(make_warehouse):
    """A caliber set right three years later moved the trace to the year of the correction."""
    first = [trace(i, DEALERS[i], "2021-06-01") for i in range(10)]
    again = [row | {"firearm_type": "revolver", "known_on": "2023-11-01"} for row in first]
    store, rows = make_warehouse(traces=first + again), history(date(2024, 1, 1)).rows
    found = labels.diversion(store, rows).frame
    years = found.groupby(found["as_of"].dt.year)["y"].sum()
    assert years.to_dict() == {2021: 10.0, 2022: 0.0, 2023: 0.0}


@pytest.mark.parametrize(
    ("last", "ends"),
    [
        ("2023-06-30", "2023-07-01"),  # a last window half told
        ("2023-12-01", "2024-01-01"),  # a quiet month ends no records
    ],
)
def test_traces_end_where_their_own_records_do(make_warehouse, last, ends):
    """The end was that of inspections: the traces of half a year counted for the whole."""
    days = pd.date_range("2021-01-10", last, freq="20D").strftime("%Y-%m-%d")
    rows = [trace(i, DEALERS[i % 30], day) for i, day in enumerate([*days, last])]
    store, until = make_warehouse(traces=rows), date(2024, 1, 1)
    assert diversion.traces_end(store, until).isoformat() == ends
    said = StringIO()
    steps = Steps(Console(file=said))
    recipe = load_recipe("country")
    splits = diversion._told(
        recipe, recipe.head("diversion"), history(until), date.fromisoformat(ends), steps
    )
    assert [s.test_as_of[0].year for s in splits] == ([2022] if "07" in ends else [2022, 2023])
    found = diversion._counted(
        recipe, recipe.head("diversion"), store, history(until).rows, until,
        date.fromisoformat(ends),
    )  # fmt: skip
    assert found.frame["as_of"].dt.year.max() == splits[-1].test_as_of[0].year
    assert bool(said.getvalue()) == ("07" in ends)


@pytest.fixture
def taught(monkeypatch):
    """Return a function that trains the diversion head and tells what each model would learn."""

    def run(warehouse, end: date) -> list[dict[str, float]]:
        seen = []

        def fit(_head, _made, counts, dealer, rows, _seed):
            seen.append(dict(zip(dealer[rows].tolist(), counts[rows].tolist(), strict=True)))
            raise LearnedError

        recipe = load_recipe("country")
        head = recipe.head("diversion").model_copy(update={"min_positive": 5})
        monkeypatch.setattr(diversion, "_fit", fit)
        monkeypatch.setattr(diversion, "design", lambda *_: None)
        with pytest.raises(LearnedError), Ahead(Steps(), at_once=1) as ahead:
            diversion.begin(recipe, head, warehouse, history(end), ahead)()
        return seen

    return run


def test_a_correction_made_later_does_not_teach_the_model_that_stood_before(make_warehouse, taught):
    """Ten short traces of 2021 whose sale was found in 2024 to be years older were learned as 0."""
    first = [trace(i, DEALERS[i], "2021-06-01") for i in range(10)]
    late = [row | {"sold_on": "2012-06-01", "known_on": "2023-11-01"} for row in first]
    others = [trace(100 + i, DEALERS[20 + i], f"202{2 + i % 2}-06-01") for i in range(10)]
    found = taught(make_warehouse(traces=first + late + others), date(2024, 1, 1))
    assert [found[0][dealer] for dealer in DEALERS[:11]] == [1.0] * 10 + [0.0]


def test_a_dealer_is_where_its_newest_listing_known_on_the_day_has_it(make_warehouse):
    """A row of 2020 corrected in 2023 left 2021 without a place, and 2024 with that of 2020."""
    row = {"dealer": DEALERS[0], "license_type": "01", "premises_city": "X"}
    georgia = {"premises_state": "GA", "county_fips": "13121"}
    texas = {"premises_state": "TX", "county_fips": "48113"}
    warehouse = make_warehouse(
        licenses=[
            row | georgia | {"listed_on": "2020-01-01", "known_on": "2020-01-01"},
            row | texas | {"listed_on": "2023-01-01", "known_on": "2023-01-01"},
            row | georgia | {"listed_on": "2020-01-01", "known_on": "2023-06-01",
                             "license_type": "02"},
        ]
    )  # fmt: skip
    days = ["2024-01-01", "2019-01-01", "2021-01-01", "2023-01-01", "2023-01-02"]
    rows = pd.DataFrame({"dealer": DEALERS[0], "as_of": pd.to_datetime(days)})
    found = places(warehouse, rows)
    assert found["state"].tolist() == ["TX", "unknown", "GA", "GA", "TX"]
    assert found["license_type"].tolist() == ["01", "unknown", "01", "01", "01"]
    assert found["county"].tolist()[:3] == ["48113", "unknown", "13121"]
