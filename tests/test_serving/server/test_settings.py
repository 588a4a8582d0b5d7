"""The settings page says what is read, and paths of any name mean what they say."""

import asyncio
import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.errors import InvalidRequestError
from serving.settings import Settings, sqlite_url
from serving.store.database import Store
from serving.variables import VARIABLES, as_markdown

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_names_every_variable():
    assert (DOCS / "service" / "settings.md").read_text().endswith(as_markdown())


def test_every_variable_that_code_reads_is_on_the_page():
    page = (DOCS / "service" / "settings.md").read_text()
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


@pytest.mark.parametrize(
    ("proxies", "peer", "seen"),
    [("", "10.0.0.7", "10.0.0.7"), ("10.0.0.0/24", "10.0.0.7", "203.0.113.9"),
     ("10.0.0.7, fd00::/8", "10.0.0.7", "203.0.113.9"), ("10.0.0.8", "10.0.0.7", "10.0.0.7")],
)  # fmt: skip
def test_a_proxy_that_is_named_and_no_other_is_believed_about_who_asks(proxies, peer, seen):
    """Without it, one who guesses passwords would hold up the sign-in of all behind the proxy."""
    from serving.server.supervisor import config_of

    found = []

    async def told(scope, *_):
        found.append(scope["client"][0])

    config = config_of(Settings(Path(), "sqlite://", Path(), proxies=proxies), "127.0.0.1", 0)
    config.app, config.factory = told, False
    config.load()
    # What the client itself wrote stands first; what the proxy added, last.
    headers = [(b"x-forwarded-for", b"198.51.100.1, 203.0.113.9")]
    scope = {"type": "http", "client": (peer, 1), "headers": headers, "scheme": "http"}
    asyncio.run(config.loaded_app(scope, None, None))
    assert found == [seen]


@pytest.mark.parametrize("proxies", ["*", "proxy.internal", "10.0.0.1/8", "10.0.0.7;10.0.0.8"])
def test_proxies_that_are_no_addresses_are_refused_in_one_line(proxies):
    from serving.server.supervisor import config_of

    with pytest.raises(InvalidRequestError, match="FFL_RISK_PROXIES"):
        config_of(Settings(Path(), "sqlite://", Path(), proxies=proxies), "127.0.0.1", 0)
