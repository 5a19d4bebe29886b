"""One admitted streaming call with real credit and a real journal; the provider, the client and the idempotency store are scripts."""

import asyncio
from collections.abc import AsyncGenerator, Callable, MutableMapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.unit.edge.billing_model import BillingModel
from tests.unit.edge.samples import key, model, price
from tt_common.contracts.events import UsageEvent
from tt_common.rating import Rates
from tt_common.telemetry.tracing import UNTRACED
from tt_edge.clients.answers import UpstreamAnswer
from tt_edge.clients.idempotency import Claimed, Record
from tt_edge.crash_points import never
from tt_edge.journal.folders import claim
from tt_edge.journal.journal import Journal
from tt_edge.protocols.endpoints import ENDPOINTS
from tt_edge.protocols.exchange import Exchange
from tt_edge.protocols.openai.protocol import OPENAI
from tt_edge.protocols.openai.request import parse_chat
from tt_edge.usecases.admit_call import journal_start
from tt_edge.usecases.gateway import Call, Gateway
from tt_edge.usecases.reach_provider import Reached
from tt_edge.usecases.relay_stream import relay_stream
from tt_edge.usecases.reserve_credit import reserve_credit
from tt_edge.usecases.tally_calls import CallTallies

BODY = b'{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}'
OUTPUT_TOKEN_NANOUSD = 1000


class Provider:
    """`steps`: bytes to send, seconds to pause, an exception to raise, or something to happen."""

    def __init__(self, steps: Sequence[bytes | float | Exception | Callable[[], None]]) -> None:
        self.steps = steps
        self.closed = False
        self._chunks = self._play()

    async def next_chunk(self) -> bytes:
        return await anext(self._chunks, b"")

    async def _play(self) -> AsyncGenerator[bytes]:
        for step in self.steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, bytes):
                yield step
            elif callable(step):
                step()
            else:
                await asyncio.sleep(step)

    async def finish(self) -> None:
        """Nothing is left to read."""

    def close(self) -> None:
        self.closed = True


class Client:
    """Takes the head and `parts` parts of the body, and then nothing more, as one whose connection is full."""

    def __init__(self, parts: int = 10**9) -> None:
        self.parts = parts
        self.taken: list[bytes] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] != "http.response.body":
            return
        if len(self.taken) >= self.parts:
            await asyncio.Event().wait()
        self.taken.append(message["body"])

    async def receive(self) -> MutableMapping[str, Any]:
        return await asyncio.Event().wait()  # pyright: ignore[reportReturnType]


class KeptAnswers:
    """The idempotency store: what became of the key."""

    def __init__(self) -> None:
        self.finished: list[bytes] = []
        self.released = 0

    async def finish(self, claimed: Claimed, status: int, headers: object, body: Sequence[bytes]) -> None:
        self.finished.append(b"".join(body))

    async def release(self, claimed: Claimed) -> None:
        self.released += 1


class Relay:
    """A call that was reserved and journaled; `run` relays its stream."""

    def __init__(self, folder: Path, wallet_nanousd: int, hold_output_tokens: int) -> None:
        self.billing = BillingModel(wallet_nanousd)
        self.credit = self.billing.keeper(wait_s=0.2)
        self.journal = Journal(claim(folder), 64 * 1024, 2 * 1024)
        self.events: list[UsageEvent] = []
        self.answers = KeptAnswers()
        self.call = Call(ENDPOINTS["/v1/chat/completions"])
        self.call.key, self.call.request = key(), parse_chat(BODY)
        self.call.model = model(hold_output_tokens=hold_output_tokens)
        self.call.price = price(Rates(output=OUTPUT_TOKEN_NANOUSD * 1_000_000))
        parts: dict[str, Any] = {
            "limits": SimpleNamespace(drain_s=0.2, unsettled_nanousd_max=10**12),
            "credit": self.credit,
            "journal": self.journal,
            "publisher": SimpleNamespace(publish=lambda entry: self.events.append(entry.event)),  # pyright: ignore[reportUnknownLambdaType]
            "idempotency": self.answers,
            "crash": never,
            "tracing": UNTRACED,
            "tallies": CallTallies(),
        }
        self.gateway = cast("Gateway", SimpleNamespace(**parts))

    def under_idempotency_key(self) -> Claimed:
        record = Record(state="running", body_hash="", event_id=self.call.id, hold_id="hold_1", holder="edge")
        claimed = Claimed("key", record, 1, taken_over=False)
        self.call.take_claim(claimed)
        return claimed

    async def run(self, provider: Provider, client: Client) -> UsageEvent:
        """Relay to the end; the one event of the call."""
        scope = {"method": "POST", "path": "/v1/chat/completions", "headers": []}
        exchange = Exchange(scope, client.receive, client.send)
        exchange.keeping = self.call.claim is not None
        await reserve_credit(self.gateway, self.call)
        journal_start(self.gateway, self.call)
        first = await provider.next_chunk()
        upstream = cast("UpstreamAnswer", provider)
        try:
            async with asyncio.timeout(5):
                assert self.call.request is not None
                bridge = OPENAI.bridge(self.call.request, "openai", self.call.id)
                reached = Reached(200, "text/event-stream", first, None, upstream, bridge, is_stream=True)
                await relay_stream(self.gateway, exchange, self.call, reached)
        finally:
            exchange.end()
            self.journal.close()
        [event] = self.events
        assert self.journal.open_calls == 0
        return event
