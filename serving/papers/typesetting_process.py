"""Typesets one paper in a process of its own: what is asked comes in as JSON, the PDF goes out.

A typesetter cannot be told to stop; its process can. It reads nothing but the templates beside it.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any, Final

_TEMPLATES: Final = Path(__file__).parent / "templates"


# In what the typesetter says of a text, which it quotes as its own language would.
_MISSING: Final = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_ESCAPED: Final = re.compile(r"\\(?:u\{([0-9a-fA-F]+)\}|(.))")
_MOST_TRIES: Final = 3
_STAND_IN: Final = "\ufffd"


def typeset(template: str, content: str, created: int) -> bytes:
    """Return a tagged PDF; the same content gives the same bytes.

    A character that no font at hand can show stands as one that says so, or as the plain one that
    it is a form of: a name in another script must not cost the paper.

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

    for _ in range(_MOST_TRIES):
        try:
            return _compiled(template, content, created)
        except typst.TypstError as error:
            missing = _undisplayable(str(error.diagnostic))
            if not missing:
                raise
            content = json.dumps(_shown(json.loads(content), str.maketrans(missing)))
    return _compiled(template, content, created)


def _undisplayable(said: str) -> dict[str, str]:
    """Return the characters that no font can show, each with what stands for it."""
    texts = (
        _ESCAPED.sub(lambda one: chr(int(one[1], 16)) if one[1] else one[2], found)
        for found in _MISSING.findall(said)
    )
    return {c: _plain(c) for text in texts for c in text if not c.isascii()}


def _plain(character: str) -> str:
    form = unicodedata.normalize("NFKC", character)
    return form if form != character and form.isascii() and form.isprintable() else _STAND_IN


def _shown(value: Any, instead: dict[int, str]) -> Any:
    if isinstance(value, str):
        return value.translate(instead)
    if isinstance(value, dict):
        return {name: _shown(one, instead) for name, one in value.items()}
    return [_shown(one, instead) for one in value] if isinstance(value, list) else value


def _compiled(template: str, content: str, created: int) -> bytes:
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
