"""Answers shared between edges over a real NATS: found by the other edge, never by another account, and never waited for long."""

import time

import msgspec
import pytest

from tests.unit.common.waiting import until
from tt_common.bus.connection import connect
from tt_common.bus.lean_client import LeanClient
from tt_common.contracts.streams import RESPONSES_CACHE
from tt_common.rating import Usage
from tt_edge.cache.answers import AnswerCache
from tt_edge.cache.memory import AnswerMemory, KeptAnswer
from tt_edge.clients.shared_answers import CHUNK_BYTES, READ_TIMEOUT_S, SharedAnswers, answer_subject
from tt_sandbox.stack.nats_server import EmbeddedNats

NOW_MS = 1_800_000_000_000
TTL_S = 60.0
KEY = ("acc_1", "0" * 64)
ANSWER = KeptAnswer(False, b'{"choices":[]}', Usage(input_tokens=5, output_tokens=2), NOW_MS)


def edge(nc: LeanClient) -> AnswerCache:
    """The cache of a freshly started edge."""
    return AnswerCache(AnswerMemory(100, 64 * 1024 * 1024), SharedAnswers(nc), TTL_S)


async def shared(nc: LeanClient, answer: KeptAnswer = ANSWER, key: tuple[str, str] = KEY) -> None:
    cache = edge(nc)
    cache.keep(key, answer)
    await cache.close(5.0)


async def test_an_answer_kept_by_one_edge_is_found_by_another(nc: LeanClient) -> None:
    await shared(nc)
    assert await edge(nc).find(KEY, NOW_MS) == ANSWER


async def test_another_account_or_request_finds_nothing(nc: LeanClient) -> None:
    await shared(nc)
    assert await edge(nc).find(("acc_2", KEY[1]), NOW_MS) is None
    assert await edge(nc).find((KEY[0], "1" * 64), NOW_MS) is None


async def test_an_account_id_can_not_reach_into_anothers_subjects() -> None:
    assert answer_subject("acc.1.>", "aa") == "responses.v1.cache.acc=2E1=2E=3E.aa"


async def test_a_large_answer_travels_in_chunks_that_a_broker_takes(nc: LeanClient) -> None:
    large = KeptAnswer(True, bytes(range(256)) * 4096, Usage(input_tokens=1), NOW_MS)
    await shared(nc, large)

    assert await edge(nc).find(KEY, NOW_MS) == large
    info = await nc.jetstream().stream_info(RESPONSES_CACHE.name)
    assert info.state.messages == -(-(len(large.body) + 100) // CHUNK_BYTES)


async def test_the_newest_answer_takes_the_place_of_the_one_before(nc: LeanClient) -> None:
    newer = KeptAnswer(False, b'{"choices":[1]}', Usage(input_tokens=5), NOW_MS + 1)
    await shared(nc)
    await shared(nc, newer)

    assert await edge(nc).find(KEY, NOW_MS) == newer
    assert (await nc.jetstream().stream_info(RESPONSES_CACHE.name)).state.messages == 1


async def test_an_answer_whose_chunk_was_discarded_is_a_miss(nc: LeanClient) -> None:
    await shared(nc, KeptAnswer(True, b"x" * (2 * CHUNK_BYTES), Usage(input_tokens=1), NOW_MS))
    await nc.jetstream().purge_stream(RESPONSES_CACHE.name, subject=f"{answer_subject(*KEY)}.1")
    assert await edge(nc).find(KEY, NOW_MS) is None


async def test_chunks_of_two_answers_are_never_mixed(nc: LeanClient) -> None:
    # given a large answer, and the rest of another one that was interrupted before its first chunk
    await shared(nc, KeptAnswer(True, b"x" * (2 * CHUNK_BYTES), Usage(input_tokens=1), NOW_MS))
    await nc.jetstream().publish(f"{answer_subject(*KEY)}.1", b"y" * CHUNK_BYTES)
    assert await edge(nc).find(KEY, NOW_MS) is None


async def test_a_chunk_of_another_account_is_never_taken_for_the_rest_of_an_answer(nc: LeanClient) -> None:
    # given a stream made anew, where the sequence that an answer names is somebody else's
    js = nc.jetstream()
    theirs = await js.publish(answer_subject("acc_2", KEY[1]), b"")
    whole = msgspec.msgpack.encode(ANSWER)
    await js.publish(answer_subject(*KEY), whole, headers={"TT-Rest": str(theirs.seq)})

    assert await edge(nc).find(KEY, NOW_MS) is None


async def test_what_is_older_than_the_time_to_live_is_a_miss_here_and_there(nc: LeanClient) -> None:
    cache = edge(nc)
    cache.keep(KEY, ANSWER)
    await cache.close(5.0)
    late = NOW_MS + int(TTL_S * 1000)

    assert await cache.find(KEY, late - 1) == ANSWER
    assert await cache.find(KEY, late) is None
    assert await edge(nc).find(KEY, late) is None


async def test_what_another_version_wrote_is_a_miss(nc: LeanClient) -> None:
    await nc.jetstream().publish(answer_subject(*KEY), b"\xc1 not an answer")
    await nc.jetstream().publish(answer_subject("acc_3", KEY[1]), b"x", headers={"TT-Rest": "not a number"})
    assert await edge(nc).find(KEY, NOW_MS) is None
    assert await edge(nc).find(("acc_3", KEY[1]), NOW_MS) is None


async def test_with_the_broker_away_answers_of_this_edge_are_found_and_others_are_a_miss(broker: EmbeddedNats) -> None:
    # given an edge with an answer of its own, whose broker is gone
    nc = await connect(broker.url, "cut-off")
    cache = edge(nc)
    try:
        broker.kill()
        await until(lambda: not nc.is_connected)
        cache.keep(KEY, ANSWER)

        # then
        assert await cache.find(KEY, NOW_MS) == ANSWER
        began = time.monotonic()
        assert await cache.find(("acc_2", KEY[1]), NOW_MS) is None
        assert time.monotonic() - began < READ_TIMEOUT_S
        await cache.close(1.0)
    finally:
        broker.start()
        await nc.close()


async def test_a_broker_that_hangs_holds_one_call_up_and_not_the_next(nc: LeanClient, broker: EmbeddedNats) -> None:
    cache = edge(nc)
    broker.pause()
    try:
        began = time.monotonic()
        assert await cache.find(KEY, NOW_MS) is None
        assert READ_TIMEOUT_S <= time.monotonic() - began < 10 * READ_TIMEOUT_S
        began = time.monotonic()
        assert await cache.find(KEY, NOW_MS) is None
        assert time.monotonic() - began < READ_TIMEOUT_S
    finally:
        broker.resume()


@pytest.mark.parametrize(("entries_max", "bytes_max"), [(0, 2**20), (100, 0)])
async def test_an_edge_without_memory_for_answers_still_shares_them(
    nc: LeanClient, entries_max: int, bytes_max: int
) -> None:
    cache = AnswerCache(AnswerMemory(entries_max, bytes_max), SharedAnswers(nc), TTL_S)
    cache.keep(KEY, ANSWER)
    await cache.close(5.0)
    assert await cache.find(KEY, NOW_MS) == ANSWER
