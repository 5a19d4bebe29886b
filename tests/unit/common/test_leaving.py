"""A server that was told to stop first says so, and still serves until load balancers know."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.waiting import eventually
from tt_sandbox.stack.ports import pick_free

LEAVE_S = 1.0
SERVER = """
import sys
from fastapi import FastAPI
from tt_common.web.health import health_router
from tt_common.web.leaving import Leaving
from tt_common.web.serve import serve
leaving = Leaving(float(sys.argv[2]))
app = FastAPI()
app.include_router(health_router({"leaving": leaving.check}))
serve(app, "127.0.0.1", int(sys.argv[1]), leaving=leaving)
"""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = pick_free()
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port), str(request.param)])
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: _status(f"{url}/readyz") == 200, "the server is ready", 15.0)
    yield process, url
    process.kill()
    process.wait()


def _status(url: str) -> int:
    try:
        return httpx.get(url, trust_env=False).status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.parametrize("server", [LEAVE_S], indirect=True)
def test_after_sigterm_a_server_is_not_ready_and_still_serves_until_its_time_is_over(
    server: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, url = server
    began_s = time.monotonic()

    process.send_signal(signal.SIGTERM)

    eventually(lambda: _status(f"{url}/readyz") == 503, "it says that it goes", LEAVE_S)
    assert _status(f"{url}/healthz") == 200
    assert process.wait(10) == -signal.SIGTERM
    assert time.monotonic() - began_s >= LEAVE_S


@pytest.mark.parametrize("server", [60.0], indirect=True)
def test_a_second_signal_stops_it_at_once(server: tuple[subprocess.Popen[bytes], str]) -> None:
    process, url = server
    process.send_signal(signal.SIGTERM)
    eventually(lambda: _status(f"{url}/readyz") == 503, "it says that it goes", 5.0)

    os.kill(process.pid, signal.SIGTERM)

    assert process.wait(10) == -signal.SIGTERM
