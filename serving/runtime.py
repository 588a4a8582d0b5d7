"""The running service: the snapshot in force, who sees what of it, and the store behind it."""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from features.errors import FflRiskError
from features.home import keep_private
from features.warehouse.own_rows import open_database
from models.order.random_share import Draw
from serving import clock, metrics
from serving.access.accounts import Directory, Principal
from serving.access.audit.witness import Witness
from serving.access.audit.writer import Access, AuditWriter, Ledger, open_chain
from serving.access.suspension import Switch
from serving.background import Loop
from serving.errors import NotReadyError
from serving.field.events.rescoring import FILE as RESCORED
from serving.field.events.rescoring import Rescored
from serving.field.outcomes.outcomes import apply_outcomes, newest_outcomes
from serving.schedule.record import ROUTINES, read_record, record_file
from serving.scores import holds as hold_store
from serving.scores.areas import own_rows
from serving.scores.holds import Hold
from serving.scores.snapshot import Ages, Snapshot, today
from serving.scores.table.loaded_table import peek
from serving.scores.visible_dealers import Scope, View
from serving.settings import Settings
from serving.store import journal
from serving.store.database import Store
from serving.versions import code_version
from serving.work_pool import HeavyWork

if TYPE_CHECKING:
    from serving.access.oidc import Verifier
    from serving.field.events.rescoring_loop import Rescorer

logger = logging.getLogger("ffl_risk.service")
WATCH_SECONDS: Final = 0.5
_MOST_VIEWS: Final = 64
_MOST_ASKED: Final = 1_000


class Runtime:
    """Everything the routes need.

    Parameters
    ----------
    settings : Settings
    store : Store
    audit_key : bytes
        Of the store's chain.
    audit : AuditWriter
    """

    def __init__(
        self, settings: Settings, store: Store, audit_key: bytes, audit: AuditWriter
    ) -> None:
        self.settings, self.store = settings, store
        self.audit_key, self.audit = audit_key, audit
        self.directory = Directory(self.store)
        self.switch = Switch(self.store)
        self.oidc = _oidc(settings)
        self.heavy = HeavyWork(settings.heavy)
        self._snapshot: Snapshot | None = None
        self._holds: tuple[Hold, ...] = ()
        self._views: dict[frozenset[str], View] = {}
        self._scopes: dict[tuple[frozenset[str], str, frozenset[str]], Scope] = {}
        self._asked: dict[tuple[str, str, frozenset[str], tuple[date, date]], Scope] = {}
        self._seen = ""
        self._lock = threading.Lock()
        self._watcher = Loop("watch", self._watch, pause=WATCH_SECONDS)
        self._rescorer: Rescorer | None = None
        self._is_started = False
        self._others: list[Loop] = []
        self._following = threading.Lock()
        self._followed = 0  # number of the last change taken up
        self._batch = 0  # of the newest scores taken up after events
        self._stamp: tuple[int, int] | None = None
        self._last_disk_trouble = self._head_trouble = ""
        self._is_clock_behind = False

    @classmethod
    def open(cls, settings: Settings) -> Runtime:
        """Open the store and its chain, and begin to record; `close` ends it."""
        keep_private(settings.home)
        store = Store.open(settings.store_url)
        key = open_chain(store, settings.audit_key_file)
        return cls(
            settings, store, key, AuditWriter.open(store, key, Witness(settings.audit_heads))
        )

    # The snapshot in force

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force.

        Raises
        ------
        NotReadyError
            When none could be loaded yet.
        """
        if self._snapshot is None:
            raise NotReadyError(
                "No scored table is loaded yet.", fix="ffl-risk score --as-of YYYY-MM-DD"
            )
        return self._snapshot

    @property
    def troubles(self) -> list[str]:
        """Why requests cannot be served as they should be; empty when they can."""
        found = [] if self._snapshot is not None else ["no scored table is loaded"]
        if not self.store.is_reachable():
            found.append("the store does not answer")
        found += filter(None, (self._disk_trouble(), self._head_trouble))
        for loop in self._loops:
            loop.start()  # a thread that is gone comes back
            if loop.trouble:
                found.append(loop.trouble)
        return found

    def _disk_trouble(self) -> str:
        """Say why the state folder cannot take what is written; empty when it can."""
        try:
            state = os.statvfs(self.settings.home)
        except OSError as error:
            return f"the state folder cannot be looked at ({type(error).__name__})"
        free = state.f_bavail * state.f_frsize
        metrics.FREE_BYTES.set(free)
        trouble = ""
        if state.f_flag & os.ST_RDONLY:
            trouble = "the state folder is read-only"
        elif free < self.settings.least_free_mb * 1e6:
            trouble = f"the state folder has {free / 1e6:,.0f} MB left"
        if trouble != self._last_disk_trouble:
            self._last_disk_trouble = trouble
            logger.log(
                logging.ERROR if trouble else logging.INFO, trouble or "the state folder has room"
            )
        return trouble

    @property
    def _loops(self) -> list[Loop]:
        loops = [self.audit.loop]
        if self._is_started:
            loops.append(self._watcher)
        if self._rescorer is not None:
            loops.append(self._rescorer.loop)
        return [*loops, *self._others]

    def load(self, *, with_heads: bool = True) -> None:
        """Load what is in force; requests under way keep the snapshot they began with.

        Without heads, each is made when it is first asked for: a list needs none.
        """
        with self._following:
            seen = peek(self.settings.home)
            snapshot = Snapshot.load(self.settings.home)
            if with_heads:
                snapshot.bundle.ready()
                self._head_trouble = ""
            followed = journal.newest(self.store)
            outcomes = newest_outcomes(self.store)
            holds = hold_store.of_table(snapshot.table, self.store)
            self._batch, self._stamp = 0, None
            snapshot = self._with_rescored(snapshot)
            with self._lock:  # a table is never in force without its holds
                self._holds = holds
                self._set(apply_outcomes(snapshot, outcomes))
                self._seen, self._followed = seen, followed
        if self._rescorer is not None:
            self._rescorer.wake()

    def follow(self) -> None:
        """Take up what was written by any worker or home since the last look.

        It is one short query when nothing was. Whoever lists or plans calls it first, so that no
        list is made without an outcome that was acknowledged before.
        """
        with self._following:
            if self._snapshot is None:
                return
            newest = journal.newest(self.store)
            while self._followed < newest:
                changes = journal.since(self.store, self._followed)
                dealers = {d for one in changes if one.kind == "outcome" for d in one.dealers}
                if dealers:
                    told = newest_outcomes(self.store, dealers)
                    self.update(lambda snapshot, told=told: apply_outcomes(snapshot, told))  # type: ignore[misc]
                if self._rescorer is not None and any(one.kind == "event" for one in changes):
                    self._rescorer.wake()
                self._followed = changes[-1].seq if changes else newest
            self.update(self._with_rescored)

    def _with_rescored(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot with the scores that a worker of this home gave after events."""
        path = snapshot.table.folder / RESCORED
        try:
            stamp = (path.stat().st_mtime_ns, path.stat().st_ino)
        except FileNotFoundError:
            return snapshot
        if stamp == self._stamp:
            return snapshot
        found, self._batch = Rescored.load(path, after=self._batch)
        self._stamp = stamp
        return snapshot if found is None else found.applied(snapshot)

    def catch_up(self) -> None:
        """Take up a newly published table, and everything that was written since."""
        if peek(self.settings.home) != self._seen:
            with _counted_reload():
                self.load()
            logger.info("reloaded: table %s", self.snapshot.table.name)
        self.follow()

    def replace(self, snapshot: Snapshot) -> None:
        """Put a changed snapshot in force."""
        with self._lock:
            self._set(snapshot)

    def update(self, change: Callable[[Snapshot], Snapshot]) -> None:
        """Change the snapshot in force; changes made at the same time follow each other."""
        with self._lock:
            before = self.snapshot
            after = change(before)
            if after is not before:
                self._set(after)

    def _set(self, snapshot: Snapshot) -> None:
        ages = Ages(self.settings.stale_days, self.settings.refused_days)
        self._snapshot = snapshot if snapshot.ages == ages else replace(snapshot, ages=ages)
        metrics.DEALERS.set(len(snapshot.columns["dealer"]))
        self._let_go()

    def _let_go(self) -> None:
        """Forget who may see what; the next to ask are worked out again."""
        self._views, self._scopes, self._asked = {}, {}, {}

    def look_after(self, loop: Loop) -> None:
        """Keep one more thread going from now on, as one of the service's own."""
        self._others.append(loop)
        loop.start()

    def start(self) -> None:
        """Follow tables, holds and events from now on, in threads."""
        self._is_started = True
        metrics.BUILD.labels(code_version(), platform.python_version()).set(1)
        for how in ("done", "failed"):
            metrics.RELOADS.labels(how)
        self._watcher.start()
        self.wake_rescorer()  # events that a process before this one kept

    def prepare(self) -> None:
        """Load in a thread what only some answers need: what is published is answered without.

        Begun sooner it takes from the start every other turn of the interpreter.
        """
        threading.Thread(target=self._prepare, name="heads", daemon=True).start()

    def _prepare(self) -> None:
        try:
            open_database()
            if self._snapshot is not None:
                self._snapshot.bundle.ready()
        except FflRiskError as error:
            self._head_trouble = error.what

    def _watch(self) -> None:
        self.audit.testify()
        self.audit.tidy()
        self._disk_trouble()
        for loop in self._loops:
            loop.start()
        # What was loaded stays in force when this fails.
        self.catch_up()
        if self._snapshot is not None:
            self.refresh_holds()
            metrics.TABLE_AGE.set(self._snapshot.age_days(today()))
        self._tell_clock()
        in_use, most = self.store.pool_use()
        metrics.POOL.set(in_use)
        metrics.POOL_MOST.set(most)
        _tell_runs(self.settings.home)

    def _tell_clock(self) -> None:
        """Say when the machine's clock was set back, and when it has caught up."""
        seconds = clock.ahead().total_seconds()
        metrics.CLOCK_AHEAD.set(seconds)
        is_behind = seconds > self.settings.clock_tolerance
        if is_behind != self._is_clock_behind:
            self._is_clock_behind = is_behind
            logger.log(
                logging.ERROR if is_behind else logging.INFO,
                "the machine's clock is %.0f seconds behind the service's", seconds,
            )  # fmt: skip

    def refresh_holds(self) -> None:
        """Read the holds again; they take effect at once."""
        with self._following:  # else a table that comes meanwhile would get the holds of this one
            current = hold_store.of_table(self.snapshot.table, self.store)
            if current != self._holds:
                with self._lock:
                    self._holds = current
                    self._let_go()

    # Who sees what

    def scope(self, principal: Principal) -> Scope:
        """Return what a caller may see of the snapshot in force."""
        snapshot = self.snapshot
        days = (snapshot.as_of, clock.today())
        national = "nation" if principal.is_national else ""
        # Walking all holds takes longer than the rest of an answer: who asked before is known.
        asked = (principal.name, national, principal.areas, days)
        known = self._asked.get(asked)
        if known is not None and known.view.snapshot is snapshot:
            return known
        holds = self._holds
        found = self._scope(principal, snapshot, hold_store.hidden_from(asked[0], holds, days))
        with self._lock:
            if self._holds is holds:  # else a hold came in meanwhile, and this may show it
                if len(self._asked) >= _MOST_ASKED:
                    self._asked = {}
                self._asked[asked] = found
        return found

    def _scope(self, principal: Principal, snapshot: Snapshot, hidden: frozenset[str]) -> Scope:
        national = "nation" if principal.is_national else ""
        key = (hidden, national, principal.areas)
        found = self._scopes.get(key)
        if found is not None and found.view.snapshot is snapshot:
            return found
        view = self._views.get(hidden)
        if view is None or view.snapshot is not snapshot:
            view = View(snapshot, hidden)
        scope = Scope(view, own_rows(snapshot, principal) & view.is_visible, hidden)
        with self._lock:
            if len(self._scopes) >= _MOST_VIEWS:
                self._let_go()
            self._views[hidden] = view
            self._scopes[key] = scope
        return scope

    def draw(self, as_of: date) -> Draw:
        """Return the random draw of the period that holds `as_of`: the audit's key fixes it."""
        return Draw.kept(self.audit_key, as_of, months=self.settings.draw_months)

    # The audit

    def access(
        self,
        principal: Principal,
        action: str,
        subject: str,
        *,
        purpose: str = "",
        list_id: str = "",
    ) -> Access:
        """Return the audit record of one access, not yet written."""
        table = None if self._snapshot is None else self._snapshot.table
        return Access(
            who=principal.name,
            role=principal.role,
            action=action,
            subject=subject,
            purpose=purpose,
            bundle="" if table is None else str(table.manifest["bundle"]),
            scored="" if table is None else table.name,
            list_id=list_id,
        )

    def ledger(self, principal: Principal, *, purpose: str = "", list_id: str = "") -> Ledger:
        """Return what records a caller's write in the transaction that makes it."""
        base = self.access(principal, "", "", purpose=purpose, list_id=list_id)
        return Ledger(self.audit_key, base)

    def wake_rescorer(self) -> None:
        """Say that events wait; the first time starts the thread that takes them to scores."""
        from serving.field.events.rescoring_loop import Rescorer

        with self._lock:
            if self._rescorer is None:
                self._rescorer = Rescorer(self, self.settings.home)
        self._rescorer.wake()
        self._rescorer.start()

    def wait_for_events(self, seconds: float) -> bool:
        """Wait until no event waits for its score; return whether that came in time."""
        return self._rescorer is None or self._rescorer.wait_until_idle(seconds)

    def close(self) -> None:
        """Stop watching, write what waits, close the store."""
        self._watcher.close(seconds=10)
        for loop in self._others:
            loop.close(seconds=15)
        if self._rescorer is not None:
            self._rescorer.close()
        self.heavy.close()
        self.audit.close()
        self.store.close()


@contextmanager
def _counted_reload() -> Iterator[None]:
    try:
        yield
    except Exception:
        metrics.RELOADS.labels("failed").inc()
        raise
    metrics.RELOADS.labels("done").inc()


def _tell_runs(home: Path) -> None:
    """Tell in the metrics when the newest runs by the clock ended, and how."""
    for routine in ROUTINES:
        record = read_record(record_file(home, routine))
        if record is not None and record.ended_at and record.exit_code is not None:
            ended = datetime.fromisoformat(record.ended_at).timestamp()
            metrics.RUN_ENDED.labels(routine).set(ended)
            metrics.RUN_EXIT_CODE.labels(routine).set(record.exit_code)


def _oidc(settings: Settings) -> Verifier | None:
    if settings.oidc is None:
        return None
    from serving.access.oidc import Verifier

    return Verifier(settings.oidc)
