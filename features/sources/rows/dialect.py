"""How a text is written: what stands before its header, its separator, its rule lines, its widths.

Nothing here depends on which publisher wrote the text. A line that holds only dashes and the like
is a rule wherever it stands; the separator is the sign that makes the most fields of the header;
a first line ``sep=;`` is a spreadsheet's own; a rule of several dashes runs under a header without
separators tells where each field of a line of fixed width begins and ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from features.sources.files.source_file import SourceFile
from features.sources.rows.delimited import DELIMITERS, TextForm, head_lines, header_names

_MOST_LINES_BEFORE: Final = 12
_SEP: Final = re.compile(r'"?sep=(?P<sign>\\t|.)"?[,;\t ]*', re.IGNORECASE)
_RULE: Final = re.compile(r'[-=_+|,;\t\x1f^~" ]*[-=_]{2}[-=_+|,;\t\x1f^~" ]*|([-=_][,;\t|^~]?)+')
_RUNS: Final = re.compile(r"[-=_]+")


def forms(
    source: SourceFile, fallback: str | None = "latin-1"
) -> Iterator[tuple[TextForm, list[str]]]:
    """Yield the ways in which `source` may be written, each with the names of its columns.

    Each line of the first few may be the header; that a reader knows the names tells which it is.

    Parameters
    ----------
    source : SourceFile
        A text.
    fallback : str, optional
        The encoding where it is not UTF-8.
    """
    lines = [line.rstrip("\r") for line in head_lines(source, TextForm(fallback_encoding=fallback))]
    sign, first = _named_separator(lines)
    for n, line in enumerate(lines[first : first + _MOST_LINES_BEFORE], first):
        if not line.strip() or is_rule(line):
            continue
        n_rules = _n_rules(lines[n + 1 :])
        form = TextForm(n_lines_before=n, n_rule_lines=n_rules, fallback_encoding=fallback)
        spans = _spans(lines[n + 1]) if n_rules else ()
        form = replace(form, delimiter=sign or separator_of(line), spans=())
        names = header_names(line, form)
        if len(names) < 2 and len(spans) > 1:
            form = replace(form, spans=_to_the_end(spans), has_quotes=False)
            names = header_names(line, form)
        yield form, [*names, *_unnamed(lines[n + 1 + n_rules :], form, len(names))]


def is_rule(line: str) -> bool:
    r"""Tell a line that only separates a header from what is below it.

    >>> [is_rule(line) for line in ("-----\t---", "=====", "-,-,-", "", "1,-,-")]
    [True, True, True, False, False]
    """
    return bool(line.strip()) and _RULE.fullmatch(line.strip()) is not None


def separator_of(line: str) -> str:
    """Return the sign that makes the most fields of a header; a comma where none does."""
    counts = {sign: len(header_names(line, TextForm(delimiter=sign))) for sign in DELIMITERS}
    return max(counts, key=lambda sign: counts[sign])


def _named_separator(lines: list[str]) -> tuple[str, int]:
    """Return the separator that the first line names and where the text goes on."""
    for n, line in enumerate(lines[:2]):
        match = _SEP.fullmatch(line)
        if match:
            return ("\t" if match["sign"] == "\\t" else match["sign"]), n + 1
        if line.strip():
            break
    return "", 0


def _n_rules(lines: list[str]) -> int:
    """Return how many lines, rules and blank ones, stand before the first row."""
    n_rules = 0
    for n, line in enumerate(lines[:5], 1):
        if is_rule(line):
            n_rules = n
        elif line.strip():
            break
    return n_rules


def _spans(rule: str) -> tuple[tuple[int, int], ...]:
    return tuple(match.span() for match in _RUNS.finditer(rule))


def _to_the_end(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Let the last field run to the end of its line."""
    return (*spans[:-1], (spans[-1][0], 1 << 16))


def _unnamed(lines: list[str], form: TextForm, n_names: int) -> list[str]:
    """Name the field that a separator in the end of every row makes beyond those of the header."""
    rows = [line for line in lines[:20] if line.strip() and not is_rule(line)][:-1] or lines[:1]
    if form.spans or not any(line.strip() for line in rows):
        return []
    fields = [header_names(line, form) for line in rows if line.strip()]
    is_longer = all(len(names) == n_names + 1 for names in fields)
    ends_bare = all(line.rstrip("\r").endswith(form.delimiter) for line in rows if line.strip())
    return [f"column_{n_names + 1}"] if is_longer and ends_bare else []
