"""Recipes are read strictly: what is misspelled is refused, not ignored."""

from pathlib import Path

import pytest

from training.errors import RecipeError
from training.recipe import RECIPES, load_recipe


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_shipped_recipes_name_signals_that_exist(name):
    from features.signals.variants import select

    recipe = load_recipe(name)
    known = {signal.name for signal in select(variant=recipe.variant)}
    assert recipe.cannot_say
    for head in recipe.heads:
        assert set(head.signals) <= known


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_no_recipe_reads_who_inspects(name):
    for head in load_recipe(name).heads:
        assert not [s for s in head.signals if "office" in s or "division" in s or "invest" in s]


def test_a_near_miss_is_suggested():
    with pytest.raises(RecipeError, match="did you mean 'public_records'"):
        load_recipe("public_record")


def edited(tmp_path: Path, old: str, new: str) -> str:
    text = (RECIPES / "public_records.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return str(path)


def test_a_recipe_of_ones_own_is_read_from_its_path(tmp_path):
    recipe = load_recipe(edited(tmp_path, 'name = "public_records"', 'name = "mine"'))
    assert recipe.model_name == "ffl-risk-mine"
    assert recipe.head("severity").label == "severity"
    with pytest.raises(RecipeError, match="did you mean 'severity'"):
        recipe.head("severit")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("capacity = 0.10", "capacty = 0.10", "evaluation.capacty"),
        ("capacity = 0.10", "capacity = 1.5", "evaluation.capacity"),
        ("seed = 20130601", "", "seed"),
        ("seed = 20130601", "seed = -1", "seed"),
        ("seed = 20130601", "seed = 1\nevery_months = 0", "every_months"),
        ("seed = 20130601", "seed = 1\nn_as_of = 0", "n_as_of"),
        ("seed = 20130601", "seed = 1\nhorizon_months = -12", "horizon_months"),
        ('name = "severity"', 'name = "later_penalized"', "two heads have one name"),
        ('label = "severity"', 'label = "weather"', "label"),
        ("[evaluation]", "[evaluation", "not TOML"),
    ],
)
def test_bad_recipes_are_refused_where_they_are_wrong(tmp_path, old, new, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(edited(tmp_path, old, new))


def of_country(tmp_path: Path, **changed: str) -> str:
    """Write the recipe of a country with other top keys; an empty one is left out."""
    lines = (RECIPES / "country.toml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.split(" = ")[0] not in changed]
    added = [f"{key} = {value}" for key, value in changed.items() if value]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join([*added, *kept]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("horizon", ["", "6", "24"])
def test_windows_do_not_overlap_unless_told(tmp_path, horizon):
    """Dates stood six months apart and windows were twelve long: each visit was two labels."""
    recipe = load_recipe(of_country(tmp_path, every_months="", horizon_months=horizon))
    assert recipe.every_months == recipe.horizon_months == int(horizon or 12)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("every_months", "6", "windows overlap, and a visit counts twice"),
        ("license_types", '["01"]', "license_types narrows no head of a country"),
        ("as_of", "2020-01-01", "as_of is no date of a rolling recipe"),
    ],
)
def test_what_a_country_cannot_heed_is_refused(tmp_path, key, value, message):
    with pytest.raises(RecipeError) as raised:
        load_recipe(of_country(tmp_path, **{key: value}))
    assert message in str(raised.value)
