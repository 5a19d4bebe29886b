"""Whole answers kept for idempotent replays, in chunks on the stream `responses`.

A kept answer is named by the stream sequences of its chunks: two edges that answered the same call after a take-over
can't be mixed. Never returns a part of an answer: with a chunk gone, the whole is gone.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from tt_common.contracts.streams import RESPONSES
from tt_common.errors import Unavailable
from tt_edge.clients.idempotency_records import TIMEOUT_S, require_connection

CHUNK_BYTES: Final = 512 * 1024
REPLY_BYTES_MAX: Final = 8 * 1024 * 1024
IN_FLIGHT_MAX: Final = 4


class KeptReplies:
    """Stores and loads answers over one connection."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=TIMEOUT_S)

    async def store(self, key: str, event_id: str, holder: str, body: Sequence[bytes]) -> tuple[int, ...]:
        """Keep `body` (its parts in order, at most REPLY_BYTES_MAX). Repeating it is harmless. Raises Unavailable."""
        whole = b"".join(body)
        slots = asyncio.Semaphore(IN_FLIGHT_MAX)

        async def put(number: int, start: int) -> int:
            headers = {"Nats-Msg-Id": f"{event_id}.{holder}.{number}"}
            async with slots:
                require_connection(self._nc)
                ack = await self._js.publish(
                    _subject(key, event_id, number), whole[start : start + CHUNK_BYTES], headers=headers
                )
            return ack.seq

        starts = range(0, len(whole), CHUNK_BYTES)
        try:
            sequences = await asyncio.gather(*(put(number, start) for number, start in enumerate(starts)))
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable("the answer could not be kept") from error
        return tuple(sequences)

    async def load(self, key: str, event_id: str, sequences: Sequence[int]) -> tuple[bytes, ...] | None:
        """The chunks, or None where any of them is gone. Raises Unavailable."""
        require_connection(self._nc)
        chunks: list[bytes] = []
        for number, sequence in enumerate(sequences):
            try:
                message = await self._js.get_msg(RESPONSES.name, seq=sequence)
            except nats.js.errors.NotFoundError:
                return None
            except (nats.errors.Error, TimeoutError, OSError) as error:
                raise Unavailable("the kept answer is out of reach") from error
            if message.subject != _subject(key, event_id, number):
                return None
            chunks.append(message.data or b"")
        return tuple(chunks)


def _subject(key: str, event_id: str, number: int) -> str:
    return f"responses.v1.idempotent.{key}.{event_id}.{number}"
