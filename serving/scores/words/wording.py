"""How a signal's value is said: plain words from ``wording.toml``, numbers as a person writes them.

>>> wording("traces_n_90d", {}).say(1.0), wording("traces_n_90d", {}).say(float("nan"))
('1 firearm traced in 90 days', 'An unknown number of firearms traced in 90 days')
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from features.domain.number_words import times

MILES_PER_KM: Final = 0.621371192
_KM2_PER_SQUARE_MILE: Final = 2.589988110336
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_PEERS: Final = re.compile(r"[,;]?\s*(more|less) than \{percentile\}% of peers")
_PLACES: Final = ("state", "county")
_MOST_LOG: Final = 40.0


@dataclass(frozen=True)
class HeadWords:
    """What a head, or a part of the priority, is called.

    Parameters
    ----------
    label : str
        In a sentence or above a column.
    part : str
        Where space is short.
    total : str
        What the sum of its values over some dealers is a number of.
    """

    label: str
    part: str
    total: str


# Heads that foretell a number of firearms; the others foretell a chance.
RATES: Final = frozenset({"diversion", "mexico"})
# What each head is called where people read it.
_HEADS: Final[Mapping[str, HeadWords]] = {
    "compliance": HeadWords("chance of a severe finding", "severe finding", "findings"),
    "later_penalized": HeadWords("chance of a later penalty", "later penalty", "later penalties"),
    "severity": HeadWords("chance that a penalty is severe", "severity", "yield"),
    "diversion": HeadWords("firearms traced soon, 12 months", "traced soon", "firearms"),
    "mexico": HeadWords("firearms traced in Mexico, 12 months", "Mexico", "firearms in Mexico"),
    "alike": HeadWords("set against dealers alike", "set against dealers alike", "yield"),
}
# Why a dealer is on a list, and why one is in a plan.
_WHY: Final[Mapping[str, str]] = {
    "model": "highest priority",
    "random": "drawn at random",
    "recall": "recall due",
    "coverage": "longest unseen",
    "manual": "added by hand",
}
_PLANNED: Final[Mapping[str, str]] = {"model": "by priority", "list": "required from the list"}
_LEAST: Final = 0.001
_LEAST_SHARE: Final = 0.0001
_ALMOST: Final = 0.01
_SPECIAL: Final = (
    "zero", "one", "negative", "yes", "no", "unknown", "estimate", "recent", "nothing",
)  # fmt: skip


@dataclass(frozen=True)
class Wording:
    """The texts of one signal; a field in braces stands for its value.

    Parameters
    ----------
    main : str
        For every value that has no text of its own.
    zero, one, negative, yes, no, unknown : str
        For those values; empty when `main` serves. `negative` is given the size of the value.
    words : tuple of str
        What the codes 0, 1, 2, ... mean.
    own : tuple of str
        Signals that count the dealer's own events, of a value drawn toward similar dealers.
    estimate, recent, nothing : str
        Where those show none; of a dealer listed for less than three years; where there was
        nothing to measure on.
    is_of_place : bool
        Whether all dealers of a state or county share the value: then it is no dealer's own reason.
    """

    main: str
    zero: str = ""
    one: str = ""
    negative: str = ""
    yes: str = ""
    no: str = ""
    unknown: str = ""
    words: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    estimate: str = ""
    recent: str = ""
    nothing: str = ""
    is_of_place: bool = False

    def say(self, value: float) -> str:
        """Return the sentence for a value, without its full stop; a missing value is said."""
        if not math.isfinite(value):
            return _capital(self.unknown or self._not_known())
        if self.yes:
            return _capital(self.yes if value else self.no)
        if value < 0 and self.negative:
            return _capital(self._put(self.negative, -value))
        special = {0.0: self.zero, 1.0: self.one}.get(value, "")
        return _capital(special or self._put(self.main, value))

    def say_as(self, value: float, manner: str) -> str:
        """Return the sentence for a known value in the manner of `estimate` or `recent`."""
        return _capital(self._put(self.estimate if manner == "estimate" else self.recent, value))

    def unheld(self) -> str:
        """Return the sentence for a value whose records nobody holds, without its full stop.

        `unknown` may say that nothing happened; of that no records tell either.
        """
        is_said = bool(self.unknown) and bool(self.words or self.yes)
        return _capital(self.unknown if is_said else self._not_known())

    def _not_known(self) -> str:
        if self.words:
            return self.main.replace("{words}", "something not known")
        if self.yes or not _BRACES.search(self.main):
            return f"{self.yes or self.main}: not known"
        text = self._put(self.main, None).removesuffix(", drawn toward similar dealers")
        for about in ("By estimate, about an ", "About an "):
            text = text.replace(about, "An ")
        return text.replace("about an unknown", "an unknown")

    def _put(self, text: str, value: float | None) -> str:
        put = _BRACES.sub(lambda found: self._field(found.group(1), value), text)
        return put.replace("About less than", "Less than").replace("about less than", "less than")

    def _field(self, field: str, value: float | None) -> str:
        kind, _, noun = field.partition(" ")
        singular, _, plural = noun.partition("/")
        plural = plural or _plural(singular)
        if value is None:
            return _UNKNOWN.get(kind, "an unknown number of {plural}").format(plural=plural)
        if kind == "log":
            value = round(math.expm1(min(value, _MOST_LOG)))
        if kind == "age":
            from features.domain.asof import DAYS_A_YEAR  # numpy: not for a command without ages

            days = round(DAYS_A_YEAR * value)
            kind, value = "q", value if days >= DAYS_A_YEAR else float(days)
            singular, plural = ("year", "years") if days >= DAYS_A_YEAR else ("day", "days")
        if kind == "least":
            value = math.floor(10.0 * value) / 10.0
        if kind in {"n", "q", "log", "least"}:
            amount = number(value)
            if amount == "0" and kind != "q":
                return f"no {plural}"
            return f"{amount} {singular if amount == '1' else plural}"
        if kind == "times":
            return times(number(value))
        if kind == "words":
            at = int(value)
            return self.words[at] if 0 <= at < len(self.words) else f"code {number(value)}"
        return {"share": share, "miles": miles, "density": _density}.get(kind, number)(value)


_UNKNOWN: Final[Mapping[str, str]] = {
    "share": "an unknown share",
    "miles": "an unknown distance",
    "value": "an unknown number of",
    "age": "an unknown number of years",
    "times": "an unknown number of times",
    "density": "an unknown number of people per square mile",
}


def wording(name: str, signal: Mapping[str, Any]) -> Wording:
    """Return how a signal is said: as ``wording.toml`` has it, else from the bundle's own template.

    Parameters
    ----------
    name : str
    signal : mapping
        As the bundle describes it; read only for a signal that the file does not know.
    """
    known = _texts().get(name)
    return known if known is not None else _of_template(signal)


@cache
def _texts() -> dict[str, Wording]:
    path = resources.files("serving.scores.words") / "wording.toml"
    families = tomllib.loads(path.read_text(encoding="utf-8"))
    return {name: _read(entry) for signals in families.values() for name, entry in signals.items()}


def _read(entry: str | Mapping[str, Any]) -> Wording:
    if isinstance(entry, str):
        return Wording(entry)
    texts = {name: entry[name] for name in _SPECIAL if name in entry}
    return Wording(
        main=entry.get("say", ""),
        words=tuple(entry.get("words", ())),
        own=tuple(entry.get("own", ())),
        is_of_place=entry.get("where") in _PLACES,
        **texts,
    )


def _of_template(signal: Mapping[str, Any]) -> Wording:
    """Return the wording of a signal that only its bundle describes."""
    label = str(signal["name"]).replace("_", " ")
    # Where a value stands among peers is said by one function, never by a template.
    main = _PEERS.sub("", str(signal.get("reason") or "")) or f"{label}: {{value}}"
    unit = str(signal.get("unit") or "")
    for field in ("unit", "window"):
        main = main.replace(f"{{{field}}}", str(signal.get(field) or ""))
    words = tuple(signal.get("words") or ())
    unknown = f"{_BRACES.sub('', main).strip(' :') or label}: not known"
    if unit == "yes or no":
        yes, no = main.replace("{value}", "yes"), main.replace("{value}", "no")
        return Wording(main, yes=yes, no=no, unknown=unknown)
    kind = "words" if words else "share" if unit == "share" else "value"
    return Wording(main.replace("{value}", f"{{{kind}}}").rstrip("."), words=words, unknown=unknown)


def number(value: float) -> str:
    """Write a number as a person would.

    >>> number(3.0), number(0.12345), number(1234.5), number(0.00002)
    ('3', '0.12', '1,234', 'less than 0.001')
    """
    if 0 < abs(value) < _LEAST:
        return f"less than {_LEAST}"
    if abs(value) >= 100 or float(value).is_integer():
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.2g}" if abs(value) < 1 else f"{value:.1f}"
    return text.replace("-", "−")


def share(value: float) -> str:
    """Write a share in per cent.

    Only all is 100%, and only none 0%.

    >>> share(0.0123), share(0.5), share(0.0), share(0.9967), share(0.00001)
    ('1.2%', '50%', '0%', '99.67%', 'less than 0.01%')
    """
    if 0 < value < _LEAST_SHARE:
        return f"less than {100 * _LEAST_SHARE:.2g}%"
    if 1 - _ALMOST < value < 1:
        return f"{math.floor(1e4 * value + 1e-9) / 100:g}%"
    return f"{100 * value:.2g}%" if value < 0.1 else f"{100 * value:.0f}%"


def score(value: float, head: str) -> str:
    """Write a head's value: a chance in per cent, a rate as a number.

    >>> score(0.1234, "compliance"), score(2.345, "diversion")
    ('12.3%', '2.3')
    """
    if head in RATES:
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return percent(value)


def head_label(name: str) -> str:
    """Return what a head is called; an unknown one keeps its name.

    >>> head_label("compliance"), head_label("theft_loss")
    ('chance of a severe finding', 'theft loss')
    """
    return _words_of(name).label


def part_label(name: str) -> str:
    """Return what a head, or another part of the priority, is called where space is short.

    >>> part_label("mexico"), part_label("alike"), part_label("theft_loss")
    ('Mexico', 'set against dealers alike', 'theft loss')
    """
    return _words_of(name).part


def total_label(name: str) -> str:
    """Return what a head's values add up to; a plan kept before heads were named has none.

    >>> total_label("compliance"), total_label("diversion"), total_label(""), total_label("other")
    ('findings', 'firearms', 'findings', 'yield')
    """
    return _words_of(name or "compliance").total


def _words_of(name: str) -> HeadWords:
    plain = name.replace("_", " ")
    return _HEADS.get(name, HeadWords(plain, plain, "yield"))


def percent(value: float) -> str:
    """Write a share in per cent, with the digits that matter.

    >>> percent(0.5), percent(0.0123), percent(0.00012), percent(1e-9)
    ('50%', '1.2%', '0.012%', 'less than 0.0001%')
    """
    hundred = 100 * value
    if 0 < hundred < 0.0001:  # a number so small would be written with an exponent
        return "less than 0.0001%"
    if hundred == round(hundred) or hundred >= 20:
        return f"{hundred:.0f}%"
    return f"{hundred:.1f}%" if hundred >= 0.1 else f"{hundred:.2g}%"


def why_label(why: str) -> str:
    """Return why a dealer is on a list.

    >>> why_label("model"), why_label("coverage")
    ('highest priority', 'longest unseen')
    """
    return _WHY.get(why, why.replace("_", " "))


def planned_label(why: str) -> str:
    """Return why a dealer is in a plan.

    >>> planned_label("model"), planned_label("recall")
    ('by priority', 'recall due')
    """
    return _PLANNED.get(why) or why_label(why)


def last_kind_label(kind: str | None) -> str:
    """Return of what kind the last inspection was that counts toward the yearly allowance.

    >>> last_kind_label("compliance"), last_kind_label("recall"), last_kind_label(None)
    ('a compliance inspection', 'a recall', 'of which kind is not known')
    """
    return {"compliance": "a compliance inspection", "recall": "a recall"}.get(
        kind or "", "of which kind is not known"
    )


def miles(km: float) -> str:
    """Write a distance in miles with kilometers.

    >>> miles(100.0), miles(0.5)
    ('62 miles (100 km)', '0.3 miles (0.5 km)')
    """
    far = km * MILES_PER_KM
    if far < 10:
        return f"{far:.1f} miles ({km:.1f} km)"
    return f"{far:,.0f} miles ({km:,.0f} km)"


def _density(per_km2: float) -> str:
    return f"{number(per_km2 * _KM2_PER_SQUARE_MILE)} people per square mile"


def _plural(noun: str) -> str:
    """Return the plural of a noun that may carry words behind it."""
    if noun.endswith(("s", "ch", "x")):
        return noun + "es"
    return noun + "s"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def types_in_words(license_types: Collection[str]) -> str:
    """Name some types of license.

    >>> types_in_words(["02"])
    'license type 02'
    """
    named = sorted(set(license_types))
    return f"license {'type' if len(named) == 1 else 'types'} {', '.join(named)}"
