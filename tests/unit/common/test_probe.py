"""The probe of the containers' health checks: 200 is well, anything else is not, and it says why."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tt_common.web.probe import main


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()
        self.wfile.write(b"no database")

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_ready_service_is_healthy(port: int) -> None:
    assert main([str(port)]) == 0


def test_one_that_is_not_ready_is_not_healthy_and_the_reason_is_told(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(port), "/other"]) == 1
    assert "503 no database" in capsys.readouterr().err


def test_nobody_on_the_port_is_not_healthy(port: int) -> None:
    assert main(["1"]) == 1
    assert main([]) == 2
