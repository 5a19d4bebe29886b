"""One key's credit on this edge: its grants, and the line of calls that wait for billing.

A call that fits is served from memory. The others wait in order; one change at a time is under way for a key. Billing is asked again, with
the same revision, until it answers or the wait is over.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec

from tt_common.contracts.grants import ChangeGrant, GrantReply, KeyTerms, Slices
from tt_common.errors import DomainError, Unavailable
from tt_common.ids import new_id
from tt_common.telemetry.context import TraceContext
from tt_common.telemetry.tallies import Distribution
from tt_edge.clients.billing import BillingClient
from tt_edge.credit.demand import Demand
from tt_edge.credit.grants import NO_SLICES, Grant, Hold, Need
from tt_edge.domain.refusals import billing_unavailable

log = logging.getLogger(__name__)

RETRY_S: Final = 0.1
ANSWER_WAIT_S_MAX: Final = 2.0
WAITERS_MAX: Final = 10_000
MONEY_REFUSALS: Final = frozenset({"billing_shortfall", "api_key_quota_exceeded"})
REFUSALS: Final = MONEY_REFUSALS | {"rate_limit_exceeded"}
"""What a caller is told; everything else that billing may say is trouble between services."""


class CreditContext(msgspec.Struct, frozen=True):
    """What all keys of a worker share. Durations in seconds."""

    billing: BillingClient
    edge_id: str
    boot_epoch: str
    wait_s: float
    idle_s: float
    age_s_max: float
    clock: Callable[[], float]
    spawn: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
    opened: Callable[[Grant], None]
    waits: Distribution


class _Waiter:
    __slots__ = ("deadline", "future", "hold_id", "need", "trace")

    def __init__(
        self, hold_id: str, need: Need, deadline: float, future: asyncio.Future[Hold], trace: TraceContext | None
    ) -> None:
        self.hold_id = hold_id
        self.need = need
        self.deadline = deadline
        self.future = future
        self.trace = trace


class KeyCredit:
    """The current grant, those that drain (they take no new calls), and the waiting calls."""

    __slots__ = ("_context", "_pump", "_waiters", "current", "demand", "draining", "lock", "terms")

    def __init__(self, context: CreditContext, terms: KeyTerms) -> None:
        self._context = context
        self.terms = terms
        self.current: Grant | None = None
        self.draining: dict[str, Grant] = {}
        self.lock = asyncio.Lock()
        self.demand = Demand(context.clock())
        self._waiters: deque[_Waiter] = deque()
        self._pump: asyncio.Task[None] | None = None

    @property
    def quiet(self) -> bool:
        """Nothing is held, nothing waits."""
        return self.current is None and not self.draining and not self._waiters and self._pump is None

    async def reserve(self, hold_id: str, need: Need, trace: TraceContext | None = None) -> Hold:
        """A hold; at most one round trip, none on the usual way. Raises billing's refusals or billing_unavailable."""
        now = self._context.clock()
        self.demand.note(need.nanousd, need.tokens, now)
        grant = self.current
        if grant is not None and not self._waiters:
            hold = grant.reserve(hold_id, need.nanousd, need.tokens, now)
            if hold is not None:
                if grant.wants_refresh(now):
                    self._context.spawn(self.refresh(grant))
                return hold
        return await self._wait(hold_id, need, now, trace)

    async def _wait(self, hold_id: str, need: Need, now: float, trace: TraceContext | None) -> Hold:
        if len(self._waiters) >= WAITERS_MAX:
            raise billing_unavailable()
        future: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        self._waiters.append(_Waiter(hold_id, need, now + self._context.wait_s, future, trace))
        self._ensure_pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                hold = future.result()
                hold.grant.release(hold, self._context.clock())
            raise
        finally:
            self._context.waits.observe(self._context.clock() - now)

    async def extend(self, hold: Hold, extra_nanousd: int) -> None:
        """More for a stream that outgrows its hold. Raises billing's refusal or billing_unavailable."""
        grant = hold.grant
        if grant.grow(hold, extra_nanousd):
            return
        deadline = self._context.clock() + self._context.wait_s
        async with self.lock:
            while not grant.grow(hold, extra_nanousd):  # again where a recall took what was free meanwhile
                if self._context.clock() >= deadline:
                    raise billing_unavailable()
                try:
                    await self._change(grant, extra_nanousd - grant.free_nanousd, NO_SLICES, deadline)
                except DomainError as error:
                    raise error if error.code in REFUSALS else billing_unavailable() from error

    async def refresh(self, grant: Grant) -> None:
        """Top a grant up, or renew it, in the background, before a call has to wait for it."""
        if grant.changing or grant.closed or self.lock.locked():
            return
        async with self.lock:
            try:
                await self._change(grant, 0, NO_SLICES, self._context.clock() + ANSWER_WAIT_S_MAX)
            except DomainError as error:
                if error.code == "grant_ended" and grant is self.current:
                    self.retire()
                log.debug("grant not refreshed", extra={"grant": grant.id, "code": error.code})

    def retire(self) -> None:
        """The current grant takes no new calls; it closes when its last hold ends."""
        if self.current is not None:
            self.draining[self.current.id] = self.current
            self.current = None

    # -- the line -----------------------------------------------------------------------------------------------------

    def _ensure_pump(self) -> None:
        if self._pump is None and self._waiters:
            self._pump = self._context.spawn(self._serve_line())

    async def _serve_line(self) -> None:
        try:
            while self._waiters:
                async with self.lock:
                    await self._serve_head()
        except Exception:
            log.exception("the line of a key broke")
            if self._waiters:
                self._refuse(list(self._waiters), billing_unavailable())
        finally:
            self._pump = None
            self._ensure_pump()

    async def _serve_head(self) -> None:
        self._grant_what_fits()
        if not self._waiters:
            return
        asked = list(self._waiters)
        head, grant = asked[0], self._grant_to_change()
        missing = grant.missing_slices(head.need.tokens, self._context.clock())
        money = max(0, head.need.nanousd - grant.free_nanousd)
        try:
            await self._change(grant, money, missing, head.deadline, asked, head.trace)
        except DomainError as error:
            self._refuse(asked, _counting(error, head.need, max(grant.free_nanousd, 0)))
        else:
            self._grant_what_fits()

    def _grant_what_fits(self) -> None:
        while self._waiters:
            waiter = self._waiters[0]
            if not waiter.future.done():
                grant = self.current
                hold = (
                    grant.reserve(waiter.hold_id, waiter.need.nanousd, waiter.need.tokens, self._context.clock())
                    if grant is not None
                    else None
                )
                if hold is None:
                    return
                waiter.future.set_result(hold)
            self._waiters.popleft()

    def _refuse(self, asked: list[_Waiter], error: DomainError) -> None:
        """Refuse the head and, of those that were waiting when billing was asked, all that need at least as much."""
        head = asked[0]
        if error.code in ("stale_revision", "grant_ended"):
            if error.code == "grant_ended":
                self.retire()
            if self._context.clock() < head.deadline:
                return
            error = billing_unavailable()
        if error.code not in REFUSALS:
            error = billing_unavailable()
        for waiter in asked:
            if not waiter.future.done() and (waiter is head or _shares_fate(waiter.need, head.need, error)):
                waiter.future.set_exception(DomainError(error.code, error.message, **error.data))
        self._waiters = deque(waiter for waiter in self._waiters if not waiter.future.done())

    def _grant_to_change(self) -> Grant:
        """The current grant where it can still be extended, else a new one; the old one drains."""
        grant, now = self.current, self._context.clock()
        young = grant is not None and not grant.closed and now - grant.created_at < self._context.age_s_max
        if grant is not None and young and (not grant.opened or now < grant.hard_expires_at):
            return grant
        self.retire()
        self.current = fresh = Grant(new_id("grt"), self.terms, now)
        self._context.opened(fresh)
        return fresh

    async def _change(
        self,
        grant: Grant,
        need_nanousd: int,
        need: Slices,
        deadline: float,
        line: Sequence[_Waiter] = (),
        trace: TraceContext | None = None,
    ) -> None:
        """One open, extend or renewal, asked until answered or `deadline`. The lock must be held. Raises the refusal.

        `line` are the calls that wait, the one that needs it first. Another one like that is wished for too: a key's second call would
        else have to wait as its first did.
        """
        grant.revision += 1
        context = self._context
        expected_nanousd = self.demand.want_nanousd(context.clock()) - max(grant.free_nanousd, 0)
        another_nanousd = need_nanousd + line[0].need.nanousd if line else 0
        request = ChangeGrant(
            grant_id=grant.id,
            revision=grant.revision,
            key=grant.key,
            edge_id=context.edge_id,
            boot_epoch=context.boot_epoch,
            need_nanousd=need_nanousd,
            need=need,
            queued_nanousd=sum(waiter.need.nanousd for waiter in line[1:]),
            want_nanousd=max(0, expected_nanousd, another_nanousd),
            want=self._want_slices(grant, need, line),
            granted_seen_nanousd=grant.granted_nanousd,
        )
        grant.changing = True
        try:
            reply, sent_at = await self._ask(request, deadline, trace)
        except (Unavailable, asyncio.CancelledError):
            grant.doubtful = True
            raise
        finally:
            grant.changing = False
        grant.apply(reply, sent_at)

    def _want_slices(self, grant: Grant, need: Slices, line: Sequence[_Waiter]) -> Slices:
        """For those that wait, and where a limit's slice is used up or nearly, for what is to be expected: billing gives at most a share of
        what is left and recalls what is not used. Otherwise every call of a limited key would wait for one of its own.
        """
        now = self._context.clock()
        expected = self.demand.want_slices(now)
        queued = line[1:]
        requests, tokens = len(queued), sum(waiter.need.tokens for waiter in queued)
        if need.requests or grant.requests_are_low(now):
            requests = max(requests, expected.requests, need.requests + 1 if line else 0)
        if need.tokens or grant.tokens_are_low(now):
            tokens = max(tokens, expected.tokens, need.tokens + line[0].need.tokens if line else 0)
        return Slices(requests=requests, tokens=tokens, concurrency=len(queued))

    async def _ask(self, request: ChangeGrant, deadline: float, trace: TraceContext | None) -> tuple[GrantReply, float]:
        clock = self._context.clock
        while True:
            sent_at = clock()
            timeout_s = max(RETRY_S, min(deadline - sent_at, ANSWER_WAIT_S_MAX))
            try:
                return await self._context.billing.change_grant(request, timeout_s, trace), sent_at
            except Unavailable:
                if clock() + RETRY_S >= deadline:
                    raise
                await asyncio.sleep(RETRY_S)


def _counting(error: DomainError, need: Need, in_hand_nanousd: int) -> DomainError:
    """A money refusal with what the grant itself has free: billing speaks only of what it could add to it."""
    if error.code not in MONEY_REFUSALS:
        return error
    data = dict(error.data)
    for name in ("available_nanousd", "remaining_nanousd"):
        if name in data:
            data[name] += in_hand_nanousd
    if "need_nanousd" in data:
        data["need_nanousd"] = need.nanousd
    return DomainError(error.code, error.message, **data)


def _shares_fate(need: Need, refused: Need, error: DomainError) -> bool:
    if error.code in MONEY_REFUSALS:
        return need.nanousd >= refused.nanousd
    if error.code == "rate_limit_exceeded" and error.data.get("limit_kind") == "tokens":
        return need.tokens >= refused.tokens
    return True
