"""Which rows of a query of a mapping come each from one row of the export, and from which line."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import duckdb

# The name under which the line of the file goes through a query.
OWN_LINE: Final = "ffl_risk_line"
_SEVERAL: Final = re.compile(r"\b(unnest|columns)\b", re.IGNORECASE)


def with_line(query: str) -> str:
    """Return a query that carries `OWN_LINE` along, or nothing where its rows may be of several.

    Only one that takes rows of ``export`` as they are does: no groups, no other relation.

    >>> with_line("SELECT NR FROM export WHERE N > 1")
    'SELECT NR, ffl_risk_line FROM "export" WHERE (N > 1)'
    >>> with_line("SELECT *, N + 1 AS NEXT FROM export")
    'SELECT *, (N + 1) AS "NEXT" FROM "export"'
    >>> with_line("SELECT NR, sum(N) AS N FROM export GROUP BY ALL")
    ''
    """
    if _SEVERAL.search(query):
        return ""
    with duckdb.connect() as con:
        try:
            told = con.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
            tree: dict[str, Any] = json.loads(told[0]) if told else {"error": True}
            if tree["error"] or not _is_plain(tree["statements"][0]["node"]):
                return ""
            chosen = tree["statements"][0]["node"]["select_list"]
            if not any(one["class"] == "STAR" for one in chosen):
                column = {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": ""}
                chosen.append({**column, "query_location": 0, "column_names": [OWN_LINE]})
            lined = con.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)]).fetchone()
        except duckdb.Error:  # what cannot be taken apart is asked as it is, and numbered
            return ""
    return str(lined[0]) if lined else ""


def _is_plain(node: dict[str, Any]) -> bool:
    """Whether each row of a query comes from one row of ``export``."""
    source = node.get("from_table", {})
    return bool(
        node.get("type") == "SELECT_NODE"
        and source.get("type") == "BASE_TABLE"
        and str(source.get("table_name")).lower() == "export"
        and node.get("aggregate_handling") == "STANDARD_HANDLING"
        and not any((node.get("group_expressions"), node.get("having"), node.get("sample")))
        and not node.get("cte_map", {}).get("map")
        and all(one["type"] != "DISTINCT_MODIFIER" for one in node.get("modifiers", []))
    )
