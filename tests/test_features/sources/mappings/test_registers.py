"""A register of licenses becomes listings, and a full export that comes again corrects the last."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from features.errors import SourceError
from features.ingest import IngestSummary, ingest
from features.ingest.proposals.new_mapping import propose
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY
from tests.test_features.sources.mappings.test_mappings_of_a_clerk import (
    export,
    holds,
    load,
    mapping,
    stored,
)

COLUMNS = {
    "dealer": 'from = ["R", "S"]\nseparator = "-00-"\npad = [1, 5]', "license_type": 'from = "T"',
    "premises_city": 'constant = "not recorded"', "premises_state": 'from = "ST"',
    "county_fips": 'from = ["ST", "CN"]',
}  # fmt: skip
REGISTER = """\
[register]
from = "GRANTED"
to = "GONE"
date_format = "%d-%b-%Y"
first = "2025-01-01"
last = "2025-04-01"
"""
TEXT = """\
R;S;T;ST;CN;GRANTED;GONE
1;1;1;TX;201;05-MAR-2019;
1;2;1;TX;201;15-JAN-2025;01-MAR-2025
1;3;2;GA;7;;31-DEC-9999
1;4;1;TX;201;05-MAR-2019;06-MAR-2020
1;5;1;TX;201;02-ENE-2025;NULL
1;6;3;TX;201;05-MAR-2019;
1;7;7;TX;201;01-FEB-2025;
1;8;7;TX;201;1900-01-01;
1;9;7;TX;201;soon;
"""


def listing(
    folder: Path, text: str = TEXT, top: str = REGISTER, **options: object
) -> IngestSummary:
    own = mapping(folder, f'delimiter = ";"\n{top}', table="licenses", **COLUMNS)
    return load(folder, text, own, **options)


def days(folder: Path) -> dict[str, list[date]]:
    rows = Warehouse.open(folder / "w").read("licenses").to_pylist()
    found: dict[str, list[date]] = {}
    for row in sorted(rows, key=lambda row: row["listed_on"]):
        found.setdefault(row["dealer"][-1], []).append(row["listed_on"])
    return found


def test_a_license_is_listed_on_the_days_on_which_it_was_in_force(tmp_path: Path) -> None:
    months = [date(2025, m, 1) for m in range(1, 5)]
    summary = listing(tmp_path, max_rejects=0.5)
    assert days(tmp_path) == {
        "1": months, "2": months[1:2], "3": months, "5": months[1:], "7": months[1:], "8": months,
    }  # fmt: skip
    # One that was none on each of the days and four of a collector; what is no date is rejected.
    assert (summary.counts["set_aside"], summary.counts["rejected"]) == (5, 1)
    assert summary.files[0].tables[0].reasons == {"bad_date": 1}
    rows = stored(tmp_path, "licenses")
    assert Counter(row["county_fips"] for row in rows) == {"48201": 15, "13007": 4}
    assert all(row["known_on"] == row["listed_on"] for row in rows)


@pytest.mark.slow
def test_a_later_day_alone_is_added_to_the_days_before(tmp_path: Path) -> None:
    listing(tmp_path, max_rejects=0.5)
    text = TEXT.replace("1;1;1;TX;201;05-MAR-2019;", "1;1;1;TX;201;05-MAR-2019;20-APR-2025")
    summary = listing(tmp_path, text, listed_on=date(2025, 5, 1), max_rejects=0.5)
    assert summary.counts["stored"] == 4
    assert days(tmp_path)["1"][-1] == date(2025, 4, 1)
    assert days(tmp_path)["5"][-1] == date(2025, 5, 1)


@pytest.mark.parametrize(
    ("top", "told"),
    [
        (REGISTER.replace("from", "form"), "setting 'form' is unknown; .*register needs 'from'"),
        (REGISTER.replace("2025-04-01", "2024-04-01"), "listings, 1 to 600 are made"),
        (REGISTER.replace("2025-01-01", "1st of May"), "first '1st of May' is no day"),
        (REGISTER + "every_months = 0", "every_months is a number"),
        (REGISTER.replace("GONE", "ENDED"), "ENDED"),
    ],
)
def test_a_register_that_cannot_be_is_told(top: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        listing(tmp_path, top=top)
    assert re.search(told, " ".join(str(error.value).split()))


def test_the_day_of_a_listing_may_come_with_each_file(tmp_path: Path) -> None:
    proposed = propose(export(tmp_path, TEXT), "licenses")
    assert "no column looks like listed_on" in proposed
    assert "# [register]" in proposed
    text = "LIC_SER,CNTY_NO\n1234,7\n1235,201\n"
    proposed = propose(export(tmp_path, text), "licenses")
    assert "# ? '1234' is no key of a dealer" in proposed
    assert "is a county within a state: put the letters" in proposed
    with pytest.raises(SourceError, match="Nothing tells the day of the listing"):
        listing(tmp_path, top="")
    listing(tmp_path, top="", listed_on=date(2025, 5, 1))
    assert set(days(tmp_path)["4"]) == {date(2025, 5, 1)}


def test_a_full_export_that_comes_again_corrects_what_it_changes(tmp_path: Path) -> None:
    """Rows that stayed are stored once; what is corrected counts from the day of the export."""
    own = mapping(tmp_path)
    load(tmp_path, holds("2025-01-01", "2025-01-02", "2025-01-03"), own)
    again = holds("2025-01-01", "2025-01-02", "2025-01-03", "2025-05-01")
    again = again.replace("H1,5-74-90001", "H1,5-74-90009")
    told = load(tmp_path, again, own, is_trial=True, max_rejects=0.5)
    assert "--known-on" in " ".join(told.files[0].notes)
    summary = load(tmp_path, again, own, known_on=date(2025, 6, 1))
    counts = summary.counts
    assert (counts["stored"], counts["duplicate"], counts["rejected"]) == (2, 2, 0)
    before, after = (
        {r["hold_id"]: r["dealer"][-1] for r in _as_of(tmp_path, day)}
        for day in (date(2025, 5, 20), date(2025, 6, 2))
    )
    assert before == {"H0": "1", "H1": "1", "H2": "1"}
    assert after == {"H0": "1", "H1": "9", "H2": "1", "H3": "1"}


def test_the_page_shows_a_register_that_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[4] / "docs" / "agency" / "mapping.md").read_text(
        encoding="utf-8"
    )
    shown = next(b for b in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[register]" in b)
    (tmp_path / "own.toml").write_text(shown, encoding="utf-8")
    text = TEXT.replace(";", ",").replace("R,S,T,ST,CN", "REGION,SERIAL,CLASS,STATE,COUNTY_NO", 1)
    text = text.replace("GRANTED,GONE", "DT_GRANTED,DT_GONE").replace(",1,TX", ",DLR,TX")
    load(tmp_path, text.replace(",7,TX", ",MFG,TX"), tmp_path / "own.toml", max_rejects=0.5)
    assert days(tmp_path)["7"][0] == date(2025, 2, 1)


def _as_of(folder: Path, day: date) -> list[dict]:
    return Warehouse.open(folder / "w").read("holds", as_of=day).to_pylist()


@pytest.mark.slow
def test_a_fault_has_the_line_and_the_column_of_the_file(tmp_path: Path) -> None:
    for query in ("", "query = '''SELECT *, S AS T2 FROM export WHERE S <> '2' '''\n"):
        summary = listing(tmp_path, top=query + REGISTER, max_rejects=1.0, is_trial=True)
        assert summary.preview is not None
        (bad,) = summary.preview.rejected
        assert (bad.column, bad.value, bad.first_line) == ("GRANTED or GONE", "soon", 10)
        assert not any("not a line of the file" in note for note in summary.files[0].notes)


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("SELECT NR, FFL, BEGIN FROM export WHERE NR <> 'H0'", "line 4"),
        ("SELECT * FROM export ORDER BY NR DESC", "line 4"),
        ("SELECT NR, FFL, max(BEGIN) AS BEGIN FROM export GROUP BY ALL ORDER BY NR DESC",
         "row 1 of what the query gives"),
        ("SELECT max(NR) AS NR, max(FFL) AS FFL, max(BEGIN) AS BEGIN FROM export",
         "row 1 of what the query gives"),
    ],
)  # fmt: skip
def test_a_line_of_a_query_is_one_of_the_file_or_called_otherwise(
    query: str, line: str, tmp_path: Path
) -> None:
    own = mapping(tmp_path, f"query = '''{query}'''")
    with pytest.raises(SourceError, match=rf"first in {line}\)"):
        load(tmp_path, holds("2025-05-05", "2025-05-06", "soon"), own, max_rejects=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "query = 'SELECT * FROM export'\n"])
def test_rows_that_cannot_be_decoded_are_rejected_before_a_register(
    query: str, tmp_path: Path
) -> None:
    own = mapping(tmp_path, f'delimiter = ";"\n{query}{REGISTER}', table="licenses", **COLUMNS)
    lines = [f"1;{n};1;TX;201;05-MAR-2019;" for n in range(1, 9)]
    path = tmp_path / "export.csv"
    text = "\n".join(["R;S;T;ST;CN;GRANTED;GONE", *lines, "Mu\xf1oz;9;1;TX;201;05-MAR-2019;", ""])
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=r"undecodable \(first in line 10\)"):
        ingest(path, tmp_path / "w", mapping=own, today=TODAY, max_rejects=0.0)
    summary = ingest(path, tmp_path / "w", mapping=own, today=TODAY)
    (counts,) = summary.files[0].tables
    assert (counts.n_read, counts.n_stored, counts.reasons) == (33, 32, {"undecodable": 1})
    rejects = Warehouse.open(tmp_path / "w").rejects("licenses")
    assert rejects is not None
    assert rejects["source_line"].to_pylist() == [10]


def test_a_row_that_swallowed_others_is_rejected_with_them_before_a_query(tmp_path: Path) -> None:
    grouped = "SELECT min(NR) AS NR, FFL, BEGIN FROM export GROUP BY FFL, BEGIN"
    own = mapping(tmp_path, f"query = '{grouped}'")
    text = holds(*(f"2025-05-{n:02d}" for n in range(1, 9))) + 'H9,"5-74-90001,2025-05-20\n'
    summary = load(tmp_path, text, own, max_rejects=0.5)
    (counts,) = summary.files[0].tables
    assert (counts.n_read, counts.n_stored, counts.n_rejected) == (9, 8, 1)
