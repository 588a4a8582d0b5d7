"""PDF with a structure that a reader aloud can follow (PDF/UA-1), typeset by Typst.

A template is a Typst file beside this module; what it is about comes in as JSON and is never read
as markup, so no name can change the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from features import abandonment
from serving.errors import ServingError
from serving.papers.typesetting_process import typeset

# A paper of more than this takes long enough for somebody to stop waiting: it has its own process.
INLINE_CHARACTERS: Final = 200_000
_LOOK_SECONDS: Final = 0.05
_PROCESS: Final = Path(__file__).parent / "typesetting_process.py"


class PaperError(ServingError):
    """A paper that could not be typeset."""


def pdf(template: str, content: Mapping[str, Any], *, created: datetime) -> bytes:
    """Return a tagged PDF; the same content gives the same bytes.

    Parameters
    ----------
    template : str
        Name of a file of ``templates/`` without its suffix.
    content : mapping
        Of what JSON can say.
    created : datetime
        Stands in the file instead of the hour of its making.

    Raises
    ------
    AbandonedError
        As soon as nobody waits for it.
    """
    told = json.dumps(_clean(content), default=str)
    at = int(created.timestamp())
    if len(told) <= INLINE_CHARACTERS:
        return typeset(template, told, at)
    return _pressed({"template": template, "content": told, "created": at})


def _pressed(asked: Mapping[str, Any]) -> bytes:
    """Typeset in a process of its own, which ends when nobody waits for the paper."""
    # Files of no name: nothing fills up as a pipe would, and nothing is left when a process ends.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as made:
        given.write(json.dumps(asked).encode())
        given.seek(0)
        command = [sys.executable, "-I", str(_PROCESS)]
        with subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=given, stdout=made, stderr=subprocess.DEVNULL
        ) as press:
            try:
                while True:
                    abandonment.check()
                    try:
                        status = press.wait(_LOOK_SECONDS)
                        break
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                press.kill()
        if status:
            raise PaperError("The paper could not be typeset.", found=f"exit code {status}")
        made.seek(0)
        return made.read()


def _clean(value: Any) -> Any:
    """Drop characters that stand for nothing on paper, such as those that turn the direction."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else " " for c in value)
    if isinstance(value, Mapping):
        return {str(name): _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return value
