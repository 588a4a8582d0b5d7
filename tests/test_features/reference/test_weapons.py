"""The class of a traced firearm, by what is written of it."""

from datetime import date

import duckdb
import pyarrow as pa
import pytest

from features.reference.weapons import class_sql


def class_of(caliber, flag, kind="rifle"):
    row = {
        "caliber": caliber, "is_fifty_caliber": flag, "is_semiautomatic_rifle": False,
        "firearm_type": kind, "serial_status": "legible", "outcome": "purchaser",
        "requested_on": date(2024, 1, 1),
    }  # fmt: skip
    types = {"caliber": pa.string(), "is_fifty_caliber": pa.bool_()}
    columns = {name: pa.array([value], types.get(name)) for name, value in row.items()}
    relation = duckdb.arrow(pa.table(columns)).project(class_sql())
    return relation.fetchall()[0][0]


@pytest.mark.parametrize(
    "caliber",
    ["50", ".50", ".50 BMG", "50BMG", "50 bmg", ".50-BMG", ".50 CAL", "50 Cal. BMG", "CAL .50",
     "12.7x99", "12.7 X 99", "12,7x99 mm NATO", "12.7x99mm", ".50 Browning", " .50 BMG "],
)  # fmt: skip
def test_fifty_caliber_in_any_spelling(caliber):
    assert class_of(caliber, None) == "fifty_caliber"


@pytest.mark.parametrize(
    "caliber",
    [".500 S&W", "500", ".50 AE", ".50 BEOWULF", ".50-70", ".50-90 SHARPS", ".50 GI", "5.56",
     "12.7X55", "12.7x108", "", "5", None],
)  # fmt: skip
def test_others_that_begin_with_fifty_are_none(caliber):
    assert class_of(caliber, None) == "other_rifle"


def test_what_the_flag_says_counts_before_the_caliber():
    assert class_of(".50 BMG", False) == "other_rifle"
    assert class_of("unreadable", True) == "fifty_caliber"


def test_only_a_rifle_is_one():
    assert class_of(".50 AE", None, "pistol") == "handgun"
    assert class_of("50 BMG", True, "pistol") == "handgun"
