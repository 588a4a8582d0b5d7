"""The command that takes a champion over from BentoML's model store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer


def adopt(
    models: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Option(
            "--from",
            metavar="FOLDER",
            help="Folder models of a model store or a bento. Default: the bento's that this runs "
            "in, else the one of BENTOML_HOME.",
        ),
    ] = None,
    if_none: Annotated[
        bool, typer.Option("--if-none", help="Only when no champion is in force yet.")
    ] = False,
) -> None:
    """Put the champion in force that BentoML's model store holds: one promoted elsewhere.

    Every hash of the bundle is verified first. No gate is asked again: they were where it was
    promoted. The registry of this state folder knows nothing of it; `ffl-risk rollback` puts the
    champion before it back. Publish it afterwards (`ffl-risk score`).
    """
    from features.home import home
    from training.commands.promote import adopt_stored
    from training.progress import Steps
    from training.registry.model_store import store_folder

    bento = os.environ.get("BENTO_PATH")
    own = Path(bento) / "models" if bento else None
    default = own if own is not None and own.is_dir() else store_folder(home()) / "models"
    adopt_stored(home(), models or default, Steps(), if_none=if_none)
