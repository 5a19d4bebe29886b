"""What billing is fed with: grants of many accounts over several edges' epochs, and the usage events that spend them.

Everything is encoded before it is sent, as an edge would have encoded it. Never retries: an answer that is not a grant ends the run.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from tt_common.bus.events import usage_headers
from tt_common.contracts import grants as g
from tt_common.contracts.events import UsageEvent
from tt_common.contracts.streams import USAGE, usage_subject
from tt_common.ids import new_event_id, new_id
from tt_common.rating import Price, Usage, cost_nanousd

ACCOUNTS = 200
EPOCHS = 4
GRANT_NANOUSD = 1_000_000_000
IN_FLIGHT = 512
CHUNK = 2_000
ANSWER_S_MAX = 30.0
PUBLISHED_S_MAX = 60.0


class WrongBooks(RuntimeError):
    """The books are not what was put in; the message says how."""


@dataclass(frozen=True)
class Account:
    id: str
    key_id: str


@dataclass(frozen=True)
class OpenGrant:
    id: str
    account: Account
    epoch: int


@dataclass(frozen=True)
class Message:
    """One event as it goes into the stream."""

    subject: str
    payload: bytes
    headers: dict[str, str]


_boot_epochs = tuple(new_id("epoch") for _ in range(EPOCHS))


async def open_grants(nc: Client, accounts: Sequence[Account], count: int = ACCOUNTS * EPOCHS) -> list[OpenGrant]:
    """Open `count` grants, account by account and epoch by epoch in turn, IN_FLIGHT requests at a time."""
    opened = [
        OpenGrant(new_id("grant"), accounts[number % len(accounts)], number // len(accounts) % EPOCHS)
        for number in range(count)
    ]
    requests = [msgspec.json.encode(_request(grant)) for grant in opened]
    inbox = nc.new_inbox()
    slots = asyncio.Semaphore(IN_FLIGHT)
    answered = 0
    failure = b""
    done = asyncio.Event()

    async def take(message: Msg) -> None:
        nonlocal answered, failure
        answered += 1
        slots.release()
        if not message.data.startswith(b'{"ok"'):
            failure = failure or message.data
        if answered == count or failure:
            done.set()

    subscription = await nc.subscribe(inbox, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
    for request in requests:
        await slots.acquire()
        await nc.publish(g.GRANTS_CHANGE, request, reply=inbox)
    await asyncio.wait_for(done.wait(), ANSWER_S_MAX)
    await subscription.unsubscribe()
    if failure:
        raise WrongBooks(f"a grant was not opened: {failure.decode()}")
    return opened


def _request(grant: OpenGrant) -> g.ChangeGrant:
    return g.ChangeGrant(
        grant_id=grant.id,
        revision=1,
        key=g.KeyTerms(key_id=grant.account.key_id, account_id=grant.account.id, revision=1),
        edge_id=f"edge-{grant.epoch}",
        boot_epoch=_boot_epochs[grant.epoch],
        need_nanousd=GRANT_NANOUSD,
        need=g.Slices(),
        want_nanousd=GRANT_NANOUSD,
    )


def encoded_events(accounts: Sequence[Account], opened: Sequence[OpenGrant], price: Price, count: int) -> list[Message]:
    """`count` events of calls like real ones; each epoch's are numbered from 1."""
    chance = random.Random(7)
    numbers = [0] * EPOCHS
    messages: list[Message] = []
    for _ in range(count):
        grant = chance.choice(opened)
        numbers[grant.epoch] += 1
        event = _event(grant, numbers[grant.epoch], price, chance)
        messages.append(Message(usage_subject(event.account_id), msgspec.json.encode(event), usage_headers(event)))
    return messages


def _event(grant: OpenGrant, edge_seq: int, price: Price, chance: random.Random) -> UsageEvent:
    usage = Usage(
        input_tokens=chance.randrange(20, 4000),
        cache_read_tokens=chance.choice((0, 0, 1024)),
        output_tokens=chance.randrange(10, 800),
    )
    cost = cost_nanousd(usage, price)
    finished_at_ms = time.time_ns() // 1_000_000
    return UsageEvent(
        id=new_event_id(),
        account_id=grant.account.id,
        key_id=grant.account.key_id,
        edge_id=f"edge-{grant.epoch}",
        boot_epoch=_boot_epochs[grant.epoch],
        edge_seq=edge_seq,
        grant_id=grant.id,
        hold_id=new_id("hold"),
        hold_nanousd=cost + cost // 4,
        outcome="succeeded",
        status=200,
        endpoint="/v1/chat/completions",
        protocol="openai",
        model=price.model,
        provider="openai",
        upstream_model=price.model,
        stream=chance.random() < 0.5,
        usage=usage,
        usage_source="provider",
        price_version=price.version,
        cost_nanousd=cost,
        started_at_ms=finished_at_ms - chance.randrange(200, 9000),
        finished_at_ms=finished_at_ms,
        first_byte_ms=chance.randrange(100, 900),
        overhead_ms=0.4,
        provider_request_id=f"chatcmpl-{chance.getrandbits(116):029x}",
        traceparent=f"00-{chance.getrandbits(128):032x}-{chance.getrandbits(64):016x}-01",
    )


async def publish_usage(nc: Client, messages: Sequence[Message]) -> None:
    """Put the messages into USAGE; returns when the stream has them all."""
    js = nc.jetstream(timeout=ANSWER_S_MAX)
    deadline = time.monotonic() + PUBLISHED_S_MAX
    for start in range(0, len(messages), CHUNK):
        chunk = messages[start : start + CHUNK]
        for message in chunk:
            await nc.publish(message.subject, message.payload, headers=message.headers)
        while (await js.stream_info(USAGE.name)).state.messages < start + len(chunk):
            if time.monotonic() > deadline:
                raise WrongBooks("the stream doesn't have all events")
            await asyncio.sleep(0.005)
