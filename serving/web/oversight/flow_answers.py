"""What a reader of the page Flows decides first, in sentences: what stands out.

Every number is one of the flow's own; the tables of the page have the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from features.domain.number_words import counted, times
from features.insight.flows.corridors import MIN_COUNT, Corridor
from features.insight.flows.follow import Flow
from features.insight.flows.hubs import CountyHub
from features.insight.flows.places import label_of
from serving.scores.words.wording import miles

_MOST: Final = 5
_ABROAD: Final = "international"


class Answer(NamedTuple):
    """A question and what is said to it, the strongest first."""

    question: str
    said: list[str]


def flow_answers(flow: Flow) -> list[Answer]:
    """Return the questions of a flow's reader with their answers; one without any is left out."""
    lanes = [
        lane
        for lane in flow.corridors
        if lane.n >= MIN_COUNT and (low := _least(lane)) is not None and low > 1
    ]
    abroad = _first(lane_in_words(lane) for lane in lanes if lane.course == _ABROAD)
    between = _first(lane_in_words(lane) for lane in lanes if lane.course == "interstate")
    hubs = _first(county_in_words(hub) for hub in flow.counties if hub.n_mexico)
    answers = (
        Answer("Which corridors abroad are used more than sales explain?", abroad),
        Answer("Which between states?", between),
        Answer("From which counties do firearms reach Mexico?", hubs),
    )
    return [answer for answer in answers if answer.said]


def _least(lane: Corridor) -> float | None:
    """Return the low end of the excess that is said of a corridor."""
    return lane.low if lane.traced_low is None else lane.traced_low


def _first(said: Iterable[str]) -> list[str]:
    return [sentence for _, sentence in zip(range(_MOST), said, strict=False)]


def lane_in_words(lane: Corridor) -> str:
    """Say one corridor with its excess over what its sales would bring, by its tracing if told."""
    head = f"{label_of(lane.source)} to {label_of(lane.market)}: {counted(lane.n, 'trace')}"
    if lane.traced_excess is not None and lane.traced_low is not None and lane.traced_high:
        return (
            f"{head}, {times(_figure(lane.traced_excess))} what its sales and its tracing would "
            f"bring ({_figure(lane.traced_low)} to {_figure(lane.traced_high)})."
        )
    if lane.excess is None or lane.low is None or lane.high is None:
        return f"{head}."
    return (
        f"{head}, {times(_figure(lane.excess))} what sales alone would bring"
        f" ({_figure(lane.low)} to {_figure(lane.high)})."
    )


def county_in_words(hub: CountyHub) -> str:
    """Say one county by where it lies and what Mexico recovered of its dealers' firearms."""
    lies = "" if hub.km_to_line is None else f", {miles(hub.km_to_line)} from the border"
    text = f"{hub.label} ({hub.zone}{lies}): {counted(hub.n_mexico, 'Mexican trace')}"
    return f"{text}, {times(_figure(hub.excess))} its share of sales." if hub.excess else f"{text}."


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
