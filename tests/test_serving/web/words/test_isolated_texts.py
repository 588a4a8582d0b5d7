"""Texts that people typed or agencies sent turn no sentence around them: each is isolated."""

from __future__ import annotations

import re
from pathlib import Path

import serving.web

TEMPLATES = sorted((Path(serving.web.__file__).parent / "templates").glob("*.html"))
# What holds a text of others; what else is shown is written by the program.
_TEXT = re.compile(
    r"\{\{ (?:[a-z_]+\.(?:name|city|street|note|agency|contact|to_agency|licensee_name)"
    r"|[a-z_]+ \| dealer_name|address\([a-z]+\))(?: or [^}]*)? \}\}"
)
_OWN = re.compile(r"\{\{ (?:me|week|bar|line|county|hub|year|month)\.name")


def test_every_text_of_others_is_isolated_or_an_attribute():
    bare = []
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        for found in _TEXT.finditer(text):
            before = text[: found.start()]
            if before.rfind("<") > before.rfind(">") or _OWN.match(found[0]):
                continue  # an attribute turns nothing around it
            inside = ("bdi", "option", "title")
            if not any(before.rfind(f"<{tag}") > before.rfind(f"</{tag}>") for tag in inside):
                line = before.count("\n") + 1
                bare.append(f"{path.name}:{line} {found[0]}")
    assert bare == []
