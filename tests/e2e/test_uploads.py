"""Large uploads: they pass through the edge, not through its memory, and every way for them to fail is said clearly."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from openai import APIStatusError, OpenAI

from tests.conformance.media import charged, served, wav
from tests.support.console import ApiKey, ConsoleUser
from tests.support.product import SANDBOX, Product
from tests.support.raw_http import send
from tests.support.waiting import eventually

MIB = 1024 * 1024
FORM_BYTES_MAX = 100 * MIB
IMAGE_NANOUSD = 40_000_000


@pytest.fixture(scope="module")
def customer(product: Product) -> ConsoleUser:
    return product.new_customer("20.00")


@pytest.fixture(scope="module")
def key(customer: ConsoleUser) -> ApiKey:
    return customer.create_key()


@pytest.fixture(scope="module")
def client(product: Product, key: ApiKey) -> Iterator[OpenAI]:
    with product.openai(key) as sdk:
        yield sdk


@pytest.fixture(scope="module")
def model(product: Product) -> str:
    model = f"test-{secrets.token_hex(6)}"
    product.operator.put_model(model, [{"provider": SANDBOX, "upstream_model": model}], kind="image")
    product.operator.publish_price(model, image="0.04")
    product.until_callable(model)
    return model


def picture(size_bytes: int) -> bytes:
    return b"\x89PNG" + bytes(size_bytes - 4)


def test_fifty_mebibytes_pass_through_a_few_of_memory(
    client: OpenAI, customer: ConsoleUser, product: Product, model: str
) -> None:
    # given an edge that has taken an upload before
    source = picture(50 * MIB)
    client.images.edit(model=model, image=("small.png", picture(MIB)), prompt="blue")
    pid = product.stack.edges[0].process.pid
    before = psutil.Process(pid).memory_info().rss
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak is counted from here on

    # when
    label = secrets.token_hex(8)
    raw = client.images.with_raw_response.edit(
        model=model, image=("large.png", source), prompt="blue", extra_body={"sandbox": {"label": label}}
    )

    # then
    assert raw.parse().data
    assert served(product, label)["images"] == 1
    assert charged(customer, raw.headers) == IMAGE_NANOUSD
    [peak_kib] = [
        int(line.split()[1])
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmHWM")
    ]
    assert peak_kib * 1024 - before < 10 * MIB


def test_an_upload_over_the_limit_is_refused_before_it_is_sent(product: Product, key: ApiKey) -> None:
    # given a request that only says how large it is
    head = (
        f"POST /v1/images/edits HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key.plaintext}\r\n"
        f"content-type: multipart/form-data; boundary=b\r\nconnection: close\r\ncontent-length: {FORM_BYTES_MAX + 1}\r\n\r\n"
    )

    # when
    answer = send(product.stack.edge_urls[0], head.encode())

    # then
    assert b" 413 " in answer
    assert b"request_too_large" in answer


def test_an_upload_that_grows_over_the_limit_is_refused(product: Product, key: ApiKey) -> None:
    def grow() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        for _ in range(FORM_BYTES_MAX // MIB + 1):
            yield bytes(MIB)

    headers = {"authorization": f"Bearer {key.plaintext}", "content-type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{product.base_url()}/images/edits", headers=headers, content=grow(), trust_env=False)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_wrong_key_is_said_although_the_upload_is_not_read(product: Product, model: str) -> None:
    with product.openai("sk-wrong") as stranger, pytest.raises(APIStatusError) as raised:
        stranger.images.edit(model=model, image=("large.png", picture(20 * MIB)), prompt="blue")

    assert raised.value.status_code == 401


def test_what_the_provider_finds_too_large_is_its_own_413(client: OpenAI, customer: ConsoleUser) -> None:
    with pytest.raises(APIStatusError) as raised:
        client.audio.transcriptions.create(model="whisper-1", file=("long.wav", wav(26 * MIB // 16_000)))

    assert raised.value.status_code == 413
    assert "Maximum content size" in raised.value.message
    assert charged(customer, raised.value.response.headers) == 0


def test_a_client_that_leaves_in_the_middle_of_its_upload_leaves_nothing(
    product: Product, key: ApiKey, spooled: Callable[[], int]
) -> None:
    def leave() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + bytes(2 * MIB)
        eventually(lambda: spooled() == 1, "the upload is on disk")
        raise ConnectionAbortedError

    headers = {"authorization": f"Bearer {key.plaintext}", "content-type": "multipart/form-data; boundary=b"}
    with pytest.raises(ConnectionAbortedError):
        httpx.post(f"{product.base_url()}/images/edits", headers=headers, content=leave(), trust_env=False)

    eventually(lambda: spooled() == 0, "nothing is left of the upload")


@pytest.fixture
def spooled(product: Product) -> Callable[[], int]:
    """How many uploads lie on the first edge's disk."""

    def count() -> int:
        links = Path(f"/proc/{product.stack.edges[0].process.pid}/fd").iterdir()
        return sum("(deleted)" in str(link.readlink()) for link in links if link.is_symlink())

    return count
