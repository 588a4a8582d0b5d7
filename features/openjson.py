"""JSON whose keys this code does not set: a parsed file, a row of any table, a library's options.

What a step of this code makes has a type of its own (a frozen dataclass or a `TypedDict`); these
names are for what has no keys to misspell here.
"""

from __future__ import annotations

from typing import Any, TypeAlias

# An object that was read: a TOML or JSON file, an issuer's claims, an OpenAPI document.
Json: TypeAlias = dict[str, Any]
# A row of a table that the schema names, by column.
Row: TypeAlias = dict[str, Any]
# What a library takes as keyword arguments or parameters.
Options: TypeAlias = dict[str, Any]
