"""A provider whose answers a test writes byte by byte, and that keeps what it was sent byte by byte.

For what the sandbox provider does not do: exact request bodies and headers, answers of other vendors' shapes. Real HTTP over a socket.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REQUESTS_KEPT_MAX = 1_000
JSON = "application/json"
EVENT_STREAM = "text/event-stream"


@dataclass(frozen=True)
class Request:
    """What the gateway sent. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Script:
    """What is answered."""

    body: bytes
    status: int = 200
    content_type: str = JSON


class ScriptedProvider:
    """Answers every POST with the present script."""

    def __init__(self) -> None:
        self.script = Script(b"{}")
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT_MAX)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.requests.append(Request(self.path, headers, body))
                script = provider.script
                self.send_response(script.status)
                self.send_header("content-type", script.content_type)
                self.send_header("content-length", str(len(script.body)))
                self.end_headers()
                self.wfile.write(script.body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the test looks at `requests`."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def answer(self, body: bytes, *, status: int = 200, content_type: str = JSON) -> None:
        """From now on this is answered."""
        self.script = Script(body, status, content_type)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
