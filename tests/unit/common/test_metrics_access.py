"""/metrics answers neighbours, and nobody else."""

import httpx
import pytest
from fastapi import FastAPI

from tt_common.web.metrics import metrics_router, new_registry


async def _status(client: str, headers: dict[str, str] | None = None) -> int:
    app = FastAPI()
    app.include_router(metrics_router(new_registry()))
    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as http:
        return (await http.get("/metrics", headers=headers)).status_code


@pytest.mark.parametrize(
    "client", ["127.0.0.1", "10.1.2.3", "192.168.0.7", "100.64.0.1", "::1", "fd00::1", "::ffff:10.0.0.1"]
)
async def test_a_neighbour_is_answered(client: str) -> None:
    assert await _status(client) == 200


@pytest.mark.parametrize("client", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "not an address"])
async def test_the_world_is_not(client: str) -> None:
    assert await _status(client) == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_what_came_through_a_proxy_is_not(header: str) -> None:
    assert await _status("10.1.2.3", {header: "10.9.9.9"}) == 404
