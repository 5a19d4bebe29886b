"""The quicker parts of the NATS client do what nats-py's own do, on a real server."""

import asyncio
from typing import cast

import pytest
from nats.aio.client import Client
from nats.js.api import Header

from tests.unit.common.waiting import until
from tt_common.bus.connection import connect
from tt_common.bus.lean_client import LeanClient, encode_headers
from tt_sandbox.stack.nats_server import EmbeddedNats


async def test_headers_are_read_as_nats_reads_them(nc: Client) -> None:
    # given
    subscription = await nc.subscribe("with.headers")

    # when
    headers = {"ce-id": "a:b", "ce-source": "münchen", "empty": "", "spaced": "  x y  "}
    await nc.publish("with.headers", b"", headers=headers)

    # then
    message = await subscription.next_msg(2)
    assert message.headers == {"ce-id": "a:b", "ce-source": "münchen", "empty": "", "spaced": "x y"}
    raw = b"A: 1\r\nno colon\r\nin name: 2\r\n\xff: 3\r\nB:\t4\r\n\r\n"
    assert LeanClient._parse_header_lines(raw) == Client._parse_header_lines(raw) == {"A": "1", "B": "4"}


async def test_headers_are_written_as_nats_writes_them(broker: EmbeddedNats, nc: Client) -> None:
    # given nats-py's own client beside ours, and a subscription of each
    plain = Client()
    await plain.connect(broker.url)
    headers = {"ce-id": "a:b", "Nats-Msg-Id": "1", "ce-source": "münchen"}
    heard = await nc.subscribe("written.headers")
    await nc.flush()

    # when both publish the same
    await plain.publish("written.headers", b"x", reply="back", headers=headers)
    await plain.flush()
    await nc.publish("written.headers", b"x", reply="back", headers=headers)

    # then nobody can tell them apart
    first, second = await heard.next_msg(2), await heard.next_msg(2)
    assert (first.headers, first.reply, first.data) == (second.headers, second.reply, second.data)
    await plain.close()


def test_a_header_named_by_nats_own_enumeration_keeps_its_name() -> None:
    assert encode_headers({Header.EXPECTED_STREAM: "USAGE"}) == b"NATS/1.0\r\nNats-Expected-Stream: USAGE\r\n\r\n"


@pytest.mark.parametrize("headers", [{"a": "1\r\nb: 2"}, {"a\r\nb": "1"}, {"a": "1\n"}, {"a": "\r"}])
def test_a_header_that_breaks_out_of_its_line_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_headers(headers)


async def test_a_direct_subscription_gets_every_message_and_outlives_the_server(broker: EmbeddedNats) -> None:
    # given
    client = cast(LeanClient, await connect(broker.url, "direct"))
    heard: list[tuple[str, bytes]] = []
    subscription = await client.subscribe_direct("acks.*", lambda subject, data: heard.append((subject, data)))

    # when messages come before and after a restart of the server, and after it was given up
    await client.publish("acks.1", b"one", headers={"a": "b"})
    await until(lambda: len(heard) == 1)
    await asyncio.to_thread(broker.restart)
    await until(lambda: client.is_connected)
    await client.publish("acks.2", b"two")
    await until(lambda: len(heard) == 2)
    await subscription.unsubscribe()
    await client.publish("acks.3", b"three")
    await client.flush()

    # then
    assert heard == [("acks.1", b"one"), ("acks.2", b"two")]
    await client.close()
