"""A column of tokens is judged as a whole: hashes are stored, words and numbers of people never."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from features.errors import SourceError
from features.ingest import ingest
from features.warehouse import Warehouse
from tests.test_features.ingest_samples import TODAY, row, write
from tests.test_features.sources.mappings.test_mappings_of_a_clerk import mapping

NAMES = ("SMITH", "GARCIA", "NGUYEN", "OKAFOR", "LEE", "DE-LA-CRUZ", "KIM")


def _digest(n: int) -> bytes:
    return hashlib.sha256(f"key{n}".encode()).digest()


HASHES: dict[str, Callable[[int], str]] = {
    "hex": lambda n: _digest(n).hex()[:8],
    "HEX": lambda n: _digest(n).hex().upper(),
    "base64": lambda n: base64.b64encode(_digest(n)).decode(),
    "base64 of few signs": lambda n: base64.urlsafe_b64encode(_digest(n)).decode()[:12],
    "base32": lambda n: base64.b32encode(_digest(n)).decode().rstrip("="),
    "base32 of few signs": lambda n: base64.b32encode(_digest(n)).decode()[:8],
    "ten digits": lambda n: str(10**9 + int.from_bytes(_digest(n)[:6], "big") % (9 * 10**9)),
    "eight digits": lambda n: f"{int.from_bytes(_digest(n)[:6], 'big') % 10**8:08d}",
}


def load(folder: Path, tokens: list[str]) -> list[str | None]:
    rows = [row("traces", trace_id=f"T{n:03d}", purchaser_token=t) for n, t in enumerate(tokens)]
    ingest(write(folder, "traces.csv", rows), folder / "w", today=TODAY)
    read = Warehouse.open(folder / "w").read("traces").sort_by("trace_id")
    return read["purchaser_token"].to_pylist()


@pytest.mark.parametrize("form", HASHES)
def test_hashes_of_every_form_are_tokens(form: str, tmp_path: Path) -> None:
    tokens = [HASHES[form](n) for n in range(200)]
    assert load(tmp_path, tokens) == tokens


def test_a_hash_of_hex_may_be_of_letters_alone(tmp_path: Path) -> None:
    assert load(tmp_path, ["deadbeef"]) == ["deadbeef"]


@pytest.mark.parametrize(
    "tokens",
    [
        ["SMITH"],
        [name for name in NAMES if len(name) > 3],
        [name.lower() for name in NAMES if len(name) > 3],
        ["SMITH-JOHN", "smith.john", "JohnSmith", "SMITH_J"],
        ["19700131", "19811130", "20010203"],
        ["01311970", "31121981"],
        ["7035550100", "2125550199", "3125550142"],
        ["703-555-0100"],
        ["31.01.1970"],
        [HASHES["hex"](n) for n in range(9)] + ["1/31/1970"],
        [HASHES["hex"](n) for n in range(3)] + ["SMITH", "GARCIA", "NGUYEN", "OKAFOR"],
    ],
)
def test_words_days_and_numbers_of_people_refuse_the_file(
    tokens: list[str], tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="readable values") as caught:
        load(tmp_path, tokens)
    assert not any(token in str(caught.value) for token in tokens)
    assert not (tmp_path / "w" / "manifest.json").exists()


def test_a_column_called_after_the_buyer_may_hold_the_token(tmp_path: Path) -> None:
    given = {("BUYER" if k == "purchaser_token" else k): v for k, v in row("traces").items()}
    entries = {name: f'from = "{name}"' for name in row("traces")}
    path = write(tmp_path, "export.csv", [given])
    del entries["purchaser_token"]
    own = mapping(tmp_path, table="traces", **entries)
    with pytest.raises(SourceError, match="data about persons"):
        ingest(path, tmp_path / "w", mapping=own, today=TODAY)
    own = mapping(tmp_path, table="traces", **entries, purchaser_token='from = "BUYER"')
    assert ingest(path, tmp_path / "w", mapping=own, today=TODAY).counts["stored"] == 1
    given["BUYER"] = "SMITH"
    write(tmp_path, "export.csv", [given])
    with pytest.raises(SourceError, match="readable values"):
        ingest(path, tmp_path / "w", mapping=own, today=TODAY)
