"""One NATS connection a process, that reconnects for ever and fast.

Invariant: a lost server never ends a process. Never logs the URL (it carries the password).
"""

# pyright: reportUnknownMemberType=false, reportArgumentType=false
# (nats-py leaves **kwargs untyped, and says int where it takes fractions of a second)

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import nats.errors

from tt_common.bus.lean_client import LeanClient
from tt_common.contracts.nats_users import inbox_prefix

log = logging.getLogger(__name__)

RECONNECT_WAIT_S = 0.1
CONNECT_TIMEOUT_S = 2.0
PENDING_BYTES_MAX = 64 * 1024 * 1024
FIRST_CONNECT_TRIES = 100


async def connect(url: str, name: str, on_reconnect: Callable[[], Awaitable[None]] | None = None) -> LeanClient:
    """Connect, waiting up to half a minute for the server; then the last error is raised.

    `on_reconnect` runs after each reconnection, when subscriptions are back. Inboxes are those of the user that `url` names.
    """

    client = LeanClient()

    async def reconnected() -> None:
        log.info("nats reconnected")
        if on_reconnect is not None:
            await on_reconnect()

    async def disconnected() -> None:
        if not client.is_closed:
            log.warning("nats disconnected")

    async def failed(error: Exception) -> None:
        log.warning("nats error", extra={"error": repr(error)})

    for attempt in range(1, FIRST_CONNECT_TRIES + 1):
        try:
            await client.connect(
                url,
                name=name,
                inbox_prefix=inbox_prefix(urlsplit(url).username),
                connect_timeout=CONNECT_TIMEOUT_S,
                reconnect_time_wait=RECONNECT_WAIT_S,
                max_reconnect_attempts=-1,
                allow_reconnect=True,
                ping_interval=5,
                max_outstanding_pings=2,
                pending_size=PENDING_BYTES_MAX,
                reconnected_cb=reconnected,
                disconnected_cb=disconnected,
                error_cb=failed,
            )
            return client
        except (OSError, nats.errors.Error, TimeoutError):
            if attempt == FIRST_CONNECT_TRIES:
                raise
            await asyncio.sleep(0.3)
    raise AssertionError("unreachable")
