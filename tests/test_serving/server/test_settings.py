"""The settings page says what is read, and paths of any name mean what they say."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.settings import VARIABLES, Settings, as_markdown, sqlite_url
from serving.store.database import Store

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_names_every_variable():
    assert (DOCS / "settings.md").read_text().endswith(as_markdown())


def test_every_variable_that_code_reads_is_on_the_page():
    page = (DOCS / "settings.md").read_text()
    read = set()
    for package in ("features", "models", "training", "serving"):
        for path in (DOCS.parent / package).rglob("*.py"):
            code = path.read_text(encoding="utf-8")
            read |= set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"[\])]?(?!\] =)", code))
            read |= set(re.findall(r"\"(FFL_RISK_[A-Z_]+)\"", code))
    assert "FFL_RISK_SPARK_MASTER" in read
    unsaid = {name for name in read if f"`{name}`" not in page}
    assert unsaid <= {"BENTOML_DO_NOT_TRACK"}, "it is set for the service, never read"


@pytest.mark.parametrize("name", ["100%", "what?", "a#b", "a b", "x:y@z", "é", "50%25"])
def test_a_home_of_any_name_holds_its_own_store(tmp_path: Path, name: str):
    home = tmp_path / name
    settings = Settings.from_environment(home)
    assert settings.store_url == sqlite_url(home / "service.db")
    assert sa.make_url(settings.store_url).database == str(home / "service.db")
    Store.open(settings.store_url).close()
    assert (home / "service.db").is_file()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_every_default_is_within_its_own_bounds(monkeypatch):
    for variable in VARIABLES.values():
        if variable.kind in {"number", "integer"}:
            assert variable.read({variable.name: str(variable.default)}) == variable.default
            with pytest.raises(Exception, match=variable.name):
                variable.read({variable.name: "-1"})
