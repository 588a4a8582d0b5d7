"""The registry, its catalog, and the commands that show and build signals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features.errors import AsOfError, FeatureError, InvalidValueError
from features.signals import catalog
from features.signals.events import behind
from features.signals.registry import FAMILIES, SIGNALS
from features.signals.shared.fingerprint import _lines
from features.signals.shipped import shipped
from features.signals.variants import select
from features.table import FeatureTable, build_features
from ffl_risk import app
from tests.properties import invented

DOCS = Path(__file__).parents[3] / "docs"
RUN = CliRunner()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    country = invented.Country(7, n_dealers=40)
    return invented.store(country.tables, tmp_path_factory.mktemp("signals") / "all")


@pytest.fixture(scope="module")
def listings_only(tmp_path_factory):
    country = invented.Country(7, n_dealers=40)
    folder = tmp_path_factory.mktemp("signals") / "listings"
    return invented.store({"licenses": country.tables["licenses"]}, folder)


def test_the_page_of_signals_is_current():
    written = (DOCS / "agency" / "signals.md").read_text(encoding="utf-8")
    assert written == catalog.markdown(SIGNALS), (
        "ffl-risk signals --markdown > docs/agency/signals.md"
    )


@pytest.mark.parametrize("variant", ["full", "public"])
def test_the_signals_that_are_shown_are_those_of_the_families(variant):
    held = tuple(s for s in SIGNALS if variant == "full" or s.restriction == "public")
    assert shipped(variant) == held, "ffl-risk signals --json > features/signals/shipped.json"


def test_names_are_unique_and_every_reason_can_be_said():
    assert len({s.name for s in SIGNALS}) == len(SIGNALS)
    for signal in SIGNALS:
        assert signal.reason.format(value=1, percentile=99)
        assert signal.definition.endswith("."), signal.name
        assert signal.family in FAMILIES


def test_nothing_of_a_purchaser_or_an_office_is_a_signal():
    for signal in SIGNALS:
        for word in ("office", "division", "investigator", "race", "sex", "age"):
            assert word not in signal.name.split("_"), signal.name


def test_the_public_variant_holds_nothing_restricted(warehouse):
    table = build_features(warehouse, pd.Timestamp("2020-01-02").date(), variant="public")
    assert {s.restriction for s in table.signals} == {"public"}
    assert {"traces", "volume", "tips"}.isdisjoint(s.family for s in table.signals)


def test_an_unknown_variant_or_family_is_refused():
    with pytest.raises(InvalidValueError, match="did you mean 'traces'"):
        select(families=["trace"])
    with pytest.raises(InvalidValueError, match="full or public"):
        select(variant="secret")


def test_self_reports_never_raise_risk():
    own = [s for s in SIGNALS if "self_report" in s.name]
    assert own
    assert all(s.direction <= 0 for s in own)


def test_a_missing_table_gives_its_signals_a_reason(listings_only):
    table = build_features(listings_only, pd.Timestamp("2018-01-02").date())
    for signal in table.signals:
        if signal.table != "licenses":
            assert table.frame[signal.name].isna().all(), signal.name
            assert (table.reasons[signal.name] == 1).all(), signal.name
    assert table.frame["license_type"].notna().all()


def invoke(*words):
    result = RUN.invoke(app, ["features", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("when", ["2015-01-01", "2999-01-01", "1999-12-31", "soon", "2018-02-30"])
def test_a_date_that_the_data_cannot_answer_for_is_refused_with_the_range(warehouse, when):
    with pytest.raises(AsOfError, match="a date from 2015-01-02 to ") as error:
        invoke("--as-of", when, "--warehouse", warehouse.path)
    assert error.value.exit_code == 3


def test_no_date_and_no_such_engine_are_refused(warehouse):
    with pytest.raises(AsOfError, match="No as-of date"):
        invoke("--warehouse", warehouse.path)
    with pytest.raises(InvalidValueError, match="embedded or spark"):
        invoke("--as-of", "2018-01-01", "--engine", "duck", "--warehouse", warehouse.path)


def test_a_date_before_any_listing_is_refused(tmp_path):
    country = invented.Country(7)
    tables = {"traces": country.tables["traces"]}
    warehouse = invented.store(tables, tmp_path / "all")
    with pytest.raises(AsOfError, match="No dealer is listed"):
        build_features(warehouse, pd.Timestamp("2018-01-01").date())


def test_the_command_writes_a_table_that_reads_back(warehouse, tmp_path):
    out = tmp_path / "features"
    told = invoke(
        "--as-of", "2018-01-01", "--as-of", "2020-01-01", "--out", out, "--json",
        "--warehouse", warehouse.path, "--families", "license,traces",
    )  # fmt: skip
    report = json.loads(told.stdout)
    table = FeatureTable.load(out)
    assert report["fingerprint"] == table.fingerprint
    assert sum(report["dealers"].values()) == len(table)
    assert list(report["dealers"]) == ["2018-01-01", "2020-01-01"]
    for name, shares in report["signals"].items():
        assert sum(shares.values()) == pytest.approx(1), name


def test_words_in_several_chunks_are_the_same_words():
    """As those of a million dealers are read: such a table could be published and never served."""
    words = [f"{n}-10-00000" for n in range(9)]
    parts = pa.chunked_array([words[:4], words[4:]])
    chunked = pd.Series(pd.array(parts, dtype=pd.ArrowDtype(pa.string())))
    assert isinstance(pa.array(chunked), pa.ChunkedArray)
    assert _lines(chunked).to_pybytes() == _lines(pd.Series(words)).to_pybytes()
    assert _lines(chunked).to_pybytes() == "\n".join(words).encode()


def test_a_table_changed_by_hand_is_refused(warehouse, tmp_path):
    table = build_features(warehouse, pd.Timestamp("2018-01-01").date(), families=["tips"])
    table.save(tmp_path)
    frame = pd.read_parquet(tmp_path / "signals.parquet")
    frame.loc[0, "tips_agency_3y"] = np.float32(99)
    frame.to_parquet(tmp_path / "signals.parquet")
    with pytest.raises(FeatureError, match="changed after it was built"):
        FeatureTable.load(tmp_path)


def test_the_catalog_is_printed_in_three_forms():
    as_json = json.loads(RUN.invoke(app, ["signals", "--json", "--variant", "public"]).stdout)
    assert {s["restriction"] for s in as_json} == {"public"}
    assert RUN.invoke(app, ["signals", "--markdown"]).stdout.startswith("# Signals")
    assert "demand_letter_2_met" in RUN.invoke(app, ["signals"]).stdout


def test_records_are_named_of_every_family_that_reads_events():
    """A family that is forgotten would have its records named by the rule of an agency's own."""
    by_listing = {"license", "border", "area"}
    assert set(behind.FAMILIES) == set(FAMILIES) - by_listing
