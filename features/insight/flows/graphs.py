"""The graph library, without the drawings that it would bring along.

igraph loads matplotlib to be able to draw, which takes a second or two and 40 MB; where matplotlib
cannot be loaded it goes on without. Nothing here draws with it.
"""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Any, Final

_DRAWINGS: Final = "matplotlib"
_first = threading.Lock()


def igraph() -> Any:
    """Return the library, loaded when first asked for."""
    with _first:
        if "igraph" in sys.modules or _DRAWINGS in sys.modules:
            return importlib.import_module("igraph")
        modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
        modules[_DRAWINGS] = None  # says to whoever imports it that there is none
        try:
            return importlib.import_module("igraph")
        finally:
            del sys.modules[_DRAWINGS]
