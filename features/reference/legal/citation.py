"""Citations of law in an inspection report: one spelling, and how serious each is.

Reports write the same provision in many ways (``27 C.F.R. § 478.21 (a)``, ``478.21(A)``,
``178.21(a)`` before the parts were renumbered). The canonical text is ``478.21(a)`` for title 27
and ``18 USC 922(t)(5)`` for any other title. Tiers are data:
``features/reference/legal/citations.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from features.errors import InvalidValueError
from features.reference.files import read_toml

Tier = Literal[1, 2, 3]
Fault = Literal["missing", "truncated", "malformed", "unknown_title"]

# A citation with no instance was taken back: a version of its row that says so ends the one before.
CITED_SQL: Final = "coalesce(instances, 1) > 0"
MISSING_TEXTS: Final = frozenset(
    {"", "[MISSING]", "MISSING", "NONE", "N/A", "NA", "NAN", "UNKNOWN"}
)

_NOISE = re.compile(r"[§]|\bSECTIONS?\b|\bSEC\b\.?|\bPART\b", re.IGNORECASE)
_CITATION = re.compile(
    r"(?:(?:(?P<title>\d{1,2})\s*)?(?P<code>USC|CFR)\s*)?"
    r"(?P<section>\d{1,4}(?:\.\d{1,4})?[A-Za-z]?)"
    r"(?P<paragraphs>(?:\([A-Za-z0-9]{1,5}\))*)",
    re.IGNORECASE,
)
_PARAGRAPH = re.compile(r"\(([A-Za-z0-9]+)\)")

# The regulations were 27 CFR 178 and 179 until they were renumbered in 2003.
_RENUMBERED: Final = {"178": "478", "179": "479"}
_TITLES: Final = {"USC": frozenset({"18", "22", "26", "28"}), "CFR": frozenset({"27", "28"})}

# Whether the nth paragraph level is written in capitals: (a)(1)(i)(A) in a regulation,
# (a)(1)(A)(i)(I) in a statute. Digits have no case.
_CAPITAL_LEVELS: Final = {
    "CFR": (False, False, False, True, False),
    "USC": (False, False, True, False, True),
}


@dataclass(frozen=True, order=True)
class Citation:
    """One provision of law.

    Parameters
    ----------
    text : str
        Canonical spelling, ``478.124(c)(1)`` or ``18 USC 922(t)(5)``.
    tier : {1, 2, 3}
        1 trigger of revocation under the policy of 2021-25, 2 serious, 3 record-keeping.
    """

    text: str
    tier: Tier


def normalize(text: str) -> Citation:
    """Read one citation in any of its spellings.

    Raises
    ------
    InvalidValueError
        When `text` is missing, cut off, or no citation.

    Examples
    --------
    >>> normalize("27 C.F.R. § 478.124 (C)(1)")
    Citation(text='478.124(c)(1)', tier=3)
    >>> normalize("18 u.s.c. 922(t)(5)").text
    '18 USC 922(t)(5)'
    """
    canonical, fault = _read(text)
    if fault is not None:
        raise InvalidValueError(
            f"{text!r} is not a citation: {fault.replace('_', ' ')}.",
            found=repr(text),
            expected="a provision such as 478.124(c)(1), 18 USC 922(t) or 28 CFR 25.6(a)",
            fix="correct the spelling, or leave the citation out of the file",
        )
    return Citation(canonical, tier_of(canonical))


def is_cited(violations: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each row stands as a citation, shape (n,); one of no instances was taken back.

    Examples
    --------
    >>> is_cited(pd.DataFrame({"instances": pd.array([2, None, 0], dtype="Int64")})).tolist()
    [True, True, False]
    """
    return np.asarray(violations["instances"].fillna(1) > 0, dtype=np.bool_)


def normalize_column(values: Sequence[str | None] | pd.Series | pa.Array) -> pd.DataFrame:
    """Read a column of citations; each distinct spelling is read once.

    Returns
    -------
    DataFrame
        One row per value, in order and with the index of `values` if it has one:
        ``citation`` (str or None), ``tier`` (Int8, null where there is no citation) and ``fault``
        (None, ``missing``, ``truncated``, ``malformed`` or ``unknown_title``).
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_pandas()
    series = pd.Series(values, dtype=object)
    codes, spellings = pd.factorize(series, use_na_sentinel=True)
    read = [_read(str(spelling)) for spelling in spellings] + [("", "missing")]
    texts = np.array([text or None for text, _ in read], dtype=object)
    tiers = np.array([tier_of(text) if text else 0 for text, _ in read], dtype=np.int8)
    faults = np.array([fault for _, fault in read], dtype=object)
    tier = pd.array(tiers[codes], dtype="Int8")
    tier[tiers[codes] == 0] = pd.NA
    columns = {"citation": texts[codes], "tier": tier, "fault": faults[codes]}
    return pd.DataFrame(columns, index=series.index)


def tier_of(citation: str) -> Tier:
    """Tier of a canonical citation: the longest rule that covers it, else its title's default.

    >>> tier_of("478.102(a)(1)"), tier_of("478.102(c)"), tier_of("478.125(e)")
    (1, 2, 3)
    """
    return _tier_and_cause(citation)[0]


def cause_of(citation: str) -> str:
    """Return what the rule behind the tier calls the violation; empty for a default tier.

    >>> cause_of("478.39a")
    'theft or loss not reported'
    """
    return _tier_and_cause(citation)[1]


def known_citations() -> list[tuple[str, str]]:
    """Return the provisions that the reference names, each with what it calls the violation.

    >>> dict(known_citations())["478.39a"]
    'theft or loss not reported'
    """
    return [(citation, cause) for citation, (_, cause) in sorted(_rules().items())]


def is_trigger(citation: str, on: date) -> bool:
    """Whether a willful first violation called for revocation under the policy of that date.

    >>> is_trigger("478.99(c)", date(2022, 1, 1)), is_trigger("478.99(c)", date(2019, 1, 1))
    (True, False)
    """
    trigger = read_toml("legal/citations.toml")["trigger"]
    return tier_of(citation) == 1 and bool(trigger["starts_on"] <= on < trigger["ends_on"])


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[str, Fault | None]:
    """Canonical text, or an empty text and what is wrong."""
    cleaned = _NOISE.sub(" ", text.strip()).strip(" ,;:").replace(" (", "(").replace(") ", ")")
    cleaned = re.sub(r"\bU\.?\s?S\.?\s?C\.?(?![A-Z])", "USC", cleaned, flags=re.IGNORECASE)
    cleaned = re.sub(r"\bC\.?\s?F\.?\s?R\.?(?![A-Z])", "CFR", cleaned, flags=re.IGNORECASE)
    cleaned = re.sub(r"\s+", " ", cleaned).strip().removesuffix(".")
    if cleaned.upper() in MISSING_TEXTS:
        return "", "missing"
    if cleaned.count("(") == cleaned.count(")") + 1 and cleaned.rfind("(") > cleaned.rfind(")"):
        return "", "truncated"
    match = _CITATION.fullmatch(cleaned)
    if match is None:
        return "", "malformed"
    return _canonical(match["title"], match["code"], match["section"], match["paragraphs"])


def _canonical(
    title: str | None, code: str | None, section: str, paragraphs: str
) -> tuple[str, Fault | None]:
    section = section.lower()
    is_regulation = "." in section
    if code is not None and is_regulation != (code.upper() == "CFR"):
        return "", "malformed"
    code = "CFR" if is_regulation else "USC"
    if is_regulation:
        part, _, rest = section.partition(".")
        section = f"{_RENUMBERED.get(part, part)}.{rest}"
    title = title or _usual_title(section)
    if title is None:
        return "", "malformed"
    if title not in _TITLES[code]:
        return "", "unknown_title"
    prefix = "" if (title, code) == ("27", "CFR") else f"{title} {code} "
    return f"{prefix}{section}{_with_case(paragraphs, code)}", None


def _usual_title(section: str) -> str | None:
    """Title of a section written without one: the acts and parts that license dealers."""
    if "." in section:
        part = section.partition(".")[0]
        return "28" if part == "25" else "27" if len(part) == 3 else None
    number = int(re.sub(r"\D", "", section))
    if 921 <= number <= 934:
        return "18"
    return "26" if 5801 <= number <= 5872 else None


def _with_case(paragraphs: str, code: str) -> str:
    levels = _PARAGRAPH.findall(paragraphs)
    capitals = _CAPITAL_LEVELS[code] + (False,) * max(0, len(levels) - 5)
    cased = (
        level.upper() if is_capital else level.lower()
        for level, is_capital in zip(levels, capitals, strict=False)
    )
    return "".join(f"({level})" for level in cased)


@lru_cache(maxsize=1)
def _rules() -> dict[str, tuple[Tier, str]]:
    return {
        citation: (rule["tier"], rule["cause"])
        for rule in read_toml("legal/citations.toml")["rule"]
        for citation in rule["citations"]
    }


@lru_cache(maxsize=4096)
def _tier_and_cause(citation: str) -> tuple[Tier, str]:
    rules = _rules()
    step = citation
    while step:
        if step in rules:
            return rules[step]
        # 28 CFR 25.6(a) -> 28 CFR 25.6 -> 28 CFR 25
        step = step[: step.rfind("(")] if "(" in step else step[: max(step.rfind("."), 0)]
    defaults = read_toml("legal/citations.toml")["defaults"]
    full = citation if citation[:2].isdigit() and citation[2:3] == " " else f"27 CFR {citation}"
    found = max((key for key in defaults if full.startswith(key)), key=len)
    return defaults[found], ""
