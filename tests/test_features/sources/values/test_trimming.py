"""A value is cut at both ends of whatever white space its agency's programs leave there."""

import duckdb

from features.domain.missing_values import SPACES, trimmed_sql


def test_every_kind_of_space_is_cut_at_the_ends_and_kept_inside():
    texts = [f"{a}x{b}y{c}" for a in ("", *SPACES) for b in ("", " ", "\xa0") for c in ("", a)]
    texts += ["", " ", "\xa0\u200b", "é", " ñandú ", "~", "!", "a", "\ufeffTEXAS", "ß\u3000"]
    found = duckdb.sql("SELECT unnest($texts) AS text", params={"texts": [*texts, None]})
    cut = [row[0] for row in found.project(trimmed_sql("text")).fetchall()]
    assert cut == [*(text.strip(SPACES) for text in texts), None]
