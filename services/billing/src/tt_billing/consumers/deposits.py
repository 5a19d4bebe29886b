"""Confirmed deposits from the stream DEPOSITS: book a batch, commit, then ack. Quarantined ones are terminated, early ones come again."""

from collections.abc import Callable

from nats.aio.msg import Msg

from tt_billing.consumers.progress import Progress
from tt_billing.domain.records import Delivery
from tt_billing.usecases.book_deposits import book_deposits
from tt_billing.usecases.context import Context
from tt_common.bus.consumer import stream_sequence
from tt_common.contracts.streams import BILLING_DEPOSITS_DURABLE, DEPOSITS, deposits_subject
from tt_common.errors import DatabaseWentBack

DURABLE = BILLING_DEPOSITS_DURABLE
SUBJECT = deposits_subject("deposit_confirmed", "*")
BATCH_MAX = 200
ACK_WAIT_S = 5.0
EARLY_RETRY_S = 2.0


class DepositsHandler:
    """What PullConsumer hands each batch to; the arguments are those of UsageHandler."""

    def __init__(self, context: Context, stream_created: Callable[[], str], went_back: Callable[[], None]) -> None:
        self._context = context
        self._stream_created = stream_created
        self._went_back = went_back
        self._progress = Progress()

    async def handle(self, messages: list[Msg]) -> None:
        created = self._stream_created()
        deliveries = [Delivery(m.subject, stream_sequence(m), m.data) for m in messages]
        try:
            done = await book_deposits(self._context, deliveries, DEPOSITS.name, created, self._progress.of(created))
        except DatabaseWentBack:
            self._went_back()
            raise
        self._progress.committed(created, (delivery.sequence for delivery in deliveries))
        self._context.crash("after_deposit_commit_before_ack")
        for message, delivery in zip(messages, deliveries, strict=True):
            if delivery.sequence in done.refused:
                await message.term()
            elif delivery.sequence in done.early:
                await message.nak(delay=EARLY_RETRY_S)
            else:
                await message.ack()
