"""Two candidates are compared on the rows both were judged on, and every report can be read."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from ffl_risk import app
from training.errors import NotTrainedError
from training.evaluation import candidate as candidates
from training.pages.page import Page, Section, format_interval, render, terminal, write_page
from training.studies.comparison import compare_candidates
from training.studies.fairness import by_group
from training.studies.pages.fairness import fairness_page


def judged(strength: float, *, n: int = 3000, seed: int = 0, first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.1).astype(float)
    noise = np.random.default_rng(seed + 1).normal(size=n)
    return pd.DataFrame(
        {
            "dealer": [f"1-54-{first + i:05d}" for i in range(n)],
            "as_of": pd.Timestamp("2024-01-01").as_unit("s"),
            "y": y,
            "weight": rng.uniform(0.5, 2.0, n),
            "cluster": np.arange(n) // 3,
            "score": 1 / (1 + np.exp(-(strength * (y - 0.1) + noise - 2.2))),
            "group_state": np.where(rng.random(n) < 0.3, "VA", "NC"),
        }
    )


def keep(folder: Path, rows: pd.DataFrame, *, heads: tuple[str, ...] = ("compliance",)) -> str:
    staged = candidates.stage(folder)
    for head in heads:
        rows.to_parquet(staged / f"held_out_{head}.parquet", index=False)
    about = {"model_name": "m", "version": "1", "capacity": 0.1, "bundle_heads": list(heads)}
    return candidates.commit(staged, about).number


def test_the_better_candidate_is_told_on_the_rows_in_common(tmp_path):
    weak, strong = judged(0.3), judged(2.0).iloc[500:]
    keep(tmp_path, weak)
    keep(tmp_path, strong)
    found = compare_candidates(tmp_path, "2", "1")["heads"]["compliance"]
    assert found["n"] == 2500
    common = weak.iloc[500:].reset_index(drop=True)
    for number, rows in (("000002", strong.reset_index(drop=True)), ("000001", common)):
        order, left, got = rows["score"].to_numpy().argsort()[::-1], 0.1 * rows["weight"].sum(), 0.0
        for row in order:
            taken = min(rows["weight"][row], left)
            got, left = got + taken * rows["y"][row], left - taken
            if left <= 0:
                break
        expected = got / (rows["y"] @ rows["weight"])
        assert found["recall"][number] == pytest.approx(expected)
        assert found["curves"][number][9] == pytest.approx(expected)
    difference = found["recall"]["000002"] - found["recall"]["000001"]
    assert found["recall_gain"]["value"] == pytest.approx(difference)
    assert found["recall_gain"]["low"] > 0


def test_the_command_says_which_finds_more(tmp_path):
    keep(tmp_path, judged(0.3))
    keep(tmp_path, judged(2.0))
    env = {"FFL_RISK_HOME": str(tmp_path)}
    result = CliRunner().invoke(app, ["compare", "--against", "1"], env=env)
    assert result.exception is None
    assert "compliance: 000002 finds more." in result.stdout
    page = tmp_path / "reports" / "compare-000002-000001.html"
    assert page.read_text(encoding="utf-8").count("<svg") == 2
    told = CliRunner().invoke(app, ["compare", "--candidate", "1", "--against", "1"], env=env)
    assert "cannot be told apart" in told.stdout


def test_nothing_to_compare_is_said(tmp_path):
    keep(tmp_path, judged(1.0))
    with pytest.raises(NotTrainedError, match="no champion to compare"):
        compare_candidates(tmp_path, None, None)
    keep(tmp_path, judged(1.0), heads=("diversion",))
    with pytest.raises(NotTrainedError, match="no head in common"):
        compare_candidates(tmp_path, "2", "1")
    keep(tmp_path, judged(1.0, first=50_000))
    apart = compare_candidates(tmp_path, "3", "1")
    assert apart["heads"]["compliance"] == {"n": 0, "n_positive": 0}
    env = {"FFL_RISK_HOME": str(tmp_path)}
    told = CliRunner().invoke(app, ["compare", "--candidate", "3", "--against", "1"], env=env)
    assert "no positive row was judged under both" in told.stdout


def test_a_fairness_page_blames_the_model_only_where_it_errs():
    rng = np.random.default_rng(4)
    p = rng.uniform(0.02, 0.3, 3000)
    fair = judged(1.0).assign(score=p, y=(rng.random(3000) < p).astype(float))
    found = {"candidate": "000001", "heads": {"compliance": by_group(fair, 0.1)}}
    text = render("page.html", title="", page=fairness_page(found))
    assert "as far as the findings show" in text
    assert "Scored off their rate" not in text
    off = fair.assign(score=np.where(fair["group_state"] == "VA", 3 * fair["score"], fair["score"]))
    found = {"candidate": "000001", "heads": {"compliance": by_group(off, 0.1)}}
    text = render("page.html", title="", page=fairness_page(found))
    assert "Scored off their rate, the farthest first: " in text
    assert text.count("<svg") == 2


def test_a_page_is_the_same_told_in_three_ways(tmp_path):
    page = Page(
        "A <title>",
        lead=("Lead & more.",),
        sections=(Section("Rows", columns=("name", "n"), rows=[["a<b", "1"]] * 50),),
        advice=("Do it.",),
    )
    path = write_page(page, {"n": 1}, tmp_path, stem="report")
    text = path.read_text(encoding="utf-8")
    assert "A &lt;title&gt;" in text
    assert "a&lt;b" in text
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"n": 1}
    from rich.console import Console

    console = Console(width=60, record=True, file=(tmp_path / "out").open("w", encoding="utf-8"))
    console.print(terminal(page))
    shown = console.export_text()
    console.file.close()
    assert "and 10 more in the report" in shown
    assert "Do it." in shown


def test_an_estimate_without_a_point_is_told_by_its_bounds():
    nan = float("nan")
    assert format_interval({"value": nan, "low": 0.1, "high": 0.2}) == "between 0.100 and 0.200"
    assert format_interval({"value": nan, "low": nan, "high": nan}) == "cannot be said"
