"""Labels: what they rest on, when they are known, what never becomes one."""

from datetime import date

import pandas as pd
import pytest

from models.policy import SevereFinding
from models.severity import independent
from training.errors import FutureLabelError, OneClassError, TooFewLabelsError
from training.labels import dated_labels as labels

AS_OF = date(2022, 1, 1)
RULE = SevereFinding("warning_conference", 1, 11)
A, B, C, D = "1-54-00001", "1-54-00002", "1-54-00003", "1-54-00004"


def visit(number: int, dealer: str, opened: str, closed: str, **more: object) -> dict[str, object]:
    return {
        "inspection_id": f"V{number}", "dealer": dealer, "opened_on": opened, "closed_on": closed,
        **more,
    }  # fmt: skip


def test_the_window_opens_after_as_of_and_closes_on_its_last_day(make_warehouse):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2022-01-01", "2022-02-01"),  # on as_of itself: already seen
            visit(2, B, "2022-01-02", "2022-02-01"),
            visit(3, C, "2023-01-01", "2023-02-01"),
            visit(4, D, "2023-01-02", "2023-02-01"),
        ]
    )
    found = labels.compliance(warehouse, [AS_OF], rule=RULE)
    assert found.frame["dealer"].tolist() == [B, C]


def test_a_label_is_known_when_its_inspection_closes(make_warehouse):
    warehouse = make_warehouse(inspections=[visit(1, A, "2022-03-01", "2022-09-15")])
    found = labels.compliance(warehouse, [AS_OF], rule=RULE)
    assert found.frame["known_on"].tolist() == [pd.Timestamp("2022-09-15")]
    assert len(found.known_before(date(2022, 9, 15))) == 0
    assert len(found.known_before(date(2022, 9, 16))) == 1
    # Read as the warehouse was known earlier, the inspection is not there at all.
    assert (
        len(labels.compliance(warehouse, [AS_OF], rule=RULE, known_before=date(2022, 9, 15))) == 0
    )


def test_a_label_from_the_future_raises_and_is_named(make_warehouse):
    warehouse = make_warehouse(inspections=[visit(1, A, "2022-03-01", "2022-09-15")])
    found = labels.compliance(warehouse, [AS_OF], rule=RULE)
    with pytest.raises(FutureLabelError, match=A):
        found.require_known(date(2022, 9, 15))
    found.require_known(date(2022, 9, 16))


@pytest.mark.parametrize(
    "follow_up",
    [{"kind": "recall", "selected_by": "recall"}, {"kind": "compliance", "selected_by": "recall"}],
)
def test_a_follow_up_is_never_a_target(make_warehouse, follow_up):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2021-06-01", "2021-07-01", outcome="revocation"),
            visit(2, A, "2022-06-01", "2022-07-01", outcome="revocation", **follow_up),
            visit(3, B, "2022-06-01", "2022-07-01"),
        ]
    )
    found = labels.compliance(warehouse, [AS_OF], rule=RULE)
    assert found.frame["inspection_id"].tolist() == ["V3"]
    assert independent(labels.inspections(warehouse)).tolist() == [True, False, True]


def test_the_first_inspection_in_the_window_decides(make_warehouse):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2022-02-01", "2022-03-01"),
            visit(2, A, "2022-11-01", "2022-12-01", outcome="revocation"),
        ]
    )
    assert labels.compliance(warehouse, [AS_OF], rule=RULE).y.tolist() == [0.0]


def test_each_of_the_three_reasons_makes_a_finding_severe(make_warehouse):
    dealers = [A, B, C, D]
    rows = [visit(i, d, "2022-02-01", "2022-03-01") for i, d in enumerate(dealers)]
    rows[0]["outcome"] = "warning_conference"
    rows[2]["firearms_unaccounted_final"] = 11
    rows[3] |= {"outcome": "warning_letter", "firearms_unaccounted_final": 10}
    warehouse = make_warehouse(
        inspections=rows,
        violations=[
            {"inspection_id": "V1", "citation": "478.102(a)"},  # tier 1
            {"inspection_id": "V3", "citation": "478.125(e)"},  # record-keeping
        ],
    )
    found = labels.compliance(warehouse, [AS_OF], rule=RULE).frame.set_index("dealer")["y"]
    assert found.to_dict() == {A: 1.0, B: 1.0, C: 1.0, D: 0.0}


def test_the_policy_regime_is_recorded(make_warehouse):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2021-05-01", "2021-06-01"),
            visit(2, B, "2021-06-01", "2022-01-15"),
        ]
    )
    found = labels.compliance(warehouse, [date(2021, 1, 1)], rule=RULE)
    assert found.frame["regime"].tolist() == ["graduated", "enhanced_enforcement"]


def test_diversion_counts_short_traces_of_the_window_and_is_known_at_its_end(make_warehouse):
    def trace(number, dealer, completed, sold="2021-06-01", recovered="2021-12-01", country="US"):
        return {
            "trace_id": f"T{number}", "dealer": dealer, "requested_on": completed,
            "completed_on": completed, "sold_on": sold, "recovered_on": recovered,
            "recovery_country": country,
        }  # fmt: skip

    warehouse = make_warehouse(
        traces=[
            trace(1, A, "2021-12-31"),  # before the window
            trace(2, A, "2022-01-01"),
            trace(3, A, "2022-12-31", country="MX"),
            trace(4, A, "2023-01-01"),  # after it
            trace(5, A, "2022-06-01", sold="2018-01-01"),  # too slow
            trace(6, B, "2022-06-01"),
        ]
    )
    cohort = pd.DataFrame({"dealer": [A, B, C], "as_of": pd.Timestamp(AS_OF).as_unit("s")})
    found = labels.diversion(warehouse, cohort)
    assert found.frame.set_index("dealer")["y"].to_dict() == {A: 2.0, B: 1.0, C: 0.0}
    assert (found.frame["known_on"] == pd.Timestamp("2022-12-31")).all()
    mexico = labels.diversion(warehouse, cohort, country="MX")
    assert mexico.frame.set_index("dealer")["y"].to_dict() == {A: 1.0, B: 0.0, C: 0.0}
    assert len(labels.diversion(warehouse, cohort, known_before=date(2022, 12, 31))) == 0
    assert len(labels.diversion(warehouse, cohort, known_before=date(2023, 1, 1))) == 3


def test_later_penalized_is_known_only_when_the_records_are_complete(make_warehouse):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2021-06-01", "2022-06-01", outcome="revocation"),  # opened before as_of
            visit(2, B, "2022-06-01", "2022-07-01", outcome="warning_letter"),
            visit(3, D, "2022-08-01", "2022-12-01", outcome="warning_letter"),
        ]
    )
    cohort = pd.DataFrame({"dealer": [A, B, C], "as_of": pd.Timestamp(AS_OF).as_unit("s")})
    found = labels.later_penalized(warehouse, cohort, AS_OF)
    assert found.y.tolist() == [0.0, 1.0, 0.0]
    assert (found.frame["known_on"] == pd.Timestamp("2022-12-01")).all()


def test_severity_rests_on_what_was_warranted_or_done_not_on_citations(make_warehouse):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2022-06-01", "2022-07-01", outcome="warning_letter"),
            visit(2, B, "2022-06-01", "2022-07-01", outcome="warning_letter",
                  recommended_outcome="revocation"),
            visit(3, C, "2022-06-01", "2022-07-01", outcome="warning_conference"),
        ],
        violations=[{"inspection_id": "V1", "citation": "478.102(a)"}],
    )  # fmt: skip
    found = labels.severity(warehouse).frame.set_index("dealer")
    assert found["y"].to_dict() == {A: 0.0, B: 1.0, C: 1.0}
    assert (found["as_of"] == found["opened_on"]).all()


def test_too_few_and_one_sided_labels_are_refused(make_warehouse):
    warehouse = make_warehouse(
        inspections=[
            visit(1, A, "2022-02-01", "2022-03-01", outcome="revocation"),
            visit(2, B, "2022-02-01", "2022-03-01"),
        ]
    )
    found = labels.compliance(warehouse, [AS_OF], rule=RULE)
    found.require_enough(n_positive=1, what="compliance")
    with pytest.raises(TooFewLabelsError, match="compliance"):
        found.require_enough(n_positive=2, what="compliance")
    one_sided = labels.compliance(
        make_warehouse(inspections=[visit(9, C, "2010-02-01", "2010-03-01")]),
        [date(2010, 1, 1)],
        rule=RULE,
    )
    with pytest.raises(OneClassError):
        one_sided.require_enough(n_positive=1, what="compliance")


def test_a_finding_is_graded_by_how_bad_it_was(make_warehouse):
    found = [("none", 0), ("report", 0), ("warning_letter", 0), ("none", 2), ("revocation", 9)]
    rows = [
        {
            "inspection_id": f"I{i}",
            "dealer": f"1-54-0000{i}",
            "opened_on": "2022-03-01",
            "closed_on": "2022-04-01",
            "outcome": outcome,
            "firearms_unaccounted_final": missing,
        }
        for i, (outcome, missing) in enumerate(found)
    ]
    warehouse = make_warehouse(inspections=rows)
    got = labels.compliance(warehouse, [date(2022, 1, 1)], rule=RULE).frame
    assert got.sort_values("dealer")["graded"].tolist() == [0.0, 0.25, 0.5, 0.25, 1.0]
    assert got.sort_values("dealer")["y"].tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]
