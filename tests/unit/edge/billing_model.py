"""A small honest billing in memory: one wallet, grants by totals, recalls, latency, lost requests and replies.

It speaks the contract of `tt_common.contracts.grants` as billing does. Invariant, checked after every step: free money and grants add up to
the wallet, nothing is below zero, and every edge's spent and reserved money is covered by its grant here.
"""

import asyncio
import random
from typing import cast

import msgspec

from tt_common.clock import monotonic_s
from tt_common.contracts.grants import ChangeGrant, GrantReply, Recall, RecallReply, ShrinkGrant, Slices
from tt_common.errors import DomainError, Unavailable
from tt_edge.clients.billing import BillingClient
from tt_edge.credit.keeper import CreditKeeper

SOFT_TTL_S = 30.0
WINDOW_S = 60.0
RECALL_ROUNDS = 4


class Clock:
    """The monotonic clock, and time that tests add to it."""

    def __init__(self) -> None:
        self.added_s = 0.0

    def __call__(self) -> float:
        return monotonic_s() + self.added_s


class Held(msgspec.Struct):
    """A grant as billing knows it: what was granted and what came back, in all."""

    granted: int = 0
    back: int = 0
    revision: int = 0
    requests_granted: int = 0
    tokens_granted: int = 0
    slots_granted: int = 0
    slots_back: int = 0
    closed: bool = False
    final_events: int | None = None

    @property
    def amount(self) -> int:
        return self.granted - self.back


class BillingModel:
    """`extra` is handed out on top of each need. `away` answers nothing; `refuse_with` answers every change with that error.

    `overused` is what calls of the test have used above their holds.
    """

    def __init__(self, wallet: int, seed: int = 0) -> None:
        self.wallet = self.free = wallet
        self.extra = 0
        self.overused = 0
        self.latency_s = 0.0
        self.loss = 0.0
        self.away = False
        self.refuse_with: DomainError | None = None
        self.changes: list[ChangeGrant] = []
        self.shrinks: list[ShrinkGrant] = []
        self.grants: dict[str, Held] = {}
        self.keepers: list[CreditKeeper] = []
        self.before_reply = asyncio.Event()
        self.before_reply.set()
        self.applied = asyncio.Event()
        self._rng = random.Random(seed)

    def keeper(self, clock: Clock | None = None, wait_s: float = 1.0) -> CreditKeeper:
        """An edge's credit on this billing."""
        made = CreditKeeper(
            cast("BillingClient", self), "edge", f"epoch{len(self.keepers)}", wait_s=wait_s, clock=clock or Clock()
        )
        self.keepers.append(made)
        return made

    # -- what the edge calls ------------------------------------------------------------------------------------------

    async def answers(self, edge_id: str, boot_epoch: str) -> bool:
        await self._travel()
        return not self.away

    async def change_grant(self, request: ChangeGrant, timeout_s: float, trace: object = None) -> GrantReply:
        await self._travel()
        self._maybe_lose()
        self.changes.append(request)
        if self.refuse_with is not None:
            raise self.refuse_with
        reply = self._decide(request)
        for _ in range(RECALL_ROUNDS):
            if reply is not None:
                break
            await self._recall(request.grant_id)
            reply = self._decide(request)
        self.applied.set()
        await self.before_reply.wait()
        await self._travel()
        if reply is None:
            raise DomainError("billing_shortfall", "no", available_nanousd=self.free, need_nanousd=request.need_nanousd)
        self._maybe_lose()
        return reply

    async def shrink_grants(self, edge_id: str, boot_epoch: str, grants: tuple[ShrinkGrant, ...]) -> None:
        await self._travel()
        self._maybe_lose()
        for shrink in grants:
            self._shrink(shrink)
        self._maybe_lose()

    # -- how it decides -----------------------------------------------------------------------------------------------

    def _decide(self, request: ChangeGrant) -> GrantReply | None:
        held = self.grants.get(request.grant_id, Held())
        if held.closed or request.granted_seen_nanousd > held.granted:
            raise DomainError("grant_ended", "closed, or forgotten")
        if request.revision < held.revision:
            raise DomainError("stale_revision", "later change known")
        if request.revision > held.revision:
            if request.need_nanousd > self.free:
                return None
            size = request.need_nanousd + min(request.queued_nanousd + self.extra, self.free - request.need_nanousd)
            self.grants[request.grant_id] = held
            held.revision = request.revision
            held.granted += size
            held.requests_granted += max(request.need.requests, request.want.requests)
            held.tokens_granted += max(request.need.tokens, request.want.tokens)
            held.slots_granted += request.need.concurrency
            self.free -= size
        self.check()
        return GrantReply(
            grant_id=request.grant_id,
            revision=held.revision,
            granted_nanousd=held.granted,
            soft_ttl_s=SOFT_TTL_S,
            hard_ttl_s=2 * SOFT_TTL_S,
            available_nanousd=self.free,
            slices=Slices(requests=held.requests_granted, tokens=held.tokens_granted, concurrency=held.slots_granted),
            window=1,
            window_remaining_s=WINDOW_S,
        )

    def _shrink(self, shrink: ShrinkGrant) -> None:
        held = self.grants.get(shrink.grant_id)
        if held is None and shrink.final_events is not None:
            held = self.grants[shrink.grant_id] = Held()
        if held is None or held.closed:
            return
        self.shrinks.append(shrink)
        newly_back = max(0, shrink.given_back_nanousd - held.back)
        self.free += newly_back
        held.back += newly_back
        held.slots_back = max(held.slots_back, shrink.given_back.concurrency)
        held.closed = shrink.final_events is not None
        held.final_events = shrink.final_events
        self.check()

    async def _recall(self, asker: str) -> None:
        others = tuple(name for name, held in self.grants.items() if name != asker and not held.closed)

        async def respond(reply: RecallReply) -> None:
            await self._travel()
            for shrink in reply.grants:
                self._shrink(shrink)

        for keeper in self.keepers:
            await self._travel()
            await keeper.recall(Recall(recall_id="rcl", grants=others), respond)

    async def _travel(self) -> None:
        await asyncio.sleep(self._rng.random() * self.latency_s)

    def _maybe_lose(self) -> None:
        if self.away or self._rng.random() < self.loss:
            raise Unavailable("lost")

    # -- what must hold -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        amounts = [held.amount for held in self.grants.values()]
        assert self.free + sum(amounts) == self.wallet
        assert min([self.free, *amounts]) >= 0
        assert all(held.slots_granted >= held.slots_back for held in self.grants.values())
        for keeper in self.keepers:
            for grant in keeper._grants.values():
                if grant.reserved_nanousd or grant.spent_nanousd:
                    covered = self.grants[grant.id].amount + self.overused
                    assert covered >= grant.spent_nanousd + grant.reserved_nanousd
