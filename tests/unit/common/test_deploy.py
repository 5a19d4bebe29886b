"""The deploy step: repeatable, changes limits, deletes nothing."""

import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy

from tt_common.contracts.streams import BUCKETS, KEYS, STREAMS, USAGE
from tt_common.deploy import deploy, require, stream_config


async def test_deploying_twice_is_harmless_and_keeps_what_is_stored(nc: Client) -> None:
    # given a deployed broker with an event and a key
    js = nc.jetstream(timeout=5)
    await deploy(js)
    await js.publish("usage.v1.acc_1", b"{}")
    await js.publish(KEYS.subject("hash"), b"{}")

    # when
    await deploy(js)

    # then
    assert (await js.stream_info(USAGE.name)).state.messages == 1
    assert (await js.stream_info(KEYS.stream)).state.messages == 1
    await require(js, *(spec.name for spec in STREAMS), *(spec.stream for spec in BUCKETS))


async def test_deploying_again_brings_a_changed_limit_back(nc: Client) -> None:
    # given a stream that somebody made smaller
    js = nc.jetstream(timeout=5)
    await deploy(js)
    config = stream_config(USAGE, 1)
    config.max_bytes = 1024 * 1024
    await js.update_stream(config)
    assert (await js.stream_info(USAGE.name)).config.max_bytes == 1024 * 1024

    # when
    await deploy(js)

    # then
    found = (await js.stream_info(USAGE.name)).config
    assert found.max_bytes == USAGE.max_bytes
    assert found.discard == DiscardPolicy.NEW


async def test_a_missing_stream_is_named(nc: Client) -> None:
    with pytest.raises(RuntimeError, match="USAGE"):
        await require(nc.jetstream(timeout=5), USAGE.name)
