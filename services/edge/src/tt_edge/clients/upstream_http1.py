"""Providers through the small HTTP/1.1 client of `http1`: the usual way, and the fast one."""

from typing import Final
from urllib.parse import urlsplit

from tt_common.contracts.records import ProviderRecord
from tt_edge.clients.answers import LEFTOVER_S, UpstreamFailure, plain_header
from tt_edge.clients.http1 import HttpConnection, HttpPool

CONNECTIONS_MAX: Final = 4096
KEEPALIVE_S: Final = 30.0


class Http1Answer:
    """See `answers.UpstreamAnswer`."""

    __slots__ = ("_between_s", "_connection", "content_type", "request_id", "status")

    def __init__(self, connection: HttpConnection, between_s: float) -> None:
        self._connection = connection
        self._between_s = between_s
        self.status = connection.status
        headers = connection.headers
        self.content_type = plain_header(headers.get(b"content-type", b"application/json").decode("latin-1"))
        self.request_id = plain_header(headers.get(b"x-request-id", b"").decode("latin-1"))

    async def read(self, bytes_max: int) -> bytes:
        data = await self._connection.next_chunk(self._between_s)
        parts, size = [data], len(data)
        while data:
            if size > bytes_max:
                self.close()
                raise UpstreamFailure("broken", "the answer is too large")
            data = await self._connection.next_chunk(self._between_s)
            parts.append(data)
            size += len(data)
        return parts[0] if len(parts) == 2 else b"".join(parts)

    async def next_chunk(self) -> bytes:
        return await self._connection.next_chunk(self._between_s)

    async def finish(self) -> None:
        await self._connection.finish(LEFTOVER_S)

    def close(self) -> None:
        self._connection.close()


class CompressedAnswer(Exception):
    """The provider compresses although it was asked not to; aiohttp must take over."""


class Http1Client:
    """One provider's pool, with the heads of its requests prepared."""

    def __init__(self, provider: ProviderRecord, headers: dict[str, str]) -> None:
        self._pool = HttpPool(provider.base_url, CONNECTIONS_MAX, KEEPALIVE_S)
        self._connect_s = provider.connect_timeout_s
        self._first_byte_s = provider.first_byte_timeout_s
        self._between_s = provider.between_bytes_timeout_s
        self._heads: dict[str, bytes] = {}
        parts = urlsplit(provider.base_url)
        self._target = parts.path.rstrip("/")
        lines = {"Host": parts.netloc.rpartition("@")[2], **headers}
        for name, value in lines.items():
            if any(character in name + value for character in "\r\n\0"):
                raise ValueError(f"the header {name!r} of a provider has a line break in it")
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode("latin-1")

    async def post(self, path: str, body: bytes, request_id: str) -> Http1Answer:
        """See `answers.UpstreamClient`. Raises CompressedAnswer too."""
        head = self._heads.get(path)
        if head is None:
            head = f"POST {self._target}{path} HTTP/1.1\r\n".encode() + self._fixed
            self._heads[path] = head
        connection = await self._pool.take(self._connect_s)
        await connection.ask(
            b"%bX-Client-Request-Id: %b\r\nContent-Length: %d\r\n\r\n%b" % (head, request_id.encode(), len(body), body),
            self._first_byte_s,
        )
        if connection.headers.get(b"content-encoding", b"identity") != b"identity":
            connection.close()
            raise CompressedAnswer
        return Http1Answer(connection, self._between_s)

    async def close(self) -> None:
        self._pool.close()
