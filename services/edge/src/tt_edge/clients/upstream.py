"""All providers: which client fetches, with which headers. Secrets are read from the environment and never logged."""

import asyncio
import logging
import os
import urllib.request
from typing import Final
from urllib.parse import urlsplit

from tt_common.contracts.records import Dialect, ProviderRecord
from tt_common.provider_access import key_variable
from tt_edge.clients.answers import UpstreamAnswer, UpstreamClient, UpstreamFailure, UpstreamRequest
from tt_edge.clients.upstream_aiohttp import AiohttpClient
from tt_edge.clients.upstream_http1 import CompressedAnswer, Http1Client

log = logging.getLogger(__name__)

RETIRED_POOL_S: Final = 600.0
AUTHENTICATION: Final[dict[Dialect, tuple[str, str]]] = {
    "openai": ("Authorization", "Bearer "),
    "openai_responses": ("Authorization", "Bearer "),
    "anthropic": ("x-api-key", ""),
    "gemini": ("x-goog-api-key", ""),
}


class Upstream:
    """One pool a provider, and one for uploads; a changed provider gets new ones."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, bool], tuple[int, UpstreamClient]] = {}
        self._compressing: set[str] = set()
        self._retired: dict[asyncio.Task[None], UpstreamClient] = {}

    def configured(self, provider: ProviderRecord) -> bool:
        """Whether the provider's key reference resolves on this edge."""
        return provider.key_ref is None or bool(_secret(provider.key_ref))

    async def send(
        self, provider: ProviderRecord, request: UpstreamRequest, request_id: str, traceparent: str = ""
    ) -> UpstreamAnswer:
        """POST to the provider and wait for the head of the answer. Raises UpstreamFailure."""
        try:
            uploads = request.source is not None
            known = self._clients.get((provider.id, uploads))
            client = known[1] if known is not None and known[0] == provider.revision else self._make(provider, uploads)
            return await client.post(request, request_id, traceparent)
        except CompressedAnswer:
            if provider.id not in self._compressing:
                log.warning("provider compresses unasked, using aiohttp from now on", extra={"provider": provider.id})
                self._compressing.add(provider.id)
                self._make(provider, uploads=False)
            raise UpstreamFailure("stale", "a compressed answer") from None
        except ValueError as error:
            raise UpstreamFailure("connect", "the provider's base URL or headers are not usable") from error

    def _make(self, provider: ProviderRecord, uploads: bool) -> UpstreamClient:
        known = self._clients.pop((provider.id, uploads), None)
        if known is not None:
            self._retire(known[1])
        headers = {
            "Content-Type": "application/json",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": "TokenTally",
            **provider.headers,
        }
        key = _secret(provider.key_ref) if provider.key_ref else ""
        if key:
            name, form = AUTHENTICATION[provider.dialect]
            headers[name] = form + key
        special = uploads or provider.id in self._compressing or _behind_proxy(provider.base_url)
        client: UpstreamClient = AiohttpClient(provider, headers) if special else Http1Client(provider, headers)
        self._clients[provider.id, uploads] = (provider.revision, client)
        return client

    def _retire(self, client: UpstreamClient) -> None:
        """A provider was changed: its old pool closes when its open answers have had time to end."""

        async def close_later() -> None:
            await asyncio.sleep(RETIRED_POOL_S)
            await client.close()

        task = asyncio.create_task(close_later())
        self._retired[task] = client
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._retired.pop(task, None)

    async def close(self) -> None:
        for task, client in list(self._retired.items()):
            task.cancel()
            await client.close()
        for _, client in self._clients.values():
            await client.close()


def _secret(key_ref: str) -> str:
    """Empty where there is none, and where the reference names something that is no API key."""
    try:
        return os.environ.get(key_variable(key_ref), "")
    except ValueError:
        return ""


def _behind_proxy(base_url: str) -> bool:
    """Whether the environment (HTTPS_PROXY, NO_PROXY, …) sends requests to that host through a proxy."""
    parts = urlsplit(base_url)
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname or "")
