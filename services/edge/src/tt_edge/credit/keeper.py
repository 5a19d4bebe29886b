"""Keeps credit at hand for all keys of a worker, and gives back what is not needed.

While billing does not answer nothing is given back: grants in hand serve on until they are spent or expire.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from tt_common.clock import monotonic_s
from tt_common.contracts.grants import KeyTerms, Recall, RecallReply, ShrinkGrant
from tt_common.contracts.records import KeyRecord
from tt_common.errors import DomainError
from tt_common.telemetry.context import TraceContext
from tt_common.telemetry.tallies import Distribution
from tt_edge.clients.billing import BillingClient
from tt_edge.credit.grants import REFRESH_SHARE, Grant, Hold, Need
from tt_edge.credit.line import CreditContext, KeyCredit

log = logging.getLogger(__name__)

CLOSE_RETRY_S: Final = 0.1
WAIT_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class CreditKeeper:
    """Reserve, settle, release, extend; recall, upkeep, close."""

    def __init__(
        self,
        billing: BillingClient,
        edge_id: str,
        boot_epoch: str,
        *,
        wait_s: float = 5.0,
        idle_s: float = 5.0,
        age_s_max: float = 300.0,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        self._keys: dict[str, KeyCredit] = {}
        self._grants: dict[str, Grant] = {}
        self._unsent: dict[str, ShrinkGrant] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.waits = Distribution(WAIT_BOUNDS_S)
        """Seconds that calls waited for billing, those that were refused too."""
        self._context = CreditContext(
            billing, edge_id, boot_epoch, wait_s, idle_s, age_s_max, clock, self._spawn, self._opened, self.waits
        )

    @property
    def open_grants(self) -> int:
        """Grants that this worker has not given up."""
        return len(self._grants)

    @property
    def open_holds(self) -> int:
        """Calls that hold something now."""
        return sum(grant.holds for grant in self._grants.values())

    @property
    def reserved_nanousd(self) -> int:
        """What they hold together, in nanoUSD."""
        return sum(grant.reserved_nanousd for grant in self._grants.values())

    async def reserve(self, record: KeyRecord, hold_id: str, need: Need, trace: TraceContext | None = None) -> Hold:
        """A hold for one call. Raises billing_shortfall, api_key_quota_exceeded, rate_limit_exceeded, billing_unavailable."""
        credit = self._keys.get(record.key_id)
        if credit is None or credit.terms.revision < record.revision:
            credit = self._with_new_terms(credit, record)
        return await credit.reserve(hold_id, need, trace)

    def settle(self, hold: Hold, cost_nanousd: int, tokens: int) -> None:
        """The call's event is journaled: what it cost is spent, the rest of its hold is free at once."""
        hold.grant.settle(hold, cost_nanousd, tokens, self._context.clock())

    def release(self, hold: Hold) -> None:
        """The call never happened (dry run, journal full): no event will come."""
        hold.grant.release(hold, self._context.clock())

    async def extend(self, hold: Hold, extra_nanousd: int) -> None:
        """More for a stream that outgrows its hold. Raises billing's refusal or billing_unavailable."""
        await self._keys[hold.grant.key.key_id].extend(hold, extra_nanousd)

    async def recall(self, recall: Recall, respond: Callable[[RecallReply], Awaitable[None]]) -> None:
        """Billing asks: shrink those grants at once. Answers only for grants that are here, or just were."""
        shrinks: list[ShrinkGrant] = []
        for grant_id in recall.grants:
            grant = self._grants.get(grant_id)
            if grant is not None:
                shrinks.append(grant.shrink(final=False))
            elif grant_id in self._unsent:
                shrinks.append(self._unsent[grant_id])
        if shrinks:
            reply = RecallReply(recall_id=recall.recall_id, boot_epoch=self._context.boot_epoch, grants=tuple(shrinks))
            await respond(reply)

    async def upkeep(self) -> None:
        """Once a second: renew what is in use, give back what is idle, close what is done."""
        context = self._context
        if self._grants and not await context.billing.answers(context.edge_id, context.boot_epoch):
            return
        now = context.clock()
        for key_id, credit in list(self._keys.items()):
            if not credit.lock.locked():
                self._tend_current(credit, now)
                for grant in list(credit.draining.values()):
                    self._tend_draining(credit, grant, now)
            if credit.quiet and credit.demand.idle_s(now) > context.age_s_max:
                del self._keys[key_id]
        await self._send_shrinks()

    async def close(self, timeout_s: float) -> None:
        """At shutdown: close every grant; returns when billing knows, or when the time is over."""
        clock = self._context.clock
        deadline = clock() + timeout_s
        while clock() < deadline:
            for credit in self._keys.values():
                credit.retire()
                for grant in list(credit.draining.values()):
                    self._tend_draining(credit, grant, clock())
            await self._send_shrinks()
            if not self._unsent and not self._grants:
                return
            await asyncio.sleep(CLOSE_RETRY_S)

    def _with_new_terms(self, credit: KeyCredit | None, record: KeyRecord) -> KeyCredit:
        terms = KeyTerms(
            key_id=record.key_id,
            account_id=record.account_id,
            revision=record.revision,
            monthly_limit_nanousd=record.monthly_limit_nanousd,
            requests_per_minute=record.requests_per_minute,
            tokens_per_minute=record.tokens_per_minute,
            concurrency=record.concurrency,
        )
        if credit is None:
            credit = self._keys[record.key_id] = KeyCredit(self._context, terms)
        else:
            credit.terms = terms
            credit.retire()
        return credit

    def _tend_current(self, credit: KeyCredit, now: float) -> None:
        grant = credit.current
        if grant is None:
            return
        idle = now - grant.last_used_at >= self._context.idle_s
        done = grant.holds == 0 and (idle or now >= grant.soft_expires_at)
        if done or now - grant.created_at >= self._context.age_s_max:
            credit.retire()
        elif now >= grant.soft_expires_at - grant.soft_ttl_s * REFRESH_SHARE:
            self._spawn(credit.refresh(grant))
        elif idle and grant.free_nanousd > 0:
            self._unsent[grant.id] = grant.shrink(final=False)

    def _tend_draining(self, credit: KeyCredit, grant: Grant, now: float) -> None:
        if grant.changing:
            return
        if grant.holds == 0:
            if grant.opened or grant.doubtful:
                self._unsent[grant.id] = grant.shrink(final=True)
            del credit.draining[grant.id]
            del self._grants[grant.id]
        elif grant.free_nanousd > 0:
            self._unsent[grant.id] = grant.shrink(final=False)
        elif now >= grant.hard_expires_at - grant.soft_ttl_s:
            self._spawn(credit.refresh(grant))

    async def _send_shrinks(self) -> None:
        """Tell billing what was given back; kept and sent again until it answers."""
        if not self._unsent:
            return
        batch, context = dict(self._unsent), self._context
        try:
            await context.billing.shrink_grants(context.edge_id, context.boot_epoch, tuple(batch.values()))
        except DomainError as error:
            log.info("grants not given back yet", extra={"grants": len(batch), "code": error.code})
            return
        for grant_id, shrink in batch.items():
            if self._unsent.get(grant_id) is shrink:
                del self._unsent[grant_id]

    def _opened(self, grant: Grant) -> None:
        self._grants[grant.id] = grant

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
