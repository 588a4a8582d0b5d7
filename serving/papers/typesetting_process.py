"""Typesets one paper in a process of its own: what is asked comes in as JSON, the PDF goes out.

A typesetter cannot be told to stop; its process can. It reads nothing but the templates beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

_TEMPLATES: Final = Path(__file__).parent / "templates"


def typeset(template: str, content: str, created: int) -> bytes:
    """Return a tagged PDF; the same content gives the same bytes.

    Parameters
    ----------
    template : str
        Name of a file of ``templates/`` without its suffix.
    content : str
        JSON.
    created : int
        Seconds since 1970, which stand in the file instead of the hour of its making.
    """
    import typst

    made = typst.compile(
        str(_TEMPLATES / f"{template}.typ"),
        root=str(_TEMPLATES),
        ignore_system_fonts=True,  # the same pages on every machine
        format="pdf",
        sys_inputs={"content": content},
        pdf_standards=["ua-1"],
        timestamp=created,
    )
    return bytes(made)


def main() -> None:
    """Read what is asked, write the PDF."""
    asked: dict[str, Any] = json.load(sys.stdin)
    sys.stdout.buffer.write(typeset(**asked))


if __name__ == "__main__":
    main()
