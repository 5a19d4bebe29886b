"""Usage events into the read model: decode, one use case, ack.

What is no usage event is terminated and counted; billing keeps it in its quarantine.
"""

import logging
import time

from nats.aio.client import Client
from nats.aio.msg import Msg

from tt_common.bus.consumer import PullConsumer, StreamPosition, stream_sequence
from tt_common.contracts.streams import CONSOLE_DURABLE, USAGE
from tt_common.telemetry.consuming import UsageMeter
from tt_console.clients.usage_stream import decode_usage
from tt_console.usecases.ingest_usage import STREAM, ingest_usage
from tt_console.usecases.ports import Database

log = logging.getLogger(__name__)

DURABLE = CONSOLE_DURABLE
BATCH_MAX = 1000
BATCHES_IN_FLIGHT = 2
BATCH_EVERY_S = 0.2
"""A batch costs as much as fifty events; nobody reads usage pages by tenths of a second."""


class UsageConsumer:
    """The durable `console-usage`. `undecodable` counts what was terminated since the start."""

    def __init__(self, nc: Client, database: Database, meter: UsageMeter) -> None:
        self._database = database
        self._meter = meter
        self.undecodable = 0
        self._pull = PullConsumer(
            nc,
            USAGE.name,
            DURABLE,
            USAGE.subjects[0],
            self._handle,
            self._position,
            batch_max=BATCH_MAX,
            in_flight=BATCHES_IN_FLIGHT,
            batch_every_s=BATCH_EVERY_S,
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
            return await unit.positions.read(STREAM)

    async def _handle(self, messages: list[Msg]) -> None:
        if not messages:
            return
        started_ns, refused = time.time_ns(), self.undecodable
        decoded = [(message, decode_usage(message.data)) for message in messages]
        last = max(stream_sequence(message) for message in messages)
        events = [event for _, event in decoded if event is not None]
        await ingest_usage(self._database, events, StreamPosition(self._pull.created, last))
        for message, event in decoded:
            if event is not None:
                await message.ack()
                continue
            self.undecodable += 1
            log.error("no usage event, terminated", extra={"sequence": stream_sequence(message)})
            await message.term()
        self._meter.done(messages, started_ns, self.undecodable - refused)
