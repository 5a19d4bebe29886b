"""An OTLP collector over HTTP: takes spans as protobuf, as any real one does, and keeps them."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class CollectedSpan:
    """One span: the service that sent it, hex ids, attributes as text, and the trace ids that it links to."""

    def __init__(self, service: str, span: Any) -> None:
        self.service = service
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.linked = [link.trace_id.hex() for link in span.links]
        self.attributes = {item.key: _plain(item.value) for item in span.attributes}
        self.text = str(span)


class TraceCollector:
    """Serves on a free port of 127.0.0.1 between `start` and `stop`."""

    def __init__(self) -> None:
        self.spans: list[CollectedSpan] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for of_resource in request.resource_spans:
            names = [a.value.string_value for a in of_resource.resource.attributes if a.key == "service.name"]
            for of_scope in of_resource.scope_spans:
                self.spans += [CollectedSpan(names[0], span) for span in of_scope.spans]

    def of_trace(self, trace_id: str) -> list[CollectedSpan]:
        return [span for span in list(self.spans) if span.trace_id == trace_id]


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
