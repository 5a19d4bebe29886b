"""Find and keep answers: this worker's memory first, then what other edges shared.

Never raises and never holds a call up: whatever goes wrong is a miss, and sharing happens in the background.
"""

import asyncio
from typing import Final

import msgspec

from tt_edge.cache.memory import AnswerKey, AnswerMemory, KeptAnswer
from tt_edge.clients.shared_answers import SharedAnswers

SHARING_MAX: Final = 32
"""Answers on their way to the other edges at once; more than that stay in this worker's memory alone."""


class AnswerCache:
    """The response cache of one worker. Ages are wall-clock milliseconds, for edges compare each other's answers."""

    def __init__(self, memory: AnswerMemory, shared: SharedAnswers, ttl_s: float) -> None:
        self._memory = memory
        self._shared = shared
        self._ttl_ms = int(ttl_s * 1000)
        self._sharing: set[asyncio.Task[None]] = set()
        self._decoder = msgspec.msgpack.Decoder(KeptAnswer)

    async def find(self, key: AnswerKey, now_ms: int) -> KeptAnswer | None:
        """The answer kept for this account and request, not older than the time to live."""
        answer = self._memory.get(key)
        if answer is not None:
            if self._fresh(answer, now_ms):
                return answer
            self._memory.drop(key)
        encoded = await self._shared.load(*key)
        if encoded is None:
            return None
        try:
            answer = self._decoder.decode(encoded)
        except msgspec.MsgspecError:
            return None
        if not self._fresh(answer, now_ms):
            return None
        self._memory.put(key, answer)
        return answer

    def keep(self, key: AnswerKey, answer: KeptAnswer) -> None:
        """Keep it here at once, and share it with the other edges soon."""
        self._memory.put(key, answer)
        if len(self._sharing) < SHARING_MAX:
            task = asyncio.create_task(self._shared.store(*key, msgspec.msgpack.encode(answer)))
            self._sharing.add(task)
            task.add_done_callback(self._sharing.discard)

    async def close(self, timeout_s: float) -> None:
        """Let what is being shared arrive, for at most `timeout_s`; drop the rest."""
        if self._sharing:
            _, late = await asyncio.wait(self._sharing, timeout=timeout_s)
            for task in late:
                task.cancel()

    def _fresh(self, answer: KeptAnswer, now_ms: int) -> bool:
        return now_ms - answer.kept_at_ms < self._ttl_ms
