"""The tutorial, command by command as it stands on its page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.warehouse import Warehouse
from ffl_risk import app

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.slow
def test_a_reader_gets_from_an_export_to_signals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (DOCS / "agency" / "tutorial.md").read_text(encoding="utf-8")
    (tmp_path / "docs").symlink_to(DOCS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path / "home"))
    commands = re.findall(r"^    ffl-risk (.*)$", page, re.MULTILINE)
    assert len(commands) == 9
    told = {}
    for command in commands:
        words = shlex.split(command)
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
        told[command] = done.output
        if words[:2] == ["mapping", "new"]:
            assert "3 questions left" in done.output
            _answer(tmp_path / "traces.toml", page)
        if words[0] == "features":
            _look(tmp_path / "home" / "warehouse")
    assert Warehouse.open(tmp_path / "home" / "warehouse").read("traces").num_rows == 0
    assert "would be stored" in next(v for k, v in told.items() if k.startswith("mapping check"))
    assert "Nothing was changed" in next(v for k, v in told.items() if k.endswith("--dry-run"))


def _answer(own: Path, page: str) -> None:
    """Put the page's answers into the mapping, in the place of the questions."""
    text = own.read_text()
    assert "# ? trace_id is required" in text
    assert "# ? two readings: 03/04/2025" in text
    assert "# ? 'AK PATTERN'" in text
    blocks = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in re.split(r"\n(?=\[)", blocks[1]):
        name = block.split("\n", 1)[0]
        text = re.sub(rf"^{re.escape(name)}\n(?:[^\[\n].*\n)*", "", text, flags=re.MULTILINE)
        text += "\n" + block
    own.write_text(text)


def _look(warehouse: Path) -> None:
    held = Warehouse.open(warehouse)
    traces = {row["trace_id"]: row for row in held.read("traces").to_pylist()}
    assert len(traces) == 4
    assert traces["R-0002"]["sold_on"] is None
    assert traces["R-0003"]["firearm_type"] == "rifle"
    assert traces["R-0001"]["dealer"] == "5-74-90001"
    shops = {row["dealer"]: row for row in held.read("licenses").to_pylist()}
    assert (shops["6-06-00100"]["premises_zip"], shops["6-06-00100"]["county_fips"]) == (
        "06850",
        "09001",
    )


@pytest.mark.slow
def test_a_reader_gets_to_mondays_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step, in a state folder of its own."""
    page = (DOCS / "agency" / "tutorial.md").read_text(encoding="utf-8").split("## 5.")[1]
    (tmp_path / "docs").symlink_to(DOCS)
    monkeypatch.chdir(tmp_path)
    script = re.search(r"^python (\S+) (\S+)$", page, re.MULTILINE)
    home = re.search(r"^export FFL_RISK_HOME=(\S+)$", page, re.MULTILINE)
    assert script
    assert home
    subprocess.run([sys.executable, script[1], script[2]], check=True)
    monkeypatch.setenv("FFL_RISK_HOME", str(tmp_path / home[1]))
    limit = re.search(r"^export (FFL_RISK_TABLE_REFUSED_DAYS)=(\S+)", page, re.MULTILINE)
    assert limit
    monkeypatch.setenv(limit[1], limit[2])
    commands = re.findall(r"^ffl-risk (.*)$", page, re.MULTILINE)
    assert [c.split()[0] for c in commands] == [
        *["ingest"] * 3,
        "train",
        "promote",
        "score",
        "rank",
    ]
    for command in commands:
        done = CliRunner().invoke(app, shlex.split(command))
        assert done.exit_code == 0, f"{command}\n{done.output}\n{done.exception}"
    assert "1,800" in page
    listed = re.findall(r"\b[59]-(?:76|86)-1\d{4}\b", done.output)
    assert len(set(listed)) == 10
    assert "traces" in done.output
