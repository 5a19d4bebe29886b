"""Providers over HTTP: aiohttp, one pool a provider, TCP_NODELAY, keep-alive.

Sends one request and hands back the open answer; never retries, never follows redirects, never logs headers.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from tt_common.contracts.records import ProviderRecord

CONNECTIONS_MAX: Final = 4096
KEEPALIVE_S: Final = 30.0
READ_BYTES: Final = 64 * 1024
LEFTOVER_S: Final = 0.5
HEADER_CHARS_MAX: Final = 200


class UpstreamFailure(Exception):
    """No usable answer. `kind`: connect, timeout, stale (a kept connection was closed under us) or broken."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


class UpstreamAnswer:
    """An answer whose head has arrived. `close` drops the connection if the body was not read to its end."""

    __slots__ = ("_response", "content_type", "request_id", "retry_after_s", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        headers = response.headers
        self.content_type = _plain(headers.get("content-type", "application/json"))
        self.request_id = _plain(headers.get("x-request-id", ""))
        self.retry_after_s = _seconds(headers.get("retry-after"))

    async def read(self, bytes_max: int) -> bytes:
        """The whole body. UpstreamFailure `broken` where it breaks off or is too large."""
        try:
            length = self._response.content_length
            if length is not None and length <= bytes_max:
                return await self._response.read()
            parts: list[bytes] = []
            size = 0
            async for part in self._response.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > bytes_max:
                    self.close()
                    raise UpstreamFailure("broken", "the answer is too large")
            return b"".join(parts)
        except TimeoutError as error:
            raise UpstreamFailure("timeout", "no bytes in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailure("broken", type(error).__name__) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. UpstreamFailure where it breaks off."""
        try:
            content = self._response.content
            while data := await content.readany():
                yield data
        except TimeoutError as error:
            raise UpstreamFailure("timeout", "no bytes in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailure("broken", type(error).__name__) from error

    async def finish(self) -> None:
        """After the terminal event: take what little is left, so that the connection can be used again; else drop it."""
        content = self._response.content
        try:
            async with asyncio.timeout(LEFTOVER_S):
                while await content.readany():
                    continue
        except (TimeoutError, aiohttp.ClientError, OSError):
            self.close()

    def close(self) -> None:
        self._response.close()


class Upstream:
    """All providers' connection pools."""

    def __init__(self) -> None:
        self._sessions: dict[str, tuple[int, aiohttp.ClientSession]] = {}
        self._retired: set[asyncio.Task[None]] = set()

    def configured(self, provider: ProviderRecord) -> bool:
        """Whether the provider's key reference resolves on this edge."""
        return provider.key_ref is None or bool(os.environ.get(provider.key_ref.removeprefix("env:")))

    async def send(self, provider: ProviderRecord, path: str, body: bytes, request_id: str) -> UpstreamAnswer:
        """POST `body` to the provider's `path` and wait for the head of the answer."""
        session = self._session(provider)
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=provider.connect_timeout_s,
            sock_read=max(provider.first_byte_timeout_s, provider.between_bytes_timeout_s),
        )
        try:
            async with asyncio.timeout(provider.connect_timeout_s + provider.first_byte_timeout_s):
                response = await session.post(
                    provider.base_url.rstrip("/") + path,
                    data=body,
                    headers={"X-Client-Request-Id": request_id},
                    timeout=timeout,
                    allow_redirects=False,
                )
        except (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError) as error:
            raise UpstreamFailure("stale", type(error).__name__) from error
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise UpstreamFailure("connect", type(error).__name__) from error
        except TimeoutError as error:
            raise UpstreamFailure("timeout", "no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamFailure("broken", type(error).__name__) from error
        return UpstreamAnswer(response)

    def _session(self, provider: ProviderRecord) -> aiohttp.ClientSession:
        known = self._sessions.get(provider.id)
        if known is not None and known[0] == provider.revision:
            return known[1]
        if known is not None:
            self._retire(known[1])
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "TokenTally",
            **provider.headers,
        }
        key = os.environ.get(provider.key_ref.removeprefix("env:"), "") if provider.key_ref else ""
        if key:
            headers["Authorization"] = f"Bearer {key}"
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BYTES,
        )
        self._sessions[provider.id] = (provider.revision, session)
        return session

    def _retire(self, session: aiohttp.ClientSession) -> None:
        """A provider was changed: its old pool closes when its open answers have had time to end."""

        async def close_later() -> None:
            await asyncio.sleep(600)
            await session.close()

        task = asyncio.create_task(close_later())
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def close(self) -> None:
        for task in self._retired:
            task.cancel()
        for _, session in self._sessions.values():
            await session.close()


def provider_fault(status: int) -> bool:
    """Statuses that say nothing about the caller's request: the next route is tried."""
    return status in (401, 402, 403, 408, 409, 429) or status >= 500 or status < 200 or 300 <= status < 400


def _plain(text: str) -> str:
    """A provider's header fit for an event: aiohttp leaves lone surrogates for bytes that are not UTF-8."""
    return text[:HEADER_CHARS_MAX].encode("ascii", "replace").decode()


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
