"""What a provider's answer looks like to the edge, whichever client fetched it."""

from collections.abc import AsyncIterator
from typing import Final, Protocol

import msgspec

HEADER_CHARS_MAX: Final = 200
LEFTOVER_S: Final = 0.5
"""After a terminal event a provider has this long to end its body, or the connection is dropped."""


class UpstreamFailure(Exception):
    """No usable answer. `kind`: connect, timeout, stale (a kept connection was closed under us), status or broken."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class UpstreamAnswer(Protocol):
    """An answer whose head has arrived. Reading raises UpstreamFailure where it breaks off."""

    status: int
    content_type: str
    request_id: str

    async def read(self, bytes_max: int) -> bytes:
        """The whole body; `broken` where it is too large."""
        ...

    async def next_chunk(self) -> bytes:
        """What has arrived, at least one byte; b"" at the end."""
        ...

    async def finish(self) -> None:
        """After the terminal event: take what little is left, so that the connection can be used again; else drop it."""
        ...

    def close(self) -> None:
        """Drop the connection if the body was not read to its end."""
        ...


class ReadInChunks:
    """`read` of an answer by its `next_chunk`."""

    __slots__ = ()

    async def read(self: UpstreamAnswer, bytes_max: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := await self.next_chunk():
            parts.append(part)
            size += len(part)
            if size > bytes_max:
                self.close()
                raise UpstreamFailure("broken", "the answer is too large")
        return parts[0] if len(parts) == 1 else b"".join(parts)


class BodySource(Protocol):
    """A body that is not held in memory; every attempt reads it from its beginning."""

    content_type: str
    size_bytes: int

    def chunks(self) -> AsyncIterator[bytes]: ...


class UpstreamRequest(msgspec.Struct, frozen=True):
    """A POST: `path` below the provider's base URL, with its query; `headers` are those of this request alone.

    The body is JSON, or `source` where there is one."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    source: BodySource | None = None


class UpstreamClient(Protocol):
    """One provider's pool."""

    async def post(self, request: UpstreamRequest, request_id: str, traceparent: str = "") -> UpstreamAnswer:
        """Send one request and wait for the head of its answer. Raises UpstreamFailure. Never retries.

        `traceparent` goes with it where there is one.
        """
        ...

    async def close(self) -> None: ...


def provider_fault(status: int) -> bool:
    """Statuses that say nothing about the caller's request: the next route is tried."""
    return status in (401, 402, 403, 408, 409, 429) or status >= 500 or status < 200 or 300 <= status < 400


def plain_header(text: str) -> str:
    """A provider's header fit for an event: short, and ASCII."""
    return text[:HEADER_CHARS_MAX].encode("ascii", "replace").decode()
