"""What billing has booked, from the stream BILLING: note a batch, commit, then ack; what is refused is terminated."""

from collections.abc import Callable

from nats.aio.msg import Msg

from tt_common.bus.consumer import stream_sequence
from tt_common.contracts.streams import BILLING, DEPOSITS_BOOKED_DURABLE, billing_subject
from tt_common.errors import DatabaseWentBack
from tt_deposits.usecases.context import Context
from tt_deposits.usecases.note_booked import Delivery, note_booked

DURABLE = DEPOSITS_BOOKED_DURABLE
SUBJECT = billing_subject("deposit_booked", "*")
BATCH_MAX = 200
ACK_WAIT_S = 10.0


class BookedHandler:
    """What PullConsumer hands each batch to.

    `stream_created` names the incarnation of the stream that is being read; `went_back` is called when the database turns out to
    have been restored under this process.
    """

    def __init__(self, context: Context, stream_created: Callable[[], str], went_back: Callable[[], None]) -> None:
        self._context = context
        self._stream_created = stream_created
        self._went_back = went_back
        self._committed = ("", 0)
        """The stream's incarnation and the highest sequence that this process has committed."""

    async def handle(self, messages: list[Msg]) -> None:
        created = self._stream_created()
        highest = self._committed[1] if self._committed[0] == created else 0
        deliveries = [Delivery(stream_sequence(message), message.data) for message in messages]
        try:
            refused = await note_booked(self._context, deliveries, BILLING.name, created, highest)
        except DatabaseWentBack:
            self._went_back()
            raise
        self._committed = (created, max(highest, *(delivery.sequence for delivery in deliveries)))
        self._context.crash("after_booked_commit_before_ack")
        for message, delivery in zip(messages, deliveries, strict=True):
            await (message.term() if delivery.sequence in refused else message.ack())
