"""Providers through aiohttp: for what the small client does not do: proxies from the environment, compressed answers, bodies
from a file."""

# pyright: reportUnknownMemberType=false
# (parts of aiohttp are untyped)

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from tt_common.contracts.records import ProviderRecord
from tt_common.provider_access import parse_provider_url
from tt_edge.clients.answers import LEFTOVER_S, ReadInChunks, UpstreamFailure, UpstreamRequest, plain_header
from tt_edge.clients.request_head import clean_headers

CONNECTIONS_MAX: Final = 4096
KEEPALIVE_S: Final = 30.0
READ_BYTES: Final = 64 * 1024
UPLOAD_BYTES_PER_S_MIN: Final = 256 * 1024
"""A provider that takes an upload more slowly is given up."""


class AiohttpAnswer(ReadInChunks):
    """See `answers.UpstreamAnswer`."""

    __slots__ = ("_response", "content_type", "request_id", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.content_type = plain_header(response.headers.get("content-type", "application/json"))
        self.request_id = plain_header(response.headers.get("x-request-id") or response.headers.get("request-id", ""))

    async def next_chunk(self) -> bytes:
        try:
            return await self._response.content.readany()
        except TimeoutError as error:
            raise UpstreamFailure("timeout", "no bytes in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamFailure("broken", type(error).__name__) from error

    async def finish(self) -> None:
        try:
            async with asyncio.timeout(LEFTOVER_S):
                while await self.next_chunk():
                    continue
        except (TimeoutError, UpstreamFailure):
            self.close()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._response.close()


class AiohttpClient:
    """One provider's pool."""

    def __init__(self, provider: ProviderRecord, headers: dict[str, str]) -> None:
        """Raises ValueError for a base URL or headers that are not usable."""
        parse_provider_url(provider.base_url)
        self._base_url = provider.base_url.rstrip("/")
        self._first_byte_s = provider.connect_timeout_s + provider.first_byte_timeout_s
        self._connect_s = provider.connect_timeout_s
        self._read_s = max(provider.first_byte_timeout_s, provider.between_bytes_timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60),
            headers=clean_headers(headers),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=READ_BYTES,
            trust_env=True,
        )

    async def post(self, request: UpstreamRequest, request_id: str, traceparent: str = "") -> AiohttpAnswer:
        """Send one request and wait for the head of its answer. Raises UpstreamFailure."""
        headers = {**clean_headers(dict(request.headers)), "X-Client-Request-Id": request_id}
        if traceparent:
            headers["traceparent"] = traceparent
        data: bytes | AsyncIterator[bytes] = request.body
        upload_s = 0.0
        if (source := request.source) is not None:
            data, upload_s = source.chunks(), source.size_bytes / UPLOAD_BYTES_PER_S_MIN
            headers |= {"Content-Type": source.content_type, "Content-Length": str(source.size_bytes)}
        try:
            async with asyncio.timeout(self._first_byte_s + upload_s):
                response = await self._session.post(
                    self._base_url + request.path,
                    data=data,
                    headers=headers,
                    timeout=self._timeout(upload_s),
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
        return AiohttpAnswer(response)

    def _timeout(self, upload_s: float) -> aiohttp.ClientTimeout:
        # aiohttp waits for the first byte of the answer while the body is on its way.
        return aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s, sock_read=self._read_s + upload_s)

    async def close(self) -> None:
        await self._session.close()
