"""Calls to the edges, and what the client saw of each: the one thing that only the client knows.

A call is `complete` only when its whole answer arrived: all of the JSON, or the stream up to [DONE] and its clean end.
Bounded in number and concurrency.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp

from tests.fault.world import CHAT, EMBEDDING, Key, World

CALLS_MAX: Final = 50_000
ANSWER_TIMEOUT_S: Final = 60.0
PAUSE_AFTER_ERROR_S: Final = 0.05
TRIES_MAX: Final = 20
PAUSE_BEFORE_RETRY_S: Final = 0.5
PROMPT: Final = "The ledger balances whatever happens to the machines. " * 4


@dataclass
class Sent:
    """One call as its client saw it. `cached_tokens` were asked of the provider; its record doesn't name them."""

    label: str
    key: Key
    model: str
    edge: int
    cached_tokens: int = 0
    idempotent: bool = False
    outcome: Literal["complete", "partial", "error"] = "error"
    status: int = 0
    code: str = ""
    request_id: str = ""
    body: bytes = b""


@dataclass
class Record:
    """All calls of one test. `since` is the provider's sequence number before the first of them."""

    world: World
    name: str
    since: int
    sent: list[Sent] = field(default_factory=list)

    @classmethod
    def begin(cls, world: World, name: str) -> "Record":
        calls = world.provider_calls()
        return cls(world, name, calls[-1]["seq"] if calls else 0)

    def new(self, key: Key, model: str, edge: int) -> Sent:
        assert len(self.sent) < CALLS_MAX
        sent = Sent(f"{self.name}:{len(self.sent)}", key, model, edge)
        self.sent.append(sent)
        return sent

    def failures(self) -> list[Sent]:
        """Calls whose client did not see a complete answer."""
        return [sent for sent in self.sent if sent.outcome != "complete"]


class Driver:
    """Sends calls and records them."""

    def __init__(self, record: Record, session: aiohttp.ClientSession) -> None:
        self.record = record
        self._session = session

    async def call(
        self,
        key: Key,
        edge: int,
        *,
        model: str = CHAT,
        stream: bool = False,
        leave_after: int | None = None,
        cached_tokens: int = 0,
        idempotent: bool = False,
        switches: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Sent:
        """One call. With `leave_after` the client hangs up after that many bytes of the answer; never raises.

        An `idempotent` one is sent again to one edge after the other, until its whole answer is there.
        """
        sent = self.record.new(key, model, edge)
        sent.cached_tokens, sent.idempotent = cached_tokens, idempotent
        sandbox = {"label": sent.label, **(switches or {})}
        body: dict[str, Any] = {"model": model, "sandbox": sandbox, **fields}
        if model == EMBEDDING:
            body["input"] = PROMPT
        else:
            body |= {"messages": [{"role": "user", "content": PROMPT}], "stream": stream}
            sandbox["cached_tokens"] = cached_tokens
        for _ in range(TRIES_MAX if idempotent else 1):
            await self._send(sent, body, stream, leave_after)
            if sent.outcome == "complete" or not idempotent or (400 <= sent.status < 500 and sent.status != 409):
                break
            sent.edge = (sent.edge + 1) % len(self.record.world.edges)
            await asyncio.sleep(PAUSE_BEFORE_RETRY_S)
        return sent

    async def _send(self, sent: Sent, body: dict[str, Any], stream: bool, leave_after: int | None) -> None:
        path = "/v1/embeddings" if sent.model == EMBEDDING else "/v1/chat/completions"
        headers = {"Authorization": f"Bearer {sent.key.plaintext}"}
        if sent.idempotent:
            headers["Idempotency-Key"] = sent.label
        sent.outcome, sent.status, sent.code, sent.body = "error", 0, "", b""
        try:
            url = self.record.world.edges[sent.edge].url + path
            async with self._session.post(url, json=body, headers=headers) as response:
                sent.status = response.status
                sent.request_id = response.headers.get("x-tt-request-id", "")
                await _read(sent, response, stream, leave_after)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            sent.code = type(error).__name__
            sent.outcome = "partial" if sent.body else "error"


async def _read(sent: Sent, response: aiohttp.ClientResponse, stream: bool, leave_after: int | None) -> None:
    async for chunk in response.content.iter_any():
        sent.body += chunk
        if leave_after is not None and len(sent.body) >= leave_after:
            sent.outcome = "partial"
            response.close()
            return
    if response.status != 200:
        sent.code = json.loads(sent.body)["error"]["code"] if sent.body else ""
        return
    whole = sent.body.endswith(b"data: [DONE]\n\n") if stream else True
    sent.outcome = "complete" if whole and b'"error":{' not in sent.body else "partial"


@asynccontextmanager
async def driver(record: Record, connections_max: int = 0) -> AsyncIterator[Driver]:
    """A driver with its own connections; 0 is no limit."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=connections_max)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        yield Driver(record, session)


@asynccontextmanager
async def load(
    record: Record,
    keys: Sequence[Key],
    rng: random.Random,
    *,
    workers: int = 8,
    failover: bool = True,
    restless: bool = False,
    pause_s: float = 0.0,
) -> AsyncIterator[Driver]:
    """Streams, whole answers and embeddings of all keys on all edges, while the block runs; then waits for the last.

    Each worker waits `pause_s` between its calls; `failover` makes a few calls fail at their first route; of `restless` clients
    some leave in the middle of a stream, and some repeat a call with an Idempotency-Key until it is answered.
    """
    stop = asyncio.Event()
    async with driver(record) as sender:
        draws = [random.Random(rng.getrandbits(32)) for _ in range(workers)]
        tasks = [asyncio.create_task(_work(sender, keys, own, stop, failover, restless, pause_s)) for own in draws]
        try:
            yield sender
        finally:
            stop.set()
            await asyncio.gather(*tasks)


async def _work(
    sender: Driver,
    keys: Sequence[Key],
    rng: random.Random,
    stop: asyncio.Event,
    failover: bool,
    restless: bool,
    pause_s: float,
) -> None:
    while not stop.is_set():
        key, edge = rng.choice(keys), rng.randrange(len(sender.record.world.edges))
        kind = rng.random()
        switches: dict[str, Any] = {}
        idempotent = restless and rng.random() < 0.15
        if failover and not idempotent and rng.random() < 0.05:
            switches |= {"fail_times": 1, "fail_status": 500, "fail_key": f"{sender.record.name}:{rng.random()}"}
        if kind < 0.2:
            sent = await sender.call(key, edge, model=EMBEDDING, idempotent=idempotent)
        elif kind < 0.6:
            switches |= {"output_tokens": rng.randint(1, 60), "delay_ms": rng.choice((0, 0, 20))}
            cached = rng.choice((0, 7))
            sent = await sender.call(key, edge, cached_tokens=cached, idempotent=idempotent, switches=switches)
        else:
            switches |= {"output_tokens": rng.randint(2, 40), "chunk_delay_ms": rng.choice((0, 3, 10))}
            leave_after = rng.randint(1, 1500) if restless and not idempotent and rng.random() < 0.1 else None
            sent = await sender.call(
                key, edge, stream=True, leave_after=leave_after, idempotent=idempotent, switches=switches
            )
        await asyncio.sleep(pause_s if sent.outcome == "complete" else PAUSE_AFTER_ERROR_S)
