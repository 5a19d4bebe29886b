"""Whom the edge talks to: the provider that the catalog names and nobody else, whatever a request or an answer says."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.support.console import ConsoleUser
from tests.support.product import Product

BOMB_BYTES = 200 * 1024 * 1024
CHUNK = 64 * 1024


class Outside:
    """A host that notes who asks it for what, and answers as `say` writes."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outside.asked.append(self.path)
                self._say()

            def do_POST(self) -> None:
                outside.asked.append(self.path)
                outside.bodies.append(self.rfile.read(int(self.headers.get("content-length", "0"))))
                self._say()

            def _say(self) -> None:
                status, headers, body = outside.answer
                self.send_response(status)
                for name, value in ({"content-length": str(len(body))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                if "content-length" in headers:
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing: the test looks at `asked`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def outside() -> Iterator[Outside]:
    running = Outside()
    yield running
    running.stop()


@pytest.fixture
def elsewhere() -> Iterator[Outside]:
    running = Outside()
    yield running
    running.stop()


@pytest.fixture
def customer(product: Product) -> ConsoleUser:
    return product.new_customer()


def call(product: Product, customer: ConsoleUser, outside: Outside, **fields: Any) -> httpx.Response:
    """A call of a model that `outside` serves."""
    provider = f"outside-{customer.account_id}"
    product.operator.put_provider(provider, f"{outside.url}/v1")
    model = product.new_model(routes=[{"provider": provider, "upstream_model": "up"}])
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **fields}
    headers = {"Authorization": f"Bearer {customer.create_key().plaintext}"}
    return httpx.post(f"{product.base_url()}/chat/completions", json=body, headers=headers, trust_env=False, timeout=30)


def completion(text: str = "hello") -> bytes:
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps(
        {"id": "x", "object": "chat.completion", "model": "up", "choices": [choice], "usage": usage}
    ).encode()


@pytest.mark.parametrize("stream", [False, True])
def test_an_image_url_is_passed_on_and_never_fetched(
    product: Product, customer: ConsoleUser, outside: Outside, elsewhere: Outside, stream: bool
) -> None:
    outside.answer = (200, {"content-type": "application/json"}, completion())
    image = {"type": "image_url", "image_url": {"url": f"{elsewhere.url}/cat.png"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}]

    call(product, customer, outside, messages=messages, stream=stream)

    assert f"{elsewhere.url}/cat.png".encode() in outside.bodies[0]
    assert elsewhere.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(
    product: Product, customer: ConsoleUser, outside: Outside, elsewhere: Outside, status: int
) -> None:
    outside.answer = (status, {"location": f"{elsewhere.url}/v1/chat/completions"}, b"")
    elsewhere.answer = (200, {"content-type": "application/json"}, completion())

    answer = call(product, customer, outside)

    assert answer.status_code >= 500
    assert elsewhere.asked == []
    assert customer.settled_balance_nanousd() == 5_000_000_000


LIES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "a length too long": (200, {"content-type": "application/json", "content-length": "100000"}, completion()),
    "a length too short": (200, {"content-type": "application/json", "content-length": "20"}, completion()),
    "a head without an end": (200, {f"x-{number}": "a" * 1000 for number in range(200)}, completion()),
    "no JSON": (200, {"content-type": "application/json"}, b"<html>"),
    "a bomb": (
        200,
        {"content-type": "application/json", "content-encoding": "gzip"},
        gzip.compress(b'{"choices":"' + b"a" * BOMB_BYTES),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_provider_that_lies_costs_nothing_and_harms_nobody(
    product: Product, customer: ConsoleUser, outside: Outside, lie: str
) -> None:
    outside.answer = LIES[lie]

    answer = call(product, customer, outside)

    assert answer.status_code in (502, 503)
    assert answer.json()["error"]["type"]
    assert customer.settled_balance_nanousd() == 5_000_000_000
    assert httpx.get(f"{product.stack.edge_urls[0]}/readyz", trust_env=False).status_code == 200


def test_an_event_without_an_end_is_cut_off(product: Product, customer: ConsoleUser, outside: Outside) -> None:
    outside.answer = (200, {"content-type": "text/event-stream"}, b"data: " + b"a" * 32 * 1024 * 1024)

    answer = call(product, customer, outside, stream=True)

    assert answer.status_code in (200, 502)
    assert b"error" in answer.content
    assert len(answer.content) < CHUNK
    assert customer.settled_balance_nanousd() == 5_000_000_000
