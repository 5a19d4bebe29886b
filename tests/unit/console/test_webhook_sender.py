"""Where a message goes: to the address that was checked, once, in bounded time, and nowhere else."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any
from unittest import mock

import pytest

from tests.support.webhook_receiver import Received, WebhookReceiver
from tests.unit.console.test_webhooks import delivery, endpoint
from tt_common.provider_access import Network
from tt_console.clients import webhook_sender
from tt_console.clients.webhook_sender import WebhookSender
from tt_console.domain.webhooks import Attempt

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    made = WebhookReceiver()
    yield made
    made.close()


def send(url: str, networks: tuple[Network, ...], *addresses: str) -> Attempt:
    """One attempt; every name leads to `addresses`, where some are given."""

    async def attempt() -> Attempt:
        sender = WebhookSender(networks)
        try:
            return await sender.send(endpoint(url=url), delivery())
        finally:
            await sender.close()

    if not addresses:
        return asyncio.run(attempt())
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses]
    with mock.patch.object(webhook_sender.socket, "getaddrinfo", return_value=found):
        return asyncio.run(attempt())


def test_a_message_goes_to_the_address_and_names_the_host(receiver: WebhookReceiver) -> None:
    attempt = send(f"http://shop.example:{receiver.port}/named?a=1", LOOPBACK, "127.0.0.1")

    assert (attempt.status_code, attempt.error) == (204, "")
    (request,) = receiver.at("/named?a=1")
    assert request.headers["host"] == f"shop.example:{receiver.port}"


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "224.0.0.1"]
)
def test_a_public_name_that_leads_inside_is_not_followed(receiver: WebhookReceiver, address: str) -> None:
    attempt = send(f"https://rebound.example:{receiver.port}/inside", (), address)

    assert (attempt.status_code, attempt.error) == (None, "address_refused")
    assert receiver.at("/inside") == []


def test_plain_http_goes_only_into_a_network_that_is_allowed(receiver: WebhookReceiver) -> None:
    attempt = send(f"http://plain.example:{receiver.port}/plain", LOOPBACK, "93.184.216.34")

    assert attempt.error == "address_refused"


def test_of_several_addresses_only_one_that_may_be_reached_is_tried(receiver: WebhookReceiver) -> None:
    attempt = send(f"http://both.example:{receiver.port}/both", LOOPBACK, "10.0.0.1", "127.0.0.1")

    assert attempt.error == ""
    assert len(receiver.at("/both")) == 1


@pytest.mark.parametrize(("status", "error"), [(200, ""), (299, ""), (302, "http_status"), (400, "http_status")])
def test_only_a_2xx_is_success_and_no_redirect_is_followed(receiver: WebhookReceiver, status: int, error: str) -> None:
    path = f"/status/{status}"
    receiver.answer, receiver.headers = lambda _: status, {"Location": f"{receiver.url}/redirected"}
    try:
        attempt = send(receiver.url + path, LOOPBACK)
    finally:
        receiver.answer, receiver.headers = lambda _: 204, {}

    assert (attempt.status_code, attempt.error) == (status, error)
    assert len(receiver.at(path)) == 1
    assert receiver.at("/redirected") == []


def test_a_receiver_that_takes_too_long_is_given_up(receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "TIMEOUT_S", 0.2)
    enough = threading.Event()

    def slow(_: Received) -> int:
        enough.wait(20)
        return 204

    receiver.answer = slow
    try:
        attempt = send(f"{receiver.url}/slow", LOOPBACK)
    finally:
        enough.set()
        receiver.answer = lambda _: 204

    assert (attempt.status_code, attempt.error) == (None, "timeout")


def test_what_does_not_speak_tls_or_is_not_there_is_told_apart(receiver: WebhookReceiver) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        nobody = send(f"http://127.0.0.1:{taken.getsockname()[1]}/", LOOPBACK)
    plain = send(f"https://127.0.0.1:{receiver.port}/", LOOPBACK)
    unknown = _unknown_name()

    assert (nobody.error, plain.error, unknown.error) == ("connection_failed", "tls_failed", "name_not_found")


def _unknown_name() -> Attempt:
    def none(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with mock.patch.object(webhook_sender.socket, "getaddrinfo", none):
        return send("https://nowhere.example/", ())
