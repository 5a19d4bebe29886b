"""The same Idempotency-Key and body: one call, one answer; every way in which that can go."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tt_common.bus.lean_client import LeanClient
from tt_common.contracts.streams import RESPONSES
from tt_common.errors import Unavailable
from tt_edge.clients.idempotency import (
    Claim,
    Claimed,
    Conflict,
    IdempotencyStore,
    InProgress,
    Replay,
    ReplyGone,
)
from tt_edge.clients.idempotency_replies import CHUNK_BYTES, REPLY_BYTES_MAX
from tt_sandbox.stack.nats_server import EmbeddedNats

HEADERS = [("content-type", "application/json")]
LEASE_S = 1.0


@pytest.fixture
def store(nc: LeanClient) -> IdempotencyStore:
    return IdempotencyStore(nc)


@pytest.fixture
async def renewing(nc: LeanClient) -> AsyncIterator[IdempotencyStore]:
    """A store with a short lease whose renewal runs."""
    store = IdempotencyStore(nc, lease_s=LEASE_S, renew_every_s=LEASE_S / 4)
    task = asyncio.create_task(store.run())
    yield store
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _claimed(claim: Claim) -> Claimed:
    assert isinstance(claim, Claimed), claim
    return claim


async def test_a_finished_call_is_replayed_byte_by_byte(store: IdempotencyStore) -> None:
    # given an answer of several chunks
    body = [bytes([number % 251]) * 100_000 for number in range(20)]
    first = _claimed(await store.claim("key_1", "order-1", "hash"))
    await store.finish(first, 200, HEADERS, body)
    # when the call comes again
    replay = await store.claim("key_1", "order-1", "hash")
    # then it is the same answer
    assert isinstance(replay, Replay)
    assert b"".join(replay.chunks) == b"".join(body)
    assert all(len(chunk) <= CHUNK_BYTES for chunk in replay.chunks)
    assert (replay.status, list(replay.headers)) == (200, HEADERS)
    assert (replay.event_id, replay.hold_id) == (first.event_id, first.hold_id)


async def test_an_empty_answer_is_replayed_too(store: IdempotencyStore) -> None:
    await store.finish(_claimed(await store.claim("key_1", "order-1", "hash")), 204, [], [])
    replay = await store.claim("key_1", "order-1", "hash")
    assert isinstance(replay, Replay)
    assert (replay.status, replay.chunks) == (204, ())


async def test_another_body_is_a_conflict_while_running_and_when_done(store: IdempotencyStore) -> None:
    claim = _claimed(await store.claim("key_1", "order-1", "hash"))
    assert isinstance(await store.claim("key_1", "order-1", "other"), Conflict)
    await store.finish(claim, 200, HEADERS, [b"{}"])
    assert isinstance(await store.claim("key_1", "order-1", "other"), Conflict)


async def test_keys_of_different_api_keys_do_not_meet(store: IdempotencyStore) -> None:
    _claimed(await store.claim("key_1", "order-1", "hash"))
    _claimed(await store.claim("key_2", "order-1", "hash"))


async def test_any_header_value_is_a_key(store: IdempotencyStore) -> None:
    for value in ("", " ", "a.b.*.>", "ключ", "x" * 10_000, "\udcff"):
        _claimed(await store.claim("key_1", value, "hash"))


async def test_a_running_call_is_in_progress(store: IdempotencyStore) -> None:
    _claimed(await store.claim("key_1", "order-1", "hash"))
    answer = await store.claim("key_1", "order-1", "hash")
    assert isinstance(answer, InProgress)
    assert answer.retry_after_s >= 1


async def test_of_many_claims_at_once_exactly_one_wins(nc: LeanClient) -> None:
    stores = [IdempotencyStore(nc) for _ in range(4)]
    answers = await asyncio.gather(*(stores[number % 4].claim("key_1", "order-1", "hash") for number in range(40)))
    assert sum(isinstance(answer, Claimed) for answer in answers) == 1
    assert sum(isinstance(answer, InProgress) for answer in answers) == 39


async def test_a_released_key_is_free_for_any_body_and_has_new_ids(store: IdempotencyStore) -> None:
    first = _claimed(await store.claim("key_1", "order-1", "hash"))
    await store.release(first)
    second = _claimed(await store.claim("key_1", "order-1", "other"))
    assert second.event_id != first.event_id
    assert not second.taken_over


async def test_a_lease_that_is_renewed_outlives_its_length(renewing: IdempotencyStore, nc: LeanClient) -> None:
    _claimed(await renewing.claim("key_1", "order-1", "hash"))
    await asyncio.sleep(LEASE_S * 2)
    other = IdempotencyStore(nc, lease_s=LEASE_S)
    assert isinstance(await other.claim("key_1", "order-1", "hash"), InProgress)


async def test_a_dead_edges_call_is_taken_over_with_its_ids(nc: LeanClient) -> None:
    # given an edge that stopped renewing
    dead = IdempotencyStore(nc, lease_s=LEASE_S)
    first = _claimed(await dead.claim("key_1", "order-1", "hash"))
    await asyncio.sleep(LEASE_S + 0.2)
    # when several come for the call
    others = [IdempotencyStore(nc, lease_s=LEASE_S) for _ in range(5)]
    answers = await asyncio.gather(*(other.claim("key_1", "order-1", "hash") for other in others))
    # then one has it, under the same ids
    [heir] = [answer for answer in answers if isinstance(answer, Claimed)]
    assert heir.taken_over
    assert (heir.event_id, heir.hold_id) == (first.event_id, first.hold_id)
    # and whoever was thought dead can't overwrite its answer
    await others[answers.index(heir)].finish(heir, 200, HEADERS, [b"heir"])
    await dead.finish(first, 200, HEADERS, [b"dead"])
    assert first.lost
    replay = await dead.claim("key_1", "order-1", "hash")
    assert isinstance(replay, Replay)
    assert replay.chunks == (b"heir",)


async def test_an_answer_over_the_limit_is_not_kept_and_not_run_again(store: IdempotencyStore) -> None:
    claim = _claimed(await store.claim("key_1", "order-1", "hash"))
    await store.finish(claim, 200, HEADERS, [b"x" * REPLY_BYTES_MAX, b"y"])
    assert isinstance(await store.claim("key_1", "order-1", "hash"), ReplyGone)


async def test_an_answer_of_exactly_the_limit_is_kept(store: IdempotencyStore) -> None:
    claim = _claimed(await store.claim("key_1", "order-1", "hash"))
    await store.finish(claim, 200, HEADERS, [b"x" * REPLY_BYTES_MAX])
    replay = await store.claim("key_1", "order-1", "hash")
    assert isinstance(replay, Replay)
    assert sum(map(len, replay.chunks)) == REPLY_BYTES_MAX


async def test_a_missing_chunk_makes_the_whole_answer_gone(store: IdempotencyStore, nc: LeanClient) -> None:
    claim = _claimed(await store.claim("key_1", "order-1", "hash"))
    await store.finish(claim, 200, HEADERS, [b"x" * (3 * CHUNK_BYTES)])
    await nc.jetstream().delete_msg(RESPONSES.name, 2)
    assert isinstance(await store.claim("key_1", "order-1", "hash"), ReplyGone)


async def test_chunks_of_a_stream_made_anew_are_not_taken_for_the_answer(
    store: IdempotencyStore, nc: LeanClient
) -> None:
    claim = _claimed(await store.claim("key_1", "order-1", "hash"))
    await store.finish(claim, 200, HEADERS, [b"mine"])
    js = nc.jetstream()
    config = (await js.stream_info(RESPONSES.name)).config
    await js.delete_stream(RESPONSES.name)
    await js.add_stream(config)
    await js.publish("responses.v1.idempotent.other.call.0", b"not mine")
    assert isinstance(await store.claim("key_1", "order-1", "hash"), ReplyGone)


async def test_a_broker_that_hangs_is_unavailable_within_seconds(store: IdempotencyStore, broker: EmbeddedNats) -> None:
    await asyncio.to_thread(broker.pause)
    try:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(store.claim("key_1", "order-1", "hash"), 5)
    finally:
        await asyncio.to_thread(broker.resume)


async def test_a_broker_that_is_gone_is_unavailable_at_once(
    store: IdempotencyStore, broker: EmbeddedNats, nc: LeanClient
) -> None:
    await asyncio.to_thread(broker.stop)
    async with asyncio.timeout(10):
        while nc.is_connected:  # noqa: ASYNC110 - the client tells nobody
            await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(store.claim("key_1", "order-1", "hash"), 0.5)


@pytest.mark.parametrize("ending", ["finish", "release"])
async def test_a_call_that_ends_while_the_broker_is_away_is_recorded_later(
    renewing: IdempotencyStore, broker: EmbeddedNats, ending: str
) -> None:
    # given a call that ends while the broker restarts
    claim = _claimed(await renewing.claim("key_1", "order-1", "hash"))
    await asyncio.to_thread(broker.kill)
    if ending == "finish":
        await renewing.finish(claim, 200, HEADERS, [b"answer"])
    else:
        await renewing.release(claim)
    await asyncio.to_thread(broker.start)
    # when what was left to do is done
    await renewing.close(15)
    # then the record is as if nothing had happened
    answer = await renewing.claim("key_1", "order-1", "hash")
    assert isinstance(answer, Replay if ending == "finish" else Claimed)


async def test_a_renewal_whose_acknowledgement_was_lost_counts(renewing: IdempotencyStore) -> None:
    # given a claim whose record was renewed without this edge hearing of it
    claim = _claimed(await renewing.claim("key_1", "order-1", "hash"))
    heard = claim.revision
    await asyncio.sleep(LEASE_S / 2)
    assert claim.revision > heard
    claim.revision = heard
    # when the call ends
    await renewing.finish(claim, 200, HEADERS, [b"answer"])
    # then the record is still its own
    assert not claim.lost
    assert isinstance(await renewing.claim("key_1", "order-1", "hash"), Replay)


async def test_a_cancelled_finish_is_carried_out_all_the_same(store: IdempotencyStore) -> None:
    claim = _claimed(await store.claim("key_1", "order-1", "hash"))
    finishing = asyncio.create_task(store.finish(claim, 200, HEADERS, [b"x" * 1_000_000]))
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.gather(finishing, return_exceptions=True)
    await store.close(10)
    assert isinstance(await store.claim("key_1", "order-1", "hash"), Replay)
