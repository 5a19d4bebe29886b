"""Usage events from the stream USAGE: settle a batch, commit, then ack; what was quarantined is terminated."""

import time
from collections.abc import Callable

from nats.aio.msg import Msg

from tt_billing.consumers.progress import Progress
from tt_billing.domain.records import Delivery
from tt_billing.usecases.context import Context
from tt_billing.usecases.settle_usage import settle_usage
from tt_common.bus.consumer import stream_sequence
from tt_common.contracts.streams import BILLING_DURABLE, USAGE
from tt_common.errors import DatabaseWentBack
from tt_common.telemetry.consuming import UsageMeter

DURABLE = BILLING_DURABLE
BATCH_MAX = 1000
BATCHES_IN_FLIGHT = 2
BATCH_EVERY_S = 0.2
"""A transaction costs as much as a hundred events, so they gather. An event after a pause doesn't wait, nor does a backlog."""
ACK_WAIT_S = 5.0


class UsageHandler:
    """What PullConsumer hands each batch to.

    `stream_created` names the incarnation of the stream that is being read; `went_back` is called when the database turns out to
    have been restored under this process.
    """

    def __init__(
        self, context: Context, stream_created: Callable[[], str], meter: UsageMeter, went_back: Callable[[], None]
    ) -> None:
        self._context = context
        self._stream_created = stream_created
        self._meter = meter
        self._went_back = went_back
        self._progress = Progress()

    async def handle(self, messages: list[Msg]) -> None:
        started_ns = time.time_ns()
        created = self._stream_created()
        deliveries = [Delivery(m.subject, stream_sequence(m), m.data) for m in messages]
        try:
            poison = await settle_usage(self._context, deliveries, USAGE.name, created, self._progress.of(created))
        except DatabaseWentBack:
            self._went_back()
            raise
        self._progress.committed(created, (delivery.sequence for delivery in deliveries))
        self._context.crash("after_commit_before_ack")
        for message, delivery in zip(messages, deliveries, strict=True):
            await (message.term() if delivery.sequence in poison else message.ack())
        self._meter.done(messages, started_ns, len(poison))
