"""Name what nothing of the product uses; tests do not count as use.

``python tools/dead_code.py`` reads the four packages, the command, notebooks and benchmarks, and
what the page templates name. Fields of records and of the wire are left out: they are used by
being there.
It ends with exit code 1 when it finds anything. What a library calls by its name stands in
`CALLED_BY_LIBRARIES`, with the reason.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("features", "models", "training", "serving")
READ = [*HOUSES, "ffl_risk.py", "notebooks", "deploy", "tools", "tests/benchmarks"]
# Used from outside: its calls are made by other programs.
CLIENT = "serving/api/client.py"
CONFIDENCE = 60
FIELDS = {"variable", "attribute"}
# A function under such a decorator is called by what registered it.
REGISTERED = [
    "@*.command", "@*.callback", "@*.get", "@*.post", "@*.put", "@*.patch", "@*.delete", "@*.route",
    "@*.head", "@*.middleware", "@*.exception_handler", "@*.on_event", "@event.listens_for",
    "@sa.event.listens_for", "@bentoml.*", "@*validator", "@*model_serializer", "@field_serializer",
    "@pytest.fixture", "@njit", "@numba.*", "@overload", "@signal", "@_signal",
]  # fmt: skip
CALLED_BY_LIBRARIES = {
    "__getattr__": "Python, for names imported on first use",
    "__dir__": "Python",
    "_load_pyfunc": "MLflow, to load a registered version",
    "upgrade": "Alembic",
    "downgrade": "Alembic",
    "readinto": "io, of a raw stream",
    "redirect_request": "urllib, when an address sends elsewhere",
    "readable": "io, of a raw stream",
    "get_feature_names_out": "scikit-learn",
    "score": "scikit-learn",
    "predict_proba": "scikit-learn",
    "decision_function": "scikit-learn",
    "__sklearn_tags__": "scikit-learn",
    "get_code": "importlib, to load a file",
    "emit": "logging",
    "send_400_response": "uvicorn",
    "on_chunk_header": "httptools, of a body that comes in parts",
    "filter": "logging",
    "__is_ready__": "BentoML",
    "__is_alive__": "BentoML",
    "from_http_request": "BentoML",
    "to_http_response": "BentoML",
    "handle_starttag": "html.parser",
    "handleError": "logging",
}
# Not called by the product, and kept all the same.
KEPT = {
    "as_of_range": "the days of a range of as-of dates, for whoever builds features as a library",
    "by_agency_and_year": "what completeness is held against the simulator by",
    "read_outcome": "the outcomes as published records word them, for mappings",
    "row_schema": "the schema of a row, for programs that write files or events",
    "to_polars": "hands a feature table to polars",
    "EVIDENCE": "the words that law.toml may use, explained",
    "as_markdown": "writes docs/service/settings.md",
    "expires_on": "the plain form that the SQL of an expiry date is held to",
    "parse_column": "the plain form that the SQL of a license number is held to",
    "to_shap": "hands explanations to the library shap, for notebooks of others",
    "wait_for_events": "whoever embeds the service waits by it for an event's score",
}


def template_names() -> set[str]:
    """Words in templates and page scripts, which call functions and read properties."""
    found: set[str] = set()
    for suffix in ("*.html", "*.typ", "*.txt", "*.md.j2", "*.jinja"):
        for path in (p for name in HOUSES for p in (ROOT / name).rglob(suffix)):
            found |= set(re.findall(r"[A-Za-z_]\w*", path.read_text(encoding="utf-8")))
    return found


def unused() -> list[str]:
    """One line for each thing that nothing uses."""
    reader = Vulture(
        ignore_names=[*CALLED_BY_LIBRARIES, *KEPT], ignore_decorators=REGISTERED, verbose=False
    )
    reader.scavenge([str(ROOT / name) for name in READ if (ROOT / name).exists()])
    reader.used_names |= template_names()
    entry_points = set(re.findall(r'"[\w.]+:(\w+)"', (ROOT / "pyproject.toml").read_text()))
    reader.used_names |= entry_points
    return [
        f"{Path(item.filename).relative_to(ROOT)}:{item.first_lineno}: {item.message}"
        for item in reader.get_unused_code(min_confidence=CONFIDENCE)
        if item.filename != ROOT / CLIENT
        and (ROOT / "tests") not in Path(item.filename).parents
        and (item.typ not in FIELDS or is_constant(item.name, Path(item.filename)))
    ]


def is_constant(name: str, path: Path) -> bool:
    """Whether a module assigns this capitalized name at its own level.

    A table of the store is left out: the migrations and the metadata use it.
    """
    return bool(
        re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name)
        and re.search(
            rf"^{name}\b[^=\n]*=(?! Table\()", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    )


def main() -> int:
    """Print what is unused and say how many."""
    found = unused()
    if found:
        print(*found, sep="\n")
        print(f"{len(found)} names that nothing but a test uses: remove them.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
