"""PDF with a structure that a reader aloud can follow (PDF/UA-1), typeset by Typst.

A template is a Typst file beside this module; what it is about comes in as JSON and is never read
as markup, so no name can change the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

_TEMPLATES: Final = Path(__file__).parent / "templates"


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
    """
    import typst

    made = typst.compile(
        str(_TEMPLATES / f"{template}.typ"),
        root=str(_TEMPLATES),
        ignore_system_fonts=True,  # the same pages on every machine
        format="pdf",
        sys_inputs={"content": json.dumps(_clean(content), default=str)},
        pdf_standards=["ua-1"],
        timestamp=int(created.timestamp()),
    )
    return bytes(made)


def _clean(value: Any) -> Any:
    """Drop characters that stand for nothing on paper, such as those that turn the direction."""
    if isinstance(value, str):
        return "".join(c if c.isprintable() or c == "\n" else " " for c in value)
    if isinstance(value, Mapping):
        return {str(name): _clean(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(one) for one in value]
    return value
