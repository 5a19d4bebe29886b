"""Billing's RPC as the edge uses it. Every request may be repeated."""

from collections.abc import Awaitable, Callable

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from tt_common.bus import rpc
from tt_common.contracts import grants as contract
from tt_common.contracts.streams import RECALL_SUBJECT
from tt_common.errors import DomainError
from tt_common.telemetry.context import TraceContext
from tt_common.telemetry.tracing import UNTRACED, Tracing

SHRINK_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 0.5


class BillingClient:
    """Raises DomainError with billing's codes, Unavailable where nobody answers."""

    def __init__(self, nc: Client, tracing: Tracing = UNTRACED) -> None:
        self._nc = nc
        self._tracing = tracing
        self._recall_decoder = msgspec.json.Decoder(contract.Recall)

    async def answers(self, edge_id: str, boot_epoch: str) -> bool:
        """Whether billing answers at all, asked with the cheapest request there is."""
        request = contract.EpochBeat(edge_id=edge_id, boot_epoch=boot_epoch, last_seq=0)
        try:
            await rpc.call(self._nc, contract.EPOCHS_BEAT, request, contract.EpochBeatReply, ANSWER_TIMEOUT_S)
        except DomainError:
            return False
        return True

    async def change_grant(
        self, request: contract.ChangeGrant, timeout_s: float, trace: TraceContext | None = None
    ) -> contract.GrantReply:
        """`trace` is the call that waits for it, where it is traced."""
        subject = contract.GRANTS_CHANGE
        grant = {"rpc.system": "nats", "tokentally.grant_id": request.grant_id}
        span = self._tracing.child(f"reserve {subject}", "client", trace, grant)
        if span is None:
            return await rpc.call(self._nc, subject, request, contract.GrantReply, timeout_s)
        code = "cancelled"
        try:
            reply = await rpc.call(self._nc, subject, request, contract.GrantReply, timeout_s, span.traceparent)
            code = ""
            return reply
        except DomainError as error:
            code = error.code
            raise
        finally:
            span.end(code)

    async def shrink_grants(self, edge_id: str, boot_epoch: str, grants: tuple[contract.ShrinkGrant, ...]) -> None:
        request = contract.ShrinkGrants(edge_id=edge_id, boot_epoch=boot_epoch, grants=grants)
        await rpc.call(self._nc, contract.GRANTS_SHRINK, request, contract.Ack, SHRINK_TIMEOUT_S)

    async def close_epoch(self, request: contract.CloseEpoch, timeout_s: float) -> None:
        await rpc.call(self._nc, contract.EPOCHS_CLOSE, request, contract.Ack, timeout_s)

    async def subscribe_recalls(
        self, handle: Callable[[contract.Recall, Callable[[contract.RecallReply], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        """Hand every recall to `handle`, with a function that answers it."""

        async def received(message: Msg) -> None:
            async def respond(reply: contract.RecallReply) -> None:
                await message.respond(msgspec.json.encode(reply))

            await handle(self._recall_decoder.decode(message.data), respond)

        await self._nc.subscribe(RECALL_SUBJECT, cb=received)
