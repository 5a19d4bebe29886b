"""GET /metrics in Prometheus' text format, for neighbours only.

Invariant: what a service earns and how full it is is not for its customers: a request from a public address, or one that came through a
proxy, gets the 404 of a path that doesn't exist.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest

MetricsSource = CollectorRegistry | Callable[[], Awaitable[bytes]]
"""This process's registry, or a function that says the text of several processes."""

PATH: Final = "/metrics"
_FORWARDED: Final = ("x-forwarded-for", "forwarded", "x-real-ip")


def new_registry() -> CollectorRegistry:
    """A registry of one service, with the process's own figures (CPU, memory, open files)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def metrics_router(source: MetricsSource) -> APIRouter:
    """The route for /metrics."""
    router = APIRouter(include_in_schema=False)

    @router.get(PATH)
    async def metrics(request: Request) -> Response:
        if not from_neighbour(request):
            raise HTTPException(404)
        text = generate_latest(source) if isinstance(source, CollectorRegistry) else await source()
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router


def from_neighbour(request: Request) -> bool:
    """Whether the request came straight from a private or loopback address."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global
