"""Parts of the pages without a service: the atlas, filters, charts, a model card as text."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from serving.scores.words.reason_sentences import lack_unsaid
from serving.scores.words.wording import wording
from serving.web import atlas, charts
from serving.web.lists.pages import Ask, filtered
from serving.web.oversight.model import _calibration, card_html
from serving.web.sign_in.form import forget_cookie, set_cookie
from serving.web.sign_in.visitor import cookie_of


def test_the_atlas_puts_each_county_center_within_its_county_box():
    from features import reference

    counties, boxes = reference.counties().dropna(subset=["lat"]), atlas.shapes("counties").boxes
    places = atlas.project(counties["lat"], counties["lon"])
    n = 0
    for code, (x, y) in zip(counties.index, places, strict=True):
        if code in boxes and x == x:
            x0, y0, x1, y1 = boxes[code]
            assert x0 - 15 <= x <= x1 + 15, code
            assert y0 - 15 <= y <= y1 + 15, code
            n += 1
    assert n > 3_000


def test_filters_and_orders_of_a_list():
    def row(position, name, state, why, before):
        return {
            "position": position, "dealer": f"d{position}", "license_number": "", "zip": "",
            "business_name": name, "licensee_name": "", "city": "C", "state": state, "why": [why],
            "license_type": "01", "reasons": [{"family": "traces"}], "last_inspected_on": None,
            "heads": {"h": {"value": position / 10}}, "change": {"previous_position": before},
        }  # fmt: skip

    rows = [row(1, "Beta", "TX", "model", 5), row(2, "alpha", "AZ", "random", None)]
    assert [r["position"] for r in filtered(rows, Ask(sort="name"), {})] == [2, 1]
    assert [r["position"] for r in filtered(rows, Ask(sort="score"), {})] == [2, 1]
    assert [r["position"] for r in filtered(rows, Ask(sort="moved"), {})] == [1, 2]
    assert filtered(rows, Ask(why="random", state="AZ"), {}) == [rows[1]]
    assert filtered(rows, Ask(family="losses"), {}) == []
    assert filtered(rows, Ask(q="BETA c"), {}) == [rows[0]]
    assert Ask(sort="name", page=2).query(page=3) == "sort=name&page=3"


def test_markup_in_a_model_card_stays_text():
    html = card_html("# Title\n\n<script>x</script> [a](javascript:x) ![i](http://evil/x.png)\n")
    assert "<h3>Title</h3>" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "<a " not in html


def test_round_steps_cover_what_they_must():
    for highest in (0.0007, 0.034, 0.2, 1.0, 7.3, 12_345.0):
        steps = charts.nice_steps(highest)
        assert steps[0] == 0
        assert steps[-1] >= highest
        assert 4 <= len(steps) <= 7


@pytest.mark.parametrize("is_https", [True, False])
def test_behind_https_a_cookie_goes_over_nothing_else(is_https):
    answer = Response()
    runtime = SimpleNamespace(settings=SimpleNamespace(is_https=is_https))
    set_cookie(answer, runtime, "session", "secret", hours=1)
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert ("secure" in parts) is is_https
    # By this name no neighboring host can plant one (RFC 6265bis), nor is it forgotten otherwise.
    name = "__Host-session" if is_https else "session"
    assert answer.headers["set-cookie"].startswith(f"{name}=secret;")
    gone = Response()
    forget_cookie(gone, runtime, "session")
    assert gone.headers["set-cookie"].startswith(f'{name}="";')
    assert ("secure" in gone.headers["set-cookie"].lower()) is is_https
    sent = {"type": "http", "headers": [(b"cookie", f"{name}=own; session=x".encode())]}
    request = Request(sent | {"app": SimpleNamespace(state=SimpleNamespace(runtime=runtime))})
    assert cookie_of(request, "session") == ("own" if is_https else "x")


@pytest.mark.parametrize(("head", "is_chance"), [("compliance", True), ("mexico", False)])
def test_a_count_of_firearms_is_calibrated_in_numbers_however_few_they_are(head, is_chance):
    curve = {"ece": 0.01, "predicted": [0.1, 0.37], "observed": [0.1, 0.38], "size": [9, 9]}
    chart = _calibration(head, {"calibration": curve})
    texts = {tick.text for tick in (*chart.x_ticks, *chart.y_ticks)}
    assert any("%" in text for text in texts) == is_chance
    assert ("given the same chance" in chart.help) == is_chance


def test_what_a_family_shows_adds_up_to_its_total():
    moves = [0.4, -0.1, 0.004, 0.0049, 0.0]
    items = [{"family": "traces", "contribution": moved} for moved in moves]
    items.append({"family": "tips", "contribution": 0.001})
    why = {"by_family": {"traces": sum(moves), "tips": 0.001}, "contributions": items}
    families, _ = charts.families(why)
    for one in families:
        shown = sum(item["contribution"] for item in one.signals)
        assert shown + one.small == pytest.approx(one.total)
    assert [(one.name, len(one.signals), one.n_small) for one in families] == [
        ("traces", 2, 3), ("tips", 0, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("signal", "sentence", "missing", "is_shown"),
    [
        ("volume_county_share_1y", "An unknown share: nothing to measure.", "nothing to measure",
         False),
        ("traces_trend_1y", None, "nothing happened that it could be measured on", False),
        ("traces_trend_1y", "Trend of traces: not known.", "too few cases to say", True),
        ("traces_trend_1y", "Traces at about 2 times the level.", None, False),
    ],
)  # fmt: skip
def test_why_a_value_is_missing_is_said_once(signal, sentence, missing, is_shown):
    said = sentence or f"{wording(signal, {'name': signal}).nothing}."
    assert len(said) > 1
    item = {"signal": signal, "sentence": said, "missing": missing}
    assert lack_unsaid(item) == is_shown
