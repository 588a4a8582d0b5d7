"""Puts a bundle in BentoML's model store, in a process of its own (`model_store` starts it).

What to put there comes as one JSON document on standard input. Nothing else of the project is
imported: BentoML alone takes seconds.
"""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from features.home import keep_private, tighten, write_json

BUNDLE: Final = "bundle"
ENTRY: Final = "champion.json"


def put(asked: dict[str, Any]) -> None:
    """Write the model; the newest one of its name is what ``latest`` means afterwards."""
    import bentoml
    from bentoml.exceptions import NotFound

    keep_private()
    with suppress(NotFound):
        bentoml.models.delete(asked["tag"])  # one that was in force before, and is again
    with bentoml.models.create(
        asked["tag"], labels=asked["labels"], metadata=asked["metadata"]
    ) as model:
        shutil.copytree(asked["bundle"], model.path_of(BUNDLE))
        write_json(Path(model.path_of(ENTRY)), asked["entry"])
        tighten(Path(model.path))


if __name__ == "__main__":
    put(json.load(sys.stdin))
