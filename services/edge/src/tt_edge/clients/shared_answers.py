"""The response cache between edges: answers on the stream `responses_cache`, in chunks, read by direct get.

The first chunk stands under `responses.v1.cache.<account>.<hash>` and names the sequences of the others, so chunks of two answers
can't be mixed. Never raises for the broker and never waits long: with NATS away or slow there is simply no answer.
"""

import asyncio
import logging
from typing import Final

import nats.errors
import nats.js.errors
from nats.aio.client import Client

from tt_common.clock import monotonic_s
from tt_common.contracts.streams import RESPONSES_CACHE, kv_token

log = logging.getLogger(__name__)

CHUNK_BYTES: Final = 512 * 1024
CHUNKS_MAX: Final = 8
READ_TIMEOUT_S: Final = 0.05
STORE_TIMEOUT_S: Final = 2.0
PAUSE_S: Final = 1.0
"""After a read that took too long, calls don't wait for the broker for so long."""
REST_HEADER: Final = "TT-Rest"
TROUBLE: Final = (nats.errors.Error, TimeoutError, OSError)


class SharedAnswers:
    """Stores and loads encoded answers over one connection."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js = nc.jetstream(timeout=STORE_TIMEOUT_S)
        self._paused_until = 0.0

    async def load(self, account_id: str, request_hash: str) -> bytes | None:
        """The answer shared last, or None: never kept, gone, or not to be had in 50 ms."""
        if not self._nc.is_connected or monotonic_s() < self._paused_until:
            return None
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await self._load(answer_subject(account_id, request_hash))
        except nats.js.errors.NotFoundError:
            return None
        except (*TROUBLE, ValueError) as error:
            self._paused_until = monotonic_s() + PAUSE_S
            log.info("no answer read from the shared cache", extra={"error": type(error).__name__})
            return None

    async def _load(self, subject: str) -> bytes | None:
        first = await self._js.get_last_msg(RESPONSES_CACHE.name, subject, direct=True)
        parts = [first.data or b""]
        rest = (first.headers or {}).get(REST_HEADER, "")
        for number, sequence in enumerate(rest.split(",") if rest else (), 1):
            message = await self._js.get_msg(RESPONSES_CACHE.name, seq=int(sequence), direct=True)
            if message.subject != f"{subject}.{number}":
                return None
            parts.append(message.data or b"")
        return b"".join(parts)

    async def store(self, account_id: str, request_hash: str, encoded: bytes) -> None:
        """Share an answer in place of the one before. Where it can't be, that is all."""
        subject = answer_subject(account_id, request_hash)
        chunks = [encoded[start : start + CHUNK_BYTES] for start in range(0, len(encoded), CHUNK_BYTES)]
        if not self._nc.is_connected or not 1 <= len(chunks) <= CHUNKS_MAX:
            return
        try:
            rest = [
                (await self._js.publish(f"{subject}.{number}", chunk)).seq for number, chunk in enumerate(chunks[1:], 1)
            ]
            headers = {REST_HEADER: ",".join(map(str, rest))} if rest else None
            await self._js.publish(subject, chunks[0], headers=headers)
        except TROUBLE as error:
            log.info("an answer was not shared", extra={"error": type(error).__name__})


def answer_subject(account_id: str, request_hash: str) -> str:
    """Where the first chunk of an account's answer stands."""
    return f"responses.v1.cache.{kv_token(account_id)}.{request_hash}"
