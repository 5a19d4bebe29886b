"""The connections to one provider: the one used last first, a limit with a bounded wait, idle ones closed in time.

Invariant: open, opening and idle connections together never pass the limit; each is counted until it is lost. Never retries.
"""

import asyncio
import ssl
from collections import deque
from typing import Final

from tt_common.provider_access import ProviderUrl, is_link_local
from tt_edge.clients.answers import UpstreamFailure
from tt_edge.clients.http1 import HttpConnection

WAITERS_MAX: Final = 4096


class HttpPool:
    """One origin's connections; made inside the running loop. `tls` replaces the system's trust, for https only."""

    def __init__(
        self, address: ProviderUrl, connections_max: int, keepalive_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._tls = (tls or ssl.create_default_context()) if address.tls else None
        self._connections_max = connections_max
        self._keepalive_s = keepalive_s
        self._idle: deque[HttpConnection] = deque()
        self._open: set[HttpConnection] = set()
        self._opening = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    async def take(self, connect_timeout_s: float) -> HttpConnection:
        """An idle connection, or a new one; at the limit the next that is free. Waiting and connecting share the time-out.

        Raises UpstreamFailure `connect`. The connection is the caller's until its answer was read to the end or it is closed.
        """
        connection = self._kept()
        if connection is not None:
            return connection
        try:
            async with asyncio.timeout(connect_timeout_s):
                while not self._closed and len(self._open) + self._opening >= self._connections_max:
                    await self._turn()
                    connection = self._kept()
                    if connection is not None:
                        return connection
                return await self._connect()
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that can't be one
            raise UpstreamFailure("connect", type(error).__name__) from error

    def _kept(self) -> HttpConnection | None:
        if self._idle:
            oldest = self._loop.time() - self._keepalive_s
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed and connection.idle_since >= oldest:
                    return connection
                connection.close()
        return None

    async def _connect(self) -> HttpConnection:
        if self._closed:
            raise UpstreamFailure("connect", "the pool is closed")
        self._opening += 1
        try:
            transport, connection = await self._loop.create_connection(
                lambda: HttpConnection(self, self._loop),
                self._address.host,
                self._address.port,
                ssl=self._tls,
                server_hostname=self._address.host if self._tls is not None else None,
            )
        except BaseException:
            self._opening -= 1
            self._wake_next()
            raise
        self._opening -= 1
        if is_link_local(str((transport.get_extra_info("peername") or ("",))[0])):  # whatever the name has become since
            transport.abort()
            raise UpstreamFailure("connect", "an address that is never a provider's")
        if connection.gone:  # closed by the peer before we could look
            self._wake_next()
        else:
            self._open.add(connection)
        return connection

    async def _turn(self) -> None:
        """Wait until a connection is idle or a place is free; another may be quicker."""
        if len(self._waiters) >= WAITERS_MAX:
            raise UpstreamFailure("connect", "too many calls wait for a connection")
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._wake_next()  # cancelled after it was woken: the turn passes on
            else:
                self._waiters.remove(waiter)
            raise

    def _wake_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def release(self, connection: HttpConnection) -> None:
        """See `http1.ConnectionOwner`."""
        if self._closed:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._keepalive_s, self._sweep)
        if self._waiters:
            self._wake_next()

    def lost(self, connection: HttpConnection, stale: bool) -> None:
        """See `http1.ConnectionOwner`. One stale connection: those idle for longer are no better, a retry must not meet them."""
        self._open.discard(connection)
        if stale:
            self._drop_idle()
        self._wake_next()

    def _sweep(self) -> None:
        """Close what was idle for too long; look again when the next is due."""
        self._sweeper = None
        now = self._loop.time()
        while self._idle:
            left_s = self._idle[0].idle_since + self._keepalive_s - now
            if left_s > 0 and not self._idle[0].closed:
                self._sweeper = self._loop.call_later(left_s, self._sweep)
                return
            self._idle.popleft().close()

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def close(self) -> None:
        """Drop idle connections now, the others when their exchange ends; who waits for one fails. Idempotent."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._drop_idle()
        while self._waiters:
            self._wake_next()
