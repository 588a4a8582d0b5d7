"""A training says what it lacks before it builds anything."""

from datetime import date, timedelta

import pytest

from models.errors import PolicyError
from models.policy import DEFAULT
from training.errors import OneClassError, RecipeError, TooFewLabelsError
from training.heads.checks import check_country, check_recipe
from training.heads.country_history import plan
from training.labels.funnel import Funnel, Stage, label_funnel
from training.progress import Steps
from training.recipe import RECIPES, load_recipe

COUNTRY = (RECIPES / "country.toml").read_text(encoding="utf-8")


def inspections(n: int, *, severe: int, kind: str = "compliance") -> list[dict[str, object]]:
    """One inspection of each of `n` dealers over six years, the severe evenly among them."""
    rows = []
    for i in range(n):
        opened = date(2018, 1, 10) + timedelta(days=(i * 365 * 6) // n)
        rows.append(
            {
                "inspection_id": f"I{i}",
                "dealer": f"1-54-{10000 + i}",
                "kind": kind,
                "opened_on": opened.isoformat(),
                "closed_on": (opened + timedelta(days=30)).isoformat(),
                "outcome": "revocation" if (i + 1) * severe // n > i * severe // n else "none",
            }
        )
    return rows


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('+traces_n_3y"', '+traces_n_33y"', "did you mean 'traces_n_3y'"),
        ("+losses_reports_1y>=1", "+losses_report_1y>=1", "did you mean"),
        ("n_repeats = 1", "n_repeat = 1", "did you mean 'n_repeats'"),
        ("min_positive = 25", 'min_positive = 25\nsignals = ["traces_n_33y"]', "did you mean"),
        ("min_positive = 25", 'min_positive = 25\nfamilies = ["trace"]', "did you mean"),
    ],
)
def test_what_a_recipe_cannot_mean_is_refused_before_anything_is_built(tmp_path, old, new, words):
    assert old in COUNTRY
    path = tmp_path / "own.toml"
    path.write_text(COUNTRY.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RecipeError, match=words):
        check_recipe(load_recipe(str(path)))


@pytest.mark.parametrize("name", ["country", "public_records"])
def test_the_recipes_that_ship_pass(name):
    check_recipe(load_recipe(name))


def test_a_policy_is_read_from_its_path_beside_the_recipe(tmp_path):
    text = DEFAULT.read_text(encoding="utf-8").replace("weight = 1.0", "weight = 2.0", 1)
    (tmp_path / "own_policy.toml").write_text(text, encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text('policy = "own_policy.toml"\n' + COUNTRY, encoding="utf-8")
    policy = load_recipe(str(path)).read_policy()
    assert policy.weights["compliance"] == 2.0
    assert policy.stated() != load_recipe("country").read_policy().stated()
    (tmp_path / "own_policy.toml").write_text("version = 1", encoding="utf-8")
    with pytest.raises(PolicyError, match="lacks a value"):
        load_recipe(str(path))


def test_the_funnel_counts_every_step(make_warehouse):
    rows = inspections(300, severe=60)
    rows += [row | {"inspection_id": f"R{i}", "kind": "recall"} for i, row in enumerate(rows[:20])]
    funnel = label_funnel(
        make_warehouse(inspections=rows),
        (date(2021, 1, 1), date(2022, 1, 1)),
        rule=load_recipe("country").read_policy().severe_finding,
        trained_on=date(2022, 7, 1),
        horizon_months=12,
    )
    counts = [stage.count for stage in funnel.stages]
    assert counts[:2] == [320, 300]
    assert counts[1] > counts[2] > counts[3] >= counts[4] > counts[5]
    assert all(stage.change for stage in funnel.stages)
    # What was opened on an as-of date itself belongs to no window.
    assert funnel.stages[2].name == "opened from 2021-01-02 to 2023-01-01"


def test_too_few_labels_name_the_step_that_lost_them(make_warehouse):
    store = make_warehouse(inspections=inspections(300, severe=200, kind="application"))
    with pytest.raises(TooFewLabelsError, match="kind = compliance"):
        check_country(load_recipe("country"), store, Steps())


@pytest.mark.parametrize(
    ("severe", "says"),
    [
        (range(255, 300), "train again when another has passed"),  # all in the year that judges
        (range(0, 300, 50), "see that outcomes and violations are ingested"),  # six in all
    ],
)
def test_findings_that_come_late_or_are_rare_are_not_blamed_on_the_windows(
    make_warehouse, severe, says
):
    """All findings in the last year were answered with "ask for more as-of dates"."""
    rows = inspections(300, severe=0)
    for i in severe:
        rows[i]["outcome"] = "revocation"
    with pytest.raises(TooFewLabelsError) as refused:
        check_country(load_recipe("country"), make_warehouse(inspections=rows), Steps())
    assert says in str(refused.value)
    assert "  " not in str(refused.value.found)


def test_a_last_year_without_a_severe_finding_is_told_before_signals_are_built(make_warehouse):
    """All findings in an earlier year were refused after minutes, as labels that are the same."""
    rows = inspections(600, severe=0)
    for row in rows[300:360]:
        row["outcome"] = "revocation"
    with pytest.raises(OneClassError, match="none found anything severe") as refused:
        check_country(load_recipe("country"), make_warehouse(inspections=rows), Steps())
    assert "0 of them severe" in str(refused.value)
    assert "The newest window cannot judge" in str(refused.value)


def test_without_traces_the_heads_that_count_them_are_left_out_and_named(make_warehouse):
    store = make_warehouse(inspections=inspections(600, severe=300))
    found = check_country(load_recipe("country"), store, Steps())
    assert [head.name for head in found.heads] == ["compliance"]
    assert set(found.left_out) == {"diversion", "mexico"}


def traced(n: int, *, country: str) -> list[dict[str, object]]:
    """One firearm of each of `n` dealers a year, traced half a year after it was sold."""
    return [
        {
            "trace_id": f"T{i}{country}{year}",
            "dealer": f"1-54-{10000 + i}",
            "sold_on": f"{year}-01-05",
            "recovered_on": f"{year}-06-05",
            "requested_on": f"{year}-06-07",
            "completed_on": f"{year}-06-20",
            "recovery_country": country,
            "requester": "X",
            "outcome": "purchaser",
        }
        for i in range(n)
        for year in range(2018, 2024)
    ]


@pytest.mark.parametrize(("n_mexican", "left_out"), [(0, {"mexico"}), (3, {"mexico"}), (30, set())])
def test_a_head_whose_traces_are_too_few_is_left_out_and_its_count_said(
    make_warehouse, n_mexican, left_out
):
    """A country whose firearms never turn up in Mexico was refused after minutes of training."""
    store = make_warehouse(
        inspections=inspections(600, severe=300),
        traces=traced(60, country="US") + traced(n_mexican, country="MX"),
    )
    found = check_country(load_recipe("country"), store, Steps())
    assert set(found.left_out) == left_out
    # Three windows end before the last judged year begins.
    assert all(f"{n_mexican * 3} labels" in why for why in found.left_out.values())


@pytest.mark.parametrize(("n_years", "is_enough"), [(2, False), (3, False), (4, True)])
def test_a_history_too_short_is_told_how_long_it_must_be(make_warehouse, n_years, is_enough):
    """Two years of inspections were told that more than 12 months are wanted."""
    rows = [
        row
        for row in inspections(600, severe=300)
        if row["opened_on"] < f"{2018 + n_years}-01-01"  # type: ignore[operator]
    ]
    rows = [row | {"outcome": "revocation" if i % 3 else "none"} for i, row in enumerate(rows)]
    store = make_warehouse(inspections=rows)
    if is_enough:
        check_country(load_recipe("country"), store, Steps())
        return
    with pytest.raises(TooFewLabelsError, match=f"{n_years * 12 - 1} months") as told:
        check_country(load_recipe("country"), store, Steps())
    assert "36 months" in told.value.expected


def listed_on(day: str) -> dict[str, object]:
    return {
        "dealer": "1-54-10000",
        "license_number": "1-54-001-01-9A-10000",
        "license_type": "01",
        "listed_on": day,
        "premises_city": "BRISTOL",
        "premises_state": "VA",
        "premises_zip": "24201",
        "county_fips": "51520",
    }


@pytest.mark.parametrize(("listed", "first"), [("2017-03-01", 2020), ("2021-02-10", 2022)])
def test_nothing_is_asked_of_days_before_the_first_listing(make_warehouse, listed, first):
    """Inspections older than the listings had the training refused, whatever came after."""
    store = make_warehouse(inspections=inspections(600, severe=300), licenses=[listed_on(listed)])
    assert min(plan(load_recipe("country"), store).as_of).year == first


def test_listings_too_young_to_learn_from_are_named(make_warehouse):
    store = make_warehouse(
        inspections=inspections(600, severe=300), licenses=[listed_on("2023-12-01")]
    )
    with pytest.raises(TooFewLabelsError, match="dealers are listed from 2023-12-01 on"):
        check_country(load_recipe("country"), store, Steps())


def test_findings_that_came_too_late_to_learn_from_are_said_to_lie_in_the_newest_window():
    """A window is as long as the recipe says, which need not be a year."""
    early, late = (
        Funnel((Stage("step", 99, "wait"),) * 5 + (Stage("severe", n, ""),)) for n in (20, 33)
    )
    with pytest.raises(TooFewLabelsError) as refused:
        early.require(n_severe=25, what="compliance", later=late)
    assert "33 are severe with the newest window" in (refused.value.fix or "")
    assert "year" not in (refused.value.fix or "")
