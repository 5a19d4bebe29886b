"""Recalls: asks every edge, over core NATS, to give back what named grants have unreserved.

Recalls of one account that are wanted within a few milliseconds go out as one. Never reuses an answer given before
the question was asked, so what it brings back is as new as the refusal that wanted it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from tt_billing.usecases.metrics import BillingMetrics
from tt_common.contracts.grants import Recall, RecallReply, ShrinkGrant
from tt_common.contracts.streams import RECALL_REPLIES, RECALL_SUBJECT
from tt_common.ids import new_id

log = logging.getLogger(__name__)

GATHER_S = 0.002
ApplyShrinks = Callable[[tuple[ShrinkGrant, ...]], Awaitable[None]]

_reply_decoder = msgspec.json.Decoder(RecallReply)


class _Open:
    """One recall under way."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.answered: dict[str, int] = {}
        self.shrinks: list[ShrinkGrant] = []
        self.complete = asyncio.Event()
        self.task: asyncio.Task[dict[str, int]] | None = None


class EdgeRecaller:
    """`apply` carries out the shrinks that edges answer with."""

    def __init__(self, nc: Client, apply: ApplyShrinks, wait_s: float, metrics: BillingMetrics) -> None:
        self._nc = nc
        self._apply = apply
        self._wait_s = wait_s
        self._metrics = metrics
        self._replies = f"{RECALL_REPLIES}.{new_id('asker')}"
        self._gathering: dict[str, _Open] = {}
        self._open: dict[str, _Open] = {}

    async def start(self) -> None:
        await self._nc.subscribe(self._replies, cb=self._take)

    async def recall(self, account_id: str, grant_ids: Collection[str]) -> dict[str, int]:
        """Which of `grant_ids` were answered in time, their shrinks applied, and what each edge had seen granted (nanoUSD).

        Unavailable where they can't be applied.
        """
        opened = self._gathering.get(account_id)
        if opened is None:
            opened = self._gathering[account_id] = _Open()
            opened.task = asyncio.create_task(self._carry_out(account_id, opened))
        opened.asked.update(grant_ids)
        assert opened.task is not None
        answered = await asyncio.shield(opened.task)
        return {grant_id: answered[grant_id] for grant_id in grant_ids if grant_id in answered}

    async def _carry_out(self, account_id: str, opened: _Open) -> dict[str, int]:
        await asyncio.sleep(GATHER_S)
        del self._gathering[account_id]
        recall_id = new_id("rcl")
        self._open[recall_id] = opened
        try:
            request = Recall(recall_id=recall_id, grants=tuple(sorted(opened.asked)))
            await self._nc.publish(RECALL_SUBJECT, msgspec.json.encode(request), reply=self._replies)
            await asyncio.wait_for(opened.complete.wait(), self._wait_s)
            self._metrics.recalls.labels("answered").inc()
        except TimeoutError:
            self._metrics.recalls.labels("incomplete").inc()
            log.info(
                "recall not answered in full",
                extra={"account_id": account_id, "missing": len(opened.asked - opened.answered.keys())},
            )
        except (nats.errors.Error, OSError) as error:
            self._metrics.recalls.labels("unsent").inc()
            log.warning("recall could not be sent", extra={"account_id": account_id, "error": repr(error)})
        finally:
            del self._open[recall_id]
        answered = dict(opened.answered)
        await self._apply(tuple(opened.shrinks))
        return answered

    async def _take(self, message: Msg) -> None:
        try:
            reply = _reply_decoder.decode(message.data)
        except msgspec.DecodeError as error:
            log.warning("recall reply not understood", extra={"error": str(error)})
            return
        opened = self._open.get(reply.recall_id)
        if opened is None:
            # Late: what was given back counts all the same.
            await self._apply_late(reply)
            return
        opened.shrinks.extend(reply.grants)
        opened.answered.update({shrink.grant_id: shrink.granted_seen_nanousd for shrink in reply.grants})
        if opened.asked <= opened.answered.keys():
            opened.complete.set()

    async def _apply_late(self, reply: RecallReply) -> None:
        try:
            await self._apply(reply.grants)
        except Exception as error:
            log.warning("late recall reply not applied", extra={"error": repr(error)})
