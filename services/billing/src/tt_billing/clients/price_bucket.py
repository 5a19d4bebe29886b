"""The price records in the edges' bucket, with the history that it keeps. Only reads."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import logging
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tt_common.contracts.records import PriceRecord
from tt_common.contracts.streams import CATALOG

log = logging.getLogger(__name__)

SUBJECTS: Final = CATALOG.subject("price.*")
FETCH_BATCH: Final = 500
FETCH_TIMEOUT_S: Final = 5.0
IDLE_TTL_S: Final = 30.0

_decoder = msgspec.json.Decoder(PriceRecord)


async def read_price_records(nc: Client) -> list[PriceRecord]:
    """All there are, in the order in which they were put. Raises nats errors."""
    js = nc.jetstream(timeout=5)
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.ALL,
        inactive_threshold=IDLE_TTL_S,
        mem_storage=True,
        num_replicas=1,
    )
    subscription = await js.pull_subscribe(SUBJECTS, stream=CATALOG.stream, config=config)
    records: list[PriceRecord] = []
    try:
        pending = (await subscription.consumer_info()).num_pending or 0
        while pending > 0:
            messages = await subscription.fetch(min(FETCH_BATCH, pending), timeout=FETCH_TIMEOUT_S)
            for message in messages:
                try:
                    records.append(_decoder.decode(message.data))
                except msgspec.DecodeError as error:
                    log.warning("no price record", extra={"subject": message.subject, "error": str(error)})
            pending = messages[-1].metadata.num_pending
    finally:
        await subscription.unsubscribe()
    return records
