"""Keeps the stream USAGE from filling up: above a share of its size, drops the oldest of what every reader of the house has settled.

What is kept is what a database restored from a backup reads again, so a part of the stream always stays. Never purges
beyond the lower of billing's and console-api's settled positions; a reader that does not exist yet has settled nothing.
"""

import logging

import nats.js.errors
from nats.aio.client import Client

from tt_common.contracts.streams import BILLING_DURABLE, CONSOLE_DURABLE, USAGE

log = logging.getLogger(__name__)

FULL_SHARE = 0.7
KEPT_SHARE = 0.35
"""Of the stream's limit: how much of what is settled stays readable for a restored database."""
READERS = (BILLING_DURABLE, CONSOLE_DURABLE)


async def purge_usage(nc: Client) -> int:
    """Returns the sequence below which was purged, 0 for none."""
    js = nc.jetstream(timeout=5)
    info = await js.stream_info(USAGE.name)
    limit_bytes = info.config.max_bytes or 0
    if limit_bytes <= 0 or info.state.bytes < FULL_SHARE * limit_bytes:
        return 0
    floors: list[int] = []
    for durable in READERS:
        try:
            reader = await js.consumer_info(USAGE.name, durable)
        except nats.js.errors.NotFoundError:
            log.warning("USAGE fills up and a reader is missing", extra={"durable": durable})
            return 0
        floors.append(reader.ack_floor.stream_seq if reader.ack_floor else 0)
    state = info.state
    kept = int(state.messages * KEPT_SHARE * limit_bytes / state.bytes)
    below = min(*floors, state.last_seq - kept) + 1
    if below <= info.state.first_seq:
        log.error("USAGE fills up and nothing can be purged", extra={"bytes": info.state.bytes})
        return 0
    await js.purge_stream(USAGE.name, seq=below)
    log.info("USAGE purged", extra={"below_sequence": below})
    return below
