"""Arithmetic over named figures, read from text and never executed as a program."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from features.errors import InvalidValueError, did_you_mean

_Z: Final = 1.959964
# How many figures each is of; `within` is a figure with the two ends of its interval.
_FUNCTIONS: Final = {"share": 2, "rate": 2, "min": 2, "max": 2, "within": 3}
_MOST: Final = 400  # characters of a formula


@dataclass(frozen=True)
class Value:
    """A number, and its 95% interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


def names_in(formula: str, *, what: str) -> tuple[str, ...]:
    """Return the figures that a formula names.

    Raises
    ------
    InvalidValueError
        When it is no formula.
    """
    tree = _parsed(formula, what)
    calls = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n not in calls]
    return tuple(dict.fromkeys(names))


def parts_in(formula: str, *, what: str) -> tuple[tuple[str, str], ...]:
    """Return each figure that a formula divides by another, as a share or plainly, with that one.

    >>> parts_in("1 - share(found, asked) + hits / tries / 2", what="x")
    (('found', 'asked'), ('hits', 'tries'))

    Raises
    ------
    InvalidValueError
        When it is no formula.
    """
    found = []
    for node in ast.walk(_parsed(formula, what)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            pair = node.args if node.func.id == "share" else []
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            pair = [node.left, node.right]
        else:
            continue
        names = [one.id for one in pair if isinstance(one, ast.Name)]
        if len(names) == 2:
            found.append((names[0], names[1]))
    return tuple(found)


def require_known(formula: str, known: Mapping[str, object], *, what: str) -> None:
    """Refuse a formula that names a figure nobody knows.

    Raises
    ------
    InvalidValueError
        Naming it, and the nearest that is known.
    """
    for name in names_in(formula, what=what):
        if name not in known:
            raise InvalidValueError(
                f"The formula of {what} names an unknown figure {name!r}"
                f"{did_you_mean(name, known, end='.')}",
                found=formula,
                expected=f"figures among: {', '.join(sorted(known))}",
            )


def evaluate(formula: str, figures: Mapping[str, float | None], *, what: str) -> Value | None:
    """Evaluate a formula; None when a figure is missing or something is divided by zero."""
    try:
        found = _value(_parsed(formula, what).body, figures, what)
    except (_MissingError, ZeroDivisionError):
        return None
    return found if math.isfinite(found.value) else None


class _MissingError(Exception):
    """A figure without data."""


def _parsed(formula: str, what: str) -> ast.Expression:
    try:
        if len(formula) > _MOST:
            raise SyntaxError
        tree = ast.parse(formula, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidValueError(
            f"The formula of {what} cannot be read.", found=formula[:80],
            expected=f"+ - * / over figures and numbers, {', '.join(_FUNCTIONS)}",
        ) from error  # fmt: skip
    for node in ast.walk(tree):
        _require_arithmetic(node, formula, what)
    return tree


def _require_arithmetic(node: ast.AST, formula: str, what: str) -> None:
    allowed = (
        ast.Expression, ast.BinOp, ast.UnaryOp, ast.Name, ast.Load, ast.Call, ast.Add, ast.Sub,
        ast.Mult, ast.Div, ast.USub,
    )  # fmt: skip
    is_number = isinstance(node, ast.Constant) and type(node.value) in {int, float}
    is_call = isinstance(node, ast.Call)
    is_good_call = is_call and (
        isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS  # type: ignore[attr-defined]
        and len(node.args) == _FUNCTIONS[node.func.id] and not node.keywords  # type: ignore[attr-defined]
    )  # fmt: skip
    if not (is_number or isinstance(node, allowed)) or (is_call and not is_good_call):
        raise InvalidValueError(
            f"The formula of {what} holds more than arithmetic.", found=formula[:80],
            expected=f"+ - * / over figures and numbers, {', '.join(_FUNCTIONS)}",
        )  # fmt: skip


def _value(node: ast.AST, figures: Mapping[str, float | None], what: str) -> Value:
    if isinstance(node, ast.Constant):
        return Value(float(node.value))  # type: ignore[arg-type]
    if isinstance(node, ast.Name):
        number = figures.get(node.id)
        if number is None:
            raise _MissingError
        return Value(float(number))
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, figures, what)
        return _moved(inner, lambda x: -x)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        given = [_value(arg, figures, what).value for arg in node.args]
        return Value(*given) if node.func.id == "within" else _called(node.func.id, *given)
    if isinstance(node, ast.BinOp):
        return _combined(
            node.op, _value(node.left, figures, what), _value(node.right, figures, what)
        )
    raise InvalidValueError(f"The formula of {what} holds more than arithmetic.")


def _called(name: str, a: float, b: float) -> Value:
    if name in {"min", "max"}:
        return Value(min(a, b) if name == "min" else max(a, b))
    if b <= 0:
        raise ZeroDivisionError
    return _share(a, b) if name == "share" else _rate(a, b)


def _share(n: float, of: float) -> Value:
    """Return a share with its Wilson interval."""
    p, z = n / of, _Z
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(max(p * (1 - p), 0.0) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return Value(p, max(middle - half, 0.0), min(middle + half, 1.0))


def _rate(n: float, exposure: float) -> Value:
    """Return a rate with the interval of a Poisson mean (Jeffreys)."""
    from scipy import stats  # slow to import

    low = float(stats.gamma.ppf(0.025, n + 0.5)) if n > 0 else 0.0
    return Value(n / exposure, low / exposure, float(stats.gamma.ppf(0.975, n + 0.5)) / exposure)


_ACTIONS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def _combined(op: ast.operator, a: Value, b: Value) -> Value:
    act = _ACTIONS[type(op)]
    # An interval is carried through arithmetic with plain numbers only.
    if b.low is None:
        return _moved(a, lambda x: act(x, b.value))
    if a.low is None:
        return _moved(b, lambda y: act(a.value, y))
    return Value(act(a.value, b.value))


def _moved(value: Value, act: Callable[[float], float]) -> Value:
    if value.low is None or value.high is None:
        return Value(act(value.value))
    ends = sorted((act(value.low), act(value.high)))
    return Value(act(value.value), ends[0], ends[1])
