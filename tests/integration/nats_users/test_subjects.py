"""Every user of the product's NATS account against a real server: what it must not say or hear, it can't."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from tests.support.broker import running_broker
from tt_common.bus.connection import connect
from tt_common.contracts.nats_users import (
    ADMIN,
    BILLING_USER,
    CONSOLE,
    DEPLOY,
    DEPOSITS_USER,
    EDGE,
    EVENTS,
    USERS,
    NatsUser,
)
from tt_common.contracts.streams import BUCKETS, RECALL_SUBJECT, STREAMS, USAGE
from tt_common.deploy import deploy
from tt_common.nats_accounts import account_with_variables, password_variable
from tt_sandbox.stack.nats_server import EmbeddedNats, nats_binary, nats_url
from tt_sandbox.stack.ports import HOST, pick_free

SERVICES = tuple(user for user in USERS if user is not ADMIN)
ALL_STREAMS = (*(spec.name for spec in STREAMS), *(bucket.stream for bucket in BUCKETS))
MONEY = ("billing.rpc.v1.wallets.adjust", "billing.rpc.v1.prices.publish", "billing.rpc.v1.holds.capture")
ANY_EVENT = (
    "usage.v1.acc_1",
    "billing.v1.wallet_low.acc_1",
    "identity.v1.key_changed.acc_1",
    "deposits.v1.deposit_confirmed.acc_1",
)

NEVER: dict[NatsUser, tuple[str, ...]] = {
    EDGE: (
        *ANY_EVENT[1:],
        *MONEY,
        "billing.rpc.v1.usage.export",
        "billing.rpc.v1.receipts.get",
        "$KV.keys.abc",
        "$KV.catalog.model.m",
        "$KV.catalog.price.m",
        RECALL_SUBJECT,
        f"{BILLING_USER.inbox}.x",
        f"{CONSOLE.inbox}.x",
        f"{EDGE.inbox}.x",
        f"$JS.API.CONSUMER.MSG.NEXT.{USAGE.name}.billing",
        f"$JS.API.CONSUMER.CREATE.{USAGE.name}.spy.usage.v1.*",
        f"$JS.ACK.{USAGE.name}.billing.1.1.1.1.0",
    ),
    BILLING_USER: (
        ANY_EVENT[0],
        *ANY_EVENT[2:],
        "$KV.keys.abc",
        "$KV.catalog.model.m",
        "$KV.catalog.provider.p",
        f"{BILLING_USER.inbox}.x",
        f"$JS.API.CONSUMER.DELETE.{USAGE.name}.console-usage",
    ),
    CONSOLE: (
        *ANY_EVENT[:2],
        ANY_EVENT[3],
        "billing.rpc.v1.grants.change",
        "billing.rpc.v1.epochs.close",
        "$KV.catalog.price.m",
        "$KV.idempotency.abc",
        "responses.v1.cache.acc.abc",
        f"{EDGE.inbox}.x",
        f"$JS.API.STREAM.PURGE.{USAGE.name}",
        f"$JS.API.CONSUMER.DELETE.{USAGE.name}.billing",
        f"$JS.API.CONSUMER.CREATE.{USAGE.name}.billing.usage.v1.*",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{USAGE.name}.billing",
        f"$JS.API.CONSUMER.CREATE.{USAGE.name}",
        f"$JS.API.CONSUMER.MSG.NEXT.{USAGE.name}.billing",
    ),
    DEPOSITS_USER: (
        *ANY_EVENT[:3],
        *MONEY,
        "billing.rpc.v1.wallets.get",
        "$KV.keys.abc",
        f"{BILLING_USER.inbox}.x",
        f"{EDGE.inbox}.x",
        "$JS.API.STREAM.PURGE.DEPOSITS",
        "$JS.API.CONSUMER.DELETE.DEPOSITS.billing-deposits",
        f"$JS.API.CONSUMER.MSG.NEXT.{USAGE.name}.billing",
    ),
    DEPLOY: (*ANY_EVENT, *MONEY, "$KV.keys.abc", "$JS.API.STREAM.CREATE.OTHER"),
    EVENTS: (
        *ANY_EVENT,
        *MONEY,
        "$KV.keys.abc",
        "$JS.API.STREAM.INFO.KV_keys",
        f"$JS.API.CONSUMER.MSG.NEXT.{USAGE.name}.billing",
        f"$JS.API.CONSUMER.MSG.NEXT.{USAGE.name}.console-usage",
        f"$JS.API.CONSUMER.CREATE.{USAGE.name}.console-usage.usage.v1.*",
    ),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNats]:
    with running_broker(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def admin(broker: EmbeddedNats) -> AsyncIterator[Client]:
    client = await connect(broker.url, "tests")
    await deploy(client.jetstream(timeout=5))
    yield client
    await client.close()


@pytest.mark.parametrize("user", SERVICES, ids=lambda user: user.name)
async def test_a_service_says_nothing_that_is_not_its_to_say(broker: EmbeddedNats, user: NatsUser) -> None:
    no_deletion = [f"$JS.API.STREAM.DELETE.{stream}" for stream in ALL_STREAMS]
    made_elsewhere = [] if user is DEPLOY else [f"$JS.API.STREAM.UPDATE.{stream}" for stream in ALL_STREAMS]
    forbidden = {*NEVER[user], *no_deletion, *made_elsewhere, "$JS.API.STREAM.CREATE.MINE", "anything"}

    assert await refused(broker.user_url(user.name), publish=forbidden) == forbidden


@pytest.mark.parametrize("user", SERVICES, ids=lambda user: user.name)
async def test_a_service_hears_no_others_inbox_and_no_others_events(broker: EmbeddedNats, user: NatsUser) -> None:
    inboxes = {f"{other.inbox}.>" for other in USERS if other is not user}
    forbidden = {*inboxes, ">", "_INBOX.>", "_INBOX.*.*", "usage.v1.*", "identity.v1.>", "$JS.API.>", "$KV.>"}
    if user is not BILLING_USER:
        forbidden |= {"billing.rpc.v1.>", "billing.rpc.v1.wallets.adjust", "billing.recalled.v1.*"}

    assert await refused(broker.user_url(user.name), subscribe=forbidden) == forbidden


async def test_what_a_user_may_say_is_let_through(broker: EmbeddedNats, admin: Client) -> None:
    for user in SERVICES:
        # The body is no JSON, so that nothing comes of it.
        subjects = {s.replace("*", "x").removesuffix(">") + ("x" if s.endswith(">") else "") for s in user.publish}
        assert await refused(broker.user_url(user.name), publish=subjects, subscribe=user.may_subscribe) == set()


async def test_deploying_needs_no_more_than_its_user_may(broker: EmbeddedNats, admin: Client) -> None:
    for name in ALL_STREAMS:
        await admin.jetstream(timeout=5).delete_stream(name)
    nc = await connect(broker.user_url(DEPLOY.name), "tests-deploy")

    await deploy(nc.jetstream(timeout=5))
    await deploy(nc.jetstream(timeout=5))

    await nc.close()
    assert {info.config.name for info in await admin.jetstream(timeout=5).streams_info()} == set(ALL_STREAMS)


async def test_the_console_can_not_take_over_billings_durable_under_another_subject(
    broker: EmbeddedNats, admin: Client
) -> None:
    js = admin.jetstream(timeout=5)
    await js.add_consumer(USAGE.name, ConsumerConfig(durable_name="billing", filter_subject="usage.v1.*"))
    console = await connect(broker.user_url(CONSOLE.name), "tests-console")

    # The subject says `spy`, the body means billing's durable.
    body = b'{"stream_name":"USAGE","config":{"durable_name":"billing","name":"billing","deliver_subject":"x"}}'
    answer = await console.request(f"$JS.API.CONSUMER.CREATE.{USAGE.name}.spy.usage.v1.x", body, timeout=5)

    await console.close()
    assert b'"error"' in answer.data
    assert (await js.consumer_info(USAGE.name, "billing")).config.deliver_subject is None


def test_the_configuration_with_variables_is_the_one_with_passwords(tmp_path: Path) -> None:
    """What compose and Kubernetes include, read by a real server whose environment holds the passwords."""
    port = pick_free()
    (tmp_path / "account.conf").write_text(account_with_variables())
    config = tmp_path / "nats.conf"
    config.write_text(
        f'listen: "{HOST}:{port}"\njetstream {{ store_dir: "{tmp_path}" }}\naccounts {{ include "account.conf" }}\n'
    )
    passwords = {password_variable(user): f"secret-of_{user.name}" for user in USERS}
    server = subprocess.Popen(
        [nats_binary(), "-c", str(config)], env={"PATH": os.environ["PATH"], **passwords}, stderr=subprocess.DEVNULL
    )
    try:
        for user in USERS:
            asyncio.run(_log_in(nats_url(passwords[password_variable(user)], port, user.name)))
        with pytest.raises(nats.errors.Error):
            asyncio.run(_log_in(nats_url("wrong", port, EDGE.name), tries=1))
    finally:
        server.terminate()
        server.wait(10)


async def refused(url: str, publish: Collection[str] = (), subscribe: Collection[str] = ()) -> set[str]:
    """Which of the subjects the server refuses to this user."""
    said: list[str] = []

    async def note(error: Exception) -> None:
        said.append(str(error))

    nc = await nats.connect(url, allow_reconnect=False, error_cb=note)
    for subject in publish:
        await nc.publish(subject, b"?")
    for subject in subscribe:
        await nc.subscribe(subject)
    # The second answer comes after everything that the server had to say to the first.
    await nc.flush()
    await nc.flush()
    await nc.close()
    # nats-py gives the server's words in lower case, the subject between double quotes.
    denied = {error.split('"')[1] for error in said if "permissions violation" in error}
    return {subject for subject in (*publish, *subscribe) if subject.lower() in denied}


async def _log_in(url: str, tries: int = 100) -> None:
    async def quiet(_: Exception) -> None:
        """A server that does not listen yet."""

    for attempt in range(1, tries + 1):
        client = Client()
        try:
            await client.connect(url, allow_reconnect=False, error_cb=quiet)
        except (OSError, nats.errors.Error):
            if attempt == tries:
                raise
            await asyncio.sleep(0.05)
        else:
            return
        finally:
            await client.close()
