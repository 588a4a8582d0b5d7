"""What the command line does on the machine that holds the files: the operator's own access.

Whoever can read the files needs no token, but holds and the audit apply all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from pydantic import ValidationError

from features.domain import agency_day, license_number
from features.errors import InvalidValueError, did_you_mean
from features.home import home
from serving import clock
from serving.access.accounts import Principal
from serving.access.audit import writer as audit
from serving.access.audit.witness import noted_in
from serving.access.audit.writer import subjects
from serving.commands.store_access import operator_name, recorded, store
from serving.contract.answers import RankRequest
from serving.contract.records.dealers import ExplanationDocument
from serving.contract.records.lists import ListDocument, ListIdRecord
from serving.dealers.explaining import explain
from serving.errors import InvalidRequestError, UnknownDealerError
from serving.field.events import rescoring
from serving.field.outcomes import outcomes
from serving.lists import decisions, issued
from serving.lists.compose import Issue, compose
from serving.lists.files.contest_packet import packet
from serving.lists.scheduled import Order, Scheduled, issue_for_week
from serving.lists.verification import Verification, verify
from serving.runtime import Runtime
from serving.scores import holds
from serving.scores.areas import as_spelled
from serving.scores.table.loaded_table import known_dealer
from serving.settings import Settings
from serving.store.database import instant

if TYPE_CHECKING:
    from features.insight.measures.figures import Period
    from features.insight.measures.measure import Report
    from features.warehouse import Warehouse
    from serving.access.audit.writer import Verdict
    from serving.scores.snapshot import Snapshot

_SHOWN: Final = 12  # names of places in a message


@contextmanager
def _running() -> Iterator[tuple[Runtime, Principal]]:
    runtime = Runtime.open(Settings.from_environment())
    try:
        runtime.load(with_heads=False)
        yield runtime, Principal(operator_name(), "supervisor", frozenset({"nation"}), "local")
    finally:
        runtime.close()


def _record(runtime: Runtime, operator: Principal, action: str, subject: str) -> None:
    access = runtime.access(operator, action, subject, purpose="licensing")
    runtime.audit.submit(access).result(timeout=30)


def local_rank(area: Mapping[str, str | None], **asked: object) -> ListDocument:
    """Compose a list that is not kept, by the rules of one that is.

    Parameters
    ----------
    area : Mapping
        Office, division and state.
    **asked
        Fields of `RankRequest`; its defaults where not given.

    Raises
    ------
    InvalidRequestError
        When the request is out of its bounds.
    StaleTableError
        When the records are too old to send anybody anywhere by.
    """
    try:
        request = RankRequest.model_validate({"area": area, "purpose": "licensing", **asked})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InvalidRequestError(
            f"{'.'.join(map(str, fault['loc']))} is out of range.",
            found=str(fault["input"]),
            expected=str(fault["msg"]).removeprefix("Input should be "),
        ) from error
    with _running() as (runtime, operator):
        runtime.switch.check("rank")
        view = runtime.scope(operator).view
        view.snapshot.check_age(clock.today())
        require_place(view.snapshot, area)
        request = request.model_copy(update={"area": as_spelled(view.snapshot, request.area)})
        issue = Issue(
            list_id="L-00000000-000000000000",
            issued_at=instant(),
            seed=runtime.draw(view.snapshot.as_of).seed,
            draw_months=runtime.settings.draw_months,
        )
        document = compose(view, operator, request, issue=issue, previous=None)
        dealers = subjects(row["dealer"] for row in document["rows"])
        _record(runtime, operator, "print_list", dealers)
        return document


def require_place(snapshot: Snapshot, area: Mapping[str, str | None]) -> None:
    """Refuse an office, division or state that no scored dealer has: its list would be empty.

    Raises
    ------
    InvalidValueError
        Naming those that there are.
    """
    for kind, asked in area.items():
        if asked is None or snapshot.where(kind, [asked]).any():
            continue
        known = sorted(filter(None, map(str, snapshot.codes(kind)[1])))
        shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
        raise InvalidValueError(
            f"No scored dealer has the {kind} {asked!r}{did_you_mean(asked, known)}",
            expected=shown or f"none: the listings name no {kind} that the reference knows",
            fix="a dealer's office and division follow its county by the reference table, whatever "
            "codes the visits name; `--state` needs no county",
        )


def local_explanation(dealer: str, *, k: int, warehouse: Path | None) -> ExplanationDocument:
    """Explain one dealer."""
    with _running() as (runtime, operator):
        runtime.switch.check("explain")
        scope = runtime.scope(operator)
        row = scope.row(dealer)
        if row is None:
            raise UnknownDealerError(
                f"{dealer} is not among the scored dealers.",
                expected="a dealer key R-DD-SSSSS or a license number on the listing",
            )
        document = explain(scope, row, k=k, warehouse=warehouse or home() / "warehouse")
        _record(runtime, operator, "explain", document["score"]["dealer"])
        return document


def make_packet(dealer: str, list_id: str, warehouse: Path | None) -> bytes:
    """Make a contest packet and record that it was made."""
    key = dealer_key(dealer)
    with _running() as (runtime, operator):
        home_folder = runtime.settings.home
        content = packet(
            runtime.store,
            home_folder,
            document=issued.document_for(runtime, operator, list_id),
            dealer=key,
            warehouse=warehouse or home_folder / "warehouse",
        )
        access = runtime.access(operator, "packet", key, purpose="licensing", list_id=list_id)
        runtime.audit.submit(access).result(timeout=30)
    return content


def record_release(subject: str) -> None:
    """Record that aggregates were taken out."""
    with recorded() as (opened, ledger), opened.write() as connection:
        ledger.add(connection, "shares", subject, purpose="statistics")


def local_measures(warehouse: Warehouse, period: Period, *, is_public: bool) -> Report:
    """Measure a period, and freeze it once it is over."""
    from serving.insight.measures import report_for, shown_to

    today = agency_day.today()
    with store() as opened:
        report = report_for(home(), warehouse, period, store=opened, today=today)
    return shown_to(report, "partner" if is_public else "", today, home=home())


def local_decisions() -> tuple[bytes, int]:
    """Return the decisions about dealers the operator sees, and record that they were taken."""
    with recorded() as (opened, ledger):
        today = agency_day.today()
        hidden = holds.hidden_from(operator_name(), holds.in_force(opened, home()), [today])
        content, n = decisions.to_csv(opened, hidden=hidden)
        with opened.write() as connection:
            ledger.add(connection, "decisions", "all", purpose="licensing")
    return content, n


class CollectedRecord(TypedDict):
    """How much went into the warehouse, and how many rows it refused by table and reason code."""

    outcomes: int
    events: int
    refused: dict[str, int]


def local_collect(warehouse: Path | None) -> CollectedRecord:
    """Move outcomes and events into the warehouse."""
    today = agency_day.today()
    with store() as opened:
        folder = warehouse or home() / "warehouse"
        refused: Counter[str] = Counter()
        n_outcomes = outcomes.collect(opened, folder, today=today, on_refused=refused.update)
        n_events = len(rescoring.collect_events(opened, folder, on_refused=refused.update))
    return {"outcomes": n_outcomes, "events": n_events, "refused": dict(refused)}


def add_hold(dealer: str, owners: Sequence[str], until: date | None) -> str:
    """Place a hold from today on."""
    key = dealer_key(dealer)
    check_known(key)
    with recorded() as (opened, ledger):
        return holds.place(
            opened,
            key,
            owners=owners,
            starts_on=agency_day.today(),
            ends_on=until,
            ledger=ledger,
        )


def check_known(dealer: str) -> None:
    """Refuse a dealer that neither the published table nor the warehouse knows.

    A hold under a mistyped key would hide nobody, and whoever placed it would not know.
    """
    if not known_dealer(home(), dealer):
        raise UnknownDealerError(
            f"{dealer} is neither scored nor in the warehouse.",
            expected="a dealer key as the list of licenses has it",
            fix="check the key; a license number is taken too",
        )


def dealer_key(text: str) -> str:
    """Return the dealer key of a key or license number."""
    key = license_number.dealer_key(text)
    if key is None:
        raise InvalidRequestError(
            f"{text!r} is neither a dealer key nor a license number.", expected="R-DD-SSSSS"
        )
    return key


def lift_hold(hold_id: str) -> None:
    """End a hold today."""
    with recorded() as (opened, ledger):
        holds.lift(opened, hold_id, agency_day.today(), ledger=ledger)


def issued_lists() -> list[ListIdRecord]:
    """Return what identifies each issued list."""
    with store() as opened:
        return issued.lists_of(opened)


def issue_lists(order: Order) -> list[Scheduled]:
    """Issue the lists of the week; every one is recorded."""
    with _running() as (runtime, operator):
        runtime.switch.check("rank")
        return issue_for_week(runtime, order, by=operator, today=agency_day.today())


def verify_list(list_id: str, warehouse: Path | None) -> Verification:
    """Rebuild a list and compare."""
    folder = home()
    key = audit.load_key(Settings.from_environment().audit_key_file)
    with store() as opened:
        return verify(
            opened, list_id, home=folder, warehouse=warehouse or folder / "warehouse", key=key
        )


def verify_audit(anchor: str | None, against: Path | None) -> Verdict:
    """Walk the audit chain, and compare it with what was noted elsewhere."""
    settings = Settings.from_environment()
    anchors: dict[int, str] = {}
    if anchor is not None:
        seq, _, digest = anchor.partition(":")
        if not seq.isdigit() or len(digest) != 64:
            raise InvalidRequestError("The anchor cannot be read.", expected="SEQ:DIGEST")
        anchors[int(seq)] = digest
    noted = [against] if against is not None else []
    own = settings.audit_heads
    if own and not own.startswith("syslog:") and Path(own).exists():
        noted.append(Path(own))
    for path in noted:
        anchors |= noted_in(path)
    with store() as opened:
        key = audit.chain_key(opened, settings.audit_key_file)
        return audit.verify(opened, key, anchors=anchors)
