"""One sandbox provider for all tests of its dialects, and the vendors' own SDKs pointed at it."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.support.sandbox_process import sandbox_process
from tt_sandbox.stack.service import Service


class Door:
    """The tests' own door to the provider."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, trust_env=False)

    def records(self) -> list[dict[str, Any]]:
        """All calls of this test so far."""
        return self.http.get("/sandbox/calls").json()["calls"]

    def record(self) -> dict[str, Any]:
        """The one call of this test, once it has ended."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            found = self.records()
            if len(found) == 1 and found[0]["ended_at"] is not None:
                return found[0]
            time.sleep(0.01)
        raise AssertionError(f"not one ended call: {self.records()}")


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with sandbox_process(tmp_path_factory.mktemp("provider")) as service:
        yield service


@pytest.fixture(scope="session")
def lasting_door(provider: Service) -> Iterator[Door]:
    door = Door(provider.url)
    yield door
    door.http.close()


@pytest.fixture
def door(lasting_door: Door) -> Door:
    """With an empty record and no faults."""
    lasting_door.http.delete("/sandbox/calls")
    lasting_door.http.delete("/sandbox/faults")
    return lasting_door


@pytest.fixture(scope="session")
def anthropic_sdk(provider: Service) -> Iterator[Anthropic]:
    with Anthropic(base_url=provider.url, api_key="sk-ant-anything", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def openai_sdk(provider: Service) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{provider.url}/v1", api_key="sk-anything", max_retries=0) as client:
        yield client
