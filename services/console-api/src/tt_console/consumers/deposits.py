"""Deposit events into webhook deliveries: decode, one use case, ack.

What is no such event is terminated and counted: the record of a deposit is the deposits service's, a webhook only tells of it.
"""

import logging

from nats.aio.client import Client
from nats.aio.msg import Msg

from tt_common.bus.consumer import PullConsumer, StreamPosition, stream_sequence
from tt_common.clock import now_ms
from tt_common.contracts.streams import CONSOLE_DEPOSITS_DURABLE, DEPOSITS
from tt_console.domain.webhook_events import deposit_webhook
from tt_console.domain.webhooks import WebhookEvent
from tt_console.usecases.ports import Database
from tt_console.usecases.take_webhook_events import take_webhook_events

log = logging.getLogger(__name__)

DURABLE = CONSOLE_DEPOSITS_DURABLE
BATCH_MAX = 200
ACCOUNT_TOKEN = 3
EVENT_TOKEN = 2


class DepositsConsumer:
    """The durable `console-deposits`. `undecodable` counts what was terminated since the start."""

    def __init__(self, nc: Client, database: Database) -> None:
        self._database = database
        self.undecodable = 0
        self._pull = PullConsumer(
            nc, DEPOSITS.name, DURABLE, DEPOSITS.subjects[0], self._handle, self._position, batch_max=BATCH_MAX
        )

    @property
    def healthy(self) -> bool:
        return self._pull.healthy

    async def run(self) -> None:
        """Until `stop`. The position that the database remembers decides where the durable begins."""
        await self._pull.prepare()
        await self._pull.run()

    def stop(self) -> None:
        self._pull.stop()

    async def _position(self) -> StreamPosition | None:
        async with self._database.transaction() as unit:
            return await unit.positions.read(DEPOSITS.name)

    async def _handle(self, messages: list[Msg]) -> None:
        if not messages:
            return
        events: list[WebhookEvent] = []
        refused: set[int] = set()
        for message in messages:
            try:
                event = _webhook(message)
            except ValueError as error:
                sequence = stream_sequence(message)
                refused.add(sequence)
                log.error("no deposit event, terminated", extra={"sequence": sequence, "error": type(error).__name__})
                continue
            if event is not None:
                events.append(event)
        last = max(stream_sequence(message) for message in messages)
        position = StreamPosition(self._pull.created, last)
        await take_webhook_events(self._database, DEPOSITS.name, events, position, now_ms())
        self.undecodable += len(refused)
        for message in messages:
            if stream_sequence(message) in refused:
                await message.term()
            else:
                await message.ack()


def _webhook(message: Msg) -> WebhookEvent | None:
    """None for an event that no webhook tells of. ValueError for what is no event, or one of another account than its subject says."""
    tokens = message.subject.split(".")
    event = deposit_webhook(tokens[EVENT_TOKEN], message.data)
    if event is not None and event.account_id != tokens[ACCOUNT_TOKEN]:
        raise ValueError("the subject names another account")
    return event
