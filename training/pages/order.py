"""Sections of the report on what is published: the order, who looked, and how labels came about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.order.restraint import Restraint
from training.evaluation.baselines import LOGISTIC, RANDOM
from training.evaluation.documents import SectionRecord
from training.pages.page import format_interval, words


def sections(evaluation: Mapping[str, Any]) -> list[SectionRecord]:
    """Lay out the published order, strictness and the label funnel, as far as there are any."""
    out: list[SectionRecord] = []
    order = evaluation.get("order")
    if order is not None:
        out.append(_order(order, float(evaluation["capacity"])))
        out += _sizes(order)
    for entry in evaluation["heads"].values():
        if isinstance(entry.get("strictness"), Mapping) and "effects" in entry["strictness"]:
            out += _strictness(entry["strictness"], order)
        out += _recency(entry.get("recency"))
    out += _labels(evaluation)
    return out


def _order(order: Mapping[str, Any], capacity: float) -> SectionRecord:
    figures = [("published order", "published", order["model"])]
    figures += [(words(name), name, entry) for name, entry in order["rules"].items()]
    simple = {n: e for n, e in order["rules"].items() if not n.endswith("_alone")}
    best = max(simple, key=lambda name: simple[name]["recall"]["value"])
    is_even = simple[best]["recall"]["value"] >= order["model"]["recall"]["value"]
    dependence = order["strictness_dependence"]
    return {
        "title": "What is published",
        "text": (
            f"The priority adds up {', '.join(words(p) for p in order['parts'])}, by policy "
            f"version {order['policy']['version']}. Findings count as an average inspector would "
            f"have made them. {Restraint.of_manifest(order).in_words()} "
            + (f"A rule as simple as {words(best)} is as good here. " if is_even else "")
            + (
                "Correlation of the order with the strictness of the dealer's office, at the same "
                f"risk: {format_interval(dependence, digits=2)}."
                if dependence
                else "No two offices are known to differ in strictness."
            )
        ),
        "columns": [
            "order", "AUC", f"found in the first {capacity:.0%}", "at offices' own capacity",
        ],
        "rows": [
            [
                name,
                format_interval(entry["auc"]),
                format_interval(entry["recall"]),
                f"{order['at_offices'][key]:.3f}",
            ]
            for name, key, entry in figures
        ],
    }  # fmt: skip


def _sizes(order: Mapping[str, Any]) -> list[SectionRecord]:
    """Lay out how the places of a list fall to dealers of few and of many sales."""
    rows = order.get("sizes") or []
    if not rows:
        return []
    names = [name for name in rows[0]["listed"] if name not in (RANDOM, LOGISTIC)]
    return [
        {
            "title": "Small and large dealers",
            "text": "Dealers in thirds by firearms sold in a year: their share of the findings "
            "that are expected of everybody, and of the places of a list by each order. A list "
            "goes by who stands out; where little is known of those who sell little, they do not. "
            "`per_sale` in the policy moves places to them, the random share looks at them.",
            "columns": ["third", "dealers", "of findings expected", *map(words, names)],
            "rows": [
                [
                    row["size"],
                    str(row["dealers"]),
                    f"{row['expected']:.1%}",
                    *(f"{row['listed'][name]:.1%}" for name in names),
                ]
                for row in rows
            ],
        }
    ]


def _strictness(found: Mapping[str, Any], order: Mapping[str, Any] | None) -> list[SectionRecord]:
    evidence = found["evidence"]
    spreads = ", ".join(f"{name} {e['spread']:.2f}" for name, e in found["effects"].items())
    listed = {} if order is None else {row["office"]: row for row in order["readings"]}
    office = found["effects"].get("office", {"groups": []})
    text = (
        f"Log-odds by which those who look differ (standard deviation: {spreads or 'none'}), "
        f"fitted together with the risk in {found['n_rounds']} rounds. Differences between offices "
        f"are read as {found['reading']}. Evidence across offices: {evidence['n_movers']} "
        f"investigators who worked in two or more, {evidence['n_across']} visits beyond the own "
        f"area; it credits the dealers with a spread of {evidence['spread']:.2f}."
    )
    if found["place_signals"]:
        text += (
            " Left out because they name the office: "
            f"{', '.join(words(name) for name in found['place_signals'])}."
        )
    if found["changed_codes"]:
        text += (
            " Codes that came to mean another place, told apart by date: "
            f"{', '.join(found['changed_codes'])}."
        )
    return [
        {
            "title": "Who looks, and how strictly",
            "text": text,
            "columns": [
                "office", "visits", "log-odds", "standard error", "credited to dealers",
                "listed, read as strictness", "listed, read as risk",
            ],
            "rows": [
                [
                    g["group"],
                    str(g["visits"]),
                    f"{g['log_odds']:+.2f}",
                    f"{g['error']:.2f}",
                    f"{g['credited']:+.2f}",
                    *(
                        f"{listed[g['group']][reading]:.1%}" if g["group"] in listed else "-"
                        for reading in ("strictness", "risk")
                    ),
                ]
                for g in office["groups"]
            ],
        }
    ]  # fmt: skip


def _recency(found: Mapping[str, Any] | None) -> list[SectionRecord]:
    """Say how fast labels fade, and what was tried."""
    if not found or not found["tried"]:
        return []
    half = found["half_life_years"]
    return [
        {
            "title": "How fast labels fade",
            "text": (
                f"A label weighs half after {half:g} years. "
                if half is not None
                else "Labels do not fade: no half-life is shown to tell more. "
            )
            + f"Asked were {found['n_asked']} visits of later years by models of those before, "
            "older ones weighing less.",
            "columns": ["half-life in years", "gain in log loss", "standard error"],
            "rows": [
                [f"{one['half_life_years']:g}", f"{one['gain']:+.5f}", f"{one['error']:.5f}"]
                for one in found["tried"]
            ],
        }
    ]


def _labels(evaluation: Mapping[str, Any]) -> list[SectionRecord]:
    rows = [list(row) for row in evaluation.get("funnel") or []]
    out: list[SectionRecord] = []
    if rows:
        out.append(
            {
                "title": "From inspections to labels",
                "text": "What is left after each step, and what would leave more.",
                "columns": ["step", "left", "what would leave more"],
                "rows": rows,
            }
        )
    absent = [
        [words(head), words(rule), ", ".join(signals)]
        for head, entry in evaluation["heads"].items()
        for rule, signals in (entry.get("absent") or {}).items()
    ]
    absent += [[words(h), "the head", why] for h, why in (evaluation.get("left_out") or {}).items()]
    if absent:
        out.append(
            {
                "title": "What the data lack",
                "text": "Signals that are absent, or the same for every dealer, count zero in "
                "rules; heads without a table, or with too little in it, are left out.",
                "columns": ["head", "what", "absent"],
                "rows": absent,
            }
        )
    return out
