"""Engines, the sandbox provider and a stack of stand-in services, each on free ports in a fresh folder."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.support.sandbox_process import sandbox_process
from tt_sandbox.stack import EmbeddedNats, EmbeddedPostgres
from tt_sandbox.stack.service import Service

STANDIN = Path(__file__).with_name("standin_service.py")


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[EmbeddedNats]:
    server = EmbeddedNats(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with sandbox_process(tmp_path_factory.mktemp("provider")) as service:
        yield service


@pytest.fixture
def control(provider: Service) -> Iterator[httpx.Client]:
    """The tests' own door to the provider, with an empty record and no faults."""
    with httpx.Client(base_url=provider.url) as client:
        client.delete("/sandbox/calls")
        client.delete("/sandbox/faults")
        yield client


@pytest.fixture
def sdk(provider: Service, control: httpx.Client) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{provider.url}/v1", api_key="sk-anything", max_retries=0) as client:
        yield client


@pytest.fixture
def standins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `python -m tt_edge` and the others run a stand-in; variables FAIL_<COMMAND>=1 make a command fail."""
    for package in ("tt_edge", "tt_billing", "tt_deposits", "tt_console"):
        folder = tmp_path / "standins" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        shutil.copyfile(STANDIN, folder / "__main__.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "standins"), prepend=os.pathsep)
    return tmp_path / "standins"
