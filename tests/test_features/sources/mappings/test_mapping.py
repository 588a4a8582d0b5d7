from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from features.errors import SourceError
from features.ingest import ingest
from features.ingest.checking.checks import check_query
from features.schema import TABLES
from features.sources.agency.mapping import read_mapping
from features.sources.layout import Plan
from features.sql import quoted
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY

MAPPINGS = Path(__file__).parents[4] / "features" / "sources" / "mappings"

# Invented exports, in the style of the two systems.
ETRACE = """\
Trace Number,Request Date,Completion Date,Recovery Date,Recovery Country,Recovery State,\
Recovery City,Requesting Agency ORI,FFL Number,Retail Purchase Date,Purchaser Token,\
Purchaser Is Possessor,Weapon Type,Caliber,Manufacturer,Serial Status,Trace Result,Crime Code,\
Case Officer Unit
T0001,03/01/2025,03/11/2025,02/20/2025,Mexico,MX-CHH,Ciudad Ju\u00e1rez,MXPGR0000,\
57420101 8f90001,20-Feb-2024,9f8e7d6c,N,Rifle,7.62,SAMPLE,Legible,Purchaser Identified,520,U7
T0002,2025-03-02,,,United States,TX,HOUSTON,TXHPD0000,,,,,Derringer,9MM,SAMPLE,\
Partially obliterated,Still open,520,U7
"""
CBP = """\
SEIZURE_NBR|SEIZURE_DT|REPORT_DT|PORT_CD|LAT|LON|PROPERTY_TYPE|SEMI_AUTO_RIFLE|FFL_NBR|TRACE_NBR
S1|20250401|04/03/2025|2304|27.5|-99.5|LONG GUN|Y|5-74-201-01-8F-90001|T0001
S2|20250402|04/04/2025|2402|31.7|-106.4|Handgun|N||
"""


def test_the_etrace_style_example(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(ETRACE.encode("latin-1"))
    summary = ingest(path, tmp_path / "w", mapping=MAPPINGS / "etrace_traces.toml", today=TODAY)
    assert (summary.counts["stored"], summary.counts["rejected"]) == (2, 0)
    first, second = sorted(
        Warehouse.open(tmp_path / "w").read("traces").to_pylist(), key=lambda r: r["trace_id"]
    )
    assert first["dealer"] == "5-74-90001"
    assert first["sold_on"] == date(2024, 2, 20)
    assert (first["recovery_country"], first["recovery_place"]) == ("MX", "Ciudad Ju\u00e1rez")
    assert (first["firearm_type"], first["outcome"]) == ("rifle", "purchaser")
    assert first["is_purchaser_possessor"] is False
    assert first["known_on"] == date(2025, 3, 11)
    assert (second["firearm_type"], second["outcome"]) == ("other", "incomplete")
    assert (second["serial_status"], second["dealer"]) == ("obliterated", None)
    assert second["known_on"] == date(2025, 3, 16)


def test_the_cbp_style_example(tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_text(CBP)
    ingest(path, tmp_path / "w", mapping=MAPPINGS / "cbp_seizures.toml", today=TODAY)
    stored = Warehouse.open(tmp_path / "w").read("seizures").to_pandas().set_index("seizure_id")
    assert stored["agency"].to_list() == ["CBP", "CBP"]
    assert stored["firearm_type"].to_dict() == {"S1": "rifle", "S2": "pistol"}
    assert stored["is_semiautomatic_rifle"].to_dict() == {"S1": True, "S2": False}
    assert stored.loc["S1", "reported_on"] == date(2025, 4, 3)
    assert stored.loc["S1", "dealer"] == "5-74-90001"


def test_a_mapping_is_part_of_what_a_file_means(tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_text(CBP)
    first = MAPPINGS / "cbp_seizures.toml"
    ingest(path, tmp_path / "w", mapping=first, today=TODAY)
    again = ingest(path, tmp_path / "w", mapping=first, today=TODAY)
    assert not again.files[0].is_new
    other = tmp_path / "other.toml"
    other.write_text(first.read_text() + "\n# another\n")
    assert ingest(path, tmp_path / "w", mapping=other, today=TODAY).counts["duplicate"] == 2


def test_an_export_without_a_mapped_column_shows_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_text(CBP.replace("SEIZURE_DT", "SEIZURE_DATE"))
    with pytest.raises(SourceError, match=r"SEIZURE_DT \(nearest: SEIZURE_DATE\)"):
        ingest(path, tmp_path / "w", mapping=MAPPINGS / "cbp_seizures.toml", today=TODAY)


def test_an_export_with_a_name_is_refused_though_no_entry_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(ETRACE.replace("Case Officer Unit", "Purchaser Last Name"))
    with pytest.raises(SourceError, match="'Purchaser Last Name'"):
        ingest(path, tmp_path / "w", mapping=MAPPINGS / "etrace_traces.toml", today=TODAY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('table = "seizures"', 'table = "seizure"'), "did you mean 'seizures'"),
        (("[columns.port_code]", "[columns.portcode]"), "no column 'portcode'"),
        (('from = "PORT_CD"', 'form = "PORT_CD"'), "needs either 'from' or 'constant'"),
        (('"HANDGUN" = "pistol"', '"HANDGUN" = "pistols"'), "did you mean 'pistol'"),
        (("[columns.seized_on]", "[columns.latitude2]"), "'seized_on' has no entry"),
        (('delimiter = "|"', 'delimiter = "||"'), "not one separating sign"),
        (('delimiter = "|"', 'encoding = "ebcdic"'), "encoding 'ebcdic'"),
        (('delimiter = "|"', 'separator = "|"'), "setting 'separator' is unknown"),
        (('delimiter = "|"', "delimiter = "), "cannot be read"),
    ],
)
def test_faults_of_a_mapping_are_told(change: tuple[str, str], told: str, tmp_path: Path) -> None:
    text = (MAPPINGS / "cbp_seizures.toml").read_text()
    assert change[0] in text
    path = tmp_path / "own.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(SourceError) as caught:
        read_mapping(path)
    assert told in str(caught.value)


def test_all_faults_of_a_mapping_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('table = "holds"\nfoo = 1\n[columns.dealr]\nfrom = "X"\n')
    with pytest.raises(SourceError) as caught:
        read_mapping(path)
    for part in ("'foo'", "did you mean 'dealer'", "'hold_id' has no entry", "'starts_on' has"):
        assert part in str(caught.value)


@pytest.mark.parametrize("table", sorted(TABLES))
def test_what_a_mapping_says_of_a_column_stands_in_the_query_once(table: str) -> None:
    """A value of it written out within itself took DuckDB twenty seconds to plan."""
    columns = {name: f"concat({quoted(name)}, '!')" for name in TABLES[table].names}
    kinds = dict.fromkeys(columns, "VARCHAR")
    query = check_query(Plan(table, columns), kinds, tuple(columns), TODAY, is_trimmed=False)
    assert {query.sql.count(said) for said in columns.values()} == {1}
