"""A purchaser's token that is told late, or otherwise, counts; that it is gone says nothing."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.ingest import ingest
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write

ONE, OTHER, NONE = "aaaa1111", "bbbb2222", ""
DAYS = ("2026-05-02", "2026-05-09", "2026-05-16")


def sale(token: str, known_on: str = "", sold_on: str = "2026-05-01") -> dict[str, str]:
    """One report of a multiple sale."""
    told = row("multiple_sales", sold_on=sold_on, reported_on=DAYS[0], purchaser_token=token)
    return told | {"known_on": known_on}


def standing(folder: Path) -> list[tuple[str | None, date]]:
    """Tokens that were in force, each with the day from which."""
    files = Warehouse.open(folder).files("multiple_sales")
    rows = [one for file in files for one in pq.read_table(file).to_pylist()]
    were = [r for r in rows if r["superseded_on"] != r["known_on"]]
    return sorted(((r["purchaser_token"], r["known_on"]) for r in were), key=lambda r: r[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tokens", "counting"),
    [
        ((NONE, ONE), [(None, 0), (ONE, 1)]),
        ((ONE, OTHER), [(ONE, 0), (OTHER, 1)]),
        ((ONE, NONE), [(ONE, 0)]),
        ((ONE, NONE, ONE), [(ONE, 0)]),
        ((ONE, NONE, OTHER), [(ONE, 0), (OTHER, 2)]),
        ((NONE, ONE, NONE), [(None, 0), (ONE, 1)]),
    ],
)
def test_versions_of_a_token_stand_in_whatever_order_they_came(
    tokens: tuple[str, ...], counting: list[tuple[str | None, int]], tmp_path: Path
) -> None:
    told = [sale(token, day) for token, day in zip(tokens, DAYS, strict=False)]
    expected = [(token, date.fromisoformat(DAYS[n])) for token, n in counting]
    for n, order in enumerate(permutations(told)):
        for k, one in enumerate(order):
            path = write(tmp_path / f"{n}-{k}", "multiple_sales.csv", [one])
            ingest(path, tmp_path / f"w{n}", today=TODAY)
        assert standing(tmp_path / f"w{n}") == expected


@pytest.mark.parametrize("sold_on", ["2026-05-01", "2023-05-01"])
def test_a_token_told_without_a_day_is_known_on_the_day_of_its_load(
    sold_on: str, tmp_path: Path
) -> None:
    """Of a sale whose time is over, what stood without it may have had it."""
    if sold_on < "2024":
        write(tmp_path / "a", "traces.csv", [row("traces", purchaser_token=ONE)])
    write(tmp_path / "a", "multiple_sales.csv", [sale(NONE, sold_on=sold_on)])
    write(tmp_path / "b", "multiple_sales.csv", [sale(ONE, sold_on=sold_on)])
    ingest(tmp_path / "a", tmp_path / "w", today=TODAY)
    summary = ingest(tmp_path / "b", tmp_path / "w", today=TODAY)
    told, first = (ONE, TODAY), date.fromisoformat(DAYS[0])
    expected = [(None, first), told] if sold_on > "2024" else [(ONE, first)]
    assert standing(tmp_path / "w") == expected
    assert summary.counts["rejected"] == 0


def test_two_tokens_told_on_one_day_are_disputed(tmp_path: Path) -> None:
    write(tmp_path, "multiple_sales.csv", [sale(NONE), sale(ONE), sale(OTHER), sale(OTHER)])
    summary = ingest(tmp_path / "multiple_sales.csv", tmp_path / "w", today=TODAY, max_rejects=1)
    assert summary.counts["rejected"] == 2
    assert standing(tmp_path / "w") == []
