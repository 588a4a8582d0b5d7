"""Invented names: syllables put together, so that nobody real is meant."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Texts = npt.NDArray[np.object_]

_HEADS: Final = [
    "Bre",
    "Dro",
    "Fal",
    "Gru",
    "Hol",
    "Jas",
    "Kel",
    "Lun",
    "Mor",
    "Nev",
    "Ost",
    "Pra",
    "Quil",
    "Ros",
    "Ste",
    "Tam",
    "Ull",
    "Ver",
    "Wex",
    "Yor",
    "Zal",
    "Cor",
    "Dav",
    "Eld",
    "Fen",
    "Gar",
    "Hes",
    "Irv",
    "Kor",
    "Mab",
    "Pel",
    "Sar",
    "Tho",
    "Urd",
    "Vin",
]
_MIDDLES: Final = [
    "an",
    "ber",
    "den",
    "el",
    "for",
    "gan",
    "hal",
    "in",
    "kin",
    "lor",
    "man",
    "nel",
    "or",
    "pel",
    "ram",
    "sin",
    "tor",
    "un",
    "ven",
    "wis",
    "av",
    "ed",
    "ith",
    "om",
    "ur",
]
_TAILS: Final = [
    "ack",
    "by",
    "dale",
    "erton",
    "field",
    "gate",
    "holt",
    "ick",
    "land",
    "mere",
    "nor",
    "ova",
    "quist",
    "rud",
    "sby",
    "thorpe",
    "vik",
    "wold",
    "yard",
    "zell",
    "brook",
    "crest",
    "ford",
]
_GIVEN: Final = [
    "Abel",
    "Brisa",
    "Cato",
    "Delma",
    "Evin",
    "Fara",
    "Gorm",
    "Hilde",
    "Ivo",
    "Jorun",
    "Kasper",
    "Lisbet",
    "Milo",
    "Nadja",
    "Orin",
    "Petra",
    "Quade",
    "Runa",
    "Silas",
    "Tova",
    "Ulf",
    "Vesna",
    "Wim",
    "Xenia",
    "Yorick",
    "Zora",
]
_PLACES: Final = [
    "Bluff",
    "Creek",
    "Mesa",
    "Hollow",
    "Prairie",
    "Summit",
    "Lakeside",
    "Canyon",
    "Valley",
    "Pine",
    "Cedar",
    "Granite",
    "Harbor",
    "Frontier",
    "Copper",
    "Iron",
    "Juniper",
    "Heron",
    "Badger",
    "Falcon",
]
_TRADES: Final = [
    "Arms",
    "Firearms",
    "Outfitters",
    "Sporting Goods",
    "Gun Works",
    "Shooting Supply",
    "Armory",
    "Guns & Tackle",
    "Tactical",
    "Gunsmithing",
]
_PAWN: Final = ["Pawn", "Pawn & Loan", "Jewelry & Pawn", "Trading Post"]
_STREETS: Final = [
    "Juniper",
    "Quarry",
    "Mill",
    "Orchard",
    "Depot",
    "Prairie",
    "Chapel",
    "Canal",
    "Ridge",
    "Foundry",
    "Meadow",
    "Summit",
]
_WAYS: Final = ["St", "Ave", "Rd", "Ln", "Hwy", "Blvd"]


def _pick(rng: np.random.Generator, words: list[str], n: int) -> Texts:
    return np.array(words, dtype=object)[rng.integers(0, len(words), n)]


def surnames(rng: np.random.Generator, n: int) -> Texts:
    """Return invented surnames, shape (n,)."""
    return np.asarray(
        _pick(rng, _HEADS, n) + _pick(rng, _MIDDLES, n) + _pick(rng, _TAILS, n), dtype=object
    )


def people(rng: np.random.Generator, n: int) -> Texts:
    """Return invented persons as the listing writes them, ``Surname, Given M``, shape (n,)."""
    middle = _pick(rng, list("ABCDEFGHJKLMNPRSTVW"), n)
    return np.asarray(surnames(rng, n) + ", " + _pick(rng, _GIVEN, n) + " " + middle, dtype=object)


def companies(rng: np.random.Generator, is_pawn: npt.NDArray[np.bool_]) -> Texts:
    """Return invented companies, a pawnbroker's where `is_pawn`, shape (n,)."""
    n = len(is_pawn)
    trade = np.where(is_pawn, _pick(rng, _PAWN, n), _pick(rng, _TRADES, n))
    return np.asarray(surnames(rng, n) + " " + _pick(rng, _PLACES, n) + " " + trade, dtype=object)


def streets(rng: np.random.Generator, n: int) -> Texts:
    """Return invented street addresses, shape (n,)."""
    number = rng.integers(100, 9900, n).astype(str).astype(object)
    return np.asarray(
        number + " " + _pick(rng, _STREETS, n) + " " + _pick(rng, _WAYS, n), dtype=object
    )
