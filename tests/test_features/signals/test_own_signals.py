"""An agency's own families: how they come in, what is asked of them, and that the rules bite."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import LeakError, OwnSignalError
from features.signals import registry, variants
from features.signals.signal import REASON_NAMES
from features.table import build_features
from ffl_risk import app
from tests.properties import invented

EXAMPLE = Path(__file__).parents[3] / "docs/examples/permits.py"
WHEN = date(2019, 7, 15)

ORACLE = """

def oracle(tables, as_of, dealers):
    import pandas as pd

    rows = tables["thefts_losses"]
    when = pd.Timestamp(as_of)
    ended = rows["superseded_on"].fillna(pd.Timestamp("2200-01-01"))
    rows = rows[(rows["known_on"] < when) & (ended >= when) & (rows["kind"] == "burglary")]
    rows = rows[rows["known_on"] >= when - pd.Timedelta(days=365)]
    n = rows.groupby("dealer").size().reindex(dealers).fillna({fill}).astype(float)
    return pd.DataFrame({{"permits_burglaries_1y": n, "permits_required": required(dealers)}})
"""


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    country = invented.Country(5, n_dealers=40)
    return invented.store(country.tables, tmp_path_factory.mktemp("own") / "all")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    own = tmp_path / "signals"
    own.mkdir()
    own.chmod(0o700)
    shutil.copy(EXAMPLE, own / "permits.py")
    monkeypatch.setenv("FFL_RISK_SIGNALS", str(own))
    return own


def changed(folder: Path, old: str, new: str) -> Path:
    text = EXAMPLE.read_text()
    assert old in text
    path = folder / "permits.py"
    path.write_text(text.replace(old, new))
    path.chmod(0o600)
    return path


def check(path: Path, warehouse, *words: str):
    words = ("signals", "--check", str(path), "--warehouse", str(warehouse.path), *words)
    return CliRunner().invoke(app, [*words, "--as-of", str(WHEN), "--json"])


def test_an_engine_that_there_is_not_is_refused(warehouse):
    done = check(EXAMPLE, warehouse, "--engine", "sparc")
    assert "did you mean 'spark'" in str(done.exception).lower()


def test_the_example_keeps_every_rule(warehouse):
    done = check(EXAMPLE, warehouse)
    assert done.exception is None, done.exception
    told = json.loads(done.stdout)
    outcomes = {one["name"]: one["outcome"] for one in told["properties"]}
    assert outcomes.pop("an independent oracle agrees") == "not checked"
    assert set(outcomes.values()) == {"holds"}
    assert len(outcomes) == 6
    assert told["signals"]["permits_burglaries_1y"]["different"] > 1
    assert 0 < told["signals"]["permits_required"]["observed"] < 1
    assert len(EXAMPLE.read_text().split("SIGNALS")[1].splitlines()) < 20


def test_the_folder_adds_a_family_to_build_and_catalog(folder, warehouse):
    chosen = variants.select()
    assert [s.family for s in chosen[-2:]] == ["permits", "permits"]
    assert len(chosen) == len(registry.SIGNALS) + 2
    table = build_features(warehouse, WHEN, families=["tips", "permits"])
    assert [s.name for s in table.signals[-2:]] == [s.name for s in chosen[-2:]]
    public = build_features(warehouse, WHEN, variant="public", families=["permits"])
    assert [s.name for s in public.signals] == ["permits_required"]
    listed = CliRunner().invoke(app, ["signals", "--json"])
    assert "permits_burglaries_1y" in {one["name"] for one in json.loads(listed.stdout)}


@pytest.mark.slow
def test_a_covariate_is_the_value_in_force_on_the_date(folder, tmp_path):
    country = invented.Country(5, n_dealers=40)
    rows = [
        # Of Texas: a law with an end; known on its first day. Virginia: known late, corrected.
        ("48", "2017-01-01", "2018-12-31", 1.0, "2017-01-01"),
        ("48", "2019-06-01", None, 2.0, "2019-06-01"),
        ("51", "2016-01-01", None, 3.0, "2019-07-15"),
        ("04", "2016-01-01", None, 4.0, "2016-01-01"),
        ("04019", "2016-01-01", "2019-07-14", 5.0, "2016-01-01"),
        ("48479", "2016-01-01", None, 6.0, "2016-01-01"),
    ]
    names = ["area", "from", "to", "value", "known_on"]
    frame = pd.DataFrame(rows, columns=names)
    frame = frame.assign(name="permit_required", source="invented")
    for name in ("from", "to", "known_on"):
        frame[name] = pd.to_datetime(frame[name]).dt.date
    tables = {"licenses": country.tables["licenses"], "area_covariates": frame}
    warehouse = invented.store(tables, tmp_path / "laws")
    dates = [date(2018, 12, 31), date(2019, 1, 1), date(2019, 7, 14), WHEN, date(2019, 7, 16)]
    table = build_features(warehouse, dates, families=["permits"])
    latest = country.tables["licenses"].sort_values("listed_on").groupby("dealer").last()
    # Dealers that never moved, so that the place of the newest listing is that of every date.
    moved = country.tables["licenses"].groupby("dealer")["county_fips"].nunique() > 1
    expected = {
        "48201": [1.0, None, 2.0, 2.0, 2.0],
        "48479": [6.0] * 5,
        "51059": [None, None, None, None, 3.0],
        "04019": [5.0, 5.0, 5.0, 4.0, 4.0],
    }
    seen = set()
    for dealer, rows in table.frame.groupby("dealer"):
        county = latest.loc[dealer, "county_fips"]
        if moved[dealer] or county not in expected:
            continue
        for when, value in zip(rows["as_of"], rows["permits_required"], strict=True):
            want = expected[county][dates.index(when.date())]
            assert (None if np.isnan(value) else value) == want, (dealer, county, when)
            seen.add((county, when.date()))
    assert {county for county, _ in seen} == set(expected)
    assert len(seen) > 15
    lost = table.reasons["permits_burglaries_1y"]
    assert {REASON_NAMES[code] for code in lost} == {"no_source"}  # no such table here


def test_a_covariate_nobody_knows_yet_has_no_source(folder, tmp_path):
    country = invented.Country(5, n_dealers=20)
    frame = pd.DataFrame(
        [("48", "other_law", date(2016, 1, 1), 1.0, "invented")],
        columns=["area", "name", "from", "value", "source"],
    )
    tables = {"licenses": country.tables["licenses"], "area_covariates": frame}
    table = build_features(invented.store(tables, tmp_path / "w"), WHEN, families=["permits"])
    assert {REASON_NAMES[c] for c in table.reasons["permits_required"]} == {"no_source"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("build(context: Context)", "make(context: Context)", "no function build"),
        (
            'family="permits", unit="reports"',
            'family="permit", unit="reports"',
            "not start with 'permit'",
        ),
        ('table="thefts_losses"', 'table="theft_losses"', "did you mean 'thefts_losses'"),
        ('restriction="restricted"', 'restriction="public"', "is restricted, not public"),
        ("{value} burglaries", "{burglar} burglaries", "reason names burglar"),
        ("import Y1,", "import Y7, Y1,", "cannot import name 'Y7'"),
        ("SIGNALS = (", "SIGNALS = ((", "SyntaxError"),
        ("direction=1", "direction=2", "direction is -1, 0 or 1"),
        ("permits_burglaries_1y", "burglaries_1y", "does not start with"),
    ],
)
def test_what_is_no_family_is_refused_with_its_fault(folder, warehouse, old, new, said):
    changed(folder, old, new)
    with pytest.raises(OwnSignalError, match=r"permits\.py") as refused:
        build_features(warehouse, WHEN)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind = 'burglary'", "art = 'burglary'", 'Referenced column "art" not found'),
        ('counts["burglaries_1y"]}', 'counts["burglaries_1y"] / 0.0}', "not finite"),
        ('counts["burglaries_1y"]}', 'counts["burglaries_1y"][:3]}', "shape (3,)"),
        ('counts["burglaries_1y"]}', 'counts["burglaries"]}', "KeyError: 'burglaries' (line 20)"),
        ('"permits_burglaries_1y": counts', '"permits_burglary_1y": counts', "did you mean"),
        ('{"permits_required": why}', '{"permits_required": why * 0}', "reasons that do not go"),
    ],
)
def test_what_cannot_be_built_says_why(folder, warehouse, old, new, said):
    changed(folder, old, new)
    with pytest.raises(OwnSignalError, match="permits") as refused:
        build_features(warehouse, WHEN, families=["permits"])
    assert said in str(refused.value)


def test_names_that_are_taken_are_refused(folder, warehouse):
    shutil.copy(folder / "permits.py", folder / "again.py")
    with pytest.raises(OwnSignalError, match="Two families are called permits"):
        build_features(warehouse, WHEN)
    (folder / "again.py").unlink()
    changed(folder, "permits", "tips")
    with pytest.raises(OwnSignalError, match="name of one that ships"):
        build_features(warehouse, WHEN)


def test_a_file_that_everybody_may_write_is_not_run(folder, warehouse):
    (folder / "permits.py").chmod(0o666)
    with pytest.raises(OwnSignalError, match="written by everybody"):
        build_features(warehouse, WHEN)


def test_a_folder_that_is_none_is_refused(folder, warehouse, monkeypatch):
    monkeypatch.setenv("FFL_RISK_SIGNALS", str(folder / "nowhere"))
    with pytest.raises(OwnSignalError, match="FFL_RISK_SIGNALS names no folder"):
        build_features(warehouse, WHEN)


def test_an_oracle_is_compared_with(tmp_path, warehouse):
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    text = EXAMPLE.read_text().replace(
        'required, why = covariate(context, "permit_required")',
        "required = context.grids('licenses', [Sum('x', (Y1,))])['x_1y'] * 0",
    )
    text = text.replace(', {"permits_required": why})', ", {})")
    outcome = {}
    for fill in (0, 1):
        body = text + ORACLE.format(fill=fill) + "\n\ndef required(dealers):\n    return 0.0\n"
        (own / "permits.py").write_text(body)
        done = check(own / "permits.py", warehouse)
        told = {one["name"]: one for one in json.loads(done.stdout)["properties"]}
        outcome[fill] = told["an independent oracle agrees"]["outcome"]
    assert outcome == {0: "holds", 1: "fails"}


LEAKS = {
    "the future": "SELECT dealer, count(*) AS n FROM thefts_losses GROUP BY dealer",
    "later corrections": "SELECT dealer, count(*) AS n FROM thefts_losses WHERE known_on < "
    "DATE '2019-07-15' AND superseded_on IS NULL GROUP BY dealer",
}


@pytest.mark.slow
@pytest.mark.parametrize("sql", LEAKS.values(), ids=LEAKS)
def test_a_family_that_looks_ahead_is_found_out(folder, tmp_path, sql):
    # So many dealers that some report is corrected after the day.
    country = invented.Country(5, n_dealers=120)
    warehouse = invented.store(country.tables, tmp_path / "many")
    body = (
        f'counts = context.query("{sql}").to_pandas().set_index("dealer")["n"]\n'
        "    n = counts.reindex(context.cohort.dealers).fillna(0).to_numpy(float)\n"
        '    counts = {"burglaries_1y": n[context.cohort.dealer]}'
    )
    old = (
        'counts = context.grids("thefts_losses", [Sum("burglaries", (Y1,), "kind = \'burglary\'")])'
    )
    done = check(changed(folder, old, body), warehouse)
    assert isinstance(done.exception, LeakError)
    assert done.exception.exit_code == 5
    assert "permits_burglaries_1y" in str(done.exception)
    assert "permits_required" not in str(done.exception)


def test_a_covariate_that_is_read_without_a_cut_is_found_out(folder, warehouse):
    """The canaries of areas must be seen by who does not cut time."""
    sql = "SELECT count(*) AS n FROM area_covariates WHERE name = 'permit_required' AND area = '48'"
    body = (
        f'n = context.query("{sql}").to_pandas()["n"].iloc[0]\n'
        "    import numpy as np\n"
        "    required, why = np.full(context.n_rows, n), np.zeros(context.n_rows, np.int8)"
    )
    path = changed(folder, 'required, why = covariate(context, "permit_required")', body)
    done = check(path, warehouse)
    told = {one["name"]: one["outcome"] for one in json.loads(done.stdout)["properties"]}
    assert told["nothing from the future"] == "fails"


def test_a_public_signal_of_restricted_rows_is_found_out(folder, warehouse):
    old = 'required, why = covariate(context, "permit_required")'
    new = (
        "required = context.grids('traces', [Sum('n', (Y1,))])['n_1y']\n"
        "    why = (required != required).astype('int8')"
    )
    done = check(changed(folder, old, new), warehouse)
    assert isinstance(done.exception, OwnSignalError)
    assert "public signals read nothing restricted: permits_required" in str(done.exception)


@pytest.mark.slow
def test_an_installed_package_brings_its_family(tmp_path):
    """By its entry point, in a process of its own."""
    site = tmp_path / "site"
    (site / "our_package").mkdir(parents=True)
    (site / "our_package" / "__init__.py").touch()
    shutil.copy(EXAMPLE, site / "our_package" / "permits.py")
    info = site / "our_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ffl_risk.signals]\npermits = our_package.permits\n")
    root = Path(__file__).parents[3]
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from features.signals.variants import select\n"
        "print([s.name for s in select(families=['permits'])])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(site), str(root)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['permits_required', 'permits_burglaries_1y']"
