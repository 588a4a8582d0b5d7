"""The policy file: weights of the heads, what is severe, how strictness is read, when to abstain.

It is reviewed and versioned like code, travels in every bundle, and every number has a reason.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, cast

from features.errors import did_you_mean
from models.errors import PolicyError

DEFAULT: Final = Path(__file__).with_name("policy.toml")
_SECTIONS: Final = (
    "version", "reviewed_on", "review_due", "priority", "yield_cost", "severe_finding", "support",
    "strictness",
)  # fmt: skip
_KEYS: Final = {
    "yield_cost": ("maximum", "reason"),
    "severe_finding": (
        "outcome_at_least", "tier_1_citations_at_least", "unaccounted_firearms_at_least", "reason",
    ),
    "support": ("minimum", "reason"),
}  # fmt: skip
_KEYS_OF_A_HEAD: Final = ("weight", "reason", "per_sale", "per_place")
_READINGS: Final = ("strictness", "risk")
Reading = Literal["strictness", "risk"]


@dataclass(frozen=True)
class SevereFinding:
    """What counts as a severe finding.

    Parameters
    ----------
    outcome_at_least : str
        Lowest outcome of the ladder that is severe.
    tier_1_citations_at_least : int
        So many citations of tier 1 are severe.
    unaccounted_firearms_at_least : int
        So many firearms still missing after reconciliation are severe.
    """

    outcome_at_least: str
    tier_1_citations_at_least: int
    unaccounted_firearms_at_least: int


@dataclass(frozen=True)
class StrictnessPolicy:
    """How differences between offices are read.

    Parameters
    ----------
    between_offices : {"strictness", "risk"}
        What differs between offices, and no evidence that crosses offices tells apart, is the
        strictness of who looks, or the risk of who is looked at.
    max_place_share : float
        Under ``strictness``: a signal of whose variance more than this share lies between offices
        stands for the office, and is left out of the compliance head.
    max_dependence : float
        Largest correlation of the order with strictness, at the same risk, that is promoted.
    """

    between_offices: Reading = "strictness"
    max_place_share: float = 0.5
    max_dependence: float = 0.15


@dataclass(frozen=True)
class Policy:
    """A policy as read.

    Parameters
    ----------
    text : str
        The file, as it goes into a bundle.
    version : int
    reviewed_on, review_due : date
    weights : mapping of str to float
        Weight of each head in the priority.
    reasons : mapping of str to str
        Why each head has its weight.
    severe_finding : SevereFinding
    min_support : float
        Support below which a dealer has insufficient history.
    strictness : StrictnessPolicy
        How differences between offices are read.
    per_sale : mapping of str to float
        How far a head that counts firearms is ranked against dealers who sell alike: 0 by count, 1
        only by what lies above or below their mean (`models.order.set_against_alike`).
    per_place : mapping of str to float
        How far a head is ranked against dealers in places alike: 0 as it stands, 1 only by what the
        place does not tell (`models.order.place_effects`).
    max_yield_cost : float
        Largest share of the findings expected of a list that the heads beside the compliance head
        may cost (`models.order.restraint`); 1 for a policy that states none.
    """

    text: str
    version: int
    reviewed_on: date
    review_due: date
    weights: Mapping[str, float]
    reasons: Mapping[str, str]
    severe_finding: SevereFinding
    min_support: float
    strictness: StrictnessPolicy = StrictnessPolicy()
    per_sale: Mapping[str, float] = field(default_factory=dict)
    per_place: Mapping[str, float] = field(default_factory=dict)
    max_yield_cost: float = 1.0

    @classmethod
    def read(cls, path: Path = DEFAULT) -> Policy:
        """Read a policy file; the one that ships by default.

        Examples
        --------
        >>> Policy.read().weights["compliance"]
        1.0
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise PolicyError(f"No policy at {path}.", found=str(error)) from error

    @classmethod
    def parse(cls, text: str, name: str = "the policy") -> Policy:
        """Read a policy from its text.

        Raises
        ------
        PolicyError
            When it is no TOML, or a value is missing, unknown or of the wrong kind.
        """
        try:
            value = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise PolicyError(f"{name} is no TOML.", found=str(error)) from error
        for key in value:
            if key not in _SECTIONS:
                raise PolicyError(
                    f"{name} has an unknown section '{key}'{did_you_mean(key, _SECTIONS, end='.')}"
                )
        try:
            heads: Mapping[str, Mapping[str, Any]] = value["priority"]
            _check_keys(name, value, heads)
            severe = value["severe_finding"]
            policy = cls(
                text=text,
                version=int(value["version"]),
                reviewed_on=value["reviewed_on"],
                review_due=value["review_due"],
                weights={head: float(entry["weight"]) for head, entry in heads.items()},
                reasons={head: str(entry["reason"]).strip() for head, entry in heads.items()},
                severe_finding=SevereFinding(
                    str(severe["outcome_at_least"]),
                    _count(severe, "tier_1_citations_at_least"),
                    _count(severe, "unaccounted_firearms_at_least"),
                ),
                min_support=float(value["support"]["minimum"]),
                strictness=_strictness(value.get("strictness", {})),
                per_sale=_shares(heads, "per_sale"),
                per_place=_shares(heads, "per_place"),
                max_yield_cost=float(value["yield_cost"]["maximum"])
                if "yield_cost" in value
                else 1.0,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PolicyError(
                f"{name} lacks a value or has one of the wrong kind.", found=repr(error)
            ) from error
        policy._check(name)
        return policy

    def _check(self, name: str) -> None:
        odd_weights = [h for h, w in self.weights.items() if not 0.0 <= w < math.inf]
        if odd_weights:
            raise PolicyError(
                f"{name} gives a head a negative weight, or none that is a finite number.",
                found=", ".join(f"{head}: {self.weights[head]:g}" for head in odd_weights),
                expected=">= 0",
            )
        self._check_severe(name)
        if not 0.0 <= self.min_support < 1.0:
            raise PolicyError(f"{name}: support.minimum is a share.", found=str(self.min_support))
        for key, shares, like in (
            ("per_sale", self.per_sale, "who sells alike"),
            ("per_place", self.per_place, "places alike"),
        ):
            odd = [head for head, share in shares.items() if not 0.0 <= share <= 1.0]
            if odd:
                raise PolicyError(
                    f"{name}: {key} is a share from 0, by count, to 1, against {like}.",
                    found=", ".join(odd),
                )
        if not 0.0 <= self.max_yield_cost <= 1.0:
            raise PolicyError(
                f"{name}: yield_cost.maximum is a share, from 0, nothing, to 1, whatever it costs.",
                found=str(self.max_yield_cost),
            )
        reading = self.strictness
        if reading.between_offices not in _READINGS:
            raise PolicyError(
                f"{name}: strictness.between_offices is no reading"
                f"{did_you_mean(reading.between_offices, _READINGS, end='.')}",
                found=reading.between_offices,
                expected=" or ".join(_READINGS),
            )
        if not (0.0 < reading.max_place_share <= 1.0 and 0.0 < reading.max_dependence <= 1.0):
            raise PolicyError(
                f"{name}: strictness.max_place_share and strictness.max_dependence are shares.",
                found=f"{reading.max_place_share}, {reading.max_dependence}",
            )
        if not isinstance(self.reviewed_on, date) or not isinstance(self.review_due, date):
            raise PolicyError(f"{name}: reviewed_on and review_due are dates.")

    def _check_severe(self, name: str) -> None:
        rule = self.severe_finding
        for key in ("tier_1_citations_at_least", "unaccounted_firearms_at_least"):
            if getattr(rule, key) < 1:
                raise PolicyError(
                    f"{name}: severe_finding.{key} below 1 makes every visit severe.",
                    found=str(getattr(rule, key)),
                    expected="1 or more",
                    fix="to switch the rule off give a number that no visit reaches, as 1000000",
                )

    def stated(self) -> dict[str, str]:
        """Return its version and fingerprint, for manifests and pages."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return {"version": str(self.version), "sha256": digest}

    def weights_of(self, heads: Iterable[str]) -> dict[str, float]:
        """Return the weights of a bundle's heads.

        Raises
        ------
        PolicyError
            When a head has no weight, or all weights are zero.
        """
        chosen: dict[str, float] = {}
        for head in heads:
            if head not in self.weights:
                raise PolicyError(
                    f"The policy gives head '{head}' no weight"
                    f"{did_you_mean(head, self.weights, end='.')}",
                    expected=f"a section [priority.{head}] with weight and reason",
                )
            chosen[head] = self.weights[head]
        if not any(chosen.values()):
            raise PolicyError(
                "No head of the bundle counts in the priority.",
                found=", ".join(chosen),
                expected="a weight above zero",
            )
        return chosen


def _check_keys(
    name: str, value: Mapping[str, Any], heads: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse a key that nothing reads: what is misspelled would count for nothing."""
    sections = [(key, value[key], _KEYS[key]) for key in _KEYS if key in value]
    sections += [(f"priority.{head}", entry, _KEYS_OF_A_HEAD) for head, entry in heads.items()]
    for section, entries, known in sections:
        for key in entries:
            if key not in known:
                raise PolicyError(
                    f"{name} has an unknown key '{section}.{key}'"
                    f"{did_you_mean(key, known, end='.')}",
                    expected=", ".join(known),
                )


def _count(section: Mapping[str, Any], key: str) -> int:
    """Read a whole number; one with a fraction would be cut, and a yes be a one."""
    value = section[key]
    if isinstance(value, bool) or int(value) != value:
        raise ValueError(f"{key} = {value!r} is no whole number")
    return int(value)


def _shares(heads: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, float]:
    return {head: float(entry[key]) for head, entry in heads.items() if key in entry}


def _strictness(section: Mapping[str, Any]) -> StrictnessPolicy:
    """Read the section; a policy without it reads differences between offices as strictness."""
    known = [f.name for f in fields(StrictnessPolicy)]
    for key in section:
        if key not in (*known, "reason"):
            raise ValueError(f"strictness.{key}{did_you_mean(key, known)}")
    plain = StrictnessPolicy()
    return StrictnessPolicy(
        cast(Reading, str(section.get("between_offices", plain.between_offices))),
        float(section.get("max_place_share", plain.max_place_share)),
        float(section.get("max_dependence", plain.max_dependence)),
    )
