"""The model page: the card, how well the model did, and how to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from starlette.responses import Response

from models.order.restraint import Restraint
from serving.api.callers import Caller
from serving.insight.best_rule import ALONE, best_rule, judged_order
from serving.scores.words.wording import RATES, head_label, percent
from serving.statements import with_gates
from serving.web.charts import Axes, LineChart, nice_steps
from serving.web.oversight.evidence import evaluation_of, report_of
from serving.web.oversight.model_answers import answers, order_label
from serving.web.rendering import page, rule_label, upper_first

if TYPE_CHECKING:
    from markdown_it.token import Token
from serving.web.sign_in.visitor import PageRoute, may

_MOST_ROWS: Final = 15
_MOST_ENDS: Final = 10
_LIST_GAIN: Final = "Gain: the list, as it is published"
_WAYS: Final[Mapping[str, str]] = {
    "license_type": "type", "rurality": "area", "size": "sales:",
}  # fmt: skip
router = APIRouter(route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True)
class Table:
    """A table with a sentence of reading help."""

    id: str
    heading: str
    help: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@router.get("/model")
async def show(request: Request, caller: Annotated[Caller, Depends(may("measures"))]) -> Response:
    """Show what ranks the dealers and how well it does."""
    await caller.record("model")
    return await asyncio.to_thread(_show, request, caller)


def _show(request: Request, caller: Caller) -> Response:
    snapshot = caller.runtime.snapshot
    manifest = snapshot.bundle.manifest
    evaluation = evaluation_of(caller.runtime) or {}
    heads: Mapping[str, Any] = evaluation.get("heads", {})
    in_force = {name: entry for name, entry in heads.items() if name in snapshot.heads}
    # As restrained: what a head has in the priority, not what the policy would give it at most.
    weights = snapshot.bundle.weights
    restraint = Restraint.of_manifest(manifest).in_words()
    facts = [
        *_days(manifest),
        ("Scores on records before", str(snapshot.as_of)),
        ("Signals", f"{len(snapshot.bundle.signals)}"),
        ("Predicts, with its weight in the priority", "; ".join(
            f"{head_label(n)} (weight {weights[n]:g})" if n in weights else head_label(n)
            for n in snapshot.heads)),
        *([("How far what is beside findings counts", restraint)] if restraint else []),
        ("Restriction", snapshot.restriction),
        ("Code", str(manifest.get("git_commit", "unknown"))[:12]),
    ]  # fmt: skip
    order, capacity = judged_order(evaluation), float(evaluation.get("capacity", 0.1))
    charts = [
        chart
        for chart in (
            *([_gain("", order)] if order is not None else []),
            *(
                chart
                for name, entry in in_force.items()
                for chart in (_gain(name, entry), _calibration(name, entry))
            ),
        )
        if chart is not None
    ]
    tables = [
        *([_rules("", order, capacity), *_groups(order)] if order is not None else []),
        *(_rules(name, entry, capacity) for name, entry in in_force.items()),
        *_reports(caller),
    ]
    return page(
        request, "model.html", title="Model", active="model", me=caller.principal, facts=facts,
        charts=charts, tables=tables, answers=answers(caller, in_force, evaluation),
        card=card_html(with_gates(getattr(snapshot.bundle, "card", ""), snapshot.judged)),
        has_evidence=bool(in_force),
    )  # fmt: skip


def _days(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Say what the model in force learned from, by the days that its card gives.

    Its newest signals are older than its newest findings, which are of the months after them.
    """
    newest = str(manifest.get("as_of") or "a day not stated")
    known = str(manifest.get("trained_on") or newest)
    return [
        ("Learned from findings known before", known),
        ("Newest signals it learned from", f"as of {newest}; what was found is of the time after"),
        ("Judged by", "models that learned from earlier findings alone; the card says which"),
    ]


def card_html(markdown: str) -> Markup:
    """Render a model card; markup inside it stays text, and its headings move two levels down."""
    from markdown_it import MarkdownIt  # slow to import

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link"])
    tokens = renderer.parse(markdown or "No card came with this bundle.")
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"
        elif token.type == "th_open":
            token.attrSet("scope", "col")
    _head_rows(tokens)
    html: str = renderer.renderer.render(tokens, renderer.options, {})
    return Markup(html)  # noqa: S704 - markup in the card is escaped by the renderer


def _head_rows(tokens: Sequence[Token]) -> None:
    """Make the first cell of each row of a table the row's header."""
    is_first = False
    for token in tokens:
        if token.type == "tr_open":
            is_first = True
        elif token.type == "td_open" and is_first:
            token.tag = "th"
            token.attrSet("scope", "row")
        elif token.type == "td_close" and is_first:
            token.tag, is_first = "th", False


def _gain(name: str, entry: Mapping[str, Any]) -> LineChart | None:
    """Draw what is found going down an order: of one head alone, or the published one unnamed."""
    curves = entry.get("curves", {})
    if "score" not in curves:
        return None
    n = len(curves["score"])
    share = [0.0, *((i + 1) / n for i in range(n))]
    axes = Axes()
    rules = {
        rule: curve
        for rule, curve in curves.items()
        if rule not in {"score", "random"} and not rule.endswith(ALONE)
    }
    best = max(rules, key=lambda rule: sum(rules[rule]), default=None)
    lines = [axes.line("model", "s-accent", x=share, y=[0.0, *curves["score"]])]
    if best is not None:
        label = f"best simple rule: {rule_label(best)}"
        lines.append(axes.line(label, "s-raise", x=share, y=[0.0, *rules[best]]))
    lines.append(axes.line("at random", "s-grey", x=[0.0, 1.0], y=[0.0, 1.0]))
    where = (
        "the first tenth of the dealers, ordered by this head alone,"
        if name
        else "the first tenth of the list"
    )
    tenth = curves["score"][max(n // 10 - 1, 0)]
    steps = (0.05, 0.1, 0.2, 0.3, 0.5)
    return LineChart(
        id=f"gain-{name or 'order'}",
        heading=f"Gain: {head_label(name)}, ordered by this head alone" if name else _LIST_GAIN,
        title=f"Gain curve: {where} holds {tenth:.0%} of what there is to find",
        help=(
            f"Going down the order, how much of all there is to find has been found."
            f" {upper_first(where)} holds {tenth:.0%}; visits at random would find 10%."
        ),
        lines=tuple(lines),
        x_ticks=axes.x_ticks((0, 0.2, 0.4, 0.6, 0.8, 1)),
        y_ticks=axes.y_ticks((0, 0.2, 0.4, 0.6, 0.8, 1)),
        x_label="share of dealers visited, highest first",
        y_label="share found",
        columns=("Visited", "Found"),
        rows=tuple((f"{s:.0%}", f"{curves['score'][max(round(s * n) - 1, 0)]:.0%}") for s in steps),
    )


def _calibration(name: str, entry: Mapping[str, Any]) -> LineChart | None:
    curve = entry.get("calibration", {})
    predicted, observed = curve.get("predicted"), curve.get("observed")
    if not predicted or not observed:
        return None
    steps = nice_steps(max(*predicted, *observed))
    is_chance = name not in RATES
    form = "{:.0%}" if is_chance and steps[1] >= 0.01 else "{:g}"
    axes = Axes(x=(0.0, steps[-1]), y=(0.0, steps[-1]))
    return LineChart(
        id=f"calibration-{name}",
        heading=f"Calibration: {head_label(name)}",
        title=f"Calibration: mean distance from the diagonal {curve['ece']:.3f}",
        help=(
            "Dealers given the same chance are put together; the dot shows how often it came true."
            " On the line, a stated 20% happens 20% of the time; below it the model says too much."
            if is_chance
            else "Dealers given about the same number of firearms are put together; the dot shows"
            " how many there were on average. On the line, a stated 2 came to 2; below it the model"
            " says too much."
        ),
        lines=(
            axes.line("model", "s-accent", x=predicted, y=observed, has_dots=True),
            axes.line("as stated", "s-grey", x=[0.0, steps[-1]], y=[0.0, steps[-1]]),
        ),
        x_ticks=axes.x_ticks(steps, form),
        y_ticks=axes.y_ticks(steps, form),
        x_label="stated",
        y_label="came true",
        columns=("Stated", "Came true", "Dealers"),
        rows=tuple(
            (f"{p:.3f}", f"{o:.3f}", f"{n:,.0f}")
            for p, o, n in zip(predicted, observed, curve.get("size", []), strict=False)
        ),
    )


def _rules(name: str, entry: Mapping[str, Any], capacity: float) -> Table:
    """Compare one head alone, or the published order unnamed, with the simple rules at capacity."""

    def row(label: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
        found = figures["recall"]
        interval = f"{found['low']:.0%} to {found['high']:.0%}"
        return label, f"{found['value']:.0%}", interval, f"{figures['auc']['value']:.3f}"

    rules = entry.get("rules", {})
    ordered = sorted(rules.items(), key=lambda item: -item[1]["recall"]["value"])
    best = None if name else best_rule(entry)
    return Table(
        id=f"rules-{name or 'order'}",
        heading=f"Against simple rules: {head_label(name)}, ordered by this head alone"
        if name
        else "Against simple rules: the list, as it is published",
        help=(
            f"What each way of ordering finds when {percent(capacity)} of the dealers are visited."
            " Each interval is that of one order alone; whether the model finds more is said"
            " above, by the difference on the same dealers."
            + (
                f" A simple rule is as good here: {rule_label(best.name)}."
                if best is not None and best.is_as_good
                else ""
            )
        ),
        columns=("Order by", "Found", "95% interval", "AUC"),
        rows=(
            row("this head alone" if name else "the list, as published", entry["model"]),
            *(row(order_label(rule), figures) for rule, figures in ordered),
        ),
    )


def _groups(order: Mapping[str, Any]) -> list[Table]:
    """Tell what share of the list each group has, those first that have most more than others."""
    found = [
        (f"{_WAYS.get(way, way.replace('_', ' '))} {one['group']}", one)
        for way, groups in order.get("groups", {}).items()
        for one in groups
        if not one["is_few"]
    ]
    if not found:
        return []
    found.sort(key=lambda item: item[1]["share_of_dealers"] - item[1]["share_of_list"])
    if len(found) > 2 * _MOST_ENDS:
        found = [*found[:_MOST_ENDS], *found[-_MOST_ENDS:]]
    return [
        Table(
            id="groups-order",
            heading="Who the list visits",
            help=(
                "Inspected dealers of the judged years, weighted to stand for all. The groups that"
                " have most more of the list than of the dealers stand first, those that have most"
                " less last; a group may have more because more is found there."
            ),
            columns=("Group", "Of the dealers", "Of the list", "Found among them"),
            rows=tuple(
                (
                    name,
                    percent(one["share_of_dealers"]),
                    percent(one["share_of_list"]),
                    percent(one["rate"]),
                )
                for name, one in found
            ),
        )
    ]


def _reports(caller: Caller) -> list[Table]:
    """Return the newest indicator and drift reports as tables."""
    found = (
        _indicators(report_of(caller.runtime, "indicators")),
        _drift(report_of(caller.runtime, "drift")),
    )
    return [table for table in found if table is not None]


def _indicators(report: Mapping[str, Any] | None) -> Table | None:
    if report is None:
        return None
    known = [one for one in report.get("signals", []) if one.get("auc")]
    known.sort(key=lambda one: -abs(one["auc"]["value"] - 0.5))
    return Table(
        id="indicators",
        heading="Indicator efficacy",
        help=(
            f"How well each indicator alone tells dealers with findings from others, over"
            f" {report.get('n', 0):,} past inspections: 0.5 is chance, 1 is perfect. An interval"
            " that holds 0.5 shows nothing."
        ),
        columns=("Indicator", "AUC", "95% interval", "On random visits"),
        rows=tuple(
            (
                str(one["signal"]).replace("_", " "),
                f"{one['auc']['value']:.2f}",
                f"{one['auc']['low']:.2f} to {one['auc']['high']:.2f}",
                f"{one['auc_random']['value']:.2f}" if one.get("auc_random") else "too few",
            )
            for one in known[:_MOST_ROWS]
        ),
    )


def _drift(report: Mapping[str, Any] | None) -> Table | None:
    if report is None:
        return None
    return Table(
        id="drift",
        heading="Drift",
        help=(
            "How far today's dealers differ from those the model learned from: below 0.1 is"
            f" stable, above 0.25 asks for action. In all: {report.get('advice', 'not known')}."
        ),
        columns=("Signal or head", "Stability index", "Missing then", "Missing now", "Advice"),
        rows=tuple(
            (
                str(one["name"]).replace("_", " "),
                f"{one['stability_index']:.3f}",
                percent(one["share_missing_then"]),
                percent(one["share_missing_now"]),
                str(one["advice"]),
            )
            for one in report.get("drift", [])[:_MOST_ROWS]
        ),
    )
