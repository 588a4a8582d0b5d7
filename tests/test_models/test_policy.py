import pytest

from models.errors import PolicyError
from models.policy import DEFAULT, Policy
from training.recipe import RECIPES, load_recipe


def test_every_weight_has_its_reason_and_the_review_is_dated():
    policy = Policy.read()
    assert set(policy.weights) == set(policy.reasons)
    assert all(len(reason) > 20 for reason in policy.reasons.values())
    assert policy.reviewed_on < policy.review_due


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("weight = 0.25", "weight = -1.0", "negative"),
        ("weight = 0.25", 'weight = "half"', "wrong kind"),
        ("weight = 0.25", "weight = inf", "finite"),
        ("weight = 0.25", "weight = nan", "finite"),
        ("weight = 0.25", "weigth = 0.25", "did you mean 'weight'"),
        ("per_sale = 0.5", "per_sales = 0.5", "did you mean 'per_sale'"),
        ("maximum = 0.01", "maximum = 0.01\nminimum = 0", "unknown key 'yield_cost.minimum'"),
        ("minimum = 0.005", "minimum = 0.005\nmaximum = 1", "unknown key 'support.maximum'"),
        ("citations_at_least = 1", "citations_at_least = -1", "below 1 makes every visit severe"),
        ("citations_at_least = 1", "citations_at_least = 1.5", "no whole number"),
        ("citations_at_least = 1", "citations_at_least = true", "no whole number"),
        ("firearms_at_least = 5", "firearms_at_least = 0", "below 1 makes every visit severe"),
        ("firearms_at_least = 5", "firearms_at_leats = 5", "did you mean"),
        ("per_sale = 0.5", "per_sale = 1.5", "per_sale is a share"),
        ("per_place = 1.0", "per_place = -1.0", "per_place is a share"),
        ("[support]", "[suport]", "did you mean 'support'"),
        ("minimum = 0.005", "minimum = 2", "share"),
        ("version = 6", "version = ", "no TOML"),
        ("maximum = 0.01", "maximum = 1.5", "share"),
        ('between_offices = "strictness"', 'between_offices = "strictnes"', "did you mean"),
        ("max_place_share = 0.5", "max_place_share = 5", "shares"),
        ("max_dependence = 0.15", "max_dependance = 0.15", "did you mean"),
        ("reviewed_on = 2026-11-27", 'reviewed_on = "lately"', "dates"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(old, new, words):
    text = DEFAULT.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(PolicyError, match=words):
        Policy.parse(text.replace(old, new))


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        ("warning conference", "did you mean 'warning_conference'"),
        ("none", "every visit is severe"),
        ("surrender", "no step of the ladder"),
    ],
)
def test_a_recipe_whose_policy_names_no_step_of_the_ladder_is_refused(tmp_path, outcome, words):
    text = DEFAULT.read_text(encoding="utf-8")
    (tmp_path / "own.toml").write_text(text.replace('"warning_conference"', f'"{outcome}"', 1))
    recipe = (RECIPES / "country.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(f'policy = "own.toml"\n{recipe}')
    with pytest.raises(PolicyError, match=words):
        load_recipe(str(tmp_path / "mine.toml"))


def test_a_head_without_a_weight_is_refused():
    with pytest.raises(PolicyError, match="did you mean 'compliance'"):
        Policy.read().weights_of(["complience"])


def test_heads_that_do_not_count_make_no_priority():
    with pytest.raises(PolicyError, match="No head"):
        Policy.read().weights_of(["severity"])


def test_no_file(tmp_path):
    with pytest.raises(PolicyError, match="No policy"):
        Policy.read(tmp_path / "none.toml")


def test_a_policy_without_the_section_reads_offices_as_strictness():
    text = DEFAULT.read_text(encoding="utf-8")
    older = Policy.parse(text[: text.index("[strictness]")])
    assert older.strictness.between_offices == "strictness"
    assert older.stated()["sha256"] != Policy.read().stated()["sha256"]
