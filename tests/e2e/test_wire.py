"""Bytes that no honest client sends, over a bare socket to a running edge: nothing smuggled, nothing echoed into a head."""

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.support.console import ApiKey
from tests.support.product import Product
from tests.support.raw_http import send, statuses

HEAD_BYTES_MAX = 64 * 1024
SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: e\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def model(product: Product) -> str:
    return product.new_model()


@pytest.fixture(scope="module")
def key(product: Product) -> ApiKey:
    return product.new_customer().create_key()


@pytest.fixture
def edge(product: Product, model: str) -> Iterator[str]:
    """The edge, which must be as well after the test as before, and must not have called the provider."""
    before = len(product.provider.calls())
    yield product.stack.edge_urls[0]
    assert statuses(send(product.stack.edge_urls[0], b"GET /readyz HTTP/1.1\r\nConnection: close\r\n\r\n")) == [200]
    assert len(product.provider.calls()) == before


def head(key: ApiKey, *lines: str, path: str = "/v1/chat/completions") -> bytes:
    text = "\r\n".join([f"POST {path} HTTP/1.1", "Host: edge", f"Authorization: Bearer {key.plaintext}", *lines])
    return text.encode("latin-1") + b"\r\n\r\n"


AMBIGUOUS = {
    "length and chunked": (["Content-Length: 4", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "chunked and length": (["Transfer-Encoding: chunked", "Content-Length: 4"], b"0\r\n\r\n"),
    "two lengths": (["Content-Length: 0", "Content-Length: 4"], b"abcd"),
    "the same length twice": (["Content-Length: 4", "Content-Length: 4"], b"abcd"),
    "lengths in a list": (["Content-Length: 4, 4"], b"abcd"),
    "a signed length": (["Content-Length: +4"], b"abcd"),
    "a negative length": (["Content-Length: -1"], b""),
    "a length in hex": (["Content-Length: 0x4"], b"abcd"),
    "a length beyond all numbers": (["Content-Length: 99999999999999999999999"], b""),
    "chunked in disguise": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
    "chunked not last": (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    "chunked twice": (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], b"0\r\n\r\n"),
    "a blank before the colon": (["Content-Length : 4"], b"abcd"),
    "a folded line": (["Content-Length: 4", "X-Folded: a", " Transfer-Encoding: chunked"], b"abcd"),
    "a folded length": (["Content-Length:", " 4"], b"abcd"),
    "a bare carriage return": (["X-Split: a\rContent-Length: 4"], b""),
    "a NUL": (["X-Nul: a\0b", "Content-Length: 0"], b""),
    "a name that is none": (["X Y: a", "Content-Length: 0"], b""),
    "an empty name": ([": a", "Content-Length: 0"], b""),
    "a chunk size that is none": (["Transfer-Encoding: chunked"], b"zz\r\nab\r\n0\r\n\r\n"),
    "a signed chunk size": (["Transfer-Encoding: chunked"], b"+2\r\nab\r\n0\r\n\r\n"),
    "a chunk size beyond all numbers": (["Transfer-Encoding: chunked"], b"fffffffffffffffff\r\nab\r\n0\r\n\r\n"),
    "a chunk longer than it says": (["Transfer-Encoding: chunked"], b"2\r\nabcd\r\n0\r\n\r\n"),
    "a chunk ended by a bare line feed": (["Transfer-Encoding: chunked"], b"2\nab\n0\n\n"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_that_two_parsers_could_read_differently_is_refused(edge: str, key: ApiKey, name: str) -> None:
    lines, body = AMBIGUOUS[name]

    answer = send(edge, head(key, *lines) + body + SMUGGLED)

    assert statuses(answer) == [400]
    assert b"smuggled" not in answer


def test_lines_ended_by_a_bare_line_feed_are_refused(edge: str, key: ApiKey) -> None:
    answer = send(edge, head(key, "Content-Length: 0").replace(b"\r\n", b"\n") + SMUGGLED)

    assert statuses(answer) == [400]


def test_a_request_that_asks_for_an_upgrade_is_answered_and_ends_its_connection(edge: str, key: ApiKey) -> None:
    lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
    body = b'{"model": "no-such-model", "messages": []}'

    answer = send(edge, head(key, *lines, f"Content-Length: {len(body)}") + body + SMUGGLED)

    assert statuses(answer) in ([400], [404])
    assert b"smuggled" not in answer


def test_a_trailer_is_no_header(edge: str, key: ApiKey) -> None:
    request = head(key, "Transfer-Encoding: chunked").replace(key.plaintext.encode(), b"sk-wrong")
    trailer = f"Authorization: Bearer {key.plaintext}\r\n".encode()

    answer = send(edge, request + b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n" + SMUGGLED)

    # Were the trailer taken for a header, the key would be right and the body would be what is wrong.
    assert statuses(answer) == [401, 404]


def test_a_head_without_an_end_is_cut_off(edge: str) -> None:
    line = b"X-Filler: " + b"a" * 1000 + b"\r\n"

    answer = send(edge, b"GET /v1/models HTTP/1.1\r\n" + line * (8 * HEAD_BYTES_MAX // len(line)))

    assert statuses(answer) in ([431], [])  # the answer may be lost where the client goes on sending


def test_a_path_without_an_end_is_cut_off(edge: str) -> None:
    answer = send(edge, b"GET /" + b"a" * 8 * HEAD_BYTES_MAX)

    assert statuses(answer) in ([431], [400], [])


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(edge: str, key: ApiKey) -> None:
    answer = send(edge, head(key, f"Content-Length: {21 * 1024 * 1024}", "Connection: close"))

    assert statuses(answer) == [413]


def test_a_chunked_body_is_refused_when_it_gets_too_large(edge: str, key: ApiKey) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"

    answer = send(edge, head(key, "Transfer-Encoding: chunked", "Connection: close") + chunk * 22)

    assert statuses(answer) in ([413], [])  # as above


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_compressed_body_is_refused_unopened(edge: str, key: ApiKey, encoding: str) -> None:
    bomb = gzip.compress(b" " * 16 * 1024 * 1024)
    lines = (f"Content-Encoding: {encoding}", f"Content-Length: {len(bomb)}", "Connection: close")

    answer = send(edge, head(key, *lines) + bomb)

    assert statuses(answer) == [400]
    assert b"Content-Encoding" in answer


def test_a_chunk_extension_is_ignored(edge: str, key: ApiKey) -> None:
    body = b'2;name="value"\r\n{}\r\n0\r\n\r\n'

    answer = send(edge, head(key, "Transfer-Encoding: chunked", "Connection: close") + body)

    assert statuses(answer) == [400]  # for the empty object, as the body of a call
    assert b"model" in answer


@pytest.mark.parametrize("name", ["X-Request-Id", "Idempotency-Key", "traceparent", "OpenAI-Organization", "Origin"])
def test_what_a_header_says_never_comes_back_in_a_head(edge: str, key: ApiKey, name: str) -> None:
    body = b'{"model": "no-such-model", "messages": [{"role": "user", "content": "x"}]}'
    lines = (f"{name}: echo-me\x85X-Injected: 1", f"Content-Length: {len(body)}", "Connection: close")

    answer = send(edge, head(key, *lines) + body)

    assert statuses(answer) == [404]
    assert b"echo-me" not in answer
    assert b"x-injected" not in answer.lower()


def test_a_model_name_with_line_breaks_stays_inside_the_errors_json(edge: str, key: ApiKey) -> None:
    model = "no\r\nX-Injected: 1\r\n\r\n<script>"
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()

    answer = send(edge, head(key, f"Content-Length: {len(body)}", "Connection: close") + body)

    top, _, rest = answer.partition(b"\r\n\r\n")
    assert statuses(answer) == [404]
    assert b"injected" not in top.lower()
    assert b"content-type: application/json" in top.lower()
    assert model in json.loads(rest)["error"]["message"]
