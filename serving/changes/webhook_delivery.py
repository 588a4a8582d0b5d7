"""Telling webhooks: beside the answers, each in order, until what is told is taken.

Receivers are told side by side: one that takes its ten seconds holds up nobody but itself. Each
has one attempt under way at most, so that what it is told keeps its order.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

import httpx
from pydantic_core import to_json

from serving import metrics
from serving.background import Loop
from serving.changes import webhooks
from serving.changes.visible_changes import visible
from serving.changes.webhook_addresses import Target, origins, target_of
from serving.changes.webhooks import Standing, Webhook
from serving.errors import InvalidRequestError
from serving.runtime import Runtime
from serving.store import journal

logger = logging.getLogger("ffl_risk.service")
_PAUSE_SECONDS: Final = 1.0
# For all of an attempt: a receiver that answers a byte a second does not keep its place for ever.
_MOST_SECONDS: Final = 10.0
_MOST_AT_ONCE: Final = 16
_MOST_CHANGES: Final = 500


class Deliverer:
    """Tells webhooks what was written.

    Parameters
    ----------
    runtime : Runtime
    tls : SSLContext
        What is trusted.
    """

    def __init__(self, runtime: Runtime, tls: ssl.SSLContext) -> None:
        self._runtime = runtime
        self._allowed = origins(runtime.settings.webhook_origins)
        self._tls = tls
        self._pool = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="webhook")
        self._under_way: dict[str, Future[None]] = {}
        self.loop = Loop("webhooks", self.round, pause=_PAUSE_SECONDS)

    @classmethod
    def open(cls, runtime: Runtime) -> Deliverer:
        """Read what this machine trusts, and return what tells webhooks."""
        return cls(runtime, ssl.create_default_context())

    def round(self) -> None:
        """Begin one attempt for each webhook that something waits for, and see to those that ended.

        It waits for what it began, but not for long: a slow one goes on while others are told.
        """
        self._begin()
        until = time.monotonic() + _PAUSE_SECONDS
        while self._under_way:
            left = until - time.monotonic()
            if left <= 0 and not self.loop.stopping.is_set():
                self.loop.wake()
                break
            wait(self._under_way.values(), timeout=max(0.1, left))
            self._see_to_ended()

    def _begin(self) -> None:
        newest = journal.newest(self._runtime.store)
        now = webhooks.now()
        due = [
            (standing.n_failed, hook, standing)
            for hook, standing in webhooks.registered(self._runtime.store)
            if standing.seq < newest
            and standing.is_due(now)
            and hook.webhook_id not in self._under_way
        ]
        # Where there are too many, those that took the last message come first.
        due.sort(key=lambda one: one[0])
        for _, hook, standing in due[: _MOST_AT_ONCE - len(self._under_way)]:
            self._under_way[hook.webhook_id] = self._pool.submit(self._attempt, hook, standing)

    def _see_to_ended(self) -> None:
        """Forget the attempts that ended; a fault in one is a fault of the round."""
        ended = [key for key, attempt in self._under_way.items() if attempt.done()]
        attempts = [self._under_way.pop(key) for key in ended]
        for attempt in attempts:
            attempt.result()

    def _attempt(self, hook: Webhook, standing: Standing) -> None:
        store = self._runtime.store
        principal = webhooks.principal_of(store, hook.account)
        if principal is None:  # disabled, or in another role: what waits goes on waiting
            return
        found, seen_to = visible(self._runtime, principal, since=standing.seq, limit=_MOST_CHANGES)
        # No dealer is named to an address outside: it asks for them.
        told = [
            {"seq": one["seq"], "at": one["at"], "kind": one["kind"], "ref": one["ref"]}
            for one in found
            if one["kind"] in hook.kinds
        ]
        if told:
            ledger = self._runtime.ledger(principal)
            subject = f"changes {told[0]['seq']}-{told[-1]['seq']}"
            if not webhooks.claim(store, hook, standing, ledger=ledger, subject=subject):
                return
            message = f"{hook.webhook_id}-{told[0]['seq']}-{told[-1]['seq']}"
            body = to_json({"type": "changes", "changes": told, "next": told[-1]["seq"]})
            is_taken = self._send(hook, message, body)
            metrics.WEBHOOKS.labels("taken" if is_taken else "failed").inc()
            if not is_taken:
                return
        webhooks.passed(store, hook, before=standing.seq, seq=seen_to)
        self.loop.wake()

    def _send(self, hook: Webhook, message: str, body: bytes) -> bool:
        at = int(webhooks.now().timestamp())
        headers = webhooks.signed(self._runtime.audit_key, hook, message, at, body)
        try:
            target = target_of(hook.url, self._allowed)
            status = asyncio.run(asyncio.wait_for(self._post(target, headers, body), _MOST_SECONDS))
        except (OSError, TimeoutError, InvalidRequestError, httpx.HTTPError) as error:
            logger.warning("webhook %s: %s", hook.webhook_id, type(error).__name__)
            return False
        if not 200 <= status < 300:
            logger.warning("webhook %s: status %d", hook.webhook_id, status)
        return 200 <= status < 300

    async def _post(self, target: Target, headers: dict[str, str], body: bytes) -> int:
        more = {"Host": target.host, "Content-Type": "application/json", "User-Agent": "ffl-risk"}
        # No redirect is followed, no proxy of the environment asked, no body of an answer read.
        async with httpx.AsyncClient(verify=self._tls, trust_env=False) as client:
            request = client.build_request(
                "POST", target.url, headers=headers | more, content=body,
                extensions={"sni_hostname": target.name},
            )  # fmt: skip
            answer = await client.send(request, stream=True)
            await answer.aclose()
            return answer.status_code
