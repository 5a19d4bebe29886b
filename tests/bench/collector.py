"""Where the edge's sampled spans go: an OTLP collector that throws them away. `python -m tests.bench.collector PORT`."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Sink(BaseHTTPRequestHandler):
    """Takes every POST; a GET finds it ready."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._done()

    def do_GET(self) -> None:
        self._done()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def _done(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Sink).serve_forever()
