"""Usage events from the stream USAGE: settle a batch, commit, then ack; what was quarantined is terminated."""

import time
from collections.abc import Awaitable, Callable

from nats.aio.msg import Msg

from tt_billing.usecases.context import Context
from tt_billing.usecases.settle_usage import Delivery, settle_usage
from tt_common.bus.consumer import stream_sequence
from tt_common.contracts.streams import BILLING_DURABLE, USAGE
from tt_common.telemetry.consuming import UsageMeter

DURABLE = BILLING_DURABLE
BATCH_MAX = 1000
BATCHES_IN_FLIGHT = 2
ACK_WAIT_S = 5.0


def usage_handler(
    context: Context, stream_created: Callable[[], str], meter: UsageMeter
) -> Callable[[list[Msg]], Awaitable[None]]:
    """A handler for PullConsumer; `stream_created` names the incarnation of the stream that is being read."""

    async def handle(messages: list[Msg]) -> None:
        started_ns = time.time_ns()
        deliveries = [Delivery(m.subject, stream_sequence(m), m.data) for m in messages]
        poison = await settle_usage(context, deliveries, USAGE.name, stream_created())
        context.crash("after_commit_before_ack")
        for message, delivery in zip(messages, deliveries, strict=True):
            await (message.term() if delivery.sequence in poison else message.ack())
        meter.done(messages, started_ns, len(poison))

    return handle
