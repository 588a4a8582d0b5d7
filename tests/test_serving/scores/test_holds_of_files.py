"""Holds that come with files: a dealer stays held while any record says so."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from features.ingest import ingest
from features.ingest.withdrawal import withdraw
from features.warehouse import Warehouse
from serving.scores.publish import holds_of
from tests.test_features.ingest_samples import TODAY, row, write

LATER = TODAY + timedelta(days=30)


def held(folder: Path, as_of: date = LATER) -> set[tuple[str, str]]:
    frame = holds_of(Warehouse.open(folder / "w"), as_of)
    ends = frame["ends_on"].dt.strftime("%Y-%m-%d").fillna("")
    return set(zip(frame["dealer"], ends, strict=True))


def tell(folder: Path, number: int, **changes: str) -> None:
    path = write(folder, f"holds-{number}.csv", [row("holds", **changes)])
    ingest(path, folder / "w", as_table="holds", today=TODAY, max_rejects=1.0)


def test_a_hold_that_is_sent_again_with_its_end_goes_on_until_then(tmp_path: Path) -> None:
    tell(tmp_path, 1, ends_on="")
    tell(tmp_path, 2, ends_on="2027-01-01")
    assert held(tmp_path) == {("5-74-90001", "2027-01-01")}
    assert held(tmp_path, as_of=TODAY) == {("5-74-90001", "")}


@pytest.mark.parametrize("is_turned", [False, True])
def test_both_dealers_of_a_disputed_hold_stay_held(is_turned: bool, tmp_path: Path) -> None:
    dealers = ("5-74-90001", "5-74-90002")
    for number, dealer in enumerate(dealers[::-1] if is_turned else dealers):
        tell(tmp_path, number, dealer=dealer)
    assert {dealer for dealer, _ in held(tmp_path)} == set(dealers)
    assert held(tmp_path, as_of=date(2025, 5, 5)) == set()
    source = f"holds-{0 if is_turned else 1}.csv"
    withdraw(source, tmp_path / "w", why="wrong", today=TODAY)
    assert {dealer for dealer, _ in held(tmp_path)} == {"5-74-90001"}


def test_a_later_record_settles_a_disputed_hold(tmp_path: Path) -> None:
    for number, dealer in enumerate(("5-74-90001", "5-74-90002")):
        tell(tmp_path, number, dealer=dealer)
    path = write(tmp_path, "holds.csv", [row("holds", dealer="5-74-90002")])
    ingest(path, tmp_path / "w", known_on=TODAY, today=TODAY)
    assert {dealer for dealer, _ in held(tmp_path)} == {"5-74-90002"}
