"""Which engine builds signals where a step does not say: the embedded one, or Spark for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from features.engine.embedded import EmbeddedEngine
from features.errors import InvalidValueError, did_you_mean
from features.warehouse import Warehouse

ENGINES: Final = ("embedded", "spark")
_chosen: ContextVar[Callable[[Warehouse], EmbeddedEngine]] = ContextVar(
    "engine", default=EmbeddedEngine
)


def chosen_engine(warehouse: Warehouse) -> EmbeddedEngine:
    """Open the chosen engine over a warehouse; whoever opens it closes it."""
    return _chosen.get()(warehouse)


def require_engine(name: str) -> None:
    """Refuse a name that no engine has.

    Raises
    ------
    InvalidValueError
        Naming those there are.
    """
    if name not in ENGINES:
        raise InvalidValueError(
            f"{name!r} is no engine{did_you_mean(name, ENGINES)}", expected=" or ".join(ENGINES)
        )


@contextmanager
def engine_named(name: str) -> Iterator[None]:
    """Build signals with the engine of that name until the block ends.

    Training and scoring build many tables; they all use one Spark session, which ends with the
    block.

    Raises
    ------
    InvalidValueError
        When there is no such engine.
    EngineMissingError
        When Spark or Java is not installed.
    """
    require_engine(name)
    if name == "embedded":
        yield
        return
    from features.engine.spark import SparkEngine, session

    spark = session()
    token = _chosen.set(lambda warehouse: SparkEngine(warehouse, spark=spark))
    try:
        yield
    finally:
        _chosen.reset(token)
        spark.stop()
