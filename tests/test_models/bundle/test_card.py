from datetime import date

from models import Policy
from models.bundle.card import Card


def card(restriction: str = "public", **more) -> str:
    heads = {"compliance": "P(severe finding | inspection)", "diversion": "traces in a year"}
    return Card("test", date(2024, 1, 1), restriction, heads, **more).markdown(Policy.read())


def test_a_card_says_first_what_a_score_is_not():
    assert card().index("A score is not evidence") < card().index("## Intended use")


def test_a_card_says_who_may_see_it():
    assert "may be shown outside law enforcement" in card()
    assert "stays inside law enforcement" in card("restricted")


def test_metrics_and_limits_are_filled_in_and_bars_do_not_break_tables():
    text = card(
        metrics={"compliance": {"AUC": 0.712345}}, limits=["Nothing after 2017."], data={"rows": 9}
    )
    assert "| AUC | 0.7123 |" in text
    assert "- Nothing after 2017." in text
    assert "P(severe finding \\| inspection)" in text
    assert "Nothing was measured." not in text
