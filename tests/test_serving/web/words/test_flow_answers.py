"""The sentences above the page Flows: each number is recounted from the flow's own corridors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace

from features.insight.flows.corridors import Corridor
from features.insight.flows.hubs import CountyHub
from serving.web.oversight.flow_answers import county_in_words, flow_answers, lane_in_words


@dataclass(frozen=True)
class Told:
    corridors: tuple
    counties: tuple = ()
    as_of: date = date(2026, 1, 1)


def lane(source, market, course, n=10, *, excess=3.0, low=2.0, high=4.0):
    return Corridor(
        source=source, market=market, destination="MX", course=course, n=n, n_short=1,
        n_complete=1, per_100k_sales=None, expected=n / excess if excess else None,
        excess=excess, low=low, high=high, adjusted_low=None, adjusted_high=None, status="partial",
    )  # fmt: skip


def test_a_corridor_is_said_with_its_excess_and_interval_and_one_trace_is_one():
    said = lane_in_words(lane("AZ", "MX-SON", "international", 1674, excess=28.1, low=26.1,
                              high=29.9))  # fmt: skip
    assert said == (
        "Arizona to Sonora: 1,674 traces, 28 times what sales alone would bring (26 to 30)."
    )
    alone = lane_in_words(lane("AZ", "MX-SON", "international", 1, excess=None, low=None,
                               high=None))  # fmt: skip
    assert alone == "Arizona to Sonora: 1 trace."


def test_a_county_says_where_it_lies_and_nothing_that_is_not_known():
    hub = CountyHub("48201", "Harris County, TX", "inland", 464.0, 1043, 300, 8.0, 14.0)
    assert county_in_words(hub) == (
        "Harris County, TX (inland, 288 miles (464 km) from the border): 1,043 Mexican traces, "
        "14 times its share of sales."
    )
    alone = CountyHub("00000", "county 00000", "inland", None, 1, 0, None, None)
    assert county_in_words(alone) == "county 00000 (inland): 1 Mexican trace."


def test_only_what_is_surely_above_expected_stands_out_and_five_at_most():
    sure = [lane("TX", f"MX-{k}", "international") for k in ("TAM", "COA", "NLE", "CHH", "SON",
                                                             "SIN")]  # fmt: skip
    unsure = lane("CA", "MX-BCN", "international", low=0.9)
    answers = flow_answers(Told((unsure, *sure, lane("AZ", "CA", "interstate"))))
    assert [len(answer.said) for answer in answers] == [5, 1]
    assert not any("California to Baja" in line for answer in answers for line in answer.said)
    assert flow_answers(SimpleNamespace(corridors=(), counties=())) == []
    few = lane("NV", "MX-SON", "international", 4, excess=30.0, low=9.0, high=70.0)
    assert flow_answers(Told((few,))) == []
