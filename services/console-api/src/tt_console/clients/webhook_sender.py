"""POSTs one signed message to a customer's URL: to an address that was looked at, without redirects, without a proxy, in bounded time.

Invariants: a name is resolved once and the connection goes to the very address that was checked, so that a name can't lead inside after the
check (DNS rebinding). The answer's body is never read. Never logs a URL or a secret.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from tt_common.clock import monotonic_s, now_ms
from tt_common.provider_access import Network, ProviderUrl, is_among, is_link_local, is_private
from tt_console.domain.webhooks import (
    Attempt,
    Delivery,
    Endpoint,
    Failure,
    parse_webhook_url,
    signature,
    signing_secrets,
)

TIMEOUT_S: Final = 10.0
CONNECTIONS_MAX: Final = 64
RESOLVERS: Final = 16
"""Threads of their own: a customer's slow name server must not hold up what else runs in threads."""
USER_AGENT: Final = "TokenTally-Webhooks/1"


class _Refused(Exception):
    """Nothing was sent."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure: Failure = failure


class WebhookSender:
    """Fulfils `usecases.ports.Sender`. `networks` are those private ones in which receivers may be, also without TLS."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = networks
        self._resolvers = ThreadPoolExecutor(RESOLVERS, "webhook-names")
        # No connection is kept: one belongs to an address here, and several names may share it.
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=0)
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits, trust_env=False, follow_redirects=False)

    async def send(self, endpoint: Endpoint, delivery: Delivery) -> Attempt:
        """One attempt, at most ten seconds long."""
        began_ms, began_s = now_ms(), monotonic_s()
        status_code: int | None = None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status_code = await self._post(endpoint, delivery, began_ms)
            failure: Failure = "" if 200 <= status_code <= 299 else "http_status"
        except _Refused as refused:
            failure = refused.failure
        except (TimeoutError, httpx.TimeoutException):
            failure = "timeout"
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            failure = _failure(error)
        duration_ms = round((monotonic_s() - began_s) * 1_000)
        return Attempt(at_ms=began_ms, duration_ms=duration_ms, status_code=status_code, error=failure)

    async def close(self) -> None:
        await self._http.aclose()
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _post(self, endpoint: Endpoint, delivery: Delivery, at_ms: int) -> int:
        try:
            parts = parse_webhook_url(endpoint.url)
        except ValueError:
            raise _Refused("address_refused") from None
        address = await self._address(parts)
        body, timestamp_s = delivery.body.encode(), at_ms // 1_000
        signatures = [
            signature(secret, delivery.event_id, timestamp_s, body) for secret in signing_secrets(endpoint, at_ms)
        ]
        headers = {
            "Host": parts.authority,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": delivery.event_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(signatures),
        }
        # The certificate is checked against the name, wherever the address came from.
        extensions: dict[str, Any] = {"sni_hostname": parts.host} if parts.tls else {}
        url = _url_at(address, parts, endpoint.url)
        async with self._http.stream("POST", url, content=body, headers=headers, extensions=extensions) as answer:
            return answer.status_code

    async def _address(self, parts: ProviderUrl) -> str:
        """The first address of the host that may be connected to."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._resolvers, _resolve, parts.host, parts.port)
        except (OSError, UnicodeError):
            raise _Refused("name_not_found") from None
        for address in found:
            if is_link_local(address) or is_private(address, self._networks):
                continue
            if parts.tls or is_among(address, self._networks):
                return address
        raise _Refused("address_refused")


def _resolve(host: str, port: int) -> list[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _url_at(address: str, parts: ProviderUrl, url: str) -> str:
    host = f"[{address}]" if ipaddress.ip_address(address.partition("%")[0]).version == 6 else address
    split = urlsplit(url)
    query = f"?{split.query}" if split.query else ""
    return f"{split.scheme.lower()}://{host}:{parts.port}{split.path or '/'}{query}"


def _failure(error: BaseException) -> Failure:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "tls_failed"
        cause = cause.__cause__ or cause.__context__
    return "connection_failed" if isinstance(error, httpx.NetworkError | OSError) else "bad_answer"
