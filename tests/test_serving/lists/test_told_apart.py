"""What tells a dealer from the others on its list is said first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.scores.words.told_apart import told_apart


def reason(sentence, contribution=1.0, *, signal="s", unit="count"):
    return {
        "signal": signal, "sentence": sentence, "contribution": contribution, "unit": unit,
        "value": 1.0, "percentile": 50,
    }  # fmt: skip


def said(rows):
    return [[one["sentence"] for one in row] for row in told_apart(rows)]


def test_a_sentence_that_most_rows_share_stands_after_what_is_a_dealers_own():
    rows = [
        [reason("All alike.", 2.0), reason(f"Own {n}.", 1.0), reason("Lowers.", -1.0)]
        for n in range(4)
    ]
    assert said(rows) == [[f"Own {n}.", "All alike.", "Lowers."] for n in range(4)]


def test_a_step_counts_as_shared_whichever_step_it_is():
    rows = [
        [reason(f"Calls for step {n}.", 2.0, signal="step", unit="step"), reason(f"Own {n}.", 1.0)]
        for n in range(4)
    ]
    assert all(row[0].startswith("Own") for row in said(rows))


def test_what_would_follow_stands_after_what_is_on_record():
    follows = reason("If violations are found, graduated action calls for a warning letter.", 2.0)
    rows = [[follows, reason("7 firearms lost.", 1.0), reason("Lowers.", -1.0)]]
    rows += [[reason(f"Own {n}.", 1.0)] for n in range(9)]
    assert said(rows)[0] == ["7 firearms lost.", follows["sentence"], "Lowers."]


def test_one_row_and_rows_without_anything_in_common_keep_their_order():
    assert said([[reason("A.", 2.0), reason("B.", 1.0)]]) == [["A.", "B."]]
    rows = [[reason(f"A{n}.", 2.0), reason(f"B{n}.", 1.0)] for n in range(8)]
    assert said(rows) == [[f"A{n}.", f"B{n}."] for n in range(8)]
    assert told_apart([]) == []


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.floats(-2, 2, allow_nan=False)), max_size=6),
        max_size=12,
    )
)
def test_no_reason_is_lost_and_none_that_lowers_stands_before_one_that_raises(drawn):
    rows = [[reason(f"{k}.", c) for k, c in row] for row in drawn]
    for before, after in zip(rows, told_apart(rows), strict=True):
        assert sorted(map(id, before)) == sorted(map(id, after))
        lowers = [one["contribution"] < 0 for one in after]
        assert lowers == sorted(lowers)
