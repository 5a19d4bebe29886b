"""An internal team on NATS: it reads every usage event from its own copy, and can touch nothing of the product's."""

# pyright: reportUnknownMemberType=false
# (nats-py leaves **kwargs untyped)

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig
from nats.js.client import JetStreamContext

from tests.integration.teams.conftest import team_access
from tt_common.bus.connection import connect
from tt_common.contracts.streams import BILLING, USAGE
from tt_common.deploy import deploy
from tt_common.teams.access import TeamAccess, TeamError, is_accepted
from tt_common.teams.accounts import Team, new_team
from tt_sandbox.stack.nats_server import EmbeddedNats

EVENTS_BEFORE = 40
BILLING_DURABLE = "billing-usage"


@pytest.fixture
async def errors() -> list[str]:
    """What the server said to the team's connection."""
    return []


@pytest.fixture
async def team_nc(access: TeamAccess, team: Team, errors: list[str]) -> AsyncIterator[Client]:
    client = await join(access.url(team), errors)
    yield client
    await client.close()


async def join(url: str, errors: list[str] | None = None) -> Client:
    async def note(error: Exception) -> None:
        if errors is not None:
            errors.append(str(error).lower())

    return await nats.connect(url, allow_reconnect=False, error_cb=note)


async def _quiet(_error: Exception) -> None:
    """The end of the connection is what the test looks at."""


async def publish(nc: Client, count: int, account: str = "acc_1", size_bytes: int = 2) -> None:
    js = nc.jetstream(timeout=5)
    for _ in range(count):
        await js.publish(f"usage.v1.{account}", b"x" * size_bytes)


async def copied(client: Client, wanted: int, timeout_s: float = 20.0) -> int:
    """How many events the team's copy holds, once it is `wanted` or time is up."""
    js = client.jetstream(timeout=5)
    found = -1
    async with asyncio.timeout(timeout_s + 5):
        for _ in range(int(timeout_s / 0.1)):
            try:
                found = (await js.stream_info(USAGE.name)).state.messages
            except nats.js.errors.ServiceUnavailableError:
                pass  # for a moment after a reload of NATS the JetStream API of an account has nobody behind it
            if found >= wanted:
                break
            await asyncio.sleep(0.1)
    return found


async def test_a_team_reads_the_events_from_before_it_existed_and_those_after(
    product_nc: Client, access: TeamAccess
) -> None:
    # given events that are older than the team
    await publish(product_nc, EVENTS_BEFORE)
    team, is_new = await access.grant("analytics")
    assert is_new

    # when more come and the team reads with a durable of its own
    await publish(product_nc, 2, account="acc_2")
    client = await join(access.url(team))
    subscription = await client.jetstream(timeout=5).pull_subscribe("usage.v1.>", durable="costs", stream=USAGE.name)
    messages = []
    while len(messages) < EVENTS_BEFORE + 2:
        messages += await subscription.fetch(100, timeout=10)
    await messages[-1].ack_sync()
    await client.close()

    # then it got all of them, in order and under their own subjects
    assert [message.subject for message in messages] == ["usage.v1.acc_1"] * EVENTS_BEFORE + ["usage.v1.acc_2"] * 2


async def test_a_backlog_larger_than_one_flow_control_window_arrives(
    product_nc: Client, access: TeamAccess, team: Team, team_nc: Client
) -> None:
    # when some 16 MiB wait
    js = product_nc.jetstream(timeout=10)
    for _ in range(20):
        await asyncio.gather(*(js.publish("usage.v1.acc_1", b"x" * 16_000) for _ in range(50)))

    # then
    assert await copied(team_nc, 1_000) == 1_000


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda nc: nc.jetstream(timeout=1).publish("usage.v1.acc_1", b"{}"), id="publish an event"),
        pytest.param(lambda nc: nc.jetstream(timeout=1).purge_stream(USAGE.name), id="purge"),
        pytest.param(lambda nc: nc.jetstream(timeout=1).delete_stream(USAGE.name), id="delete the stream"),
        pytest.param(
            lambda nc: nc.jetstream(timeout=1).add_stream(StreamConfig(name="MINE", subjects=["mine"])),
            id="make a stream",
        ),
        pytest.param(
            lambda nc: nc.request("tokentally.API.CONSUMER.CREATE.USAGE", b"{}", timeout=1), id="reach the product"
        ),
        pytest.param(lambda nc: nc.request("billing.open_grant.v1", b"{}", timeout=1), id="call billing"),
    ],
)
async def test_what_a_team_may_not_do_is_refused(
    attempt: Callable[[Client], Awaitable[object]], product_nc: Client, team_nc: Client, errors: list[str]
) -> None:
    # given
    await publish(product_nc, 3)

    # when
    with pytest.raises((nats.errors.TimeoutError, TimeoutError)):
        await attempt(team_nc)

    # then the server said why, and nothing happened
    await team_nc.flush()
    assert any("permissions violation for publish" in error for error in errors)
    assert (await product_nc.jetstream().stream_info(USAGE.name)).state.messages == 3


async def test_the_products_consumers_and_streams_are_invisible_to_a_team(product_nc: Client, team_nc: Client) -> None:
    # given
    config = ConsumerConfig(durable_name=BILLING_DURABLE, ack_policy=AckPolicy.EXPLICIT)
    await product_nc.jetstream().add_consumer(USAGE.name, config)

    # then
    js = team_nc.jetstream(timeout=2)
    assert await js.consumers_info(USAGE.name) == []
    assert [stream.config.name for stream in await js.streams_info()] == [USAGE.name]
    with pytest.raises(nats.js.errors.NotFoundError):
        await js.consumer_info(USAGE.name, BILLING_DURABLE)
    with pytest.raises(nats.js.errors.NotFoundError):
        await js.delete_consumer(USAGE.name, BILLING_DURABLE)
    with pytest.raises((nats.errors.TimeoutError, TimeoutError)):
        await js.stream_info(BILLING.name)


async def test_a_team_hears_nothing_of_other_subjects(product_nc: Client, team_nc: Client, errors: list[str]) -> None:
    # when
    heard = await team_nc.subscribe(">")
    await team_nc.flush()
    await product_nc.publish("billing.recall.v1", b"{}")
    await publish(product_nc, 1)

    # then
    with pytest.raises((nats.errors.Error, TimeoutError)):
        await heard.next_msg(timeout=1)
    assert any("permissions violation for subscription" in error for error in errors)


async def test_even_the_owner_of_a_teams_account_cannot_name_one_of_the_products_consumers(
    broker: EmbeddedNats, team: Team
) -> None:
    # given
    owner = await join(f"nats://{team.owner}:{team.owner_password}@127.0.0.1:{broker.port}")

    # then the only way to make a consumer is the one of a source
    for subject in (f"CREATE.USAGE.{BILLING_DURABLE}", f"DELETE.USAGE.{BILLING_DURABLE}", "MSG.NEXT.USAGE.x"):
        with pytest.raises(nats.errors.NoRespondersError):
            await owner.request(f"tokentally.API.CONSUMER.{subject}", b"{}", timeout=2)
    await owner.close()


async def test_a_second_team_and_its_removal_leave_the_first_team_and_the_product_connected(
    product_nc: Client, access: TeamAccess, team: Team, team_nc: Client, broker: EmbeddedNats
) -> None:
    # when another team comes, reads and goes
    other, _ = await access.grant("fraud")
    other_nc = await join(access.url(other))
    await publish(product_nc, 2)
    assert await copied(other_nc, 2) == 2
    await other_nc.close()
    await access.revoke("fraud")
    await publish(product_nc, 3)

    # then
    assert await copied(team_nc, 5) == 5
    assert product_nc.stats["reconnects"] == 0
    assert not await is_accepted(access.url(other))
    with pytest.raises(TeamError, match="no team fraud"):
        await access.revoke("fraud")


async def test_a_removal_whose_answer_was_lost_in_the_reload_is_asked_again(
    product_nc: Client, access: TeamAccess, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    delete = JetStreamContext.delete_stream
    answers = 0

    async def lost_once(js: JetStreamContext, name: str) -> bool:
        nonlocal answers
        done = await delete(js, name)
        answers += 1
        if answers == 1:
            raise nats.errors.TimeoutError
        return done

    monkeypatch.setattr(JetStreamContext, "delete_stream", lost_once)

    # when
    await access.revoke(team.name)

    # then
    assert answers == 1
    assert not await is_accepted(access.url(team))


async def test_the_copy_goes_on_after_a_crash_of_nats(broker: EmbeddedNats, access: TeamAccess) -> None:
    # given (every connection closed before the crash: nats-py leaves sockets of failed reconnections open)
    before = await connect(broker.url, "before")
    await deploy(before.jetstream(timeout=5))
    team, _ = await access.grant("analytics")
    await publish(before, 2)
    await before.close()

    # when
    broker.kill()
    broker.start()
    after = await connect(broker.url, "after")
    await publish(after, 2)

    # then
    client = await join(access.url(team))
    assert await copied(client, 4) == 4
    await client.close()
    await after.close()


async def test_granting_again_changes_nothing_and_a_rotated_password_ends_what_the_old_one_opened(
    product_nc: Client, access: TeamAccess, team: Team
) -> None:
    # given a consumer of the team
    await publish(product_nc, 3)
    left = asyncio.Event()

    async def note() -> None:
        left.set()

    connected = await nats.connect(access.url(team), allow_reconnect=False, closed_cb=note, error_cb=_quiet)
    await connected.jetstream(timeout=5).pull_subscribe("usage.v1.>", durable="costs", stream=USAGE.name)

    # when
    same, is_new = await access.grant("analytics")
    rotated = await access.rotate("analytics")

    # then
    assert (same, is_new) == (team, False)
    assert not await is_accepted(access.url(team))
    async with asyncio.timeout(5):
        await left.wait()
    client = await join(access.url(rotated))
    assert [consumer.name for consumer in await client.jetstream().consumers_info(USAGE.name)] == ["costs"]
    assert await copied(client, 3) == 3
    await client.close()


async def test_a_team_is_bounded_in_streams_and_consumers(broker: EmbeddedNats, team: Team) -> None:
    # given the strongest user of the team's account
    owner = await join(f"nats://{team.owner}:{team.owner_password}@127.0.0.1:{broker.port}")

    # then
    limits = (await owner.jetstream().account_info()).limits
    assert (limits.max_streams, limits.max_consumers) == (1, 16)
    assert 0 < limits.max_storage < 2 * 1024**3
    assert 0 < limits.max_memory < 64 * 1024**2
    with pytest.raises(nats.js.errors.APIError, match="maximum number of streams"):
        await owner.jetstream().add_stream(name="MORE", subjects=["more"])
    await owner.close()


def test_the_files_with_passwords_are_private(broker: EmbeddedNats) -> None:
    for name in ("teams.conf", "teams.json"):
        assert stat.S_IMODE((broker.store_dir / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["", "Analytics", "a b", 'a"}', "x" * 32, "1st", "a\n"])
def test_a_name_that_could_break_the_configuration_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        new_team(name)


async def test_a_server_that_is_not_reloaded_is_said_so(broker: EmbeddedNats, monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr("tt_common.teams.access.RELOADED_TIMEOUT_S", 0.5)
    deaf = TeamAccess(team_access(broker)._files, f"127.0.0.1:{broker.port}", lambda: None)

    # then
    with pytest.raises(TeamError, match="reloaded"):
        await deaf.grant("analytics")
