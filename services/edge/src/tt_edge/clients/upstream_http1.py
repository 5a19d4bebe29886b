"""Providers through the small HTTP/1.1 client of `http1`: the usual way, and the fast one."""

import ssl
from typing import Final

from tt_common.contracts.records import ProviderRecord
from tt_common.provider_access import parse_provider_url
from tt_edge.clients.answers import LEFTOVER_S, ReadInChunks, UpstreamRequest, plain_header
from tt_edge.clients.http1 import HttpConnection
from tt_edge.clients.http1_pool import HttpPool
from tt_edge.clients.request_head import TARGET, clean_headers

CONNECTIONS_MAX: Final = 4096
KEEPALIVE_S: Final = 30.0
HEADS_MAX: Final = 1024
"""Paths whose heads are remembered; those of Gemini name the model."""
JOINED_BYTES_MAX: Final = 32 * 1024
"""Up to here copying a body behind its head is cheaper than writing twice."""


class Http1Answer(ReadInChunks):
    """See `answers.UpstreamAnswer`. It lets go of the connection at the end of the body: from then on that is another call's."""

    __slots__ = ("_between_s", "_connection", "content_type", "request_id", "status")

    def __init__(self, connection: HttpConnection, between_s: float) -> None:
        self._connection: HttpConnection | None = connection
        self._between_s = between_s
        self.status = connection.status
        headers = connection.headers
        self.content_type = plain_header(headers.get(b"content-type", b"application/json").decode("latin-1"))
        self.request_id = plain_header(
            (headers.get(b"x-request-id") or headers.get(b"request-id", b"")).decode("latin-1")
        )

    def __del__(self) -> None:
        self.close()  # nobody can read it any more: the connection must not stay taken

    async def next_chunk(self) -> bytes:
        if self._connection is None:
            return b""
        data = await self._connection.next_chunk(self._between_s)
        if not data:
            self._connection = None
        return data

    async def finish(self) -> None:
        if self._connection is not None:
            await self._connection.finish(LEFTOVER_S)
            self._connection = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class CompressedAnswer(Exception):
    """The provider compresses although it was asked not to; aiohttp must take over."""


class Http1Client:
    """One provider's pool, with the heads of its requests prepared."""

    def __init__(self, provider: ProviderRecord, headers: dict[str, str], tls: ssl.SSLContext | None = None) -> None:
        """Raises ValueError for a base URL or headers that are not usable. `tls`: see `HttpPool`."""
        address = parse_provider_url(provider.base_url)
        lines = clean_headers({"Host": address.authority, **headers})
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        self._target = address.path
        self._heads: dict[str, bytes] = {}
        self._pool = HttpPool(address, CONNECTIONS_MAX, KEEPALIVE_S, tls)
        self._connect_s = provider.connect_timeout_s
        self._first_byte_s = provider.first_byte_timeout_s
        self._between_s = provider.between_bytes_timeout_s

    async def post(self, request: UpstreamRequest, request_id: str, traceparent: str = "") -> Http1Answer:
        """See `answers.UpstreamClient`. Raises CompressedAnswer too."""
        body = request.body
        head = self._heads.get(request.path)
        if head is None:
            head = self._head(request.path)
        if request.headers:
            lines = clean_headers(dict(request.headers))
            head += "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")
        if not request_id.isprintable() or not traceparent.isprintable():
            raise ValueError("an id with a line break in it")
        if traceparent:
            head = b"%btraceparent: %b\r\n" % (head, traceparent.encode("ascii"))
        head = b"%bX-Client-Request-Id: %b\r\nContent-Length: %d\r\n\r\n" % (
            head,
            request_id.encode("ascii"),
            len(body),
        )
        connection = await self._pool.take(self._connect_s)
        if len(body) < JOINED_BYTES_MAX:
            await connection.ask(head + body, self._first_byte_s)
        else:
            await connection.ask(head, self._first_byte_s, body)
        if connection.headers.get(b"content-encoding", b"identity").lower() not in (b"identity", b""):
            connection.close()
            raise CompressedAnswer
        return Http1Answer(connection, self._between_s)

    def _head(self, path: str) -> bytes:
        if not TARGET.fullmatch(path):
            raise ValueError("a path with characters that end a request line")
        head = f"POST {self._target}{path} HTTP/1.1\r\n".encode() + self._fixed
        if len(self._heads) < HEADS_MAX:
            self._heads[path] = head
        return head

    async def close(self) -> None:
        self._pool.close()
