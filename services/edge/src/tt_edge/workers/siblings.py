"""What the workers of a group tell each other, so that any of them can answer for all: their metrics, and whether they are ready.

Each answers on a Unix socket in a folder that only their user can read: one line in, one text out. A worker that is gone takes
no calls, one that hangs does: the group is not ready then. Never on the path of a call.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from tt_edge.workers.exposition import merged

log = logging.getLogger(__name__)

ASK_TIMEOUT_S: Final = 1.0
QUESTION_BYTES_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024

HANGS: Final = b"does not answer"

Question = Literal["metrics", "ready"]
Answer = Callable[[], Awaitable[bytes]]


class Siblings:
    """The group as one of its workers sees it."""

    def __init__(self, index: int, workers: int, sockets_dir: Path, answers: Mapping[Question, Answer]) -> None:
        """`answers` are this worker's own; "ready" is empty, or the reason why it is not."""
        self._index = index
        self._workers = workers
        self._folder = sockets_dir
        self._answers = answers
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Answers from now on. Raises OSError."""
        self._server = await asyncio.start_unix_server(self._answer, self._path(self._index), limit=QUESTION_BYTES_MAX)

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def check_ready(self) -> str | None:
        """Why the group is not ready: any worker that listens may get the next call, so each must be. One that is gone gets none."""
        answers = await self._ask_all("ready")
        reasons = [f"worker {index}: {answer.decode()}" for index, answer in answers.items() if answer]
        return "; ".join(reasons) or None

    async def metrics(self) -> bytes:
        """Prometheus' text of the whole group."""
        answers = await self._ask_all("metrics")
        return merged({index: answer for index, answer in answers.items() if answer != HANGS}, self._workers)

    async def _ask_all(self, question: Question) -> dict[int, bytes]:
        """The answers by worker: HANGS of one that gives none in time, nothing of one that is gone."""
        found = await asyncio.gather(*(self._ask(index, question) for index in range(self._workers)))
        return {index: answer for index, answer in enumerate(found) if answer is not None}

    async def _ask(self, index: int, question: Question) -> bytes | None:
        if index == self._index:
            return await self._answers[question]()
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self._path(index))
                try:
                    writer.write(question.encode() + b"\n")
                    return await _read_all(reader)
                finally:
                    writer.close()
        except TimeoutError:
            return HANGS
        except (OSError, EOFError):
            return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                asked = (await reader.readline()).strip().decode()
                for question, answer in self._answers.items():
                    if question == asked:
                        writer.write(b"+" + await answer())
                        await writer.drain()
        except (OSError, TimeoutError, ValueError):
            log.debug("a sibling left before it had its answer")
        finally:
            writer.close()

    def _path(self, index: int) -> Path:
        return self._folder / f"{index}"


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """All until the end. Raises EOFError where the other died before it answered: every answer begins with a plus."""
    parts: list[bytes] = []
    size = 0
    while part := await reader.read(65536):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise EOFError
    answer = b"".join(parts)
    if not answer.startswith(b"+"):
        raise EOFError
    return answer[1:]
